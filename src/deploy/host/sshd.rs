//! What sshd really does: the effective configuration as `sshd -T` prints it, and the ports on which
//! it, or systemd in its place, really listens.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::account::Account;
use super::systemd;
use crate::deploy::error::Result;
use crate::deploy::host::{Access, Host, Program};

const RUNTIME: &str = "/run/sshd";
const SOCKET: &str = "ssh.socket";

/// The output of `sshd -T`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effective(String);

impl Effective {
    /// Keeps what `sshd -T` printed.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All values of a key (which `sshd -T` prints in lower case), in order.
    pub(crate) fn values<'s, 'k>(
        &'s self,
        key: &'k str,
    ) -> impl Iterator<Item = &'s str> + use<'s, 'k> {
        self.0.lines().filter_map(move |line| {
            let (name, value) = line.split_once(' ')?;
            (name == key).then(|| value.trim())
        })
    }

    /// The first value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values(key).next()
    }

    /// The ports of the configuration.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.values("port")
            .filter_map(|port| port.parse().ok())
            .collect()
    }

    /// The words of a list that may be spread over several lines.
    pub(crate) fn words(&self, key: &str) -> Vec<&str> {
        self.values(key)
            .flat_map(str::split_ascii_whitespace)
            .collect()
    }

    /// Whether sshd reads the file in which we look for the keys of `account`.
    pub(crate) fn reads_keys_of(&self, account: &Account) -> bool {
        self.words("authorizedkeysfile").iter().any(|file| {
            let file = file
                .replace("%h", &account.home)
                .replace("%u", &account.name);
            file == ".ssh/authorized_keys" || file == account.keys()
        })
    }
}

/// What `sshd -T` prints, or `sshd -G` where sshd's runtime directory is not there.
pub(crate) fn effective(host: &Host) -> Result<Effective> {
    host.wait(ask(host))
}

async fn ask(host: &Host) -> Result<Effective> {
    // Needs no directory; sshd has it since 9.3.
    let parse = Program::new("sshd").arg("-G");
    if !host.exists(RUNTIME)
        && let Ok(parsed) = host.must_async(&parse).await
    {
        return Ok(Effective::new(parsed));
    }
    let _runtime = RuntimeDirectory::ensure(host)?;
    let tested = host.must_async(&Program::new("sshd").arg("-T")).await;
    tested
        .map(Effective::new)
        .map_err(|failure| failure.hint("sshd -t"))
}

/// sshd's runtime directory, without which it tests nothing. With `ssh.socket` there may be none: then it is there
/// until this is dropped, so that looking leaves nothing behind.
pub(crate) struct RuntimeDirectory<'a> {
    host: &'a Host,
    made: bool,
}

impl<'a> RuntimeDirectory<'a> {
    /// Makes it, unless it is there.
    pub(crate) fn ensure(host: &'a Host) -> Result<Self> {
        let made = !host.exists(RUNTIME);
        if made {
            host.directory(RUNTIME, Access::root(0o755))?;
        }
        Ok(Self { host, made })
    }
}

impl Drop for RuntimeDirectory<'_> {
    fn drop(&mut self) {
        if self.made {
            // Fails if somebody logged in meanwhile and sshd uses it: then it stays.
            let _ = std::fs::remove_dir(self.host.path(RUNTIME));
        }
    }
}

/// The ports at which sshd can be reached, or systemd in its place (`ssh.socket`).
pub(crate) fn listening(host: &Host) -> Result<BTreeSet<u16>> {
    host.wait(listens(host))
}

/// Where sshd listens, and where its configuration says that it will. One that is there and
/// cannot be asked is an error: a port left out would be shut.
pub(crate) fn ports(host: &Host) -> Result<BTreeSet<u16>> {
    let (mut ports, configured) =
        host.wait(async { tokio::try_join!(listens(host), configured(host)) })?;
    ports.extend(configured);
    if ports.is_empty() {
        ports.insert(22);
    }
    Ok(ports)
}

