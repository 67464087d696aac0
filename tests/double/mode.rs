//! How the stand-in misbehaves: the file `mode`, one word or `key=value` a line.
//!
//! Blank lines and lines that begin with `#` are skipped; words combine; an unknown one is exit
//! 70. `--version` and `--help` heed only `version=`. Arguments, references and templates are
//! checked before any mode acts, as in `op`. "Any" below means: under every credential.
//!
//! | Word | Effect |
//! | --- | --- |
//! | `version=2.34.1` | the version; texts and features change at 2.27, 2.30 and 2.34 |
//! | `frame=bare` `frame=error` | `[ERROR] ` without a time, or `Error: [ERROR] `, before a diagnostic |
//! | `latency=MS` | each call that authenticates waits that long first |
//! | `fail-once=MODE` | the first call that may authenticate has MODE as well; marker `failed-once` |
//! | `limit=N` | any: requests beyond N get the 429 text; counted in `requests` |
//! | `only-token=TOKEN` | any other service-account token is refused |
//! | **Accounts** | app or session, not a token |
//! | `signed-out` `session-expired` `no-session-token` | the texts for an account added by hand |
//! | `no-accounts` `many-accounts` `unknown-account` | the account cannot be chosen |
//! | `no-accounts-alone` | the first line of the text for `no-accounts`, and nothing behind it |
//! | `whoami-lies` | `whoami`: `account is not signed in`, the rest works |
//! | **Desktop app** | app only |
//! | `no-app` | no app: a session or a token is needed |
//! | `app-unreachable` `app-refused` `app-locked` `app-outdated` `app-timeout` | its failures |
//! | `unsigned-caller` | it sets no session up for a program that is not signed |
//! | `dismissed`, `prompt-timeout=MS` | the prompt is refused, or nobody answers for MS |
//! | **Service account** | only with a service token that looks good |
//! | `deleted-token` `expired-token` `bad-token` `exit-9` | refused; the last is `bad-token` with exit 9 |
//! | `no-environment-access` | it may read vaults, and no 1Password Environment |
//! | **Server** | any, once authenticated |
//! | `rate-limited` `conflict` `network` `timeout-text` `forbidden` `bad-request` | 429, 409, DNS, deadline, 403, 400 with exit 4 |
//! | `other-device` `read-deadline` | credentials of another account or device; a deadline while reading |
//! | `swallowed-error` | words on stderr, nothing on stdout, exit 0: errors unknown before 2.32.1 |
//! | **Process** | any, before authentication |
//! | `hang` | no output, for ever |
//! | `ignores-term` | ignores SIGTERM and hangs |
//! | `panic` | a Go panic, exit 2 |
//! | `config-dir` | the configuration directory is refused |
//! | `notice` | the configuration notice on stderr, and success |
//! | `daemon-notice` | `couldn't start daemon: …` on stderr, and success |
//! | `daemon` | leaves a process in its own session that holds stdout and stderr for 30 s; pid in `daemons` |
//! | `cache-daemon` | the same, unless OP_CACHE or `--cache` is false |
//! | `child-survives` | the same in op's own process group |
//! | `stderr-secret` | prints every field value on stderr, exit 1 |
//! | **Answer** | any, in place of or around a good answer |
//! | `placeholder` | each value is `[use 'op item get ID --reveal' to reveal]`, exit 0 |
//! | `partial` `empty-answer` | half of it, none of it; exit 0 |
//! | `invalid-json` | a JSON answer that does not parse, exit 0; other answers stay |
//! | `hang-after-partial` `kill-self` | half of it, then hangs or dies by SIGKILL |
//! | `close-stdout-and-run-on` | all of it, closes stdout, never ends |
//! | `endless-stdout` | 1 GB instead of it |
//! | `stderr-flood` | 100 MB on stderr before it |
//! | `gone-item` | the item of a reference has been deleted or archived |
//! | `older-read-texts` | a missing item is `could not resolve item UUID…`, bare under `read` |
//! | `template-variables` | `run` takes inherited values for templates: a blank ends a reference |
//! | `unresolved` | `run` starts its child with the references themselves |
//! | `bytes` | `run`, `read`: a value's characters up to U+00FF are bytes, so that any bytes can be a value |
//! | **Forged `run -- env -0`** | where two variables or more hold a secret |
//! | `reorder` | the first two entries change places |
//! | `swap-values` | the first two values change places, the names stay |
//! | `duplicate` | the first entry comes twice |
//! | `drop-tail` | the last entry and all that follows it are missing |

