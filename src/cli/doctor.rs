//! `oc-secrets doctor`: everything that a run needs, each `ok`, `warn` or `fail`, with the one
//! command that mends it. It changes nothing.

mod row;
mod cost;
mod limit;
mod onepassword;
mod by_socket;
mod clients;
mod passwords;
mod machine;
mod registry;
mod completion;

use serde_json::json;

use super::arguments;
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::file_ownership;
use crate::base::severity::Severity;
use crate::base::shell_quote;
use crate::base::ui::Ui;
use crate::broker::cache::Caller;
use crate::broker::manifest::{Manifest, Origin};
use crate::broker::session::{Session, SessionSettings};
use row::{Row, render};

/// Prints what was found; exit 1 if anything is `fail`.
pub(super) fn run(
    settings: &SessionSettings,
    ui: Ui,
    arguments: &arguments::Doctor,
) -> Result<Exit> {
    let rows = examine(settings, ui, arguments);
    let text = match arguments.json {
        true => as_json(&rows),
        false => render(ui, &rows),
    };
    stdout::print(text.as_bytes())?;
    let failed = rows.iter().any(|row| row.severity == Severity::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn examine(settings: &SessionSettings, ui: Ui, arguments: &arguments::Doctor) -> Vec<Row> {
    let quiet = ui.quiet();
    let opened = Session::open(Caller::Command, settings.clone(), quiet);
    let seen = Session::inspect(settings.clone(), quiet);
    let without = Session::without_manifest(quiet);
    let session = seen.as_ref().unwrap_or(&without);
    let contents = session.contents();
    let contents = contents.as_ref().ok().filter(|_| seen.is_ok());
    let by_broker = session.broker();
    let mut rows = match by_broker {
        Some(path) => vec![by_socket::row(path, settings.selection.timeout)],
        None => onepassword::rows(session, contents),
    };
    let signed_in = rows.iter().all(|row| row.severity != Severity::Fail);
    // A broker that does not answer has no names either.
    if signed_in || by_broker.is_none() {
        rows.push(manifest(&opened, contents));
    }
    if let (true, true, Ok(opened)) = (arguments.deep, signed_in, &opened) {
        rows.push(
            onepassword::deep(opened)
                .unwrap_or_else(|error| Row::fail("secrets", error.to_string())),
        );
    }
    let helpers = SessionSettings {
        cache: settings.cache,
        ..SessionSettings::default()
    };
    match Session::open(Caller::Helper, helpers, quiet) {
        Ok(helpers) => {
            rows.extend(clients::rows(&helpers));
            let image = arguments.image.as_deref().filter(|_| signed_in);
            rows.extend(image.map(|image| registry::row(&helpers, image)));
            rows.extend(machine::rows(&helpers));
        }
        Err(error) if opened.is_err() => drop(error),
        Err(error) => rows.push(Row::fail("helper", error.to_string()).fix(mend(&error))),
    }
    rows.extend(passwords::rows(&session.lookup()));
    rows.extend(completion::row(&session.lookup()));
    rows
}

fn manifest(opened: &Result<Session>, contents: Option<&Manifest>) -> Row {
    let session = match opened {
        Ok(session) => session,
        Err(error) => return Row::fail("manifest", error.to_string()).fix(mend(error)),
    };
    if session.manifest.origin == Origin::BuiltIn && session.env_file().is_empty() {
        return Row::warn(
            "manifest",
            "none was found: the built-in list for OpenClaw is used",
        )
        .fix("oc-secrets init".to_owned());
    }
    let count = match contents.map_or(0, |contents| contents.secrets.len()) {
        1 => "1 secret".to_owned(),
        many => format!("{many} secrets"),
    };
    let source = session.source();
    if let Origin::Broker(_) = session.manifest.origin {
        return by_socket::manifest(session, &count);
    }
    if contents.is_some_and(|contents| {
        contents.secrets.is_empty() && contents.vars.is_empty() && contents.environments.is_empty()
    }) {
        let row = Row::warn("manifest", format!("{source} holds nothing yet"));
        return row.fix(editor(&source));
    }
    match session.plan() {
        Ok(_) => Row::ok("manifest", format!("{source}, {count}")),
        Err(error) => Row::fail("manifest", error.to_string()).fix(editor(&source)),
    }
}

/// The command that mends what is wrong with a manifest.
fn mend(error: &Error) -> Option<String> {
    match error {
        Error::NotAllowed { path, .. } => {
            let path = path.display().to_string();
            Some(shell_quote::command(["oc-secrets", "allow", &path]))
        }
        Error::Manifest { at, what, .. } => {
            let path = std::path::Path::new(at);
            match path.metadata() {
                // The whole file is at fault: who can write it, or read it.
                Ok(metadata) if what.contains("written") || what.contains("another user") => {
                    Some(file_ownership::fix(path, &metadata))
                }
                Ok(_) if what.contains("permission") => {
                    let words = ["chmod", "u+r", at];
                    Some(shell_quote::command(words))
                }
                _ => editor(at.split(':').next().unwrap_or_default()),
            }
        }
        Error::AllowedDirectory { directory, .. } => {
            let directory = directory.display().to_string();
            Some(shell_quote::command(["chmod", "700", &directory]))
        }
        _ => None,
    }
}

fn editor(path: &str) -> Option<String> {
    let there = std::path::Path::new(path).is_file();
    there.then(|| format!("${{EDITOR:-vi}} {}", shell_quote::word(path)))
}

fn as_json(rows: &[Row]) -> String {
    let row = |row: &Row| json!({ "check": row.name, "state": row.severity.word(), "text": row.text, "fix": row.fix });
    let report = json!({ "checks": rows.iter().map(row).collect::<Vec<_>>() });
    format!("{report:#}\n")
}
