//! Variables in templates: `$var`, `${var}`, `${var:-default}`.
//!
//! Names know no case and do not begin with a digit; one that is missing becomes empty.

use std::ffi::OsString;

/// Names and values, later ones winning.
pub type Environment = Vec<(OsString, OsString)>;

/// The variable at the start of the text: its value, and how many bytes it took.
pub fn at_start(text: &str, environment: &Environment) -> Option<(String, usize)> {
    let after = text.strip_prefix('$')?;
    if let Some(inner) = after.strip_prefix('{') {
        // ASSUMPTION: braces that do not close are plain text.
        let end = inner.find('}')?;
        let (name, default) = inner[..end].split_once(":-").unwrap_or((&inner[..end], ""));
        let name = name.trim();
        let value = (name_length(name) == name.len()).then(|| look_up(name, environment))?;
        let value = value.filter(|value| !value.is_empty());
        return Some((value.unwrap_or_else(|| default.to_owned()), end + 3));
    }
    match name_length(after) {
        0 => None,
        length => {
            let value = look_up(&after[..length], environment);
            Some((value.unwrap_or_default(), length + 1))
        }
    }
}

/// Replaces every variable in a text.
pub fn expand(text: &str, environment: &Environment) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (piece, length) =
            at_start(rest, environment).unwrap_or_else(|| (c.to_string(), c.len_utf8()));
        expanded.push_str(&piece);
        rest = &rest[length..];
    }
    expanded
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn look_up(name: &str, environment: &Environment) -> Option<String> {
    let same = |other: &OsString| other.to_string_lossy().eq_ignore_ascii_case(name);
    let found = environment.iter().rev().find(|(other, _)| same(other));
    found.map(|(_, value)| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn every_form_is_replaced() {
        let environment = vec![
            ("APP_ENV".into(), "prod".into()),
            ("EMPTY".into(), "".into()),
        ];
        for (text, expected) in [
            ("op://$APP_ENV/x", "op://prod/x"),
            ("op://${ app_env }/x", "op://prod/x"),
            ("${VAULT:-dev}/${EMPTY:-full}", "dev/full"),
            ("[$missing] $1 $", "[] $1 $"),
        ] {
            assert_eq!(expand(text, &environment), expected);
        }
    }
}
