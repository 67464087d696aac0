//! Who listens where: the gateway is published on loopback alone, and its port is nobody else's.
//!
//! Read from the kernel's own tables, not from what a configuration says.

use std::net::{Ipv4Addr, TcpListener};

use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::Host;

/// Refuses a port on which somebody else listens.
pub(crate) fn port_is_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(format!(
            "another program listens on port {port} of this host; the gateway was not touched"
        ))
        .hint(format!("see which: ss -ltnp 'sport = :{port}'"))
        .cause(Cause::Port)),
    }
}

/// Ports of the gateway that must not be reachable from outside.
const PRIVATE: [u16; 3] = [18789, 18790, 3978];

/// Refuses, before anything is stopped, when somebody else listens beyond loopback on one of the
/// gateway's ports: [`assert_private`] would find that of every version.
pub(crate) fn assert_none_else(host: &Host, container: Option<&Container>) -> Result<()> {
    let published = container.into_iter().flat_map(|it| &it.published);
    let own: Vec<u16> = published.map(|(_, port)| *port).collect();
    let mut open = listeners(host)?;
    open.retain(|port| PRIVATE.contains(port) && !own.contains(port));
    match open.first() {
        None => Ok(()),
        Some(port) => Err(Failure::new(format!(
            "another program listens on every address, port {port}; the gateway was not touched"
        ))
        .hint(format!(
            "see which, and stop it: ss -ltnp 'sport = :{port}'"
        ))
        .cause(Cause::Exposed)),
    }
}

/// The ports on which this host listens beyond loopback.
fn listeners(host: &Host) -> Result<Vec<u16>> {
    let mut open = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = host.read(table)?.unwrap_or_default();
        let found = text.lines().filter_map(listener);
        open.extend(found.filter(|(loopback, _)| !loopback).map(|(_, at)| at));
    }
    Ok(open)
}

/// Asserts that nothing listens beyond loopback on the gateway's ports.
pub(crate) fn assert_private(host: &Host, container: &Container, port: u16) -> Result<()> {
    let wide = |address: &str| !address.starts_with("127.") && address != "::1";
    let mut open: Vec<String> = container
        .published
        .iter()
        .filter(|(address, _)| wide(address))
        .map(|(address, port)| format!("{address}:{port}"))
        .collect();
    let theirs = listeners(host)?.into_iter();
    let theirs = theirs.filter(|at| *at == port || PRIVATE.contains(at));
    open.extend(theirs.map(|at| format!("every address, port {at}")));
    if open.is_empty() {
        return Ok(());
    }
    open.dedup();
    Err(Failure::new(format!(
        "the gateway can be reached from outside: {}",
        open.join(", ")
    ))
    .hint("stop what listens there; the gateway itself is published on 127.0.0.1 only")
    .cause(Cause::Exposed))
}

/// Whether a line of `/proc/net/tcp*` is a listener on loopback, and its port.
fn listener(line: &str) -> Option<(bool, u16)> {
    let mut words = line.split_whitespace();
    let (address, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let loopback = match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
        }
    };
    (state == "0A").then_some((loopback, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let line = "   0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000";
        assert_eq!(listener(line), Some((true, 18789)));
        let line = "   0: 00000000:4965 00000000:0000 0A 00000000:00000000 00:00000000";
        assert_eq!(listener(line), Some((false, 18789)));
        let line = "   0: 00000000000000000000000000000000:4966 0000:0000 0A 0:0 0:0";
        assert_eq!(listener(line), Some((false, 18790)));
        let line = "   0: 0100007F:4965 00000000:0000 01 00000000:00000000 00:00000000";
        assert_eq!(listener(line), None, "a connection is no listener");
    }
}