async fn listens(host: &Host) -> Result<BTreeSet<u16>> {
    let (mut ports, held) = tokio::try_join!(listens_itself(host), listens_by_systemd(host))?;
    ports.extend(held);
    Ok(ports)
}

async fn listens_itself(host: &Host) -> Result<BTreeSet<u16>> {
    if host.find("ss").is_none() {
        return Ok(BTreeSet::new());
    }
    let ss = host.must_async(&Program::new("ss").arg("-Hltnpe")).await?;
    Ok(listening_in(&ss))
}

async fn listens_by_systemd(host: &Host) -> Result<BTreeSet<u16>> {
    if !systemd::is_running(host) {
        return Ok(BTreeSet::new());
    }
    let show = Program::new("systemctl").args(["show", "--property=ActiveState,Listen", SOCKET]);
    Ok(held_by_socket(&host.must_async(&show).await?))
}

async fn configured(host: &Host) -> Result<BTreeSet<u16>> {
    match host.find("sshd") {
        Some(_) => ask(host).await.map(|it| it.ports()),
        None => Ok(BTreeSet::new()),
    }
}

/// The ports on which `ss -Hltnpe` shows sshd to the outside. On loopback it also listens for what
/// people forward (`ssh -R`, X11), which is no way in. Anybody can call a process `sshd`, but root's
/// sockets alone have no `uid:`.
fn listening_in(ss: &str) -> BTreeSet<u16> {
    ss.lines()
        .filter(|line| line.contains("((\"sshd\"") && !line.contains(" uid:"))
        .filter_map(|line| line.split_ascii_whitespace().nth(3))
        .filter_map(outside)
        .collect()
}

/// The ports that systemd holds for sshd, of `systemctl show --property=ActiveState,Listen ssh.socket`.
fn held_by_socket(shown: &str) -> BTreeSet<u16> {
    if !shown.lines().any(|line| line == "ActiveState=active") {
        return BTreeSet::new();
    }
    shown
        .lines()
        .filter_map(|line| line.strip_prefix("Listen=")?.strip_suffix(" (Stream)"))
        .filter_map(outside)
        .collect()
}

/// The port of `ADDRESS:PORT`, unless only this host can reach it.
fn outside(socket: &str) -> Option<u16> {
    let (address, port) = socket.rsplit_once(':')?;
    let address = address.split('%').next()?;
    let local = match address.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // Not an address, such as `vsock`: no socket of the network.
        Err(_) => address != "*",
    };
    (!local).then(|| port.parse().ok())?
}

/// Whether sshd's pattern list admits `user`; of `user@host`, only the user is compared.
pub(crate) fn admits(patterns: &[&str], user: &str) -> bool {
    let names = |negated: bool| {
        patterns.iter().any(|pattern| {
            let bare = pattern.strip_prefix('!');
            let name = bare
                .unwrap_or(pattern)
                .split('@')
                .next()
                .unwrap_or_default();
            bare.is_some() == negated && glob(name.as_bytes(), user.as_bytes())
        })
    };
    names(false) && !names(true)
}

