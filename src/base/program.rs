//! Foreign programs: each sees the variables that it is given and no others.
//!
//! This is the one place that starts them, but for three: `op`, whose environment holds the vault's
//! key (`broker/op/process.rs`), the program that `exec` becomes, and the shell of the demo.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process_group::ProcessGroup;

/// The first executable `name` behind an absolute entry of `path`. A relative entry, the empty one
/// included, would run a file of the working directory, which may be somebody else's.
pub(crate) fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let absolute = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    absolute
        .filter_map(|entry| which::which_in_global(name, Some(entry)).ok())
        .find_map(|mut found| found.next())
}

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
    fn a_program_is_found_behind_absolute_entries_alone() {
        // Tests run in the package's directory, where `tests/run` is one.
        let tests = std::env::current_dir().expect("there").join("tests");
        let found = |path: &str| find("run", OsStr::new(path));
        for path in ["", ":", "tests", "./tests:/absent", "~"] {
            assert_eq!(found(path), None, "{path:?}");
        }
        let path = format!(":/absent:tests:{}:", tests.display());
        assert_eq!(found(&path), Some(tests.join("run")), "the control");
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
