//! The desktop app's prompt: one for each terminal session that it does not know yet.
//!
//! `sessions` has a line `granted KEY` for each session that was let in and `pending PID` for
//! each prompt that is open; KEY is made of session id and terminal. `prompts` counts prompts,
//! `overlaps` those that opened while another was open.

use crate::call::Call;
use crate::control::Control;
use crate::failure::Failure;
use crate::mode::Mode;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getsid};
use std::time::Duration;

/// Sleeps so many milliseconds.
pub fn wait(milliseconds: u64) {
    if milliseconds > 0 {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// Asks, unless this session was let in before.
pub fn ask(call: &Call) -> Result<(), Failure> {
    let refused = call.modes.has(Mode::Dismissed);
    let ignored = call.modes.prompt_timeout;
    let granted = format!("granted {}", session());
    let good = !refused && ignored.is_none();
    let asked = call
        .control
        .locked(|| open(call.control, good.then_some(&granted)))?;
    wait(ignored.unwrap_or(call.modes.latency));
    if asked {
        let granted = good.then_some(granted.as_str());
        call.control.locked(|| close(call.control, granted))?;
    }
    if ignored.is_some() {
        return Err(Failure::initializing("authorization timeout"));
    }
    if refused {
        return Err(Failure::initializing(
            "authorization prompt dismissed, please try again",
        ));
    }
    Ok(())
}

/// Opens a prompt, unless the session has this grant already; says whether it did.
fn open(control: &Control, granted: Option<&String>) -> Result<bool, Failure> {
    let sessions = control.text("sessions")?;
    if granted.is_some_and(|granted| sessions.lines().any(|line| line == granted)) {
        return Ok(false);
    }
    control.add("prompts", 1)?;
    control.add("overlaps", u64::from(sessions.lines().any(is_open)))?;
    control.append("sessions", &pending())?;
    Ok(true)
}

/// Closes this process's prompt and notes what came of it.
fn close(control: &Control, granted: Option<&str>) -> Result<(), Failure> {
    let sessions = control.text("sessions")?;
    let own = pending();
    let others = sessions.lines().filter(|line| *line != own);
    let lines: Vec<String> = others
        .chain(granted)
        .map(|line| format!("{line}\n"))
        .collect();
    control.put("sessions", &lines.concat())
}

fn pending() -> String {
    format!("pending {}", std::process::id())
}

/// Whether the line is a prompt of a process that still lives.
fn is_open(line: &str) -> bool {
    let pid = line
        .strip_prefix("pending ")
        .and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

/// Session id and controlling terminal; a new session is a stranger to the app.
fn session() -> String {
    let sid = getsid(None).map_or(0, Pid::as_raw);
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = status.rsplit(')').next().unwrap_or_default();
    let terminal = after_name.split_whitespace().nth(4).unwrap_or("0");
    format!("{sid}:{terminal}")
}
