//! Arguments into a command, its flags and its words; or `op`'s complaint about them.

use crate::failure::Failure;
use crate::grammar::{COMMANDS, Command, Flag, GLOBAL, Spec};
use crate::mode::Modes;
use std::ffi::OsString;

/// A command line that is well-formed.
#[derive(Debug)]
pub struct CommandLine {
    pub command: Command,
    /// Words that are no flags, without the command itself.
    pub words: Vec<OsString>,
    flags: Vec<(&'static str, String)>,
}

impl CommandLine {
    /// Parses what follows the program's name.
    pub fn parse(
        arguments: impl Iterator<Item = OsString>,
        modes: &Modes,
    ) -> Result<Self, Failure> {
        let mut parser = Parser {
            modes,
            spec: None,
            path: Vec::new(),
            words: Vec::new(),
            flags: Vec::new(),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                parser.words.extend(arguments.by_ref());
            } else {
                parser.take(argument, &mut arguments)?;
            }
        }
        parser.finish()
    }

    /// The last value of a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flag_values(name).last()
    }

    /// Every value of a flag, in order.
    pub fn flag_values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let named = move |(flag, _): &&(&str, String)| *flag == name;
        self.flags
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        self.flag(name)
            .is_some_and(|value| truth(value) == Some(true))
    }

    /// The first word, as text.
    pub fn word(&self) -> Option<String> {
        self.words
            .first()
            .map(|word| word.to_string_lossy().into_owned())
    }
}

struct Parser<'m> {
    modes: &'m Modes,
    spec: Option<&'static Spec>,
    path: Vec<String>,
    words: Vec<OsString>,
    flags: Vec<(&'static str, String)>,
}

