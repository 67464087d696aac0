//! Which of the options that all commands take matter to each: its help shows those alone. The others
//! are taken all the same, so that a line keeps its options when its command changes.

use clap::{Arg, Command, CommandFactory};

use super::Arguments;
use crate::broker::session;

/// Messages, which every command has.
const SAYS: &[&str] = &["verbose", "quiet", "color"];

/// Where the secrets are defined.
const SOURCE: &[&str] = &["manifest", "env_file", "vault", "account"];

/// What is taken along without a name in the manifest.
const ALONG: &[&str] = &["environment"];

/// Which of them are meant.
const CHOICE: &[&str] = &["profile", "only"];

/// Which of them there must be.
const DEMAND: &[&str] = &["require", "strict", "prefer_env"];

/// How they are fetched.
const FETCH: &[&str] = &["timeout", "refresh", "no_cache"];

/// Commands for which less than everything matters; what is not listed here has all options.
const COMMANDS: &[(&str, &[&[&str]])] = &[
    ("read", &[SOURCE, ALONG, &["profile", "prefer_env"], FETCH]),
    ("check", &[SOURCE, ALONG, CHOICE, DEMAND, &["timeout"]]),
    ("ls", &[SOURCE, ALONG, CHOICE]),
    ("explain", &[SOURCE, &["profile", "prefer_env"], FETCH]),
    ("pin", &[SOURCE, &["timeout"]]),
    ("init", &[&["vault", "account", "timeout"]]),
    ("allow", &[&["manifest"]]),
    ("deny", &[&["manifest"]]),
    ("docker", &[&["manifest"]]),
    ("git", &[&["manifest"]]),
    ("openclaw", &[SOURCE, &["profile"], FETCH]),
    ("doctor", &[SOURCE, &["profile", "timeout"]]),
    ("login", &[&["timeout"]]),
    ("logout", &[&["timeout"]]),
    ("serve", &[SOURCE, &["timeout"]]),
    ("clients", &[]),
    ("lock", &[]),
    ("completions", &[]),
    ("shell", &[]),
    ("man", &[]),
    ("demo", &[]),
];

/// The command line as it is shown.
pub(in crate::cli) fn shown() -> Command {
    let mut command = Arguments::command();
    let globals: Vec<_> = command.get_arguments().cloned().collect();
    for (name, groups) in COMMANDS {
        let applies = |id: &str| SAYS.contains(&id) || groups.iter().any(|ids| ids.contains(&id));
        let hidden = globals
            .iter()
            .filter(|global| !applies(global.get_id().as_str()));
        let hidden: Vec<_> = hidden.map(|global| global.clone().hide(true)).collect();
        let timeout = globals
            .iter()
            .filter_map(|global| own_timeout(name, global));
        let shown: Vec<_> = hidden.into_iter().chain(timeout).collect();
        command = command.mut_subcommand(name, |command| command.args(shown));
    }
    command
}

/// The deadline as `command` tells it, where it is not that of the others.
fn own_timeout(command: &str, global: &Arg) -> Option<Arg> {
    if global.get_id() != "timeout" {
        return None;
    }
    let help = global.get_help()?.to_string();
    let (about, limit) = help.split_once(" [default: ")?;
    let help = match command {
        "openclaw" => format!("{about} [default: {}s]", session::GATEWAY_TIMEOUT.as_secs()),
        "serve" => format!("{about} [default: {}s]", session::BROKER_TIMEOUT.as_secs()),
        "doctor" => {
            let patience = session::DOCTOR_TIMEOUT.as_secs();
            format!("{about} [default: {patience}s, where you may be asked {limit}")
        }
        "logout" => help.replace("`op`", "the OS keyring"),
        _ => return None,
    };
    Some(global.clone().help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_and_command_of_the_table_is_one() {
        let command = Arguments::command();
        let known = |id: &str| command.get_arguments().any(|global| global.get_id() == id);
        let groups = COMMANDS
            .iter()
            .flat_map(|(_, groups)| *groups)
            .chain([&SAYS]);
        for id in groups.flat_map(|group| *group) {
            assert!(known(id), "{id}");
        }
        for (name, _) in COMMANDS {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
        shown().debug_assert();
    }
}
