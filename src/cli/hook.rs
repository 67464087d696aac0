//! `oc-secrets shell` prints a hook for a shell; `oc-secrets hook`, which that hook calls where the
//! directory has changed, prints what the shell is to evaluate: the variables of an allowed manifest
//! on entering its directory, and what removes them on leaving.
//!
//! It never has 1Password ask for anything: where that would happen it says one line, and no more
//! until the directory changes. It never fails, since it runs before every prompt.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::arguments::Hooked;
use super::stdout;
use crate::base::env_name::EnvName;
use crate::base::environment;
use crate::base::error::{Error, Exit, Result};
use crate::base::locked_memory::Locked;
use crate::base::ui::Ui;
use crate::broker::cache::Caller;
use crate::broker::manifest::{self, Origin, Start};
use crate::broker::plan::Plan;
use crate::broker::session::{Session, SessionSettings};
use crate::broker::sink::text::{self, Format, Variable};

/// How a manifest fares, and which one it is: `loaded PATH`.
const STATE: &str = "__OC_SECRETS_HOOK";
/// The names that were loaded.
const NAMES: &str = "__OC_SECRETS_NAMES";

/// Nobody waits long for a prompt.
const PATIENCE: Duration = Duration::from_secs(10);

/// `shell`: prints the hook.
pub(super) fn script(shell: Hooked) -> Result<Exit> {
    let text = match shell {
        Hooked::Bash => include_str!("../../shell/hook/hook.bash"),
        Hooked::Zsh => include_str!("../../shell/hook/hook.zsh"),
        Hooked::Fish => include_str!("../../shell/hook/hook.fish"),
        Hooked::Direnv => include_str!("../../shell/hook/direnv.bash"),
    };
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// `hook`: what the shell is to evaluate here.
pub(super) fn run(shell: Hooked, settings: SessionSettings, ui: Ui) -> Result<Exit> {
    if stdout::is_terminal() {
        let what = "standard output is a terminal, which would show the secrets";
        return Err(Error::usage(
            what,
            "the hook of `oc-secrets shell` calls this",
        ));
    }
    let format = match shell {
        Hooked::Fish => Format::Fish,
        Hooked::Bash | Hooked::Zsh | Hooked::Direnv => Format::Sh,
    };
    let before = Before::of_environment();
    let found = found_here(ui);
    let stays = before.state == "loaded" || before.state == "failed";
    if stays && found.as_deref() == Some(&*before.path) || found.is_none() && before.path.is_empty()
    {
        return Ok(Exit::Done);
    }
    let Some(path) = found else {
        stdout::print(before.forget(format).as_bytes())?;
        return Ok(Exit::Done);
    };
    let waits = before.state == "waiting" && before.path == path;
    if let Err(error) = load(format, &before, &path, settings, ui) {
        let state = match error {
            Error::NotAllowed { .. } => "waiting",
            _ => "failed",
        };
        if !waits {
            let hint = match (&error, format) {
                (Error::WouldPrompt, Format::Fish) => {
                    "oc-secrets env --format fish | source".to_owned()
                }
                (Error::WouldPrompt, _) => "eval \"$(oc-secrets env)\"".to_owned(),
                _ => error.hint().unwrap_or_default(),
            };
            ui.note(&format!("nothing is loaded: {error}; {hint}"));
        }
        let mut text = before.forget(format);
        text.push_str(&String::from_utf8_lossy(&mark(format, state, &path, "")?));
        stdout::print(text.as_bytes())?;
    }
    Ok(Exit::Done)
}

/// What an earlier call left in our environment.
struct Before {
    state: String,
    path: String,
    names: Vec<EnvName>,
}

impl Before {
    fn of_environment() -> Self {
        let text = |name| environment::ours(name).and_then(|text| text.into_string().ok());
        let state = text(STATE).unwrap_or_default();
        let (state, path) = state.split_once(' ').unwrap_or_default();
        let names = text(NAMES).unwrap_or_default();
        Self {
            state: state.to_owned(),
            path: path.to_owned(),
            names: names
                .split(' ')
                .filter_map(|name| EnvName::parse(name).ok())
                .collect(),
        }
    }

    /// Whether `name` is ours to set: what the user has set is left alone, then and on leaving.
    fn leaves(&self, session: &Session, name: &EnvName) -> bool {
        self.names.contains(name) || session.variable(name.as_str()).is_none_or(OsStr::is_empty)
    }

    /// The text that removes what was loaded, and the marks.
    fn forget(&self, format: Format) -> String {
        let marks = [STATE, NAMES].map(ours);
        let set = |name: &&EnvName| environment::ours(name.as_str()).is_some();
        let names: Vec<&EnvName> = self.names.iter().chain(&marks).filter(set).collect();
        text::unset(format, &names).unwrap_or_default()
    }
}

/// The manifest that the working directory leads to, unless another one was named.
fn found_here(ui: Ui) -> Option<String> {
    let start = Start::WorkingDirectory(std::env::current_dir().ok()?);
    match manifest::inspect(None, &start, &environment::ours) {
        Ok(manifest) => match manifest.origin {
            Origin::Found(path) => path.to_str().map(str::to_owned),
            Origin::BuiltIn | Origin::File(_) | Origin::Broker(_) => None,
        },
        Err(error) => {
            ui.note(&format!("nothing is loaded: {error}"));
            None
        }
    }
}

fn load(
    format: Format,
    before: &Before,
    path: &str,
    settings: SessionSettings,
    ui: Ui,
) -> Result<()> {
    let session = Session::open(Caller::Command, settings, ui)?.without_prompts(PATIENCE);
    if session.manifest.origin != Origin::Found(Path::new(path).to_owned()) {
        return Ok(());
    }
    let mut plan = session.plan()?;
    plan.wanted
        .retain(|wanted| before.leaves(&session, &wanted.name));
    plan.vars.retain(|(name, _)| before.leaves(&session, name));
    let text = variables(&session, &plan, format, before, path)?;
    session.warn_if_swappable();
    stdout::print(&text)
}

fn variables(
    session: &Session,
    plan: &Plan,
    format: Format,
    before: &Before,
    path: &str,
) -> Result<Locked> {
    let mut resolved = session.resolve(plan)?;
    // Those of an Environment are known only now.
    resolved.retain(|secret| before.leaves(session, &secret.name));
    let vars = plan.vars.iter().map(|(name, value)| Variable {
        name,
        value: value.as_bytes(),
    });
    let secrets = resolved.iter().map(|secret| Variable {
        name: &secret.name,
        value: secret.value.expose(),
    });
    let variables: Vec<Variable<'_>> = vars.chain(secrets).collect();
    let names: Vec<&str> = variables.iter().map(|it| it.name.as_str()).collect();
    let mut text = Locked::copy_of(before.forget(format).as_bytes());
    text.push(&text::render(format, &variables)?);
    text.push(&mark(format, "loaded", path, &names.join(" "))?);
    session
        .ui
        .note(&format!("{} loaded from {path}", counted(&names)));
    Ok(text)
}

fn counted(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        names => format!("{} variables are", names.len()),
    }
}

/// The marks for the next call.
fn mark(format: Format, state: &str, path: &str, names: &str) -> Result<Locked> {
    let state = format!("{state} {path}");
    text::render(
        format,
        &[
            Variable {
                name: &ours(STATE),
                value: state.as_bytes(),
            },
            Variable {
                name: &ours(NAMES),
                value: names.as_bytes(),
            },
        ],
    )
}

fn ours(name: &str) -> EnvName {
    EnvName::parse(name).expect("a name that steers nothing")
}