impl Parser<'_> {
    fn take(
        &mut self,
        argument: OsString,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let text = argument.to_string_lossy().into_owned();
        if let Some(long) = text.strip_prefix("--") {
            self.long(long, rest)
        } else if text.len() > 1 && text.starts_with('-') {
            self.shorts(&text, rest)
        } else if self.spec.is_some() {
            self.words.push(argument);
            Ok(())
        } else {
            self.descend(text)
        }
    }

    /// Takes a word as the next part of the command's name.
    fn descend(&mut self, word: String) -> Result<(), Failure> {
        let parent: Vec<&str> = ["op"]
            .into_iter()
            .chain(self.path.iter().map(String::as_str))
            .collect();
        let unknown = format!("unknown command \"{word}\" for \"{}\"", parent.join(" "));
        self.path.push(if word == "ls" {
            "list".to_owned()
        } else {
            word
        });
        let path = &self.path;
        self.spec = COMMANDS.iter().find(|spec| spec.path == path);
        let begins =
            |spec: &&Spec| spec.path.iter().zip(path).filter(|(a, b)| a == b).count() == path.len();
        if COMMANDS.iter().any(|spec| begins(&spec)) {
            Ok(())
        } else {
            Err(Failure::new(unknown))
        }
    }

    fn long(
        &mut self,
        text: &str,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let Some(flag) = self.known(|flag| flag.long == name) else {
            return Err(self.usage(format!("unknown flag: --{name}")));
        };
        let mut next = || {
            rest.next()
                .map(|value| value.to_string_lossy().into_owned())
        };
        let value = match inline {
            None if !flag.valued => Some("true".to_owned()),
            None => next(),
            inline => inline,
        };
        let missing = format!("flag needs an argument: --{name}");
        let value = value.ok_or_else(|| self.usage(missing))?;
        self.set(flag, value)
    }

    fn shorts(
        &mut self,
        text: &str,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        for (at, letter) in text.char_indices().skip(1) {
            let Some(flag) = self.known(|flag| flag.short == Some(letter)) else {
                return Err(self.usage(format!("unknown shorthand flag: '{letter}' in {text}")));
            };
            if !flag.valued {
                self.set(flag, "true".to_owned())?;
                continue;
            }
            let glued = text[at + letter.len_utf8()..].trim_start_matches('=');
            let mut next = || {
                rest.next()
                    .map(|value| value.to_string_lossy().into_owned())
            };
            let value = if glued.is_empty() {
                next()
            } else {
                Some(glued.to_owned())
            };
            let missing = format!("flag needs an argument: '{letter}' in {text}");
            let value = value.ok_or_else(|| self.usage(missing))?;
            return self.set(flag, value);
        }
        Ok(())
    }

    /// A flag of this command or of all.
    fn known(&self, is: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        let own = self.spec.map_or(&[][..], |spec| spec.flags);
        let mut flags = own.iter().chain(GLOBAL);
        flags.find(|flag| is(flag) && self.is_there(flag))
    }

    /// `--reveal` came with 2.30; `--environment` with betas of 2.33, and is in 2.41 and not in 2.39.
    /// ASSUMPTION: 2.40 did not have it.
    fn is_there(&self, flag: &Flag) -> bool {
        let beta = self.modes.version.contains("-beta") && self.modes.since(2, 33);
        match flag.long {
            "reveal" => self.modes.since(2, 30),
            "environment" => self.modes.since(2, 41) || beta,
            _ => true,
        }
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), Failure> {
        let reason = match flag.long {
            _ if !flag.valued && truth(&value).is_none() => Some(format!(
                "strconv.ParseBool: parsing \"{value}\": invalid syntax"
            )),
            // ASSUMPTION: an unknown format is refused, and in these words.
            "format" if value != "json" && value != "human-readable" => {
                Some("must be one of human-readable, json".to_owned())
            }
            // ASSUMPTION: the rule is known, its words are not.
            "file-mode" if !octal(&value) => Some("must be at least three octal digits".to_owned()),
            _ => None,
        };
        if let Some(reason) = reason {
            let name = flag.long;
            let complaint = format!("invalid argument \"{value}\" for \"--{name}\" flag: {reason}");
            return Err(self.usage(complaint));
        }
        self.flags.push((flag.long, value));
        Ok(())
    }

    /// ASSUMPTION: the block that follows a bad value follows the other flag errors as well.
    fn usage(&self, complaint: String) -> Failure {
        let usage = self.spec.map_or("op [command] [flags]", |spec| spec.usage);
        let own = self.spec.map_or(GLOBAL, |spec| spec.flags);
        let flags: String = own
            .iter()
            .filter(|flag| self.is_there(flag))
            .map(|flag| {
                let kind = if flag.valued { " string" } else { "" };
                format!("      --{}{kind}\n", flag.long)
            })
            .collect();
        Failure::new(complaint).with_usage(format!(
            "Usage:  {usage}\n\nFlags:\n{flags}\nTo list the global flags available on every \
             command, run  'op --help'.\n"
        ))
    }

    fn finish(self) -> Result<CommandLine, Failure> {
        let asked = |name: &str| self.flags.iter().any(|(flag, _)| *flag == name);
        let command = match self.spec {
            _ if asked("help") => Command::Help,
            None if asked("version") => Command::Version,
            None => Command::Help,
            Some(spec) => {
                self.count(spec)?;
                spec.command
            }
        };
        Ok(CommandLine {
            command,
            words: self.words,
            flags: self.flags,
        })
    }

    /// ASSUMPTION: the usual words of op's argument parser.
    fn count(&self, spec: &Spec) -> Result<(), Failure> {
        let (fewest, most) = spec.words;
        let given = self.words.len();
        if (fewest..=most).contains(&given) {
            return Ok(());
        }
        let wanted = match (fewest, most) {
            (1, 1) => "accepts 1 arg(s)".to_owned(),
            (_, usize::MAX) => format!("requires at least {fewest} arg(s)"),
            _ => format!("accepts at most {most} arg(s)"),
        };
        Err(self.usage(format!("{wanted}, received {given}")))
    }
}

/// What Go reads as a boolean.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn octal(text: &str) -> bool {
    text.len() >= 3 && u32::from_str_radix(text, 8).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CommandLine, String> {
        let modes = Modes::parse("").expect("parses");
        CommandLine::parse(text.split(' ').map(OsString::from), &modes)
            .map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn flags_stand_anywhere_in_both_forms() {
        let line =
            parse("--format json item get --vault=V x --fields a,b --cache=false").expect("parses");
        assert_eq!(line.command, Command::ItemGet);
        assert_eq!(
            (line.flag("format"), line.flag("vault")),
            (Some("json"), Some("V"))
        );
        assert_eq!(
            (line.flag("fields"), line.flag("cache")),
            (Some("a,b"), Some("false"))
        );
        assert_eq!(line.word().as_deref(), Some("x"));
        let line = parse("read -nf -o/tmp/x op://a/b/c").expect("parses");
        assert!(line.on("no-newline") && line.on("force"));
        assert_eq!(line.flag("out-file"), Some("/tmp/x"));
        let line = parse("run --env-file a -- sh -c --env-file").expect("parses");
        assert_eq!(line.words.len(), 3);
    }

    #[test]
    fn complains_as_op_does() {
        let complaint = |text| parse(text).expect_err("fails");
        assert_eq!(complaint("frob"), "unknown command \"frob\" for \"op\"");
        assert_eq!(
            complaint("item frob"),
            "unknown command \"frob\" for \"op item\""
        );
        assert_eq!(complaint("read --reveal x"), "unknown flag: --reveal");
        assert_eq!(
            complaint("item get x --vault"),
            "flag needs an argument: --vault"
        );
    }
}
