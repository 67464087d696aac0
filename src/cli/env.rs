//! `oc-secrets env`: text that sets the variables when it is evaluated, or that fails.

use std::ffi::OsString;
use std::io::Write as _;

use super::arguments;
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::broker::session::Session;
use crate::broker::sink::text::{self, Format, Variable};

/// Prints the variables in the chosen format.
pub(super) fn run(session: &Session, arguments: &arguments::Env) -> Result<Exit> {
    let format = Format::parse(&arguments.format);
    let plan = session.plan()?;
    if arguments.unset {
        let wanted = plan.wanted.iter().map(|wanted| &wanted.name);
        let names: Vec<_> = plan
            .vars
            .iter()
            .map(|(name, _)| name)
            .chain(wanted)
            .collect();
        let text = format.and_then(|format| text::unset(format, &names));
        let text = text.ok_or_else(|| no_unset(&arguments.format))?;
        stdout::print(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    let kept = stdout::is_file();
    if !arguments.show {
        refuse_to_show(&arguments.format, kept)?;
    }
    if format.is_none() && stdout::is_device() {
        return Err(Error::usage(
            "standard output is a device, which would lose the masks",
            "leave it as it is in the step: the runner reads them there",
        ));
    }
    let resolved = session.resolve(&plan)?;
    let vars = plan.vars.iter().map(|(name, value)| Variable {
        name,
        value: value.as_bytes(),
    });
    // The shell that evaluates this has what our own environment holds.
    let fetched = resolved.iter().filter(|secret| !secret.inherited);
    let secrets = fetched.map(|secret| Variable {
        name: &secret.name,
        value: secret.value.expose(),
    });
    let variables: Vec<Variable<'_>> = vars.chain(secrets).collect();
    match format {
        Some(format) => {
            let text = text::render(format, &variables)?;
            if kept {
                session
                    .ui
                    .warn("standard output is a file: the secrets are now on disk");
            }
            session.warn_if_swappable();
            stdout::print(&text)?;
        }
        None => github(session, &variables)?,
    }
    Ok(Exit::Done)
}

/// What a failed `env` prints, by the raw words of its command line.
pub(super) fn failure(words: &[OsString]) -> &'static str {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let apart = words
        .iter()
        .zip(words.iter().skip(1))
        .find(|(word, _)| *word == "--format");
    let joined = words.iter().find_map(|word| word.strip_prefix("--format="));
    let name = joined
        .or(apart.map(|(_, name)| &**name))
        .unwrap_or_default();
    text::failure(Format::parse(name).unwrap_or(Format::Sh))
}

/// Masks first, and only once they are delivered the values into the runner's file: a job's log never
/// sees them unmasked.
fn github(session: &Session, variables: &[Variable<'_>]) -> Result<()> {
    let file = session.variable("GITHUB_ENV").ok_or_else(|| {
        Error::usage(
            "--format github writes into the file of $GITHUB_ENV, and that is not set",
            "GitHub Actions sets it in each step of a job; elsewhere use another format, such as sh",
        )
    })?;
    let texts = text::github(variables)?;
    session.warn_if_swappable();
    let failed = |why: std::io::Error| Error::system("write to $GITHUB_ENV", why);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(file)
        .map_err(failed)?;
    stdout::deliver(&texts.masks)?;
    file.write_all(&texts.environment).map_err(failed)?;
    session
        .ui
        .warn("GitHub keeps these secrets in a file for the rest of the job: $GITHUB_ENV");
    Ok(())
}

fn no_unset(format: &str) -> Error {
    Error::usage(
        format!("{format} has no way to unset a variable"),
        "use --unset with the format of a shell",
    )
}

/// How the text of a format is used without being shown.
fn instead(format: &str) -> &'static str {
    match format {
        "fish" => "evaluate it: oc-secrets env --format fish | source",
        "tcsh" => "evaluate it: eval \"`oc-secrets env --format tcsh`\"",
        "elvish" => "evaluate it: eval (oc-secrets env --format elvish | slurp)",
        "xonsh" => "evaluate it: execx($(oc-secrets env --format xonsh))",
        "powershell" => {
            "evaluate it: oc-secrets env --format powershell | Out-String | Invoke-Expression"
        }
        "nu" => "load it: oc-secrets env --format nu | from json | load-env",
        "json" => "pass it on: oc-secrets env --format json | PROGRAM",
        "systemd" | "docker" => "pass it on as a file: <(oc-secrets env --format …)",
        "github" => "use it in a step of GitHub Actions, whose log hides the values that it names",
        _ => "evaluate it: eval \"$(oc-secrets env)\"; or pass it on: <(oc-secrets env)",
    }
}

/// ksh93 substitutes commands through an unlinked file, so `eval "$(…)"` would fail here again.
fn refuse_to_show(format: &str, file: bool) -> Result<()> {
    let hint = match stdout::is_unlinked_file() {
        true => "ksh keeps what `$(…)` prints in a file; read it from a pipe: . <(oc-secrets env)"
            .to_owned(),
        false => format!("{}; or insist with --show", instead(format)),
    };
    let what = match (stdout::is_terminal(), file) {
        (true, _) => "standard output is a terminal, which would show the secrets",
        (_, true) => "standard output is a file, which would keep the secrets",
        _ => return Ok(()),
    };
    Err(Error::usage(what, hint))
}
