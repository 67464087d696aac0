//! One program for all targets: `FUZZ_TARGET` names which.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use oc_secrets::fuzzing::{TARGETS, Target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| CHOSEN.get_or_init(chosen)(bytes));

fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let all = TARGETS.iter().chain(&[("control", broken as Target)]);
    let mut named = all.filter(|(own, _)| *own == name);
    named.next().expect("there is a target of this name").1
}

/// The control: it reads the entries of a frame and trusts the number that stands in them.
fn broken(answer: &[u8]) {
    let mut values = [None; 3];
    for entry in answer.split(|&byte| byte == 0) {
        let rest = entry.strip_prefix(b"OC_").unwrap_or_default();
        let equals = rest.iter().position(|&byte| byte == b'=').unwrap_or(0);
        let number = std::str::from_utf8(&rest[..equals]).unwrap_or_default();
        if let Ok(index) = number.parse::<usize>() {
            values[index] = Some(&rest[equals + 1..]);
        }
    }
}
