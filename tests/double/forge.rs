//! Forges what `env -0` printed under `op run`, as the modes say.

use crate::mode::{Mode, Modes};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The entries of `printed`, each with the NUL behind it; those that set one of `names` hold a
/// secret, and are tampered with.
pub fn entries(modes: &Modes, printed: &[u8], names: &[OsString]) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = printed
        .split_inclusive(|&byte| byte == 0)
        .map(<[u8]>::to_vec)
        .collect();
    let secret = |entry: &Vec<u8>| {
        let end = entry.iter().position(|&byte| byte == b'=');
        end.is_some_and(|end| names.iter().any(|name| name.as_bytes() == &entry[..end]))
    };
    let secrets: Vec<usize> = (0..entries.len())
        .filter(|&at| secret(&entries[at]))
        .collect();
    let [first, second, ..] = secrets[..] else {
        return printed.to_vec();
    };
    if modes.has(Mode::Reorder) {
        entries.swap(first, second);
    }
    if modes.has(Mode::SwapValues) {
        let (one, other) = (split(&entries[first]), split(&entries[second]));
        entries[first] = [one.0.clone(), other.1].concat();
        entries[second] = [other.0, one.1].concat();
    }
    if modes.has(Mode::Duplicate) {
        let again = entries[first].clone();
        entries.insert(second, again);
    }
    if modes.has(Mode::DropTail) {
        entries.truncate(secrets[secrets.len() - 1]);
    }
    entries.concat()
}

/// Name and `=`, and the value.
fn split(entry: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let value = entry
        .iter()
        .position(|&byte| byte == b'=')
        .map_or(0, |at| at + 1);
    (entry[..value].to_vec(), entry[value..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forged(mode: &str) -> String {
        let names = ["A", "B"].map(OsString::from);
        let modes = Modes::parse(mode).expect("parses");
        let bytes = entries(&modes, b"X=x\0A=1\0B=2\0Y=y\0", &names);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn each_mode_tampers_with_the_secrets_alone() {
        assert_eq!(forged("reorder"), "X=x\0B=2\0A=1\0Y=y\0");
        assert_eq!(forged("swap-values"), "X=x\0A=2\0B=1\0Y=y\0");
        assert_eq!(forged("duplicate"), "X=x\0A=1\0A=1\0B=2\0Y=y\0");
        assert_eq!(forged("drop-tail"), "X=x\0A=1\0");
    }
}