use crate::failure::{Failure, Frame};

/// Words without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    SignedOut,
    SessionExpired,
    NoSessionToken,
    NoAccounts,
    NoAccountsAlone,
    ManyAccounts,
    UnknownAccount,
    WhoamiLies,
    NoApp,
    AppUnreachable,
    AppRefused,
    AppLocked,
    AppOutdated,
    AppTimeout,
    UnsignedCaller,
    Dismissed,
    DeletedToken,
    ExpiredToken,
    BadToken,
    Exit9,
    NoEnvironmentAccess,
    RateLimited,
    Conflict,
    OtherDevice,
    Network,
    TimeoutText,
    ReadDeadline,
    Forbidden,
    BadRequest,
    SwallowedError,
    Hang,
    IgnoresTerm,
    Panic,
    ConfigDir,
    Notice,
    DaemonNotice,
    Daemon,
    CacheDaemon,
    ChildSurvives,
    StderrSecret,
    Placeholder,
    Partial,
    EmptyAnswer,
    InvalidJson,
    HangAfterPartial,
    KillSelf,
    CloseStdoutAndRunOn,
    EndlessStdout,
    StderrFlood,
    OlderReadTexts,
    GoneItem,
    TemplateVariables,
    Unresolved,
    Bytes,
    Reorder,
    SwapValues,
    Duplicate,
    DropTail,
}

const WORDS: &[(&str, Mode)] = &[
    ("signed-out", Mode::SignedOut),
    ("session-expired", Mode::SessionExpired),
    ("no-session-token", Mode::NoSessionToken),
    ("no-accounts", Mode::NoAccounts),
    ("no-accounts-alone", Mode::NoAccountsAlone),
    ("many-accounts", Mode::ManyAccounts),
    ("unknown-account", Mode::UnknownAccount),
    ("whoami-lies", Mode::WhoamiLies),
    ("no-app", Mode::NoApp),
    ("app-unreachable", Mode::AppUnreachable),
    ("app-refused", Mode::AppRefused),
    ("app-locked", Mode::AppLocked),
    ("app-outdated", Mode::AppOutdated),
    ("app-timeout", Mode::AppTimeout),
    ("unsigned-caller", Mode::UnsignedCaller),
    ("dismissed", Mode::Dismissed),
    ("deleted-token", Mode::DeletedToken),
    ("expired-token", Mode::ExpiredToken),
    ("bad-token", Mode::BadToken),
    ("exit-9", Mode::Exit9),
    ("no-environment-access", Mode::NoEnvironmentAccess),
    ("rate-limited", Mode::RateLimited),
    ("conflict", Mode::Conflict),
    ("other-device", Mode::OtherDevice),
    ("network", Mode::Network),
    ("timeout-text", Mode::TimeoutText),
    ("read-deadline", Mode::ReadDeadline),
    ("forbidden", Mode::Forbidden),
    ("bad-request", Mode::BadRequest),
    ("swallowed-error", Mode::SwallowedError),
    ("hang", Mode::Hang),
    ("ignores-term", Mode::IgnoresTerm),
    ("panic", Mode::Panic),
    ("config-dir", Mode::ConfigDir),
    ("notice", Mode::Notice),
    ("daemon-notice", Mode::DaemonNotice),
    ("daemon", Mode::Daemon),
    ("cache-daemon", Mode::CacheDaemon),
    ("child-survives", Mode::ChildSurvives),
    ("stderr-secret", Mode::StderrSecret),
    ("placeholder", Mode::Placeholder),
    ("partial", Mode::Partial),
    ("empty-answer", Mode::EmptyAnswer),
    ("invalid-json", Mode::InvalidJson),
    ("hang-after-partial", Mode::HangAfterPartial),
    ("kill-self", Mode::KillSelf),
    ("close-stdout-and-run-on", Mode::CloseStdoutAndRunOn),
    ("endless-stdout", Mode::EndlessStdout),
    ("stderr-flood", Mode::StderrFlood),
    ("older-read-texts", Mode::OlderReadTexts),
    ("gone-item", Mode::GoneItem),
    ("template-variables", Mode::TemplateVariables),
    ("unresolved", Mode::Unresolved),
    ("bytes", Mode::Bytes),
    ("reorder", Mode::Reorder),
    ("swap-values", Mode::SwapValues),
    ("duplicate", Mode::Duplicate),
    ("drop-tail", Mode::DropTail),
];

