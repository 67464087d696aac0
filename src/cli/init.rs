//! `oc-secrets init`: writes a commented `oc-secrets.toml` into the working directory and allows it.
//!
//! On a terminal it asks which vault and which items; elsewhere it asks nothing. Names are all that
//! it gets from `op`, and no value of a dotenv file that may be a secret is copied.

mod draft;
mod choose;

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::arguments;
use super::ask;
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::file_ownership;
use crate::base::token_kind;
use crate::base::ui::clean;
use crate::broker::dotenv::{self, BORROWED, Value};
use crate::broker::manifest::allowed::Allowed;
use crate::broker::manifest::file::{self, Kind};
use crate::broker::manifest::{self, FILE, Origin};
use crate::broker::session::Session;
use draft::Draft;

/// Writes the manifest, and says what to type next.
pub(super) fn run(session: &Session, arguments: &arguments::Init) -> Result<Exit> {
    let directory =
        std::env::current_dir().map_err(|why| Error::system("read the working directory", why))?;
    let target = Target::of(&directory.join(FILE), arguments.force)?;
    let (text, count) = match arguments.openclaw {
        true => (draft::openclaw(vault(session).as_deref()), None),
        false => {
            let Some(draft) = draft(session, arguments)? else {
                session.ui.note("nothing was written");
                return Ok(Exit::Failed);
            };
            warn(session, &draft);
            (draft.text(), Some(draft.count()))
        }
    };
    // What cannot be used replaces nothing.
    let label = format!("the new {FILE}");
    manifest::parse(&text, &label, Origin::Found(target.path.clone()))?;
    target.write(&text)?;
    allow(session, &target.path, &text)?;
    let shown = clean(&target.path.display().to_string()).into_owned();
    let next = match count {
        Some(0) => "next: add a secret to it, then: oc-secrets allow",
        _ => "next: oc-secrets check",
    };
    stdout::print(
        format!("{shown} is written, and allowed until it changes\n{next}\n").as_bytes(),
    )?;
    Ok(Exit::Done)
}

/// The vault that was named; an empty name is none.
fn vault(session: &Session) -> Option<String> {
    let vault = session.selection().vault.clone();
    vault.filter(|vault| !vault.is_empty())
}

/// What is known of the manifest; `None` where the user wants to end.
fn draft(session: &Session, arguments: &arguments::Init) -> Result<Option<Draft>> {
    let mut draft = Draft {
        vault: vault(session),
        ..Draft::default()
    };
    if let Some(from) = &arguments.from {
        take_over(session, from, &mut draft)?;
    }
    for title in &arguments.item {
        draft.add_title(title);
    }
    let answered = arguments.from.is_some() || !arguments.item.is_empty();
    if !answered && ask::somebody() && !questions(session, &mut draft)? {
        return Ok(None);
    }
    if draft.vault.is_none() && !arguments.item.is_empty() {
        return Err(Error::usage(
            "in which vault are these items?",
            "add --vault NAME; `op vault list` shows the names",
        ));
    }
    draft.check();
    Ok(Some(draft))
}

/// Asks for vault and items; tells whether the user wants to go on.
fn questions(session: &Session, draft: &mut Draft) -> Result<bool> {
    let op = session.op(None)?;
    let name = match draft.vault.clone() {
        Some(vault) => vault,
        None => match choose::vault(&op)? {
            Some(vault) => vault.name,
            None => return Ok(false),
        },
    };
    let all = choose::all_items(&op, &name)?;
    draft.vault = Some(name);
    let Some(chosen) = choose::items(&all)? else {
        return Ok(false);
    };
    draft.add_items(&chosen, &all);
    Ok(true)
}

/// Takes the references of a dotenv file over, and the plain values that can be no secret.
fn take_over(session: &Session, from: &Path, draft: &mut Draft) -> Result<()> {
    let text = file::read(from, Kind::Pipe)?
        .ok_or_else(|| file::refuse(from, "no such file", "check the path after --from"))?;
    let label = from.display().to_string();
    // A value that takes in a variable of ours is not the file's own; what takes in a secret holds it.
    let definitions = dotenv::own(&text, &label, &session.lookup())?;
    draft.from = Some(label);
    for definition in definitions {
        let name = definition.name.as_str();
        match definition.value {
            Value::Secret(reference) if !reference.to_string().contains(BORROWED) => {
                draft.add_reference(name, &reference);
            }
            Value::Plain(value)
                if !value.contains(BORROWED) && !token_kind::may_be_secret(name, &value) =>
            {
                draft.add_var(name, &value);
            }
            Value::Secret(_) | Value::Plain(_) => draft.plain.push(name.to_owned()),
        }
    }
    Ok(())
}

fn warn(session: &Session, draft: &Draft) {
    if let (Some(from), false) = (&draft.from, draft.plain.is_empty()) {
        let names = draft.plain.join(", ");
        session.ui.warn(&format!(
            "not copied from {from}, since they hold secrets or may: {names}"
        ));
    }
    let unfit = draft.unfit();
    if !unfit.is_empty() {
        session.ui.warn(&format!(
            "only as a comment, since no manifest may hold them: {}",
            unfit.join(", ")
        ));
    }
}

fn allow(session: &Session, path: &Path, text: &str) -> Result<()> {
    let lookup = session.lookup();
    let opened = manifest::open(Some(path), path, &lookup)?;
    // Somebody else's text is not allowed unseen.
    if opened.text != text {
        return Err(changed(path));
    }
    Allowed::of_user(&lookup).allow(&opened.path, &opened.text, &opened.manifest)
}

/// The file to write, and what is there before.
struct Target {
    path: PathBuf,
    before: Option<String>,
    mode: u32,
}

impl Target {
    fn of(path: &Path, force: bool) -> Result<Self> {
        let present = path.symlink_metadata().is_ok();
        if present && !force {
            return Err(Error::usage(
                format!("there is an {FILE} here already"),
                "see what it holds: oc-secrets ls; or replace it: oc-secrets init --force",
            ));
        }
        let path = match path.is_symlink() {
            true => linked(path)?,
            false => path.to_owned(),
        };
        let before = std::fs::read_to_string(&path).ok();
        let old = path.symlink_metadata().ok();
        Ok(Self {
            // A manifest that others write is refused when it is read.
            mode: old.map_or(0o644, |old| old.permissions().mode() & 0o777 & !0o022),
            path,
            before,
        })
    }

    /// Replaces what was there, if it still is; the new file appears whole.
    fn write(&self, text: &str) -> Result<()> {
        let failed = |why: std::io::Error| {
            let hint = "make the directory writable for you, or work in another one";
            file::refuse(&self.path, format!("cannot be written: {why}"), hint)
        };
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        let mode = Permissions::from_mode(self.mode);
        file.as_file().set_permissions(mode).map_err(failed)?;
        if std::fs::read_to_string(&self.path).ok() != self.before {
            return Err(changed(&self.path));
        }
        let done = match self.before {
            Some(_) => file.persist(&self.path),
            None => file.persist_noclobber(&self.path),
        };
        done.map(drop).map_err(|why| failed(why.error))
    }
}

/// What the link at `path` leads to: it stays a link. Whoever owns it says which file is replaced, so
/// it must be ours or root's.
fn linked(path: &Path) -> Result<PathBuf> {
    file_ownership::through_links(path).map_err(|what| {
        let hint = "remove the link, or work in another directory";
        file::refuse(path, format!("cannot be replaced: {what}"), hint)
    })
}

fn changed(path: &Path) -> Error {
    file::refuse(
        path,
        "was changed by another program just now",
        "look at it, then: oc-secrets init --force, or oc-secrets allow",
    )
}
