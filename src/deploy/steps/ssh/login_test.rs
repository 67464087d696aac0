//! A real login to the real sshd, with a key that exists for a few seconds.
//!
//! Its line in `authorized_keys` is restricted: accepted from loopback only, runs nothing but `echo`, and
//! expires within minutes. So a run that is killed here leaves nothing usable, and the next one removes
//! it. The private key is in `/run`, which is memory.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};

use crate::deploy::host::account::Account;
use crate::deploy::host::sshd::Effective;

const PLACE: &str = "/run/openclaw-deploy/probe";
const KEY: &str = "/run/openclaw-deploy/probe/key";
const MARK: &str = "openclaw-deploy-probe";

/// Where sshd can be reached from this host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WayIn {
    address: String,
    port: u16,
}

impl WayIn {
    /// A port on which sshd listens, on loopback if it listens there.
    pub(crate) fn choose(effective: &Effective, listening: &BTreeSet<u16>) -> Self {
        let configured = effective.ports();
        let port = configured.intersection(listening).next();
        let sockets = effective.values("listenaddress");
        let (addresses, own): (Vec<&str>, Vec<&str>) = sockets
            .filter_map(|socket| socket.rsplit_once(':'))
            .map(|(address, port)| (address.trim_matches(['[', ']']), port))
            .unzip();
        // `listening` leaves out ports that are open on loopback only.
        let own = own.iter().find_map(|port| port.parse().ok());
        let port = port.or(listening.first()).copied().or(own);
        let address = match addresses.first() {
            None => "127.0.0.1",
            Some(_) if addresses.contains(&"0.0.0.0") || addresses.contains(&"*") => "127.0.0.1",
            Some(_) if addresses.contains(&"::") => "::1",
            Some(first) => first,
        };
        Self {
            address: address.to_owned(),
            port: port.or(configured.first().copied()).unwrap_or(22),
        }
    }
}

/// Logs in as `account` with a new key, which is removed again.
pub(super) fn login(host: &Host, account: &Account, way_in: &WayIn) -> Result<()> {
    let owner = Some((account.uid, account.gid));
    let access = Access { mode: 0o600, owner };
    let there = host.read_of(account.uid, account.keys())?;
    let before = without_ours(&there.unwrap_or_default());
    let line = make_key(host, way_in)?;
    let with_ours = [before.as_slice(), line.as_bytes()].concat();
    host.write(account.keys(), &with_ours, access)?;
    let outcome = try_to_log_in(host, account, way_in);
    host.write(account.keys(), &before, access)?;
    remove_key(host)?;
    outcome
}

/// `authorized_keys` without the line of an interrupted run.
fn without_ours(file: &[u8]) -> Vec<u8> {
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    let theirs = lines.filter(|line| !line.trim_ascii_end().ends_with(MARK.as_bytes()));
    let mut kept = theirs.collect::<Vec<_>>().concat();
    if !kept.is_empty() && !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    kept
}

/// Creates the key pair and returns its line for `authorized_keys`.
fn make_key(host: &Host, way_in: &WayIn) -> Result<String> {
    remove_key(host)?;
    let access = Access::root(0o700);
    host.directory(PLACE, access)?;
    let keygen =
        Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", MARK, "-f", KEY]);
    host.must(&keygen)?;
    let public = host.read(format!("{KEY}.pub"))?.unwrap_or_default();
    let expiry = host.must(&Program::new("date").args(["-d", "+5 minutes", "+%Y%m%d%H%M"]))?;
    Ok(format!(
        "restrict,from=\"127.0.0.1,::1,{}\",expiry-time=\"{}\",command=\"echo {MARK}\" {}\n",
        way_in.address,
        expiry.trim(),
        public.trim()
    ))
}

/// Three tries, because a reload takes a moment, and no more, because sshd limits failures.
fn try_to_log_in(host: &Host, account: &Account, way_in: &WayIn) -> Result<()> {
    let mut last = String::new();
    for pause in [0, 1, 2] {
        std::thread::sleep(Duration::from_secs(pause));
        let answer = host.run(&ssh(account, way_in))?;
        if answer.ok() && answer.stdout.trim() == MARK {
            return Ok(());
        }
        last = answer.last_line().to_owned();
    }
    Err(Failure::new(format!(
        "{} cannot log in to {}:{}: {last}",
        account.name, way_in.address, way_in.port
    ))
    .hint("the change was undone; see: journalctl -u ssh -n 20"))
}

fn ssh(account: &Account, way_in: &WayIn) -> Program {
    Program::new("ssh")
        .args(["-F", "none", "-T", "-i", KEY])
        .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
        .args([
            "-o",
            "PreferredAuthentications=publickey",
            "-o",
            "ConnectTimeout=10",
        ])
        // The host key need not be known: this is loopback, and no secret is sent.
        .args(["-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"])
        .args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ])
        .args(["-p", &way_in.port.to_string(), "-l", &account.name])
        .args([way_in.address.as_str(), "true"])
        .deadline(Duration::from_secs(20))
}

fn remove_key(host: &Host) -> Result<()> {
    host.remove(KEY)?;
    host.remove(format!("{KEY}.pub")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_in_is_where_sshd_really_listens() {
        let way = |text: &str, ports: &[u16]| {
            let way = WayIn::choose(&Effective::new(text), &ports.iter().copied().collect());
            format!("{} {}", way.address, way.port)
        };
        assert_eq!(way("", &[]), "127.0.0.1 22");
        assert_eq!(way("port 22\nport 2222\n", &[2222]), "127.0.0.1 2222");
        assert_eq!(way("port 22\n", &[2022]), "127.0.0.1 2022");
        assert_eq!(
            way("listenaddress [::]:22\nlistenaddress 0.0.0.0:22\n", &[]),
            "127.0.0.1 22"
        );
        assert_eq!(way("listenaddress [::]:22\n", &[]), "::1 22");
        assert_eq!(
            way("port 22\nlistenaddress 127.0.0.1:2222\n", &[]),
            "127.0.0.1 2222"
        );
        assert_eq!(
            way("port 22\nlistenaddress 10.0.0.9:22\n", &[22]),
            "10.0.0.9 22"
        );
    }

    #[test]
    fn what_an_interrupted_run_left_goes_and_nothing_else() {
        let text = "a me\nrestrict ssh-ed25519 AAAA openclaw-deploy-probe\nb you";
        assert_eq!(without_ours(text.as_bytes()), b"a me\nb you\n");
        assert_eq!(without_ours(b""), b"");
        assert_eq!(without_ours(b"a \xe4\r\nb"), b"a \xe4\r\nb\n");
    }
}