/// What the file asks for.
#[derive(Debug)]
pub struct Modes {
    words: Vec<Mode>,
    /// As `op --version` prints it.
    pub version: String,
    /// What stands before a diagnostic.
    pub frame: Frame,
    /// Milliseconds before a call that authenticates is answered.
    pub latency: u64,
    /// Milliseconds until an unanswered prompt fails.
    pub prompt_timeout: Option<u64>,
    /// How many requests are allowed.
    pub limit: Option<u64>,
    /// The one service-account token that is taken.
    pub only_token: Option<String>,
    /// A line for the first call only.
    pub fail_once: Option<String>,
}

impl Modes {
    /// Parses the file's text.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut modes = Self {
            words: Vec::new(),
            version: "2.34.1".to_owned(),
            frame: Frame::Stamped,
            latency: 0,
            prompt_timeout: None,
            limit: None,
            only_token: None,
            fail_once: None,
        };
        for line in text.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                modes.add(line)?;
            }
        }
        Ok(modes)
    }

    /// Adds one line.
    pub fn add(&mut self, line: &str) -> Result<(), Failure> {
        let Some((key, value)) = line.split_once('=') else {
            let known = WORDS.iter().find(|(word, _)| *word == line);
            let (_, mode) = known.ok_or_else(|| unknown(line))?;
            self.words.push(*mode);
            return Ok(());
        };
        let number = || value.parse().map_err(|_| unknown(line));
        match key {
            "version" => value.clone_into(&mut self.version),
            "frame" if value == "bare" => self.frame = Frame::Bare,
            "frame" if value == "error" => self.frame = Frame::Error,
            "latency" => self.latency = number()?,
            "prompt-timeout" => self.prompt_timeout = Some(number()?),
            "limit" => self.limit = Some(number()?),
            "only-token" => self.only_token = Some(value.to_owned()),
            "fail-once" => {
                Self::parse(value)?;
                self.fail_once = Some(value.to_owned());
            }
            _ => return Err(unknown(line)),
        }
        Ok(())
    }

    /// Whether the word is there.
    pub fn has(&self, mode: Mode) -> bool {
        self.words.contains(&mode)
    }

    /// Whether what a child of `op run` prints has to be taken, to be spoilt.
    pub fn spoil_answers(&self) -> bool {
        [
            Mode::Partial,
            Mode::EmptyAnswer,
            Mode::HangAfterPartial,
            Mode::KillSelf,
            Mode::EndlessStdout,
            Mode::StderrFlood,
            Mode::Reorder,
            Mode::SwapValues,
            Mode::Duplicate,
            Mode::DropTail,
        ]
        .into_iter()
        .any(|mode| self.has(mode))
    }

    /// Whether the version is at least this; one that is no number is the newest.
    pub fn since(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(a)), Some(Ok(b))) => (a, b) >= (major, minor),
            _ => true,
        }
    }
}

fn unknown(line: &str) -> Failure {
    Failure::loud(format!("unknown mode `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_combine() {
        let modes = Modes::parse("# two\nnotice\nversion=2.29.0\n\nlatency=5\n").expect("parses");
        assert!(modes.has(Mode::Notice) && !modes.has(Mode::Hang));
        assert!(modes.since(2, 27) && !modes.since(2, 30));
        assert_eq!(modes.latency, 5);
    }

    #[test]
    fn an_unknown_word_is_refused_also_inside_fail_once() {
        for text in ["hnag", "latency=soon", "colour=red", "fail-once=hnag"] {
            assert!(Modes::parse(text).is_err(), "{text}");
        }
        assert!(Modes::parse("fail-once=limit=3").is_ok());
    }
}
