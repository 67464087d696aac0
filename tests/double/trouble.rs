//! Modes that go wrong before an answer is thought of, and what a process leaves behind.

use crate::call::{Call, variable};
use crate::failure::{self, Failure};
use crate::mode::Mode;
use crate::stdio;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork, setsid};
use std::time::Duration;

/// How long a process left behind lives.
const LIFE: Duration = Duration::from_secs(30);

/// Modes that act before authentication.
pub fn before(call: &Call) -> Result<(), Failure> {
    let has = |mode| call.modes.has(mode);
    if has(Mode::IgnoresTerm) {
        // SAFETY: SIG_IGN installs no handler, so nothing of ours runs in signal context.
        let ignored = unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) };
        ignored.map_err(Failure::loud)?;
    }
    if has(Mode::Hang) || has(Mode::IgnoresTerm) {
        hang();
    }
    if has(Mode::Panic) {
        return Err(Failure::bare(PANIC, 2));
    }
    let directory = config_directory(call);
    if has(Mode::ConfigDir) {
        // ASSUMPTION: `op read` does not name the reference so early.
        return Err(Failure::new(format!(
            "Can't continue. We can't safely access \"{directory}\" because it's not owned by the \
             current user"
        ))
        .unwrapped());
    }
    notify(call, &directory);
    if has(Mode::Daemon) || (has(Mode::CacheDaemon) && call.caches()) {
        leave(call, true)?;
    }
    if has(Mode::ChildSurvives) {
        leave(call, false)?;
    }
    if has(Mode::StderrSecret) {
        let values: Vec<&str> = call.data.values().collect();
        let values = values.join("\n");
        return Err(Failure::new(format!("unexpected state: {values}")));
    }
    Ok(())
}

/// Talk on stderr that means no failure.
fn notify(call: &Call, directory: &str) {
    let moved = call.line.flag("config").is_some() || variable("OP_CONFIG_DIR").is_some();
    if moved || call.modes.has(Mode::Notice) {
        // ASSUMPTION: the end of the line.
        let notice = "Using configuration at non-standard location";
        stdio::err(&format!("{notice} \"{directory}\"\n"));
    }
    if call.modes.has(Mode::DaemonNotice) {
        stdio::err(
            "couldn't start daemon: open /run/user/1000/op-daemon.pid: no such file or directory\n",
        );
    }
}

/// Modes that the server is to blame for.
pub fn from_the_server(call: &Call) -> Result<(), Failure> {
    let has = |mode| call.modes.has(mode);
    let start =
        "authenticating with the server: Post \"https://my.1password.com/api/v3/auth/start\"";
    let failure = if has(Mode::RateLimited) {
        failure::rate_limited()
    } else if has(Mode::Conflict) {
        // ASSUMPTION: only the number is known.
        Failure::new("(409) Conflict: The item has been changed by another client.")
    } else if has(Mode::OtherDevice) {
        Failure::new(
            "Signin credentials are not compatible with the provided user auth from server",
        )
    } else if has(Mode::ReadDeadline) {
        Failure::initializing("read: context deadline exceeded")
    } else if has(Mode::SwallowedError) {
        // ASSUMPTION: only that it says something is known.
        Failure::bare("(502) Bad Gateway\n", 0)
    } else if has(Mode::Network) {
        Failure::initializing(format!(
            "{start}: dial tcp: lookup my.1password.com: no such host"
        ))
    } else if has(Mode::TimeoutText) {
        // ASSUMPTION: with the head of the other network failures.
        Failure::initializing(format!("{start}: context deadline exceeded"))
    } else if has(Mode::Forbidden) {
        Failure::new("(403) Forbidden: You aren't authorized to access this resource.")
    } else if has(Mode::BadRequest) {
        Failure::new("(400) Bad Request: The structure of request was invalid.").exiting(4)
    } else {
        return Ok(());
    };
    Err(failure)
}

/// Waits for ever.
pub fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Leaves a process that holds every inherited descriptor, in its own session or in ours.
pub fn leave(call: &Call, own_session: bool) -> Result<(), Failure> {
    // SAFETY: the process has one thread, and the child only sleeps and exits.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => call.control.append("daemons", &child.to_string()),
        Ok(ForkResult::Child) => {
            if own_session {
                let _ = setsid();
            }
            std::thread::sleep(LIFE);
            // SAFETY: ends the process at once; no destructor or exit handler may run twice.
            unsafe { libc::_exit(0) }
        }
        Err(error) => Err(Failure::loud(error)),
    }
}

fn config_directory(call: &Call) -> String {
    let asked = call.line.flag("config").map(str::to_owned);
    asked
        .or_else(|| variable("OP_CONFIG_DIR"))
        .unwrap_or_else(|| {
            let home = variable("HOME").unwrap_or_default();
            format!("{home}/.config/op")
        })
}

const PANIC: &str = "panic: runtime error: invalid memory address or nil pointer dereference\n\
[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0xb3a6c4]\n\n\
goroutine 1 [running]:\n\
main.main()\n\
\t/builds/dev/core/cli/cmd/op/main.go:52 +0x1f4\n";
