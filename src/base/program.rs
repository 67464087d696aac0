//! Foreign programs: each sees the variables that it is given and no others.
//!
//! This is the one place that starts them, but for three: `op`, whose environment holds the vault's
//! key (`broker/op/process.rs`), the program that `exec` becomes, and the shell of the demo.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process_group::ProcessGroup;

/// `program` with this environment, no input, and output that goes nowhere unless it is asked for.
pub(crate) fn command<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    program: &Path,
    environment: impl IntoIterator<Item = (N, V)>,
) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Whether `program` with these words ends with 0 in time.
pub(crate) fn succeeds<V: AsRef<OsStr>>(
    program: &Path,
    words: &[&str],
    environment: impl IntoIterator<Item = (&'static str, V)>,
    timeout: Duration,
) -> bool {
    let mut command = command(program, environment);
    let Ok((mut group, _)) = ProcessGroup::start(command.args(words)) else {
        return false;
    };
    group.ends_within(timeout) && group.reap().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: u64) -> bool {
        let timeout = Duration::from_millis(timeout);
        succeeds(
            Path::new("/bin/sh"),
            &["-c", script],
            [("GIVEN", "1")],
            timeout,
        )
    }

    #[test]
    fn its_exit_is_the_answer() {
        assert!(sh("exit 0", 5000));
        assert!(!sh("exit 1", 5000));
        assert!(!sh("sleep 5", 50));
        assert!(!succeeds::<&str>(
            Path::new("/absent"),
            &[],
            [],
            Duration::ZERO
        ));
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
}
