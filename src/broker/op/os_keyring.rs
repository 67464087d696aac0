//! The OS keyring, asked by a process of its own: `oc-secrets keyring`, beside this program.
//!
//! The libraries that talk to it start threads, copy the token to where they like, and wait as long as
//! a window is open. All that ends with the process. Its first line is `token`, `done` or a word
//! of [`KeyringTrouble`]; the token, or the keyring's own words for what is wrong, follow.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::base::error::{Error, KeyringTrouble, Result};
use crate::base::locked_memory::Locked;
use crate::base::own_environment::OwnEnvironment;
use crate::base::process_group::ProcessGroup;
use crate::base::program;
use crate::base::secret::Secret;
use crate::base::ui::Ui;

/// The command that asks.
pub(crate) const COMMAND: &str = "keyring";

/// The largest token that is read or kept, in bytes.
pub(crate) const LARGEST: usize = 16 * 1024;

/// How long a wait is silent.
const SILENCE: Duration = Duration::from_secs(2);

/// How much longer than it was told the process may take to end.
const GRACE: Duration = Duration::from_millis(500);

/// What finds the session and its keyring.
const PASSED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

/// The keyring of this session.
pub(crate) struct OsKeyring<'a> {
    /// Our environment.
    pub environment: &'a OwnEnvironment,
    /// How long it may take.
    pub timeout: Duration,
    /// Where a long wait is told.
    pub ui: Ui,
}

impl OsKeyring<'_> {
    /// The token that is kept there.
    ///
    /// # Errors
    /// [`Error::Keyring`].
    pub(crate) fn token(&self) -> Result<Secret> {
        self.ask("get", None)
    }

    /// Keeps `token` there, in the place of another.
    ///
    /// # Errors
    /// [`Error::Keyring`].
    pub(crate) fn keep(&self, token: &Secret) -> Result<()> {
        self.ask("put", Some(token)).map(drop)
    }

    /// Removes it from there.
    ///
    /// # Errors
    /// [`Error::Keyring`].
    pub(crate) fn remove(&self) -> Result<()> {
        self.ask("remove", None).map(drop)
    }

    fn ask(&self, what: &str, token: Option<&Secret>) -> Result<Secret> {
        let passed = PASSED
            .iter()
            .filter_map(|name| Some((name, self.environment.variable(name)?)));
        let mut command = program::command(&beside()?, passed);
        command
            .args([COMMAND, what])
            .arg(self.timeout.as_millis().to_string())
            .stdout(Stdio::piped());
        if token.is_some() {
            command.stdin(Stdio::piped());
        }
        let deadline = Instant::now() + self.timeout + GRACE;
        let failed = |why| Error::system("ask the OS keyring", why);
        let (mut group, mut child) = ProcessGroup::start(&mut command).map_err(failed)?;
        if let (Some(token), Some(mut stdin)) = (token, child.stdin.take()) {
            // It fits into a pipe. Where nobody reads it, the answer says why.
            let _ = stdin.write_all(token.expose());
        }
        let Some(mut stdout) = child.stdout.take() else {
            return Err(trouble(KeyringTrouble::NoProgram, ""));
        };
        let answer = self.heard(&mut stdout, deadline)?;
        if !group.ends_within(deadline.saturating_duration_since(Instant::now())) {
            return Err(trouble(KeyringTrouble::Silent, ""));
        }
        group.reap().map_err(failed)?;
        understood(answer)
    }

    /// All that it says, until it has ended.
    fn heard(&self, stdout: &mut (impl Read + AsFd), deadline: Instant) -> Result<Locked> {
        let failed = |why| Error::system("ask the OS keyring", why);
        let mut answer = Locked::with_capacity(2 * LARGEST);
        let mut told_at = Some(Instant::now() + SILENCE);
        loop {
            let until = told_at.map_or(deadline, |at| at.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            let mut waited = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waited, left) {
                Ok(1..) => match stdout.read(answer.spare()).map_err(failed)? {
                    0 => return Ok(answer),
                    bytes => answer.advance(bytes),
                },
                _ if Instant::now() >= deadline => {
                    return Err(trouble(KeyringTrouble::Silent, ""));
                }
                _ => {
                    if told_at.is_some_and(|at| Instant::now() >= at) {
                        told_at = None;
                        self.ui.note(
                            "waiting for the OS keyring, which may ask for its password in a window",
                        );
                    }
                }
            }
        }
    }
}

/// `oc-secrets`, which lies where this program does. Only there it is as trusted as we are.
fn beside() -> Result<PathBuf> {
    let ours = std::env::current_exe().map_err(|why| Error::system("find this program", why))?;
    let program = ours.with_file_name("oc-secrets");
    match program.is_file() {
        true => Ok(program),
        false => Err(trouble(KeyringTrouble::NoProgram, "")),
    }
}

/// The token, or what is wrong. Nothing is left of an answer without a first line.
fn understood(answer: Locked) -> Result<Secret> {
    let end = answer.iter().position(|&byte| byte == b'\n');
    let answer = Secret::new(answer);
    let (word, rest) = match end {
        Some(end) => (answer.slice(0..end), answer.slice(end + 1..answer.len())),
        None => return Err(trouble(KeyringTrouble::Failed, "it gave no answer")),
    };
    let word = std::str::from_utf8(word.expose()).unwrap_or_default();
    match KeyringTrouble::of_word(word) {
        None if word == "token" && rest.len() == 0 => Err(trouble(KeyringTrouble::Gone, "")),
        None if matches!(word, "token" | "done") => Ok(rest),
        None => Err(trouble(KeyringTrouble::Failed, "its answer makes no sense")),
        Some(known) => Err(trouble(known, &String::from_utf8_lossy(rest.expose()))),
    }
}

fn trouble(trouble: KeyringTrouble, why: &str) -> Error {
    Error::Keyring {
        trouble,
        why: why.to_owned(),
    }
}

/// What the process answers: a first line, and what follows it.
pub(crate) fn answer(word: &str, rest: &[u8]) -> Locked {
    let mut text = Locked::copy_of(word.as_bytes());
    text.push(b"\n");
    text.push(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &[u8]) -> String {
        match understood(Locked::copy_of(text)) {
            Ok(token) => String::from_utf8_lossy(token.expose()).into_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_answer_is_a_token_or_a_reason() {
        assert_eq!(says(&answer("token", b"ops_x")), "ops_x");
        assert_eq!(says(&answer("done", b"")), "");
        assert_eq!(
            says(&answer("failed", b"odd")),
            "the OS keyring failed: odd"
        );
        assert_eq!(says(b"locked\n"), "the OS keyring is locked");
        for nothing in [&b""[..], b"ops_x", b"token\n", b"other\nops_x"] {
            let said = says(nothing);
            assert!(
                said.starts_with("the OS keyring") && !said.contains("ops_"),
                "{said}"
            );
        }
    }
}
