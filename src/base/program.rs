//! Asks a foreign program whether it works, and nothing more.
//!
//! It sees the variables that it is given and no others, gets no input, and has a process group of
//! its own that is killed when its time is up. Programs whose answer matters have doors of their
//! own: `op` in `broker/op/process.rs`, those of a host in `deploy/host/spawn.rs`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Whether `program` with these words ends with 0 in time. What it prints goes nowhere.
pub(crate) fn succeeds(
    program: &Path,
    words: &[&str],
    environment: impl IntoIterator<Item = (&'static str, OsString)>,
    timeout: Duration,
) -> bool {
    let started = Command::new(program)
        .args(words)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    end(&mut child);
    false
}

/// Ends it with all that it has started.
fn end(child: &mut Child) {
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: u64) -> bool {
        let given = [("GIVEN", OsString::from("1"))];
        let timeout = Duration::from_millis(timeout);
        succeeds(Path::new("/bin/sh"), &["-c", script], given, timeout)
    }

    #[test]
    fn its_exit_is_the_answer() {
        assert!(sh("exit 0", 5000));
        assert!(!sh("exit 1", 5000));
        assert!(!succeeds(Path::new("/absent"), &[], [], Duration::ZERO));
    }

    #[test]
    fn it_sees_what_it_is_given_and_no_more() {
        // The control: this process has a PATH, or cargo would not have started it.
        assert!(std::env::var_os("PATH").is_some());
        assert!(sh(
            "[ \"$GIVEN\" = 1 ] && ! /usr/bin/env | grep -q ^PATH=/",
            5000
        ));
    }

    #[test]
    fn it_ends_with_all_that_it_has_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("mark").display().to_string();
        assert!(!sh(&format!("(sleep 0.5; touch {mark}) & sleep 5"), 100));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!Path::new(&mark).exists());
    }
}
