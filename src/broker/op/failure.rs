//! What `op` means when it fails. Its texts are recognised here and nowhere else.
//!
//! Names of items and vaults are echoed in `op`'s messages, so a text is only ever compared at
//! the *start* of the diagnostic: behind the preamble, the `[ERROR] date time ` prefix and the
//! wrappers that are known word for word. Nothing of it is kept or shown: it may hold a token.

use std::time::Duration;

use super::diagnostic;
use crate::base::error::{Error, Trouble};
use crate::broker::id::is_like_an_id;

/// The classes that matter to us.
#[derive(Debug)]
pub(crate) enum OpFailure {
    /// `op` works, but the secret is missing, ambiguous or unusable.
    NotThere(Trouble),
    /// `op run` has the values, but they are larger than one environment carries.
    TooLarge,
    /// `op run` has the values, but could not start the child that prints them.
    NotHandedOver,
    /// `op` does not work.
    Fatal(Error),
}

/// What is known about the failed call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FailedCall<'a> {
    /// The exit code.
    pub code: i32,
    /// How long the diagnostic was in bytes, of which `stderr` may be the beginning only.
    pub length: u64,
    /// Whether an `OP_SESSION…` variable was handed on.
    pub session: bool,
    /// The account that was asked for.
    pub account: Option<&'a str>,
    /// The command that shows a person the same failure.
    pub by_hand: &'a str,
}

/// Classifies a failed call by its diagnostic.
pub(crate) fn classify(stderr: &[u8], call: FailedCall<'_>) -> OpFailure {
    let preamble = |starts: &[&str]| diagnostic::preamble_has(stderr, starts);
    if preamble(&["No accounts configured"]) {
        return OpFailure::Fatal(Error::NoAccount);
    }
    // An `env` that does not know `-0` says so without `op`'s prefix.
    if preamble(&["env: ", "/usr/bin/env: "]) {
        return OpFailure::NotHandedOver;
    }
    // The words of Go for a crash, before a stack.
    if preamble(&["panic: ", "fatal error: "]) {
        let what = "it crashed instead";
        return OpFailure::Fatal(Error::OpNonsense { what });
    }
    let message = diagnostic::message(stderr);
    if message.starts_with("unknown flag: --environment") {
        return OpFailure::Fatal(Error::NoEnvironments);
    }
    // The words of Go where a child cannot be started: the values are too large for an
    // environment, hold a NUL, or there is no `env` here. The items themselves can still be read.
    if message.starts_with("fork/exec ") || message.starts_with("exec: ") {
        return match message.trim_end().ends_with("argument list too long") {
            true => OpFailure::TooLarge,
            false => OpFailure::NotHandedOver,
        };
    }
    if let Some(trouble) = not_there(message) {
        return OpFailure::NotThere(trouble);
    }
    let error = sign_in(message, call)
        .or_else(|| app(message))
        .or_else(|| server(message))
        .unwrap_or(Error::OpUnknown {
            code: call.code,
            withheld: call.length,
            by_hand: call.by_hand.to_owned(),
        });
    OpFailure::Fatal(error)
}

/// Whether `op` says that a field is missing in this `vault/item`, the names as we gave them.
pub(super) fn lacks_a_field(stderr: &[u8], item: &str) -> bool {
    let path = diagnostic::message(stderr).strip_prefix("item '");
    let rest = path.and_then(|path| path.strip_prefix(item));
    rest.is_some_and(|rest| rest.starts_with("' does not have a field '"))
}

fn not_there(message: &str) -> Option<Trouble> {
    // Behind `could not get item V/I: `, whose names may hold a colon of their own.
    let wrapped = message
        .strip_prefix("could not get item ")
        .unwrap_or_default();
    let behind = wrapped
        .match_indices(": ")
        .map(|(at, colon)| &wrapped[at + colon.len()..]);
    std::iter::once(message).chain(behind).find_map(told)
}

