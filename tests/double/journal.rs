//! `calls.jsonl`: who called, how, and with what in hand.
//!
//! One line when a call begins, `{pid, ppid, pgid, sid, argv, cwd, stdin, op_env, env, values,
//! fds, start}`, and one when it ends by itself, `{pid, end, exit, cost}`. `op_env` and `env` are
//! names only, those that begin with `OP_` and the others; `values` has the few values that are
//! no secret. `fds` are the open descriptors above 2. `start` and `end` are nanoseconds since
//! 1970, `cost` is in requests.

use crate::clock;
use crate::control::Control;
use crate::json::{Json, Object};
use crate::stdin;
use nix::unistd::{getpgrp, getsid};
use std::process::id;

/// Variables whose values are worth a look and are no secret.
const SHOWN: [&str; 4] = [
    "OP_ACCOUNT",
    "OP_CACHE",
    "OP_BIOMETRIC_UNLOCK_ENABLED",
    "OP_LOAD_DESKTOP_APP_SETTINGS",
];

/// Notes that a call began.
pub fn open(control: &Control, start: u128) {
    let descriptors = descriptors();
    let names = || std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut shown = Object::new();
    for name in SHOWN {
        shown = shown.text_if(name, std::env::var(name).ok().as_deref());
    }
    let cwd = std::env::current_dir().unwrap_or_default();
    let line = Object::new()
        .number("pid", id())
        .number("ppid", std::os::unix::process::parent_id())
        .number("pgid", getpgrp())
        .number("sid", getsid(None).map_or(0, nix::unistd::Pid::as_raw))
        .texts(
            "argv",
            std::env::args_os().map(|a| a.to_string_lossy().into_owned()),
        )
        .text("cwd", &cwd.to_string_lossy())
        .text("stdin", stdin::kind())
        .texts("op_env", names().filter(|name| name.starts_with("OP_")))
        .texts("env", names().filter(|name| !name.starts_with("OP_")))
        .json("values", shown.end())
        .json(
            "fds",
            Json::List(descriptors.into_iter().map(Json::number).collect()),
        )
        .number("start", start);
    note(control, &line.end());
}

/// Notes that it ends.
pub fn close(control: &Control, exit: i32, cost: u64) {
    let line = Object::new()
        .number("pid", id())
        .number("end", clock::nanos())
        .number("exit", exit)
        .number("cost", cost);
    note(control, &line.end());
}

fn note(control: &Control, line: &Json) {
    if let Err(failure) = control.append("calls.jsonl", &line.compact()) {
        failure.say();
    }
}

/// Open descriptors above 2, but for the one that lists them.
fn descriptors() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/dev/fd") else {
        return Vec::new();
    };
    let own = format!("/proc/{}/fd", id());
    let mut numbers: Vec<u32> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() != own.as_str())
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    numbers.sort_unstable();
    numbers
}
