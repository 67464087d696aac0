//! `oc-secrets man`: the manual page of a command or program, made from what clap knows of it. A
//! terminal gets it through `man`, anything else as roff text.

use std::ffi::OsStr;
use std::io::Write;
use std::process::Stdio;

use clap_mangen::Man;

use super::programs;
use super::stdout;
use crate::base::environment;
use crate::base::error::{Error, Exit, Result};
use crate::base::program;
use crate::base::suggest;

/// Shows the page for `words`: a command of ours, or a program and perhaps a command of it.
///
/// # Errors
/// [`Error::Usage`] where there is no such command.
pub(super) fn run(words: &[String]) -> Result<Exit> {
    let page = page(&find(words)?)?;
    if stdout::is_terminal() && shown_by_man(&page) {
        return Ok(Exit::Done);
    }
    stdout::print(&page)?;
    Ok(Exit::Done)
}

fn find(words: &[String]) -> Result<clap::Command> {
    let program = words.first().and_then(|first| programs::command(first));
    let rest = &words[usize::from(program.is_some())..];
    let mut command = program
        .or_else(|| programs::command(programs::NAMES[0]))
        .ok_or_else(|| Error::usage("no such program", "see oc-secrets --help"))?;
    for word in rest {
        let Some(found) = command.find_subcommand(word).cloned() else {
            let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
            let names: Vec<&str> = shown.map(clap::Command::get_name).collect();
            return Err(Error::usage(
                format!("no manual page for `{}`", words.join(" ")),
                suggest::hint(word, &names, "the commands are"),
            ));
        };
        command = found;
    }
    Ok(command)
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let source = concat!("oc-secrets ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone())
        .source(source)
        .manual("oc-secrets");
    let mut page = Vec::new();
    let done = man.render(&mut page);
    done.map_err(|why| Error::system("write the manual page", why))?;
    Ok(page)
}

/// Whether `man` has shown it; without a `man` that reads stdin the text itself is better than nothing.
fn shown_by_man(page: &[u8]) -> bool {
    let man = environment::ours("PATH").and_then(|path| program::find("man", &path));
    let Some(man) = man else {
        return false;
    };
    let shown = || -> std::io::Result<bool> {
        let passed = std::env::vars_os().filter(|(name, _)| is_for_man(name));
        let mut man = program::command(&man, passed)
            .args(["-l", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::inherit())
            .spawn()?;
        if let Some(mut pipe) = man.stdin.take() {
            // The reader of a page may leave before its end.
            let _ = pipe.write_all(page);
        }
        Ok(man.wait()?.success())
    };
    shown().unwrap_or(false)
}

/// What `man` and its pager heed.
fn is_for_man(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let families = ["MAN", "LESS", "LC_", "GROFF", "XDG_"];
    families.iter().any(|family| name.starts_with(family))
        || ["PATH", "HOME", "TERM", "LANG", "PAGER", "COLUMNS", "LINES"].contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let page = page(&find(&words).expect("found")).expect("rendered");
        String::from_utf8(page).expect("text")
    }

    #[test]
    fn every_command_of_every_program_has_a_page_of_its_own_name() {
        for (line, title) in [
            ("", "oc\\-secrets"),
            ("exec", "oc\\-secrets\\-exec"),
            ("docker install", "oc\\-secrets\\-docker\\-install"),
            ("openclaw-deploy", "openclaw\\-deploy"),
            ("openclaw-deploy rollback", "openclaw\\-deploy\\-rollback"),
            ("git-credential-oc", "git\\-credential\\-oc"),
        ] {
            let text = text(line);
            let head = format!("\n.TH {} 1 ", title.replace('\\', ""));
            assert!(
                text.contains(&head) && text.contains("\n.SH SYNOPSIS\n"),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn a_command_that_is_not_there_is_refused_with_the_nearest() {
        let error = find(&["exce".to_owned()]).expect_err("refused");
        assert_eq!(error.to_string(), "no manual page for `exce`");
        assert!(error.hint().is_some_and(|hint| hint.contains("exec")));
    }
}
