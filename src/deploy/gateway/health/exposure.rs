//! Who listens where: the gateway is published on loopback alone, and its port is nobody else's.
//!
//! Read from the kernel's own tables, not from what a configuration says.

use std::net::{Ipv4Addr, TcpListener};

use crate::deploy::docker::containers::Container;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::{Host, listeners};

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
    let mut open = listeners::beyond_loopback(host)?;
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

/// Asserts that nothing listens beyond loopback on the gateway's ports.
pub(crate) fn assert_private(host: &Host, container: &Container, port: u16) -> Result<()> {
    let wide = |address: &str| !address.starts_with("127.") && address != "::1";
    let mut open: Vec<String> = container
        .published
        .iter()
        .filter(|(address, _)| wide(address))
        .map(|(address, port)| format!("{address}:{port}"))
        .collect();
    let theirs = listeners::beyond_loopback(host)?.into_iter();
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::deploy::context::Context;

    /// A host with 7,000 closed connections that linger, and after them `last`.
    fn busy(last: &str) -> (tempfile::TempDir, Context) {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("proc/net")).expect("made");
        let lingers = "   0: 0100007F:C350 0100007F:1F90 06 00000000:00000000 03:00000123 \
            00000000     0        0 0 3 0000000000000000";
        let table = format!("{}{last}\n", format!("{lingers:149}\n").repeat(7000));
        assert!(table.len() > 1 << 20, "more than other files may have");
        fs::write(root.path().join("proc/net/tcp"), table).expect("written");
        let cx = Context::below(root.path());
        (root, cx)
    }

    #[test]
    fn a_host_with_many_connections_is_looked_at_to_the_end() {
        let (_root, cx) = busy("");
        assert_eq!(assert_none_else(&cx.host, None), Ok(()));
        assert_eq!(
            assert_private(&cx.host, &Container::default(), 18789),
            Ok(())
        );
        let (_root, cx) = busy("   1: 00000000:4965 00000000:0000 0A 0:0 0:0");
        let why = assert_none_else(&cx.host, None).expect_err("a listener");
        assert!(
            why.what
                .ends_with("port 18789; the gateway was not touched")
        );
    }
}
