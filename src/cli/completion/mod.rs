//! `oc-secrets completions` prints the script for a shell; `oc-secrets complete`, which those scripts
//! call, prints what can stand at the cursor. Neither runs `op`, and no manifest has to be allowed.
//!
//! The scripts are short, since all is decided here: they cannot fall behind the program. For
//! PowerShell and Nushell, which no test of ours can run, clap's own generators write the script; it
//! completes what clap knows, and no name of a manifest.

mod names;
mod words;

use std::ffi::OsString;

use super::arguments::Shell;
use super::programs;
use super::stdout;
use crate::base::error::{Exit, Result};
use names::Names;

/// `completions`: prints the script that completes all of our programs.
pub(super) fn script(shell: Shell) -> Result<Exit> {
    let text = match shell {
        Shell::Bash => include_str!("../../../shell/completions/oc-secrets.bash").to_owned(),
        Shell::Zsh => include_str!("../../../shell/completions/_oc-secrets").to_owned(),
        Shell::Fish => include_str!("../../../shell/completions/oc-secrets.fish").to_owned(),
        Shell::Elvish => include_str!("../../../shell/completions/oc-secrets.elv").to_owned(),
        Shell::Powershell => powershell(),
        Shell::Nu => nu(),
    };
    stdout::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// `complete`: `words` is the command line up to the cursor, the program's name first. Whatever is
/// wrong, nothing is said: a message in the middle of a prompt helps nobody.
pub(super) fn complete(words: &[OsString]) -> Result<Exit> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let answer = match words.split_first() {
        Some((name, rest)) if !rest.is_empty() => {
            let name = name.rsplit('/').next().unwrap_or(name);
            programs::command(name)
                .map(|program| words::complete(&program, rest, Names::of_manifest))
        }
        _ => None,
    };
    stdout::print(answer.unwrap_or_default().render().as_bytes())?;
    Ok(Exit::Done)
}

fn generated(generator: impl clap_complete::Generator + Copy) -> Vec<String> {
    let one = |name: &&str| {
        let mut command = programs::command(name)?;
        let mut text = Vec::new();
        clap_complete::generate(generator, &mut command, *name, &mut text);
        String::from_utf8(text).ok()
    };
    programs::NAMES.iter().filter_map(one).collect()
}

/// `using namespace` may stand at the top of a script only.
fn powershell() -> String {
    let texts = generated(clap_complete::Shell::PowerShell).concat();
    let (using, rest): (Vec<&str>, Vec<&str>) = texts
        .lines()
        .partition(|line| line.starts_with("using namespace"));
    let mut heads: Vec<&str> = Vec::new();
    for line in using {
        if !heads.contains(&line) {
            heads.push(line);
        }
    }
    heads.extend(rest);
    heads.join("\n") + "\n"
}

/// A module for each program, since a second one of the same name would replace the first.
fn nu() -> String {
    let named = programs::NAMES.iter().zip(generated(Nu));
    named
        .map(|(name, text)| {
            text.replace("module completions", &format!("module {name}-completions"))
                .replace("use completions", &format!("use {name}-completions"))
        })
        .collect()
}

/// Nushell's generator, which cannot be copied itself.
#[derive(Clone, Copy)]
struct Nu;

impl clap_complete::Generator for Nu {
    fn file_name(&self, name: &str) -> String {
        clap_complete_nushell::Nushell.file_name(name)
    }

    fn generate(&self, command: &clap::Command, text: &mut dyn std::io::Write) {
        clap_complete_nushell::Nushell.generate(command, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_scripts_hold_every_program_once() {
        let (powershell, nu) = (powershell(), nu());
        for name in programs::NAMES {
            let registers = format!("-CommandName '{name}'");
            assert_eq!(powershell.matches(&registers).count(), 1, "{name}");
            let module = format!("module {name}-completions {{");
            assert_eq!(nu.matches(&module).count(), 1, "{name}");
            let uses = format!("export use {name}-completions *");
            assert_eq!(nu.matches(&uses).count(), 1, "{name}");
        }
        let late = powershell
            .lines()
            .skip_while(|line| line.starts_with("using"));
        assert!(!late.into_iter().any(|line| line.starts_with("using")));
    }
}
