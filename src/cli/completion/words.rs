//! What can stand at the cursor: a walk along the words of a command line, past clap's description
//! of the program. Pure but for `names`, which reads the manifest where one of its names is wanted.

use clap::builder::StyledStr;
use clap::{Arg, Command, ValueHint};

use super::names::Names;

/// What the shell is to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Answer {
    /// These words, each with a description.
    Words(Vec<(String, String)>),
    /// Its own completion of files.
    #[default]
    Files,
    /// Its own completion of directories.
    Directories,
    /// Its own completion of a command whose first word is the one of this number; 0 is the program.
    Command(usize),
}

impl Answer {
    /// The answer as the scripts read it: what it is on a line of its own, then a word a line, a
    /// tab and its description behind it.
    pub(super) fn render(&self) -> String {
        match self {
            Self::Files => "files\n".to_owned(),
            Self::Directories => "directories\n".to_owned(),
            Self::Command(at) => format!("command {at}\n"),
            Self::Words(words) => {
                let lines = words
                    .iter()
                    .map(|(word, about)| format!("{word}\t{about}\n"));
                format!("words\n{}", lines.collect::<String>())
            }
        }
    }
}

/// Where the walk has come to.
struct Position<'a> {
    command: &'a Command,
    /// How many positional arguments the command has got.
    positionals: usize,
    /// The option that waits for its value.
    waiting: Option<&'a Arg>,
    /// `--manifest`, where it was given.
    manifest: Option<String>,
    /// The number of the word behind `--`.
    behind_dashes: Option<usize>,
}

/// Completes the last of `words`, which follow the name of `program`.
pub(super) fn complete(
    program: &Command,
    words: &[&str],
    names: impl FnOnce(Option<&str>) -> Names,
) -> Answer {
    let Some((&word, before)) = words.split_last() else {
        return Answer::default();
    };
    let mut at = Position {
        command: program,
        positionals: 0,
        waiting: None,
        manifest: None,
        behind_dashes: None,
    };
    for (index, &word) in before.iter().enumerate() {
        at.pass(index, word);
    }
    at.answer(word, names)
}

impl<'a> Position<'a> {
    /// Goes past a complete word.
    fn pass(&mut self, index: usize, word: &str) {
        if self.behind_dashes.is_some() {
        } else if let Some(argument) = self.waiting.take() {
            self.note(argument, word);
        } else if word == "--" {
            // The program's own name is the word of number 0.
            self.behind_dashes = Some(index + 2);
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let Some(argument) = self.option(name) else {
                return;
            };
            match value {
                Some(value) => self.note(argument, value),
                None => self.waiting = Some(argument).filter(|it| takes_value(it)),
            }
        } else if let Some(short) = word.strip_prefix('-').and_then(|word| word.chars().last()) {
            let mut options = self.command.get_arguments();
            let found = options.find(|argument| argument.get_short() == Some(short));
            self.waiting = found.filter(|argument| takes_value(argument));
        } else if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
            self.positionals = 0;
        } else {
            self.positionals += 1;
        }
    }

    fn note(&mut self, argument: &Arg, value: &str) {
        if argument.get_id() == "manifest" {
            self.manifest = Some(value.to_owned());
        }
    }

    fn option(&self, name: &str) -> Option<&'a Arg> {
        let mut options = self.command.get_arguments();
        options.find(|argument| argument.get_long() == Some(name))
    }

    /// What can stand here, where `word` has been typed.
    fn answer(&self, word: &str, names: impl FnOnce(Option<&str>) -> Names) -> Answer {
        let names = || names(self.manifest.as_deref());
        if let Some(at) = self.behind_dashes {
            return match self.command.get_positionals().any(Arg::is_last_set) {
                true => Answer::Command(at),
                false => Answer::Files,
            };
        }
        if let Some(argument) = self.waiting {
            return values(argument, "", word, names);
        }
        if let Some((name, value)) = word.strip_prefix("--").and_then(|it| it.split_once('=')) {
            return match self.option(name) {
                Some(argument) => values(argument, &format!("--{name}="), value, names),
                None => Answer::Words(vec![]),
            };
        }
        if word.starts_with('-') {
            return Answer::Words(self.options(word));
        }
        if self.command.has_subcommands() {
            return Answer::Words(self.commands(word));
        }
        match self
            .command
            .get_positionals()
            .nth(self.positionals)
            .or(self.repeated())
        {
            Some(argument) if argument.is_last_set() => {
                Answer::Words(vec![("--".to_owned(), "the command follows".to_owned())])
            }
            Some(argument) => values(argument, "", word, names),
            None => Answer::Words(vec![]),
        }
    }

    /// The positional argument that takes all further words.
    fn repeated(&self) -> Option<&'a Arg> {
        let last = self.command.get_positionals().last();
        last.filter(|argument| matches!(argument.get_action(), clap::ArgAction::Append))
    }

    fn commands(&self, word: &str) -> Vec<(String, String)> {
        let commands = self.command.get_subcommands();
        let shown = commands.filter(|command| !command.is_hide_set());
        let named =
            shown.map(|command| (command.get_name().to_owned(), about(command.get_about())));
        named.filter(|(name, _)| name.starts_with(word)).collect()
    }

    fn options(&self, word: &str) -> Vec<(String, String)> {
        let options = self
            .command
            .get_arguments()
            .filter(|option| !option.is_hide_set());
        let named = options.filter_map(|option| {
            Some((
                format!("--{}", option.get_long()?),
                about(option.get_help()),
            ))
        });
        named.filter(|(name, _)| name.starts_with(word)).collect()
    }
}

