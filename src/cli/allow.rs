//! `oc-secrets allow` and `deny`: the user reviews a manifest that was found by the directory.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::ask;
use super::stdout;
use crate::base::environment::Lookup;
use crate::base::error::{Error, Exit, Result};
use crate::base::ui::{Tone, Ui};
use crate::broker::manifest::allowed::{Allowed, Verdict};
use crate::broker::manifest::summary::{self, Change, Group, SummaryLine};
use crate::broker::manifest::{Opened, open};

/// The manifest that the command line names, as its own argument or by `--manifest`.
///
/// # Errors
/// When it names two.
pub(super) fn named<'a>(
    argument: Option<&'a Path>,
    option: Option<&'a Path>,
) -> Result<Option<&'a Path>> {
    match (argument, option) {
        (Some(argument), Some(option)) if real(argument)? != real(option)? => Err(Error::usage(
            "two manifests are named: one as FILE, one by --manifest",
            "name one of them, and call this again for the other",
        )),
        (argument, option) => Ok(argument.or(option)),
    }
}

/// Shows what the manifest passes on, asks unless told `yes`, and records exactly these bytes.
pub(super) fn allow(ui: Ui, file: Option<&Path>, yes: bool, lookup: Lookup<'_>) -> Result<Exit> {
    let opened = opened(file, lookup)?;
    let allowed = Allowed::of_user(lookup);
    let shown = summary::shown(&opened.path.display().to_string()).into_owned();
    if allowed.verdict(&opened.path, &opened.text) == Verdict::Allowed {
        ui.note(&format!("{shown} is allowed already"));
        return Ok(Exit::Done);
    }
    let before = allowed.record(&opened.path);
    let groups = summary::of(&opened.manifest, before.as_ref());
    let text = render(ui, &shown, &groups, before.is_some());
    stdout::print(text.as_bytes())?;
    if !yes && !agreed(&opened.path)? {
        ui.note("not allowed; nothing was changed");
        return Ok(Exit::Failed);
    }
    // Exactly what was shown, even if the file has changed since.
    allowed.allow(&opened.path, &opened.text, &opened.manifest)?;
    ui.note(&format!("{shown} is allowed until it changes"));
    Ok(Exit::Done)
}

/// Deletes the record of the manifest, which need not exist any more.
pub(super) fn deny(ui: Ui, file: Option<&Path>, lookup: Lookup<'_>) -> Result<Exit> {
    let path = match file {
        Some(file) => real(file)?,
        None => opened(None, lookup)?.path,
    };
    let shown = summary::shown(&path.display().to_string()).into_owned();
    match Allowed::of_user(lookup).deny(&path)? {
        true => ui.note(&format!("{shown} is no longer allowed")),
        false => ui.note(&format!("{shown} was not allowed")),
    }
    Ok(Exit::Done)
}

fn opened(file: Option<&Path>, lookup: Lookup<'_>) -> Result<Opened> {
    open(file, &here()?, lookup)
}

/// Where `file` is, which need not be there.
fn real(file: &Path) -> Result<PathBuf> {
    let path = here()?.join(file);
    Ok(path.canonicalize().unwrap_or(path))
}

fn here() -> Result<PathBuf> {
    std::env::current_dir().map_err(|why| Error::system("read the working directory", why))
}

/// Asks on the terminal about the manifest `path`; any answer but yes means no.
fn agreed(path: &Path) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        let path = path.to_owned();
        return Err(Error::NobodyToAsk { path });
    }
    let answer = ask::line("\nAllow it? [y/N] ")?;
    Ok(matches!(answer.as_deref(), Some("y" | "Y" | "yes")))
}

fn render(ui: Ui, path: &str, groups: &[Group], again: bool) -> String {
    let mut text = format!("{path} hands these to the commands that you run with it:\n");
    if again {
        text.push_str("(what is new or changed since you allowed it is marked)\n");
    }
    if groups.is_empty() {
        text.push_str("\nnothing\n");
    }
    let names = groups.iter().flat_map(|group| &group.lines);
    let width = names
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0);
    for group in groups {
        text.push_str(&format!("\n{}\n", group.title));
        for line in &group.lines {
            text.push_str(&row(ui, line, width.min(40)));
        }
    }
    text
}

fn row(ui: Ui, line: &SummaryLine, width: usize) -> String {
    let (mark, word) = match line.change {
        Change::None => ("  ", None),
        Change::New => ("+ ", Some("new")),
        Change::Changed => ("! ", Some("changed")),
        Change::Gone => ("- ", None),
    };
    let row = format!("{mark}{:width$}  {}", line.name, line.what);
    match word {
        None => format!("{}\n", row.trim_end()),
        Some(word) => format!("{row}  ({})\n", ui.paint(Tone::Notice, word)),
    }
}
