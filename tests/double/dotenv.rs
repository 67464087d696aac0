//! `--env-file`: `KEY=VALUE` lines, of which the values are templates. As 2.34.1 was measured to read
//! them: a byte order mark, a NUL or a quote that is not closed spoils the whole file; `export` may
//! touch the name; an unquoted value ends at `#`; in double quotes `\n`, `\"` and `\\` are decoded
//! and any other `\` stays.

use crate::failure::Failure;

/// One definition.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    pub name: String,
    pub value: String,
    /// Whether variables are replaced: not in single quotes.
    pub expands: bool,
}

/// Reads one file.
/// ASSUMPTION: the words when it is not there or not UTF-8.
pub fn read(path: &str) -> Result<Vec<Definition>, Failure> {
    let failed = |why: &str| Failure::new(format!("open {path}: {why}"));
    let bytes = std::fs::read(path).map_err(|_| failed("no such file or directory"))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("invalid UTF-8"))?;
    parse(&text).map_err(|line| failed(&format!("invalid line: {line}")))
}

/// Parses a file's text; an error is the name of the line that is none.
fn parse(text: &str) -> Result<Vec<Definition>, String> {
    if text.starts_with('\u{feff}') || text.contains('\0') {
        return Err("(the file)".to_owned());
    }
    let mut definitions = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let (name, _) = line.split_once('=').ok_or_else(|| trimmed.to_owned())?;
        let name = name.trim();
        let name = name
            .strip_prefix("export")
            .unwrap_or(name)
            .trim()
            .to_owned();
        let value = rest
            .split_once('=')
            .map_or("", |(_, value)| value)
            .trim_start_matches([' ', '\t']);
        let (definition, remaining) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(name, value, quote)?,
            _ => plain(name, value),
        };
        definitions.push(definition);
        rest = remaining;
    }
    Ok(definitions)
}

fn plain(name: String, text: &str) -> (Definition, &str) {
    let (value, rest) = text.split_once('\n').unwrap_or((text, ""));
    let value = value.split('#').next().unwrap_or_default();
    let value = value.trim().to_owned();
    (
        Definition {
            name,
            value,
            expands: true,
        },
        rest,
    )
}

/// Quoted text, over several lines if need be; what follows on its last line is dropped.
fn quoted(name: String, text: &str, quote: char) -> Result<(Definition, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == quote {
            let rest = text[at + 1..].split_once('\n').map_or("", |(_, rest)| rest);
            let expands = quote == '"';
            return Ok((
                Definition {
                    name,
                    value,
                    expands,
                },
                rest,
            ));
        }
        match c {
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other @ ('"' | '\\'))) => value.push(other),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    Err(name)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn takes_what_is_documented() {
        let text = "# note\n\nA=1\nB = \"op://$X/i/f\"  \nC='$raw'\nEMPTY=\nJSON={\"foo\":\"bar\"}\nM=\"a\nb\"\nN=\"x\\\"y\"\n";
        let found = parse(text).expect("parses");
        let shown: Vec<_> = found
            .iter()
            .map(|d| (d.name.as_str(), d.value.as_str(), d.expands))
            .collect();
        assert_eq!(
            shown,
            [
                ("A", "1", true),
                ("B", "op://$X/i/f", true),
                ("C", "$raw", false),
                ("EMPTY", "", true),
                ("JSON", "{\"foo\":\"bar\"}", true),
                ("M", "a\nb", true),
                ("N", "x\"y", true),
            ]
        );
        for (text, value) in [
            ("A=a#b", "a"),
            ("A=#b", ""),
            ("exportA=1", "1"),
            ("export A=1", "1"),
            (r#"A="x\ty\qz""#, r"x\ty\qz"),
            (r"A='x\n'", r"x\n"),
        ] {
            let found = parse(text).expect("parses");
            assert_eq!(
                (found[0].name.as_str(), found[0].value.as_str()),
                ("A", value)
            );
        }
        for text in ["\u{feff}A=1", "# a\0b\nA=1", "A='x", "A=\"x"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("nonsense"), Err("nonsense".to_owned()));
    }
}