/// What is missing, according to an unwrapped message.
fn told(message: &str) -> Option<Trouble> {
    let missing = |part| Some(Trouble::Missing { part, near: None });
    if message.starts_with("More than one item matches") {
        let which = ids(message);
        return Some(Trouble::Ambiguous {
            part: "item",
            which,
        });
    }
    if message.starts_with("More than one vault matches") {
        let which = ids(message);
        return Some(Trouble::Ambiguous {
            part: "vault",
            which,
        });
    }
    let gone = message.starts_with("could not find item ")
        && message.contains("because it has been deleted or archived");
    if gone || message.starts_with("could not resolve item UUID for item ") {
        return missing("item");
    }
    if message.starts_with("item '") && message.contains("' does not have a field '") {
        return missing("field");
    }
    // The syntax was checked before; a reference that `op` still refuses is fetched by its item.
    if [
        "invalid secret reference",
        "invalid query in secret reference",
        "invalid character in secret reference",
        "too many '/'",
    ]
    .iter()
    .any(|start| message.starts_with(start))
    {
        return missing("secret");
    }
    let claim = message.strip_prefix('"')?;
    [
        ("\" isn't an item", "item"),
        ("\" isn't a vault in this account", "vault"),
        ("\" isn't a field in the \"", "field"),
    ]
    .into_iter()
    .find(|(claimed, _)| claim.contains(claimed))
    .and_then(|(_, part)| missing(part))
}