/// sshd's wildcards: `*` and `?`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, tail)| glob(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => glob(rest, tail),
        (Some((letter, rest)), Some((other, tail))) => letter == other && glob(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "port 22\nport 2222\naddressfamily any\nlistenaddress [::]:22\n\
        permitrootlogin without-password\npasswordauthentication yes\n\
        authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\n\
        allowusers deploy\nallowusers ops*\n";

    #[test]
    fn the_effective_configuration_is_read_by_whole_keys() {
        let effective = Effective::new(DEBIAN);
        assert_eq!(effective.ports(), BTreeSet::from([22, 2222]));
        assert_eq!(effective.value("permitrootlogin"), Some("without-password"));
        assert_eq!(effective.value("permitroot"), None);
        assert_eq!(effective.words("allowusers"), ["deploy", "ops*"]);
        assert_eq!(effective.words("authorizedkeysfile").len(), 2);
    }

    #[test]
    fn keys_are_found_where_sshd_looks() {
        let account = Account {
            name: "deploy".to_owned(),
            uid: 1001,
            gid: 1001,
            home: "/home/deploy".to_owned(),
            shell: "/bin/bash".to_owned(),
        };
        let reads = |files: &str| {
            let effective = Effective::new(format!("authorizedkeysfile {files}\n"));
            effective.reads_keys_of(&account)
        };
        for file in [
            ".ssh/authorized_keys",
            "%h/.ssh/authorized_keys",
            "/home/%u/.ssh/authorized_keys",
        ] {
            assert!(reads(&format!("/etc/ssh/x {file}")), "{file}");
        }
        assert!(!reads("none"));
    }

    #[test]
    fn the_ports_are_those_of_sshd_itself() {
        let ss = "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=35,fd=3))\n\
            LISTEN 0 128 [::]:2200 [::]:* users:((\"sshd\",pid=35,fd=4))\n\
            LISTEN 0 128 10.0.0.9%eth0:2201 0.0.0.0:* users:((\"sshd\",pid=35,fd=5))\n\
            LISTEN 0 4096 *:2022 *:* users:((\"sshd\",pid=9,fd=3),(\"systemd\",pid=1,fd=83))\n\
            LISTEN 0 4096 *:2023 *:* users:((\"systemd\",pid=1,fd=84))\n\
            LISTEN 0 5 0.0.0.0:8099 0.0.0.0:* users:((\"python3\",pid=8,fd=3))\n\
            LISTEN 0 5 0.0.0.0:4444 0.0.0.0:* users:((\"sshd\",pid=9,fd=3)) uid:65534 ino:1 sk:2\n\
            LISTEN 0 5 0.0.0.0:8098 0.0.0.0:*\n";
        assert_eq!(listening_in(ss), BTreeSet::from([22, 2022, 2200, 2201]));
    }

    #[test]
    fn what_people_forward_is_no_way_in() {
        let ss = |address: &str| {
            listening_in(&format!(
                "LISTEN 0 128 {address}:8123 0.0.0.0:* users:((\"sshd\",pid=290,fd=7))\n"
            ))
        };
        for local in ["127.0.0.1", "127.0.0.5%lo", "[::1]", "[::ffff:127.0.0.1]"] {
            assert_eq!(ss(local), BTreeSet::new(), "{local}");
        }
        for open in ["0.0.0.0", "[::]", "*", "[fe80::1]%eth0"] {
            assert_eq!(ss(open), BTreeSet::from([8123]), "{open}");
        }
    }

    #[test]
    fn the_ports_of_the_socket_are_its_own() {
        let listen = "Listen=0.0.0.0:22 (Stream)\nListen=[::]:2022 (Stream)\n\
            Listen=127.0.0.1:2023 (Stream)\nListen=/run/ssh (Stream)\n\
            Listen=vsock::2024 (Stream)\nListen=[::]:2025 (Datagram)\n";
        let held = |state: &str| held_by_socket(&format!("{listen}ActiveState={state}\n"));
        assert_eq!(held("active"), BTreeSet::from([22, 2022]));
        assert_eq!(held("inactive"), BTreeSet::new(), "nothing is held yet");
        assert_eq!(held_by_socket("ActiveState=inactive\n"), BTreeSet::new());
    }

    #[test]
    fn patterns_admit_as_sshd_does() {
        assert!(admits(&["deploy"], "deploy"));
        assert!(admits(&["dep*", "x"], "deploy"));
        assert!(admits(&["deplo?@10.0.0.*"], "deploy"));
        assert!(!admits(&["*", "!deploy"], "deploy"));
        assert!(!admits(&["deployer", "dep"], "deploy"));
        assert!(!admits(&[], "deploy"));
    }
}
