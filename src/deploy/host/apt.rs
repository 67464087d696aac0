//! Debian's packages: what is installed, installing, and apt's effective configuration.
//!
//! A dpkg run that was interrupted is completed first, and dpkg's lock is waited for. needrestart is told
//! to restart no services.

use std::time::{Duration, Instant};

use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::{Host, Program, ProgramOutput, good};

/// Whether this host has apt at all.
pub(crate) fn is_available(host: &Host) -> bool {
    host.find("apt-get").is_some() && host.find("dpkg-query").is_some()
}

/// Whether `program` is there, and `package` is not half-installed.
pub(crate) fn is_installed(host: &Host, program: &str, package: &str) -> bool {
    let broken = ["unpacked", "half-configured", "half-installed"];
    host.find(program).is_some()
        && status(host, package).map_or(true, |status| !broken.contains(&status.as_str()))
}

fn status(host: &Host, package: &str) -> Result<String> {
    let query =
        Program::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]);
    Ok(host.run(&query)?.stdout.trim().to_owned())
}

/// The ones of `packages` that are not fully installed.
pub(crate) fn missing<'a>(host: &Host, packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut missing = Vec::new();
    for package in packages {
        if status(host, package)? != "installed" {
            missing.push(*package);
        }
    }
    Ok(missing)
}

/// Installs those of `packages` that are not there, without what they merely recommend.
pub(crate) fn install(host: &Host, packages: &[&str]) -> Result<()> {
    let wanted = missing(host, packages)?;
    if wanted.is_empty() {
        return Ok(());
    }
    // A signal must not kill dpkg in the middle; it is handled afterwards.
    host.shield(true);
    let done = install_now(host, &wanted);
    host.shield(false);
    done
}

fn install_now(host: &Host, wanted: &[&str]) -> Result<()> {
    let configure = program("dpkg").args(["--configure", "-a"]);
    good(&configure, patiently(host, &configure)?)?;
    // A repository that fails must not keep us from what the others have.
    let updated = update(host)?;
    let install = program("apt-get")
        .arg("install")
        .args(ARGUMENTS)
        .args(wanted);
    let answer = patiently(host, &install)?;
    good(&install, answer).map(drop).map_err(|failure| {
        let failure = failure.hint(format!("apt-get install {}", wanted.join(" ")));
        if updated {
            failure
        } else {
            failure.cause(Cause::Network)
        }
    })
}

/// Runs apt or dpkg, and waits while another one holds the lock, such as the host's own updates. Only
/// `apt-get install` can wait by itself.
fn patiently(host: &Host, program: &Program) -> Result<ProgramOutput> {
    let deadline = Instant::now() + LOCK;
    loop {
        let answer = host.run(program)?;
        if answer.ok() || !BUSY.iter().any(|words| answer.stderr.contains(words)) {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(Failure::new("another installation holds dpkg's locks")
                .hint("see what it is: ps -ef | grep -E 'apt|dpkg|unattended'; run this again when it is done"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What dpkg and apt say when another holds their lock.
const BUSY: [&str; 2] = ["was locked by", "Could not get lock"];
/// How long that one is waited for.
const LOCK: Duration = Duration::from_secs(300);

const ARGUMENTS: [&str; 9] = [
    "-q",
    "-y",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
];

/// Updates the package lists. Returns whether all sources could be read: one that cannot may not matter.
pub(crate) fn update(host: &Host) -> Result<bool> {
    let update = program("apt-get").args(["-q", "update"]);
    Ok(patiently(host, &update)?.ok())
}

/// Reads the lists of one sources file only, and of no other.
pub(crate) fn update_only(host: &Host, list: &str) -> Result<()> {
    let update = program("apt-get")
        .args(["-q", "update", "-o"])
        .arg(format!("Dir::Etc::sourcelist={list}"))
        .args([
            "-o",
            "Dir::Etc::sourceparts=-",
            "-o",
            "APT::Get::List-Cleanup=0",
        ])
        // An unsigned or wrongly signed repository is a warning unless it is made an error.
        .args(["-o", "APT::Update::Error-Mode=any"]);
    good(&update, patiently(host, &update)?).map(drop)
}

/// `apt-config dump`, which shows what is in force after all files have been read.
pub(crate) fn config_dump(host: &Host) -> Result<String> {
    host.must(&Program::new("apt-config").arg("dump"))
}

/// The values of a key in `apt-config dump`; a list has one for each entry.
pub(crate) fn values<'a>(dump: &'a str, key: &str) -> Vec<&'a str> {
    dump.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            let value = value.strip_prefix('"')?.strip_suffix("\";")?;
            let entry = name.strip_prefix(key)?;
            (!value.is_empty() && (entry.is_empty() || entry.starts_with("::"))).then_some(value)
        })
        .collect()
}

/// Whether a periodic job is on: apt takes `0`, `no` and nothing for off.
pub(crate) fn is_on(dump: &str, key: &str) -> bool {
    values(dump, key)
        .last()
        .is_some_and(|value| !matches!(*value, "0" | "no" | "false"))
}

/// apt or dpkg, non-interactive and with a long deadline.
fn program(name: &str) -> Program {
    Program::new(name)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_MODE", "l")
        .deadline(Duration::from_secs(900))
}

/// What to say where there is no apt.
pub(crate) fn not_installed(program: &str) -> String {
    format!("{program} is not installed, and this host has no apt to install it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "APT::Periodic \"\";\nAPT::Periodic::Update-Package-Lists \"1\";\n\
        APT::Periodic::Unattended-Upgrade \"0\";\nUnattended-Upgrade::Origins-Pattern \"\";\n\
        Unattended-Upgrade::Origins-Pattern:: \"origin=Debian,label=Debian-Security\";\n\
        Unattended-Upgrade::Origins-Pattern:: \"origin=Debian\";\n";

    #[test]
    fn what_is_in_force_is_read_and_not_what_is_listed() {
        assert!(is_on(DUMP, "APT::Periodic::Update-Package-Lists"));
        assert!(!is_on(DUMP, "APT::Periodic::Unattended-Upgrade"));
        assert!(!is_on(DUMP, "APT::Periodic::Absent"));
        assert_eq!(values(DUMP, "Unattended-Upgrade::Origins-Pattern").len(), 2);
        assert_eq!(values(DUMP, "Unattended-Upgrade::Origins"), [""; 0]);
    }
}