/// The values of `argument`, each with `prefix` before it.
fn values(argument: &Arg, prefix: &str, typed: &str, names: impl FnOnce() -> Names) -> Answer {
    let possible = argument.get_possible_values();
    let whole = |word: &str, about: String| (format!("{prefix}{word}"), about);
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let matching = shown.filter(|value| value.get_name().starts_with(typed));
        let words = matching.map(|value| whole(value.get_name(), about(value.get_help())));
        return Answer::Words(words.collect());
    }
    // Of a list that is separated by commas the last part is completed.
    let lists = argument.get_value_delimiter() == Some(',');
    let (done, part) = match typed.rsplit_once(',') {
        Some((done, part)) if lists => (format!("{done},"), part),
        _ => (String::new(), typed),
    };
    let all = names();
    match (all.wanted_by(argument), argument.get_value_hint()) {
        (Some(names), _) => {
            let fresh = names.iter().filter(|(name, _)| {
                name.starts_with(part) && !done.split(',').any(|listed| listed == name)
            });
            let words = fresh.map(|(name, about)| whole(&format!("{done}{name}"), one_line(about)));
            Answer::Words(words.collect())
        }
        (None, ValueHint::DirPath) => Answer::Directories,
        (None, ValueHint::AnyPath | ValueHint::FilePath) => Answer::Files,
        (None, _) => Answer::Words(vec![]),
    }
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

fn about(text: Option<&StyledStr>) -> String {
    one_line(&text.map(ToString::to_string).unwrap_or_default())
}

/// No description may end its line, or act on a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::programs;

    fn answer(line: &str) -> Answer {
        let words: Vec<&str> = line.split(' ').collect();
        let program = programs::command(words[0]).expect("ours");
        complete(&program, &words[1..], |manifest| {
            let named = |names: &[&str]| {
                let names = names.iter().map(|name| ((*name).to_owned(), String::new()));
                names.collect::<Vec<_>>()
            };
            let other = manifest.map(|_| named(&["OTHER"]));
            Names {
                secrets: other.unwrap_or_else(|| named(&["GHCR_TOKEN", "GIT_TOKEN", "KEY"])),
                profiles: named(&["bootstrap", "all"]),
                registries: named(&["ghcr.io"]),
                hosts: named(&["github.com"]),
            }
        })
    }

    #[track_caller]
    fn offers(line: &str, expected: &[&str]) {
        let Answer::Words(words) = answer(line) else {
            panic!("{line}: {:?}", answer(line));
        };
        let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        offers("oc-secrets exe", &["exec"]);
        offers("oc-secrets --no-cache docker un", &["uninstall"]);
        offers("oc-secrets env --form", &["--format"]);
        offers("oc-secrets env --format=fi", &["--format=fish"]);
        offers("oc-secrets env --color al", &["always"]);
        offers("openclaw-deploy boot", &["bootstrap"]);
        offers("git-credential-oc g", &["get"]);
        offers("oc-secrets exec ", &["--"]);
        offers("oc-secrets nonsense --bo", &[]);
    }

    #[test]
    fn names_come_from_the_manifest_of_the_command_line() {
        offers("oc-secrets read G", &["GHCR_TOKEN", "GIT_TOKEN"]);
        offers("oc-secrets --profile ", &["bootstrap", "all"]);
        offers("oc-secrets docker off gh", &["ghcr.io"]);
        offers("oc-secrets docker install --registry ", &["ghcr.io"]);
        offers("oc-secrets --manifest /x read ", &["OTHER"]);
        offers("oc-secrets --manifest=/x read ", &["OTHER"]);
    }

    #[test]
    fn of_a_list_the_last_part_is_completed_and_none_twice() {
        offers("oc-secrets --only G", &["GHCR_TOKEN", "GIT_TOKEN"]);
        offers(
            "oc-secrets --only=GIT_TOKEN,G",
            &["--only=GIT_TOKEN,GHCR_TOKEN"],
        );
        offers(
            "oc-secrets exec --require KEY,",
            &["KEY,GHCR_TOKEN", "KEY,GIT_TOKEN"],
        );
    }

    #[test]
    fn files_and_commands_are_left_to_the_shell() {
        assert_eq!(answer("oc-secrets --manifest x"), Answer::Files);
        assert_eq!(answer("oc-secrets exec --only A -- l"), Answer::Command(5));
        assert_eq!(answer("oc-secrets exec -- ls --only "), Answer::Command(3));
        offers("oc-secrets --timeout 3", &[]);
    }

    #[test]
    fn a_description_stays_on_its_line() {
        let words = Answer::Words(vec![("A".to_owned(), one_line("x\ny\x1b[2J"))]);
        assert_eq!(words.render(), "words\nA\tx y [2J\n");
    }
}
