//! Which of the options that all commands take matter to each: its help shows those alone. The others
//! are taken all the same, so that a line keeps its options when its command changes.

use clap::{Command, CommandFactory};

use super::Arguments;

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
    ("allow", &[]),
    ("deny", &[]),
    ("docker", &[&["manifest"]]),
    ("git", &[&["manifest"]]),
    ("openclaw", &[SOURCE, FETCH]),
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
        command = command.mut_subcommand(name, |command| command.args(hidden));
    }
    command
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
