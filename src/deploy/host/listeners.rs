//! Who listens on TCP ports of this host, by the kernel's own tables.
//!
//! They have a line for each socket, closed ones that linger (`TIME_WAIT`) too: megabytes on a busy host.
//! So they are read line by line, and without the cap that other files have.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use super::Host;
use crate::deploy::error::{Failure, Result};

/// The ports on which this host listens beyond loopback.
pub(crate) fn beyond_loopback(host: &Host) -> Result<Vec<u16>> {
    let mut open = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let fail = |why: io::Error| Failure::file("read", table.as_ref(), why);
        let file = match File::open(host.path(table)) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => return Err(fail(why)),
        };
        for line in BufReader::new(file).lines() {
            if let Some((false, port)) = listener(&line.map_err(fail)?) {
                open.push(port);
            }
        }
    }
    Ok(open)
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