/// The ids at the ends of the lines that list what matches: 26 letters and digits, and no other word.
fn ids(message: &str) -> Option<String> {
    let last = |line: &str| {
        line.trim_end()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let is_id = |word: &String| is_like_an_id(word);
    let lines = message
        .lines()
        .skip(1)
        .filter(|line| line.trim_start().starts_with("* "));
    let mut ids: Vec<String> = lines.map(last).filter(is_id).take(MOST_IDS).collect();
    // `op` lists them in another order each time.
    ids.sort();
    ids.dedup();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// How many ids are told.
const MOST_IDS: usize = 5;

fn sign_in(message: &str, call: FailedCall<'_>) -> Option<Error> {
    const SIGNED_OUT: &[&str] = &[
        "You are not currently signed in",
        "account is not signed in",
        "session expired",
        "no active session",
        "could not find session token",
        "authentication required",
    ];
    const TOKEN: &[(&str, &str)] = &[
        (
            "Validation: (failed to session.DecodeSACredentials)",
            "cannot be decoded",
        ),
        ("failed to session.DecodeSACredentials", "cannot be decoded"),
        (
            "service account token set, but not authenticated yet",
            "was never accepted",
        ),
        (
            "(403) Forbidden (Service Account Deleted)",
            "belongs to a deleted service account",
        ),
        (
            "Authentication: (failed to auth.LookupAuth)",
            "was refused: deleted, expired or revoked",
        ),
        (
            "Authentication: ",
            "was refused: deleted, expired or revoked",
        ),
    ];
    let starts = |start: &&str| message.starts_with(*start);
    if SIGNED_OUT.iter().any(starts) {
        return Some(Error::SignedOut {
            session: call.session,
        });
    }
    if let Some((_, why)) = TOKEN.iter().find(|(start, _)| message.starts_with(start)) {
        return Some(Error::TokenInvalid { why });
    }
    if [
        "no account found for filter",
        "found no accounts for filter",
    ]
    .iter()
    .any(starts)
    {
        let account = call.account.unwrap_or("of OP_ACCOUNT").to_owned();
        return Some(Error::WhichAccount {
            account: Some(account),
        });
    }
    match message {
        _ if message.starts_with("No accounts configured") => Some(Error::NoAccount),
        _ if message.starts_with("Signin credentials are not compatible with") => {
            Some(Error::OtherAccount)
        }
        _ if message.starts_with("multiple accounts found") => {
            Some(Error::WhichAccount { account: None })
        }
        _ if message.starts_with("authorization prompt dismissed") => {
            Some(Error::PromptRefused { ignored: false })
        }
        _ if message.starts_with("authorization timeout") => {
            Some(Error::PromptRefused { ignored: true })
        }
        _ if message.starts_with("Can't continue. We can't safely access") => {
            Some(Error::OpConfigDirectory)
        }
        _ => None,
    }
}

fn app(message: &str) -> Option<Error> {
    const TABLE: &[(&str, &str)] = &[
        ("cannot connect to 1Password app", "it is not running"),
        (
            "read: connection reset",
            "it refused the connection; `op` must keep its setgid bit",
        ),
        (
            "connectionreset",
            "it refused the connection; `op` must keep its setgid bit",
        ),
        (
            "1Password CLI couldn't connect to the 1Password desktop app",
            "it is too old",
        ),
        ("LostConnectionToApp", "the connection was lost"),
        ("connecting to desktop app timed out", "it did not answer"),
        ("1Password app is locked", "it is locked"),
    ];
    if message.starts_with("RequestDelegatedSession: cannot setup session") {
        return Some(Error::UnsignedCaller);
    }
    let (_, why) = TABLE.iter().find(|(start, _)| message.starts_with(start))?;
    Some(Error::AppUnreachable { why })
}

fn server(message: &str) -> Option<Error> {
    const NETWORK: &[&str] = &[
        "authenticating with the server: ",
        "call deadline exceeded",
        "context deadline exceeded",
        "read: context deadline exceeded",
        "dial tcp",
        "Get \"http",
        "Post \"http",
    ];
    if message.starts_with("(429) Too Many Requests") {
        return Some(Error::RateLimited {
            left: wait(message),
            remembered: false,
        });
    }
    let forbidden = |why| Some(Error::Forbidden { why });
    match message {
        _ if message.starts_with("(101) ") => forbidden("no permission for this action"),
        _ if message.starts_with("(401) ") => forbidden("not authorized for this action"),
        _ if message.starts_with("(403) Forbidden (Firewall Rule)") => {
            forbidden("a firewall rule of the account blocks this address")
        }
        _ if message.starts_with("(403) ") => forbidden("not authorized for this vault"),
        _ if message.starts_with("a vault query must be provided") => {
            forbidden("a service account must name the vault")
        }
        _ if NETWORK.iter().any(|start| message.starts_with(start)) => Some(Error::Network),
        _ => None,
    }
}

/// The wait in `Please retry in 58 minutes or try other requests.`, if it has that form.
fn wait(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("retry in ")?;
    let mut words = rest.split_ascii_whitespace();
    let number: u32 = words.next()?.parse().ok()?;
    let unit = words.next()?.trim_end_matches('.').trim_end_matches('s');
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(seconds) * number).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `message` means, which no frame changes.
    fn class(message: &str) -> String {
        let frames = [
            "[ERROR] 2026/08/14 04:07:09 ",
            "[ERROR] ",
            "Error: [ERROR] ",
        ];
        let [stamped, bare, error] = frames.map(|frame| {
            let stderr = format!("{frame}{message}\n");
            name(&classify(stderr.as_bytes(), FailedCall::default()))
        });
        assert!(
            stamped == bare && bare == error,
            "{message}: {bare}, {error}"
        );
        stamped
    }

    fn name(failure: &OpFailure) -> String {
        match failure {
            OpFailure::NotThere(trouble) => trouble.to_string(),
            OpFailure::TooLarge => "too large".to_owned(),
            OpFailure::NotHandedOver => "not handed over".to_owned(),
            OpFailure::Fatal(error) => error.to_string(),
        }
    }

    #[test]
    fn recognises_the_recorded_texts() {
        const EIC: &str = "error initializing client: ";
        let table = [
            (
                "\"X\" isn't an item. Specify the item with its UUID, name, or domain.",
                "missing: no such item",
            ),
            (
                "\"X\" isn't an item in the \"V\" vault. Specify the item with its UUID, name, or domain.",
                "missing: no such item",
            ),
            (
                "\"V\" isn't a vault in this account. Specify the vault with its ID or name.",
                "missing: no such vault",
            ),
            (
                "fork/exec /usr/bin/env: argument list too long",
                "too large",
            ),
            (
                "error while starting process: fork/exec /usr/bin/env: argument list too long",
                "too large",
            ),
            ("exec: environment variable contains NUL", "not handed over"),
            (
                "\"f\" isn't a field in the \"T\" item",
                "missing: no such field",
            ),
            (
                "could not read secret 'op://V/I/F': could not get item V/I: \"I\" isn't an item in the \"V\" vault. Specify …",
                "missing: no such item",
            ),
            (
                "could not read secret 'op://V/I/F': item 'V/I' does not have a field 'F'",
                "missing: no such field",
            ),
            (
                "item 'V/I' does not have a field 'Sec.F'",
                "missing: no such field",
            ),
            (
                "could not resolve item UUID for item I: could not find item I in vault v",
                "missing: no such item",
            ),
            (
                "More than one item matches \"T\". Try again and specify the item by its ID: \n\t* for the item",
                "ambiguous: more than one item has this name",
            ),
            (
                "More than one item matches \"T\". Try again and specify the item by its ID: \n\t* for the item \"T\" in vault V: tttttttttttttttttttttttttt\n\t* for the item \"T\nhunter2\" in vault V: hunter2\n\t* for the item \"T\" in vault W: a1a1a1a1a1a1a1a1a1a1a1a1a1\n",
                "ambiguous: more than one item has this name, name one by its id: a1a1a1a1a1a1a1a1a1a1a1a1a1, tttttttttttttttttttttttttt",
            ),
            (
                "could not read secret 'op://V/T/F': could not get item V/T: More than one item matches \"T\". Try again …",
                "ambiguous: more than one item has this name",
            ),
            (
                "invalid query in secret reference 'op://V/I/F?attribute=x'",
                "missing: no such secret",
            ),
            (
                "invalid character in secret reference: '('",
                "missing: no such secret",
            ),
            (
                "You are not currently signed in. Please run `op signin --help` for instructions",
                "not signed in to 1Password",
            ),
            ("account is not signed in", "not signed in to 1Password"),
            (
                "session expired, sign in to create a new session",
                "not signed in to 1Password",
            ),
            (
                "multiple accounts found. Use the --account flag or …",
                "`op` knows several accounts and none was chosen",
            ),
            (
                "error initializing client: found no accounts for filter \"X\"",
                "`op` knows no account `of OP_ACCOUNT`",
            ),
            (
                "error initializing client: authorization prompt dismissed, please try again",
                "the 1Password prompt was dismissed",
            ),
            (
                "error initializing client: authorization timeout",
                "the 1Password prompt was not answered",
            ),
            (
                "error initializing client: Validation: (failed to session.DecodeSACredentials), Server: …",
                "the service-account token cannot be decoded",
            ),
            (
                "failed to session.DecodeSACredentials: failed to DecodeSACredentials: invalid credentials provided",
                "the service-account token cannot be decoded",
            ),
            (
                "(429) Too Many Requests: You've reached the maximum number of this type of requests this service account is allowed to make. Please retry in 58 minutes or try other requests.",
                "1Password's rate limit is reached; retry in 58 minutes",
            ),
            (
                "(101) You do not have permission to perform this action",
                "1Password does not allow this: no permission for this action",
            ),
            (
                "error initializing client: connecting to desktop app: cannot connect to 1Password app, make sure it is running",
                "`op` cannot reach the 1Password app: it is not running",
            ),
            (
                "error initializing client: authenticating with the server: Post \"https://my.1password.com/api/v3/auth/start\": dial tcp: lookup my.1password.com: no such host",
                "1Password cannot be reached",
            ),
            ("call deadline exceeded", "1Password cannot be reached"),
            (
                "error initializing client: read: context deadline exceeded",
                "1Password cannot be reached",
            ),
            (
                "could not find item I in vault V, because it has been deleted or archived.",
                "missing: no such item",
            ),
            (
                "could not find session token for account my",
                "not signed in to 1Password",
            ),
            (
                "error initializing client: RequestDelegatedSession: cannot setup session. …",
                "the 1Password app refuses the program that asks it",
            ),
            (
                "Signin credentials are not compatible with the provided user auth from server",
                "1Password takes these credentials for those of another account or device",
            ),
            (
                "No accounts configured for use with 1Password CLI.",
                "`op` has no 1Password account configured",
            ),
            (
                "Can't continue. We can't safely access \"/p/.config/op\" because …",
                "`op` refuses its configuration directory",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(class(text), expected, "{text}");
            if text.starts_with(EIC) {
                let wrapped = format!("could not read secret 'op://V/I/F': {text}");
                assert_eq!(class(&wrapped), expected, "{wrapped}");
            }
        }
    }

    #[test]
    fn an_item_name_cannot_pose_as_a_failure() {
        assert_eq!(
            class("\"authorization prompt dismissed\" isn't an item. Specify …"),
            "missing: no such item"
        );
        assert_eq!(
            class(
                "could not get item V/a: b: \"a: b\" isn't an item in the \"V\" vault. Specify …"
            ),
            "missing: no such item"
        );
        assert_eq!(
            class("item 'V/session expired' does not have a field 'x'"),
            "missing: no such field"
        );
        assert_eq!(
            class("something new: session expired"),
            "`op` failed with exit code 0; 0 bytes of its diagnostic are withheld"
        );
    }

    #[test]
    fn looks_behind_the_preamble() {
        let stderr = b"couldn't start daemon: open /run/x: no such file\n[ERROR] 2026/08/14 04:07:09 account is not signed in\n";
        let failure = classify(
            stderr,
            FailedCall {
                session: true,
                ..FailedCall::default()
            },
        );
        assert!(matches!(
            failure,
            OpFailure::Fatal(Error::SignedOut { session: true })
        ));
        let none = b"No accounts configured for use with 1Password CLI.\n\n - Turn on \xff\n[ERROR] 2026/08/14 04:07:09 could not read secret 'op://a/b/c': error initializing client:\n";
        assert!(matches!(
            classify(none, FailedCall::default()),
            OpFailure::Fatal(Error::NoAccount)
        ));
    }

    #[test]
    fn the_words_of_an_old_env_are_known() {
        for text in [
            "env: illegal option -- 0\nusage: env [-iv] …",
            "/usr/bin/env: invalid option -- '0'\n",
        ] {
            let failure = classify(text.as_bytes(), FailedCall::default());
            assert_eq!(name(&failure), "not handed over");
        }
    }

    #[test]
    fn a_crash_is_no_answer_and_a_name_is_no_crash() {
        let crash = b"panic: runtime error: invalid memory address or nil pointer dereference\n\
            [signal SIGSEGV: segmentation violation]\n\ngoroutine 1 [running]:\n";
        let class_of = |stderr: &[u8]| name(&classify(stderr, FailedCall::default()));
        let crashed = "`op` gave an answer that cannot be trusted: it crashed instead";
        assert_eq!(class_of(crash), crashed);
        assert_eq!(
            class_of(&[b"couldn't start daemon: x\n", &crash[..]].concat()),
            crashed
        );
        let named = "[ERROR] More than one item matches \"x\npanic: y\". Try again …";
        assert_eq!(
            class_of(named.as_bytes()),
            "ambiguous: more than one item has this name"
        );
    }

    #[test]
    fn garbage_is_unknown_and_says_how_much_is_withheld() {
        for garbage in [
            &b""[..],
            b"[ERROR]",
            b"[ERROR] short",
            b"\xff\xfe",
            b"[ERROR] 2026/08/14 04:07:09 ",
        ] {
            let call = FailedCall {
                code: 2,
                length: garbage.len() as u64,
                ..FailedCall::default()
            };
            assert!(matches!(
                classify(garbage, call),
                OpFailure::Fatal(Error::OpUnknown { code: 2, .. })
            ));
        }
    }

    #[test]
    fn the_wait_is_taken_only_when_it_is_one() {
        let wait = |text: &str| wait(text).map(|wait| wait.as_secs());
        assert_eq!(wait("retry in 1 minute or"), Some(60));
        assert_eq!(wait("retry in 58 minutes."), Some(3480));
        assert_eq!(
            wait("retry in 4294967295 days"),
            Some(4_294_967_295 * 86_400)
        );
        for none in ["ops_token now", "5 ops_token", "0 minutes", "-1 minute"] {
            assert_eq!(wait(&format!("retry in {none}")), None, "{none}");
        }
    }
}
