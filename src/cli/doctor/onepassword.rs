//! `op`: whether it is found and trusted, how old it is, who signs in and whether that works, and
//! which vaults are to be seen.

use std::path::{Path, PathBuf};

use super::cost;
use super::limit::limit;
use super::row::Row;
use crate::base::environment;
use crate::base::error::{Error, KeyringTrouble, Result};
use crate::base::file_ownership;
use crate::base::shell_quote;
use crate::base::suggest;
use crate::broker::manifest::{Manifest, Origin};
use crate::broker::op::list::{self, Vault};
use crate::broker::op::token_source::TokenSource;
use crate::broker::op::{Mode, Op};
use crate::broker::session::{DOCTOR_TIMEOUT, Session};

/// The version from which on it reports every error of the server.
const HONEST: (u32, u32, u32) = (2, 32, 1);

/// The rows; `op` is asked for its version, what is left of its limit, and the vaults.
pub(super) fn rows(session: &Session, contents: Option<&Manifest>) -> Vec<Row> {
    let op = match session.op(Some(DOCTOR_TIMEOUT)) {
        Ok(op) => op,
        Err(error) => return vec![not_usable(session, &error)],
    };
    let mut rows = vec![];
    match version(session, &op) {
        Ok(row) => rows.push(row),
        Err(row) => return vec![row],
    }
    match sign_in(session, &op) {
        Ok((row, vaults)) => {
            rows.push(row);
            rows.extend(limit(&op));
            rows.extend(cost::row(session, op.mode()));
            if let (Some(vaults), Some(contents)) = (vaults, contents) {
                rows.push(visible(session, contents, &vaults));
            }
        }
        Err(row) => rows.push(row),
    }
    rows
}

/// Why there is no `op` to ask.
fn not_usable(session: &Session, error: &Error) -> Row {
    match error {
        Error::OpMissing { .. } => missing(session, error),
        Error::OpUntrusted {
            path,
            absent: false,
            ..
        } => Row::fail("op", error.to_string()).fix(trust(path)),
        Error::OpUntrusted { .. } | Error::Usage { .. }
            if session.variable("OC_SECRETS_OP").is_some() =>
        {
            Row::fail("op", format!("{error} (OC_SECRETS_OP)"))
                .fix("unset OC_SECRETS_OP".to_owned())
        }
        Error::TokenFile { path, .. } => {
            let exists = path.is_file();
            let quoted = shell_quote::word(&path.display().to_string());
            let fix = match exists {
                true => format!("chmod 600 {quoted}"),
                false => "unset OC_SECRETS_TOKEN_FILE".to_owned(),
            };
            Row::fail("sign-in", error.to_string()).fix(fix)
        }
        Error::Keyring {
            trouble: KeyringTrouble::Gone,
            ..
        } => Row::fail("sign-in", error.to_string()).fix("oc-secrets login".to_owned()),
        Error::Keyring { .. } => failed("sign-in", error),
        _ => failed("op", error),
    }
}

fn failed(name: &'static str, error: &Error) -> Row {
    let hint = error.hint().map(|hint| format!("; {hint}"));
    Row::fail(name, format!("{error}{}", hint.unwrap_or_default()))
}

/// Under WSL the Windows program is often all that there is.
fn missing(session: &Session, error: &Error) -> Row {
    let path = session.variable("PATH").unwrap_or_default();
    let has = |name: &str| std::env::split_paths(path).any(|entry| entry.join(name).is_file());
    if has("op.exe") {
        return Row::fail(
            "op",
            "only op.exe is there, the program for Windows: what it starts runs in Windows, without \
             these secrets. Install the one for Linux: \
             https://developer.1password.com/docs/cli/get-started",
        );
    }
    match elsewhere() {
        Some(found) => {
            let quoted = shell_quote::word(&found.display().to_string());
            Row::fail("op", format!("not on PATH, but here: {}", found.display()))
                .fix(format!("export OC_SECRETS_OP={quoted}"))
        }
        None => failed("op", error),
    }
}

