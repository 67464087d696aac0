//! Files of `NAME=value` lines, each in the dialect of one reader; there is no common one.
//!
//! After writing, each line is read again the way its reader does it, comparing in place, so
//! that a mistake here is a refusal and not a changed secret.

use super::variable::{Variable, push_replaced};
use crate::base::locked_memory::Locked;

/// systemd's `SHELL_NEED_ESCAPE`: what a backslash escapes between double quotes.
const ESCAPED: &[u8] = b"\"\\`$";

/// `N="…"` with raw newlines. Never bare: a bare value that ends in `\` swallows the next line.
pub(super) fn systemd(text: &mut Locked, variable: Variable<'_>) {
    text.push(variable.name.as_str().as_bytes());
    text.push(b"=\"");
    push_replaced(text, variable.value, |byte| match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        b'`' => Some(b"\\`"),
        b'$' => Some(b"\\$"),
        _ => None,
    });
    text.push(b"\"\n");
}

/// Why systemd would not carry this UTF-8 value.
///
/// Noncharacters are valid Unicode, but systemd calls them invalid, drops the whole file and
/// prints the value into the journal.
pub(super) fn systemd_obstacle(value: &str) -> Option<&'static str> {
    let noncharacter = |c| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    value
        .contains(noncharacter)
        .then_some("it contains a Unicode noncharacter")
}

/// Whether systemd's `parse_env_file` makes exactly `variable` of `text`.
pub(super) fn systemd_reads(text: &[u8], variable: Variable<'_>) -> bool {
    let Some(mut quoted) = text
        .strip_prefix(variable.name.as_str().as_bytes())
        .and_then(|rest| rest.strip_prefix(b"=\""))
    else {
        return false;
    };
    let mut expected = variable.value.iter();
    while let Some((&byte, rest)) = quoted.split_first() {
        quoted = rest;
        let meant = match (byte, rest.first()) {
            (b'"', _) => return expected.next().is_none() && rest == b"\n",
            (b'\\', Some(next)) if ESCAPED.contains(next) => {
                quoted = &rest[1..];
                *next
            }
            (b'\\', _) => return false,
            _ => byte,
        };
        if expected.next() != Some(&meant) {
            return false;
        }
    }
    false
}

/// Go's `bufio.MaxScanTokenSize`: a line of this many bytes is an error to Docker.
const LINE_LIMIT: usize = 64 * 1024;

/// Why Docker's or Podman's `--env-file` would not carry this UTF-8 value.
///
/// Docker from version 28 on takes a pair of quotes off a value, older ones keep it.
pub(super) fn docker_obstacle(variable: Variable<'_>) -> Option<&'static str> {
    let Variable { name, value } = variable;
    let quoted = |quote: u8| value.len() > 1 && value[0] == quote && value.ends_with(&[quote]);
    if value.contains(&b'\n') {
        Some("it contains a newline")
    } else if value.ends_with(b"\r") {
        Some("it ends in a carriage return")
    } else if name.as_str().len() + 1 + value.len() >= LINE_LIMIT {
        Some("its line would reach 64 KiB")
    } else if quoted(b'"') || quoted(b'\'') {
        Some("it is surrounded by quotes, which some versions remove")
    } else {
        None
    }
}

/// `N=…`: Docker knows no quoting.
pub(super) fn docker(text: &mut Locked, variable: Variable<'_>) {
    text.push(variable.name.as_str().as_bytes());
    text.push(b"=");
    text.push(variable.value);
    text.push(b"\n");
}

/// Whether Docker's `kvfile` makes exactly `variable` of `text`.
pub(super) fn docker_reads(text: &[u8], variable: Variable<'_>) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n');
    let (Some(line), Some(b""), None) = (lines.next(), lines.next(), lines.next()) else {
        return false;
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.len() < LINE_LIMIT
        && line
            .strip_prefix(variable.name.as_str().as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
            == Some(variable.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sink::text::tests::{name, one};
    use crate::broker::sink::text::{Format, Variable};

    #[test]
    fn systemd_escapes_four_characters_and_keeps_newlines() {
        assert_eq!(
            one(Format::Systemd, b"a\"b\\c$d`e\nf'#").as_deref(),
            Ok(r#"N=\"a\\\"b\\\\c\\$d\\`e\nf\'#\"\n"#)
        );
    }

    #[test]
    fn noncharacters_never_reach_systemd() {
        for refused in [
            "\u{fdd0}",
            "a\u{fffe}",
            "\u{ffff}",
            "\u{1fffe}",
            "\u{10ffff}",
        ] {
            assert!(one(Format::Systemd, refused.as_bytes()).is_err());
            assert!(one(Format::Json, refused.as_bytes()).is_ok());
        }
        assert!(one(Format::Systemd, "\u{fffd}\u{fdcf}\u{10fffd}".as_bytes()).is_ok());
    }

    #[test]
    fn what_systemd_would_read_differently_does_not_pass() {
        let name = name("N");
        let reads = |text: &[u8], value: &[u8]| {
            let variable = Variable { name: &name, value };
            systemd_reads(text, variable)
        };
        assert!(reads(b"N=\"a\\$\"\n", b"a$"));
        assert!(!reads(b"N=\"a\n", b"a\n"), "no closing quote");
        assert!(!reads(b"N=\"a\"b\"\n", b"ab"), "closed too early");
        assert!(!reads(b"N=\"a\\b\"\n", b"ab"), "a stray backslash");
        assert!(!reads(b"N=\"a\"\n", b"ab"), "too short");
        assert!(!reads(b"N=a\\\n", b"a\\"), "bare");
    }

    #[test]
    fn docker_takes_bare_lines_and_refuses_the_rest() {
        assert_eq!(
            one(Format::Docker, b" a'b$c=#").as_deref(),
            Ok("N= a\\\'b$c=#\\n")
        );
        assert_eq!(one(Format::Docker, b"'").as_deref(), Ok("N=\\\'\\n"));
        for refused in [&b"a\nb"[..], b"a\r", b"\"a\"", b"''", &[b'x'; 65534]] {
            assert!(one(Format::Docker, refused).is_err());
        }
        assert!(one(Format::Docker, &[b'x'; 65533]).is_ok());
    }

    #[test]
    fn what_docker_would_read_differently_does_not_pass() {
        let name = name("N");
        for (text, value) in [
            (&b"N=a\nB=c\n"[..], &b"a\nB=c"[..]),
            (b"N=a\r\n", b"a\r"),
            (b"N=a", b"a"),
            (b" N=a\n", b"b"),
        ] {
            let variable = Variable { name: &name, value };
            assert!(!docker_reads(text, variable));
        }
    }
}
