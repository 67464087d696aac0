//! How to reach the host and the gateway after a run: the last lines of `bootstrap` and `update`.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use crate::base::environment;
use crate::deploy::context::Context;
use crate::deploy::host::{Host, sshd};
use crate::deploy::outcome::{Ran, StepOutcome};
use crate::deploy::steps::ssh::DROP_IN;

/// How to reach the host and the gateway from now on, for somebody who does this the first time.
pub(super) fn tell(cx: &Context, ran: &[Ran]) {
    let outcome = |name| ran.iter().find(|it| it.name == name).map(|it| &it.outcome);
    let changed = |name| matches!(outcome(name), Some(StepOutcome::Changed { .. }));
    if !changed("ssh") && !changed("gateway") {
        return;
    }
    // An update does not look at SSH; the file of an earlier run tells.
    let hardened = changed("ssh") || cx.host.exists(DROP_IN);
    let user = if hardened { &cx.settings.user } else { "root" };
    let login = login(user, &address(), ssh_port(&cx.host));
    let port = cx.settings.port;
    if changed("ssh") {
        cx.reporter.line(&format!(
            "log in      ssh {login}, then sudo; root and passwords are no longer let in"
        ));
    }
    if changed("gateway") {
        cx.reporter.line(&format!(
            "open it     ssh -N -L {port}:127.0.0.1:{port} {login}, and there http://127.0.0.1:{port}"
        ));
        cx.reporter
            .line("its token   sudo openclaw-deploy status --show-token");
    }
}

/// What `ssh` is told to get here.
fn login(user: &str, host: &str, port: u16) -> String {
    match port {
        22 => format!("{user}@{host}"),
        port => format!("-p {port} {user}@{host}"),
    }
}

/// The port of SSH: that of the connection by which somebody logged in, or the first on which sshd is.
fn ssh_port(host: &Host) -> u16 {
    let by_ssh = ssh_connection(3).and_then(|port| port.parse().ok());
    by_ssh.unwrap_or_else(|| usual(&sshd::ports(host).unwrap_or_default()))
}

/// 22 if it is among them, which `ssh` need not be told.
fn usual(ports: &BTreeSet<u16>) -> u16 {
    match ports.first() {
        Some(first) if !ports.contains(&22) => *first,
        _ => 22,
    }
}

/// A word of `SSH_CONNECTION`: the address of the one who logged in, their port, this host's, its port.
fn ssh_connection(word: usize) -> Option<String> {
    let all = environment::ours("SSH_CONNECTION")?.into_string().ok()?;
    all.split(' ').nth(word).map(str::to_owned)
}

/// This host's address, as the one who logged in knows it, or as the way out of here shows it.
fn address() -> String {
    let by_ssh = ssh_connection(2);
    // Connecting a datagram socket sends nothing. The address is one of those that no host has.
    let by_route = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        socket.local_addr().ok().map(|it| it.ip().to_string())
    };
    by_ssh
        .filter(|it| !it.is_empty())
        .or_else(by_route)
        .unwrap_or_else(|| "HOST".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_names_the_port_where_ssh_has_another() {
        assert_eq!(login("deploy", "192.0.2.7", 22), "deploy@192.0.2.7");
        assert_eq!(
            login("deploy", "192.0.2.7", 2222),
            "-p 2222 deploy@192.0.2.7"
        );
        let of = |ports: &[u16]| usual(&ports.iter().copied().collect());
        assert_eq!(
            (of(&[2222, 2022]), of(&[2222, 22]), of(&[])),
            (2022, 22, 22)
        );
    }
}
