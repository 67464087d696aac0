//! `--env-file`: the dotenv form of `op run`, in which `KEY=op://…` is a secret.
//!
//! A crate such as dotenvy does not fit: it refuses blanks in unquoted values, which references
//! have, and its errors quote the line. Errors here hold a position and names, never a value.
//!
//! Values are trimmed unless quoted, and quotes may span lines. `\n`, `\"` and `\\` are escapes in
//! double quotes. `$NAME`, `${NAME}` and
//! `${NAME:-default}` are replaced from earlier lines, then from our environment, but not in single
//! quotes. A `#` behind a blank begins a comment. Source: "Environment file syntax rules" on
//! 1Password's page "Load secrets into the environment". Where `op` was seen to read otherwise, the
//! line is refused: see `differences`.

use std::path::PathBuf;

use crate::base::environment::Lookup;
use crate::base::error::Result;
use crate::broker::manifest::file::{self, Document, Kind};

mod definition;
mod differences;
mod known;
mod syntax;
mod reader;

use known::KnownDefinitions;
use reader::Reader;

pub(crate) use definition::{Definition, Value};
pub(crate) use reader::BORROWED;

/// The definitions of all `files` together, of which the last one wins; `None` without a file.
/// Pipes such as `<(…)` are read too.
///
/// # Errors
/// [`Error::Manifest`](crate::base::error::Error::Manifest) for the first file that cannot be used.
pub(crate) fn load(files: &[PathBuf], environment: Lookup<'_>) -> Result<Option<Vec<Definition>>> {
    let mut definitions = vec![];
    for path in files {
        let text = file::read(path, Kind::Pipe)?
            .ok_or_else(|| file::refuse(path, "no such file", "check the path after --env-file"))?;
        parse(
            &text,
            &path.display().to_string(),
            &mut definitions,
            environment,
        )?;
    }
    Ok((!files.is_empty()).then_some(definitions))
}

/// Adds the definitions of `text`, called `label` in errors, to `known`.
///
/// # Errors
/// [`Error::Manifest`](crate::base::error::Error::Manifest) for the first thing that is wrong.
pub(crate) fn parse(
    text: &str,
    label: &str,
    known: &mut Vec<Definition>,
    environment: Lookup<'_>,
) -> Result<()> {
    read(text, label, known, environment, false)
}

/// The definitions of `text` alone: what a value takes in from any environment, or from an earlier
/// line that may hold a secret, is only marked, by [`BORROWED`]. What [`parse`] refuses for what is
/// in `environment` is refused here too.
///
/// # Errors
/// As [`parse`].
pub(crate) fn own(text: &str, label: &str, environment: Lookup<'_>) -> Result<Vec<Definition>> {
    let mut definitions = vec![];
    read(text, label, &mut definitions, environment, true)?;
    Ok(definitions)
}