/// Places where installers put it.
fn elsewhere() -> Option<PathBuf> {
    let home = environment::ours("HOME").map(PathBuf::from);
    let below = ["bin/op", ".local/bin/op"].map(|end| home.as_ref().map(|home| home.join(end)));
    let usual = [
        "/usr/bin/op",
        "/usr/local/bin/op",
        "/opt/1Password/op",
        "/opt/homebrew/bin/op",
    ];
    let usual = usual.map(|path| Some(PathBuf::from(path)));
    let all = usual.into_iter().chain(below).flatten();
    all.into_iter()
        .find(|path| file_ownership::path(path).is_ok())
}

/// The command that takes the first thing away by which others could replace `op`.
fn trust(path: &Path) -> Option<String> {
    let canonical = path.canonicalize().ok()?;
    let mut parts: Vec<&Path> = canonical.ancestors().collect();
    parts.extend(path.ancestors());
    let us = nix::unistd::geteuid().as_raw();
    parts.into_iter().find_map(|part| {
        use std::os::unix::fs::MetadataExt;
        let metadata = part.symlink_metadata().ok()?;
        let strange = metadata.uid() != 0 && metadata.uid() != us;
        let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
        let open = !metadata.is_symlink() && metadata.mode() & 0o022 != 0 && !sticky;
        (strange || open).then(|| file_ownership::fix(part, &metadata))
    })
}

/// Its version; what stands in the way where it cannot even say that.
fn version(session: &Session, op: &Op) -> std::result::Result<Row, Row> {
    let path = op.path().display().to_string();
    let answer = op
        .ask(&["--version"])
        .map_err(|error| not_started(op, &error))?;
    let text = String::from_utf8_lossy(&answer).trim().to_owned();
    let mut numbers = text
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    let found = format!("{path}, version {text}");
    if version.0 == 0 {
        return Err(Row::fail(
            "op",
            format!("{path} tells no version: it is not 1Password's"),
        ));
    }
    if version.0 < 2 {
        let text = format!("{found}: its commands are others than those of version 2");
        return Err(Row::fail("op", text).fix("op update".to_owned()));
    }
    if session.variable("OC_SECRETS_OP").is_none() && path.ends_with(".exe") {
        return Ok(Row::warn(
            "op",
            format!("{found}: what it starts runs in Windows"),
        ));
    }
    Ok(match version < HONEST {
        true => Row::warn(
            "op",
            format!("{found}: before 2.32.1 it takes some errors of the server for success"),
        )
        .fix("op update".to_owned()),
        false => Row::ok("op", found),
    })
}

fn not_started(op: &Op, error: &Error) -> Row {
    let quoted = shell_quote::word(&op.path().display().to_string());
    match error {
        Error::OpUntrusted { why, .. } if why.contains("ermission denied") => {
            Row::fail("op", error.to_string()).fix(format!("chmod +x {quoted}"))
        }
        _ => failed("op", error),
    }
}

/// Signs in by asking for the vaults, since `op whoami` claims to be signed out where it is not.
fn sign_in(session: &Session, op: &Op) -> std::result::Result<(Row, Option<Vec<Vault>>), Row> {
    let how = op.describe().trim_start_matches("signing in by ");
    if op.mode() == Mode::Connect {
        // It answers for items alone.
        return Ok((
            Row::ok("sign-in", format!("{how}; tried with --deep only")),
            None,
        ));
    }
    // A person may have to approve.
    let patient = match op.promptless() {
        true => None,
        false => session.op(None).ok(),
    };
    let asked = patient.as_ref().unwrap_or(op).ask(list::VAULTS);
    match asked.and_then(|answer| list::vaults(&answer)) {
        Ok(vaults) => Ok((Row::ok("sign-in", how), Some(vaults))),
        Err(error) => Err(refused(session, op, how, &error)),
    }
}

