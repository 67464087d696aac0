//! What is wrong with a command line, in our words and on two lines.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};

use super::intent::Intent;
use crate::base::command_line;
use crate::base::error::Error;
use crate::base::shell_quote;

/// Words of other tools, and what is typed here for them.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["export", "print", "printenv", "load", "source", "dump"],
        "eval \"$(oc-secrets env)\"",
    ),
    (
        &["unset", "unload", "unexport"],
        "eval \"$(oc-secrets env --unset)\"",
    ),
    (&["list", "secrets", "names", "vars"], "oc-secrets ls"),
    (
        &["show", "cat", "reveal", "fetch", "value"],
        "oc-secrets read NAME",
    ),
    (
        &["inject", "template", "render"],
        "oc-secrets exec -- CMD, or eval \"$(oc-secrets env)\"",
    ),
    (&["start", "x", "wrap", "with"], "oc-secrets exec -- CMD"),
    (&["trust", "approve"], "oc-secrets allow"),
    (
        &["revoke", "untrust", "block", "disallow"],
        "oc-secrets deny",
    ),
    (&["verify", "validate", "test", "scan"], "oc-secrets check"),
    (
        &["clear", "flush", "forget", "clear-cache", "sync"],
        "oc-secrets lock",
    ),
    (
        &[
            "item", "vault", "whoami", "signin", "signout", "account", "document",
        ],
        "op",
    ),
    (
        &[
            "set", "add", "put", "create", "remove", "rm", "delete", "edit", "update", "import",
        ],
        "op item create, op item edit: secrets are kept and changed in 1Password",
    ),
    (&["version"], "oc-secrets --version"),
];

/// The error for what clap refuses.
pub(super) fn explain(error: &clap::Error, words: &[OsString], intent: Intent) -> Error {
    let named = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    let named = named.unwrap_or_default();
    match (error.kind(), intent) {
        (ErrorKind::UnknownArgument, Intent::Exec) if !named.starts_with('-') => Error::usage(
            format!("unexpected argument '{named}'"),
            format!("put `--` before the command: oc-secrets exec -- {named} …"),
        ),
        (ErrorKind::UnknownArgument, Intent::Read) if !named.starts_with('-') => several(words),
        (ErrorKind::MissingRequiredArgument, Intent::Exec) => {
            Error::usage("no command to run", "oc-secrets exec -- CMD ARGS…")
        }
        (ErrorKind::MissingRequiredArgument, Intent::Read) => Error::usage(
            "no secret is named",
            "oc-secrets read NAME; oc-secrets ls shows the names",
        ),
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) => {
            Error::usage("no command", "try oc-secrets demo, or oc-secrets --help")
        }
        (ErrorKind::InvalidSubcommand, _) => unknown(error),
        _ => general(error),
    }
}

fn general(error: &clap::Error) -> Error {
    let (what, hint) = command_line::explain(error, "oc-secrets");
    Error::usage(what, hint)
}

/// `read A B`.
fn several(words: &[OsString]) -> Error {
    let words = words.iter().skip(2).map(|word| word.to_string_lossy());
    let names: Vec<_> = words.filter(|word| !word.starts_with('-')).collect();
    let hint = match names.iter().any(|name| name.starts_with("op://")) {
        true => "call it once for each; or name them in oc-secrets.toml and use: oc-secrets env"
            .to_owned(),
        false => {
            let names = shell_quote::word(&names.join(","));
            format!(
                "for several at once: oc-secrets env --only {names} --format json, or oc-secrets exec --only {names} -- CMD"
            )
        }
    };
    Error::usage("`read` prints one secret at a time", hint)
}

/// A word that is no command here, and may be one elsewhere.
fn unknown(error: &clap::Error) -> Error {
    let word = error.get(ContextKind::InvalidSubcommand);
    let word = word.map(ToString::to_string).unwrap_or_default();
    let known = ELSEWHERE
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()));
    let what = format!("no command `{word}`");
    match known {
        Some((_, "op")) => Error::usage(what, format!("that is 1Password's own: op {word} --help")),
        Some((_, here)) => Error::usage(what, format!("here it is: {here}")),
        None => general(error),
    }
}
