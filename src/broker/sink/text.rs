//! Text that sets variables: for a shell to evaluate, for a program to read, for a CI runner.
//!
//! [`render`] writes everything or nothing, straight into locked memory: no `String`, no `format!`
//! and no library encoder ever holds a part of a value, because each would leave an unwiped copy. A
//! value or a name that a reader would change, or that would make it run something, is refused,
//! never altered. There is no form for cmd.exe and rc: neither has a safe one. GitHub Actions takes
//! two texts instead of one and has its own function, [`github`].

mod format;
mod variable;
mod dotenv;
mod github;
mod shell;
mod special;

use crate::base::env_name::EnvName;
use crate::base::error::Result;
use crate::base::locked_memory::Locked;
use crate::broker::sink::json;
use variable::{NOT_UTF8, NUL, room_for, unwritable};

pub(crate) use format::Format;
pub(crate) use github::github;
pub(crate) use variable::Variable;

/// The text that sets all `variables`, in locked memory.
///
/// # Errors
/// [`Error::Unwritable`] for the first variable that the format cannot carry unchanged.
pub(crate) fn render(format: Format, variables: &[Variable<'_>]) -> Result<Locked> {
    for variable in variables {
        if let Some(why) = obstacle(format, *variable) {
            return Err(unwritable(*variable, format.name(), why));
        }
    }
    let mut text = room_for(variables);
    let write = match format {
        Format::Nu | Format::Json => {
            let pairs = variables.iter().map(|it| (it.name.as_str(), it.value));
            json::object(&mut text, pairs);
            return Ok(text);
        }
        Format::Sh => shell::sh,
        Format::Fish => shell::fish,
        Format::Tcsh => shell::tcsh,
        Format::Elvish => shell::elvish,
        Format::Xonsh => shell::xonsh,
        Format::Powershell => shell::powershell,
        Format::Systemd => dotenv::systemd,
        Format::Docker => dotenv::docker,
    };
    for variable in variables {
        let start = text.len();
        write(&mut text, *variable);
        if !reads_back(format, &text[start..], *variable) {
            return Err(unwritable(*variable, format.name(), NOT_READ_BACK));
        }
    }
    Ok(text)
}

/// The text that removes the `names` again, or `None` where the format has no such thing.
pub(crate) fn unset(format: Format, names: &[&EnvName]) -> Option<String> {
    let (before, after) = match format {
        Format::Sh => ("unset -v ", ""),
        Format::Fish => ("set -eg ", ";"),
        Format::Tcsh => ("unsetenv ", ";"),
        Format::Elvish => ("unset-env ", ""),
        Format::Xonsh => ("${...}.pop('", "', None)"),
        Format::Powershell => (
            "Remove-Item -LiteralPath Env:",
            " -ErrorAction SilentlyContinue",
        ),
        // Nushell evaluates no text, and its `hide-env` takes a list of names.
        Format::Nu => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Some(format!("{}\n", serde_json::json!(names)));
        }
        Format::Json | Format::Systemd | Format::Docker => return None,
    };
    let line = |name: &&EnvName| format!("{before}{name}{after}\n");
    Some(names.iter().map(line).collect())
}

/// The text that makes an evaluation fail, for when there are no values to give.
///
/// `false` does not end a script of xonsh or PowerShell, is a variable to Docker and Podman, and a
/// value to readers of JSON. systemd skips what it cannot read, whatever that is: there only the
/// exit code tells.
pub(crate) fn failure(format: Format) -> &'static str {
    match format {
        Format::Xonsh => "raise RuntimeError('oc-secrets failed')\n",
        Format::Powershell => "throw 'oc-secrets failed'\n",
        Format::Docker => "=oc-secrets failed\n",
        Format::Nu | Format::Json => "oc-secrets failed\n",
        _ => "false\n",
    }
}

const NOT_READ_BACK: &str = "it would not be read back as it is";

fn obstacle(format: Format, variable: Variable<'_>) -> Option<&'static str> {
    let Variable { name, value } = variable;
    if value.contains(&0) {
        return Some(NUL);
    }
    if special::special(format, name) {
        return Some("the shell gives this name a meaning of its own");
    }
    let characters = std::str::from_utf8(value);
    if format.carries_utf8_only() && characters.is_err() {
        return Some(NOT_UTF8);
    }
    match format {
        Format::Tcsh if value.contains(&b'\n') => Some("it contains a newline"),
        Format::Powershell if value.is_empty() => Some("an empty value would remove the variable"),
        Format::Systemd => dotenv::systemd_obstacle(characters.unwrap_or_default()),
        Format::Docker => dotenv::docker_obstacle(variable),
        _ => None,
    }
}

/// Dotenv dialects differ subtly, so each line is parsed again by the rules of its reader.
fn reads_back(format: Format, text: &[u8], variable: Variable<'_>) -> bool {
    match format {
        Format::Systemd => dotenv::systemd_reads(text, variable),
        Format::Docker => dotenv::docker_reads(text, variable),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;

    pub(super) fn name(text: &str) -> EnvName {
        EnvName::parse(text).expect("a valid name")
    }

    pub(super) fn one(format: Format, value: &[u8]) -> std::result::Result<String, &'static str> {
        let name = name("N");
        let variable = Variable { name: &name, value };
        match render(format, &[variable]) {
            Ok(text) => Ok(text.escape_ascii().to_string()),
            Err(Error::Unwritable { why, .. }) => Err(why),
            Err(other) => panic!("unexpected: {other}"),
        }
    }

    #[test]
    fn no_format_carries_a_nul() {
        for &format in Format::ALL {
            assert_eq!(one(format, b"a\0b"), Err(NUL), "{format:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_where_they_would_be_altered() {
        for &format in Format::ALL {
            let refused = one(format, b"\xff") == Err(NOT_UTF8);
            assert_eq!(refused, format.carries_utf8_only(), "{format:?}");
        }
    }

    #[test]
    fn one_bad_variable_refuses_all_and_is_named() {
        let (good, bad) = (name("GOOD"), name("BAD"));
        let variables = [
            Variable {
                name: &good,
                value: b"x",
            },
            Variable {
                name: &bad,
                value: b"x\0canary",
            },
        ];
        let error = render(Format::Sh, &variables).err().expect("refused");
        assert_eq!(
            error.to_string(),
            "BAD cannot be written as sh: it contains a NUL byte"
        );
    }

    #[test]
    fn unsetting_names_every_variable_or_is_not_offered() {
        let (a, b) = (name("A"), name("B"));
        assert_eq!(
            unset(Format::Sh, &[&a, &b]).as_deref(),
            Some("unset -v A\nunset -v B\n")
        );
        assert_eq!(
            unset(Format::Nu, &[&a, &b]).as_deref(),
            Some("[\"A\",\"B\"]\n")
        );
        for format in [Format::Json, Format::Systemd, Format::Docker] {
            assert_eq!(unset(format, &[&a]), None);
        }
    }
}