fn refused(session: &Session, op: &Op, how: &str, error: &Error) -> Row {
    let row = Row::fail("sign-in", format!("{error} ({how})"));
    let fix = match error {
        Error::SignedOut { session: true } => Some(format!("unset {}", stale(session))),
        Error::SignedOut { session: false } => Some("eval \"$(op signin)\"".to_owned()),
        Error::NoAccount => Some("op account add".to_owned()),
        Error::WhichAccount { .. } => Some("op account list".to_owned()),
        Error::TokenInvalid { .. } if session.variable("OP_SERVICE_ACCOUNT_TOKEN").is_some() => {
            Some("unset OP_SERVICE_ACCOUNT_TOKEN".to_owned())
        }
        Error::TokenInvalid { .. } if op.source() == Some(&TokenSource::Keyring) => {
            Some("oc-secrets login".to_owned())
        }
        Error::OpConfigDirectory => Some("chmod 700 ~/.config/op".to_owned()),
        Error::RateLimited { .. } => Some("op service-account ratelimit".to_owned()),
        _ => return failed("sign-in", error),
    };
    row.fix(fix)
}

/// The variables of a session.
fn stale(session: &Session) -> String {
    let names = session
        .environment
        .keys
        .iter()
        .filter_map(|(name, _)| name.to_str());
    let names = names.filter(|name| name.starts_with("OP_SESSION"));
    names.collect::<Vec<_>>().join(" ")
}

/// Whether the vaults of the manifest are among those that can be seen.
fn visible(session: &Session, contents: &Manifest, vaults: &[Vault]) -> Row {
    let own = session.manifest.origin != Origin::BuiltIn;
    let wanted = contents.secrets.iter().filter(|_| own);
    let wanted = wanted.filter_map(|spec| contents.vault_of(spec));
    let mut wanted: Vec<&str> = wanted.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let seen = |name: &str| {
        let named = |vault: &Vault| vault.name.to_lowercase() == name.to_lowercase();
        vaults.iter().any(|vault| named(vault) || vault.id == name)
    };
    let hidden: Vec<&str> = wanted.iter().copied().filter(|name| !seen(name)).collect();
    let Some(first) = hidden.first() else {
        let names = wanted.join(", ");
        return match wanted.is_empty() {
            true => Row::ok("vaults", format!("{} can be seen", vaults.len())),
            false => Row::ok("vaults", format!("can be seen: {names}")),
        };
    };
    let names: Vec<&str> = vaults.iter().map(|vault| vault.name.as_str()).collect();
    let text = format!(
        "cannot be seen, or does not exist: {}; {}",
        hidden.join(", "),
        suggest::hint(first, &names, "those that can be seen are")
    );
    Row::fail("vaults", text).fix(rename(session, first))
}

/// Where the vault is named.
fn rename(session: &Session, vault: &str) -> Option<String> {
    if session
        .variable("OP_VAULT")
        .is_some_and(|named| named == vault)
    {
        return Some("unset OP_VAULT".to_owned());
    }
    match &session.manifest.origin {
        Origin::BuiltIn | Origin::Broker(_) => None,
        Origin::File(path) | Origin::Found(path) => {
            let path = shell_quote::word(&path.display().to_string());
            Some(format!("${{EDITOR:-vi}} {path}"))
        }
    }
}

/// What one run costs a service account, for `--deep`.
pub(super) fn deep(session: &Session) -> Result<Row> {
    let plan = session.plan()?;
    let survey = session.survey(&plan)?;
    let findings = survey.findings;
    let missing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.outcome.is_err())
        .map(|finding| finding.wanted.name.as_str())
        .collect();
    let required = |finding: &crate::broker::resolve::Finding<'_>| {
        finding.wanted.required && finding.outcome.is_err()
    };
    let found = findings.len() - missing.len();
    let mut text = format!("{found} of {} found", findings.len());
    if !plan.environments.is_empty() {
        let count = survey.arrived.len();
        text.push_str(&format!(", {count} variables of 1Password Environments"));
    }
    Ok(match (missing.is_empty(), findings.iter().any(required)) {
        (true, _) => Row::ok("secrets", text),
        (false, true) => Row::fail("secrets", format!("{text}; not: {}", missing.join(", ")))
            .fix("oc-secrets check".to_owned()),
        (false, false) => Row::ok(
            "secrets",
            format!("{text}; optional and not: {}", missing.join(", ")),
        ),
    })
}