fn read(
    text: &str,
    label: &str,
    known: &mut Vec<Definition>,
    environment: Lookup<'_>,
    marks: bool,
) -> Result<()> {
    let document = Document::new(label, text);
    if let Some((at, what, hint)) = differences::in_file(text) {
        return Err(document.error(at, what, hint));
    }
    let mut all = KnownDefinitions::default();
    for definition in known.drain(..) {
        all.add(definition);
    }
    let mut at = 0;
    while let Some(start) = syntax::next_definition(text, at) {
        let mut reader = Reader {
            document: &document,
            known: &all,
            environment,
            marks,
            missing: vec![],
        };
        let (definition, end) = reader.definition(start)?;
        if all.add(definition).is_none() {
            let what = "all values together grow beyond 16 MiB";
            return Err(document.error(start, what, "look for variables that repeat each other"));
        }
        at = end;
    }
    *known = all.into_list();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "APP_ENV" => Some("dev".into()),
            "BLANK" => Some("".into()),
            "CANARY" => Some("hunter2".into()),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Vec<Definition>> {
        let mut definitions = vec![];
        parse(text, "f", &mut definitions, &environment)?;
        Ok(definitions)
    }

    /// `NAME=value`, and `NAME:reference` for a secret.
    fn shown(text: &str) -> Vec<String> {
        let show = |definition: &Definition| match &definition.value {
            Value::Plain(value) => format!("{}={value}", definition.name),
            Value::Secret(reference) => format!("{}:{reference}", definition.name),
        };
        let definitions = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        definitions.iter().map(show).collect()
    }

    #[test]
    fn every_documented_form_is_understood() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n  \n# A=1\n  # B=2", &[]),
            ("A=1\nB = 2 \r\n\tC\t=\t3\t", &["A=1", "B=2", "C=3"]),
            (
                "EMPTY=\nBLANK=   \nQUOTED=\"\"",
                &["EMPTY=", "BLANK=", "QUOTED="],
            ),
            (
                "export A=1\nexport\tB=2\nexport=3",
                &["A=1", "B=2", "export=3"],
            ),
            ("A=' a '\nB=\" b \"", &["A= a ", "B= b "]),
            (
                "A=\"one\ntwo\"\nB='three\n\n# four'",
                &["A=one\ntwo", "B=three\n\n# four"],
            ),
            (
                "A={\"foo\":\"bar\"}\nB=it's",
                &["A={\"foo\":\"bar\"}", "B=it's"],
            ),
            ("A=a=b==", &["A=a=b=="]),
            (
                "A=1 # note\nB=b\nC='#fff'\nD= # note\nE=\"#\"# note\nF='x'  # y",
                &["A=1", "B=b", "C=#fff", "D=", "E=#", "F=x"],
            ),
            ("A=1\nB=2\nA=3", &["B=2", "A=3"]),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn escapes_depend_on_the_quotes() {
        for (text, expected) in [
            (r#"A="a\nb\"d\"\\e\\t""#, "A=a\nb\"d\"\\e\\t"),
            (r"A='a\nb\\c$D'", r"A=a\nb\\c$D"),
            (r"A=C:\new\dir", r"A=C:\new\dir"),
            (r"A=end\", r"A=end\"),
        ] {
            assert_eq!(shown(text), [expected], "{text:?}");
        }
    }

    #[test]
    fn variables_come_from_earlier_lines_then_from_the_environment() {
        for (value, expected) in [
            ("$APP_ENV", "dev"),
            ("${APP_ENV}/x", "dev/x"),
            ("${ APP_ENV }", "dev"),
            ("\"$APP_ENV-$A\"", "dev-1"),
            ("'$APP_ENV'", "$APP_ENV"),
            ("$NOWHERE", ""),
            ("${NOWHERE:-fall back}", "fall back"),
            ("${BLANK:-fall back}", "fall back"),
            ("${BLANK}", ""),
            ("${A:-x}", "1"),
            ("${A:-}${NOWHERE:-}", "1"),
            ("5$ $5 $", "5$ $5 $"),
            ("$A$A", "11"),
            ("$É", "$É"),
        ] {
            let text = format!("A=1\nX={value}");
            assert_eq!(shown(&text)[1], format!("X={expected}"), "{value}");
        }
        assert_eq!(shown("APP_ENV=dev\nX=$APP_ENV")[1], "X=dev");
    }

    #[test]
    fn a_reference_is_a_secret() {
        for (value, expected) in [
            ("op://v/i/f", "op://v/i/f"),
            ("op://v/an item/a field # note", "op://v/an item/a field"),
            (
                "\"op://$APP_ENV/mysql/s/password\"",
                "op://dev/mysql/s/password",
            ),
            ("'op://v/i/f?attribute=otp'", "op://v/i/f?attribute=otp"),
            ("op://${VAULT:-dev}/i/f", "op://dev/i/f"),
            ("{{ op://v/i/f }}", "op://v/i/f"),
            ("\"{{op://v/i/f}}\"", "op://v/i/f"),
            ("$FIRST", "op://v/i/first"),
        ] {
            let text = format!("FIRST=op://v/i/first\nX={value}");
            assert_eq!(shown(&text)[1], format!("X:{expected}"), "{value}");
        }
        assert_eq!(shown("X=shop://v/i/f"), ["X=shop://v/i/f"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_never_with_its_value() {
        const OWN: &str = "a secret needs a variable of its own | define the secret as NAME=op://… and put the parts together in the program";
        const NAME: &str = "a name is a letter or `_`, then letters, digits and `_`, at most 255 of them | write NAME=VALUE with a name such as API_KEY";
        const CLOSE: &str =
            "this quote is never closed | close it, or put quotes of the other kind around it";
        const BRACES: &str = "no variable's name between these braces | write ${NAME} or ${NAME:-default}, or single quotes around a value with a plain `$`";
        for (text, expected) in [
            ("A=1\n  hunter2", "2:3: no `=` in this line | write NAME=VALUE, or # before a comment".to_owned()),
            ("export A", "1:1: no `=` in this line | write NAME=VALUE, or # before a comment".to_owned()),
            ("=hunter2", format!("1:1: {NAME}")),
            ("hunter2 x=1", format!("1:1: {NAME}")),
            ("export  a-b=hunter2", format!("1:9: {NAME}")),
            (
                "export PATH=hunter2",
                "1:8: `PATH`: this name steers shells, so no manifest may set it | write NAME=VALUE with a name such as API_KEY".to_owned(),
            ),
            ("é=1", format!("1:1: {NAME}")),
            ("A = 'hunter2\nB=1\n", format!("1:5: {CLOSE}")),
            ("A=\"hunter2\\\"", format!("1:3: {CLOSE}")),
            (
                "A=\"é\" hunter2",
                "1:7: text after the closing quote | put the whole value in quotes, of the other kind if it has some".to_owned(),
            ),
            (
                "A=é${hunter2",
                "1:4: this `${` is never closed | write ${NAME}, or single quotes around a value with a plain `$`".to_owned(),
            ),
            ("A=\"x\n${hunter2?}\"", format!("2:1: {BRACES}")),
            ("A=${}", format!("1:3: {BRACES}")),
            ("A=${hunter2-x}", format!("1:3: {BRACES}")),
            ("A=postgres://u:op://v/i/hunter2@h", format!("1:3: {OWN}")),
            ("A = x{{ op://v/i/hunter2 }}", format!("1:5: {OWN}")),
            ("A={{ op://v/i/f }}{{ op://v/i/g }}", format!("1:3: {OWN}")),
            ("A='$CANARY op://v/i/f'", format!("1:3: {OWN}")),
            ("B=op://v/i/f\nA=x:$B", format!("2:3: {OWN}")),
            (
                "A=op://hunter2",
                "1:3: a reference needs at least vault, item and field: op://vault/item/field | write op://vault/item/field".to_owned(),
            ),
            (
                "A=op://${STAGE}/hunter2/f",
                "1:3: a part of the reference is empty | `STAGE` is not set; set it, or write ${STAGE:-default}".to_owned(),
            ),
            (
                "A=\"op://v/i/$CANARY\nx\"",
                "1:3: a reference cannot hold control characters | write op://vault/item/field".to_owned(),
            ),
        ] {
            let error = read(text).expect_err(text);
            let hint = error.hint().unwrap_or_default();
            assert_eq!(format!("{error} | {hint}"), format!("f:{expected}"), "{text:?}");
            assert!(!format!("{error:?} {error} {hint}").contains("hunter2"), "{text:?}");
        }
    }

    #[test]
    fn what_op_reads_otherwise_is_refused_by_its_place() {
        for (text, place) in [
            ("\u{feff}A=1", "1:1"),
            ("A=1\n# no\0te", "2:5"),
            ("A=a\0b", "1:4"),
            ("A=1\nB=hunter2#x", "2:10"),
            ("A=#fff", "1:3"),
            ("A=b #c\nD=e#f # g", "2:4"),
            ("A=op://v/i/f#x", "1:13"),
            (r#"A="hunter2\tx""#, "1:11"),
            (r#"A="x\ry""#, "1:5"),
            (r#"A="\q""#, "1:4"),
            ("X = {{ other }}", "1:5"),
            (r"A=x\$B", "1:4"),
            (r"A=\\x", "1:3"),
            (r"A=it\'s", "1:5"),
            (r#"A="\$APP_ENV""#, "1:4"),
            (r#"A="\\\n\'""#, "1:8"),
            ("A=1\nexportB=2", "2:1"),
            ("APP_ENV=own\nX=hunter2$APP_ENV", "2:10"),
            ("X=a${app_env}", "1:4"),
            ("app=1\nX=$APP", "2:3"),
        ] {
            let error = read(text).expect_err(text);
            let told = format!("{error} | {}", error.hint().unwrap_or_default());
            assert!(
                told.starts_with(&format!("f:{place}: ")),
                "{text:?}: {told}"
            );
            assert!(told.contains("`op run`"), "{text:?}: {told}");
            assert!(!told.contains("hunter2"), "{text:?}: {told}");
        }
    }

    #[test]
    fn a_later_file_wins_and_sees_the_earlier_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let files = [place("a", "A=1\nB=2"), place("b", "A=3\nC=$B$A")];
        let definitions = load(&files, &environment).expect("read").expect("some");
        let values: Vec<_> = definitions
            .iter()
            .map(|d| (d.name.as_str(), d.value.clone()))
            .collect();
        let plain = |text: &str| Value::Plain(text.to_owned());
        assert_eq!(
            values,
            [("B", plain("2")), ("A", plain("3")), ("C", plain("23"))]
        );
        assert_eq!(load(&[], &environment).expect("read"), None);
        assert_eq!(
            load(&[place("e", "")], &environment).expect("read"),
            Some(vec![])
        );
    }

    #[test]
    fn an_absent_file_is_an_error() {
        let error = load(&[PathBuf::from("/absent.env")], &environment).expect_err("absent");
        assert_eq!(error.to_string(), "/absent.env: no such file");
        assert_eq!(
            error.hint().as_deref(),
            Some("check the path after --env-file")
        );
    }

    #[test]
    fn values_that_double_with_every_line_are_stopped() {
        let mut text = "A0=0123456789".to_owned();
        for n in 1..60 {
            text.push_str(&format!("\nA{n}=${{A{}}}$A{}", n - 1, n - 1));
        }
        let error = read(&text).expect_err("stopped");
        assert_eq!(error.to_string(), "f:18:11: the value grows beyond 1 MiB");
    }

    #[test]
    fn plain_values_are_not_in_debug_output() {
        let definitions = read("A=hunter2").expect("parses");
        assert!(!format!("{definitions:?}").contains("hunter2"));
    }

    #[test]
    fn no_part_of_a_file_makes_it_panic() {
        let text = "export A=\"é\\n${B:-x}\" # c\nB='y\nz'\r\nC = {{ op://v/i/f }}\nD=$É\\";
        for (at, _) in text.char_indices() {
            let _ = read(&text[at..]);
            let _ = read(&text[..at]);
        }
    }
}
