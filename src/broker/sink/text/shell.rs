//! One statement per variable for each shell that evaluates text.
//!
//! POSIX shells, fish and tcsh get a quoted literal; Elvish, Xonsh and PowerShell get bytes as
//! ASCII digits, which no quoting rule of theirs can touch. All of it was measured in the real
//! shells (`tests/it/shells.rs`). Hexadecimal and base64 are encoded into locked memory by
//! `base/encode.rs`.

use super::variable::{Variable, push_replaced};
use crate::base::encode::{push_base64, push_hex};
use crate::base::locked_memory::Locked;

/// `export N='…'`: nothing but `'` has a meaning between single quotes.
pub(super) fn sh(text: &mut Locked, variable: Variable<'_>) {
    push_around(text, b"export ", variable, b"='", b"'\n", |text, value| {
        push_replaced(text, value, |byte| match byte {
            b'\'' => Some(b"'\\''"),
            _ => None,
        });
    });
}

/// `set -gx N '…';`: the semicolon keeps lines apart where `eval` joins them.
pub(super) fn fish(text: &mut Locked, variable: Variable<'_>) {
    push_around(
        text,
        b"set -gx ",
        variable,
        b" '",
        b"';\n",
        |text, value| {
            push_replaced(text, value, |byte| match byte {
                b'\'' => Some(b"\\'"),
                b'\\' => Some(b"\\\\"),
                _ => None,
            });
        },
    );
}

/// `setenv N '…';`: history expansion reaches into single quotes, and the semicolon keeps lines
/// apart where `eval` joins them.
pub(super) fn tcsh(text: &mut Locked, variable: Variable<'_>) {
    push_around(text, b"setenv ", variable, b" '", b"';\n", |text, value| {
        push_replaced(text, value, |byte| match byte {
            b'\'' => Some(b"'\\''"),
            b'!' => Some(b"\\!"),
            _ => None,
        });
    });
}

/// `set-env N "\xHH…"`.
pub(super) fn elvish(text: &mut Locked, variable: Variable<'_>) {
    push_around(
        text,
        b"set-env ",
        variable,
        b" \"",
        b"\"\n",
        push_hex_escapes,
    );
}

/// `$N = …fsdecode(b'\xHH…')`, the inverse of what Xonsh does for a child.
///
/// Xonsh gives many names a type, by which it alters the value: `AUTO_CD` is a flag, and what ends
/// in `PATH` or `DIRS` is a list, in which it expands `~` and `$`. Each is declared a plain string
/// first.
pub(super) fn xonsh(text: &mut Locked, variable: Variable<'_>) {
    text.push(b"${...}.register('");
    text.push(variable.name.as_str().as_bytes());
    text.push(b"', type='str')\n");
    let open = b" = __import__('os').fsdecode(b'";
    push_around(text, b"$", variable, open, b"')\n", push_hex_escapes);
}

/// `$env:N = …` from base64: PowerShell takes typographic quotes for quotes.
pub(super) fn powershell(text: &mut Locked, variable: Variable<'_>) {
    let open = b" = [System.Text.Encoding]::UTF8.GetString([System.Convert]::FromBase64String('";
    push_around(text, b"$env:", variable, open, b"'))\n", push_base64);
}

fn push_around(
    text: &mut Locked,
    keyword: &[u8],
    variable: Variable<'_>,
    open: &[u8],
    close: &[u8],
    push_value: impl Fn(&mut Locked, &[u8]),
) {
    text.push(keyword);
    text.push(variable.name.as_str().as_bytes());
    text.push(open);
    push_value(text, variable.value);
    text.push(close);
}

fn push_hex_escapes(text: &mut Locked, value: &[u8]) {
    for &byte in value {
        text.push(b"\\x");
        push_hex(text, &[byte]);
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::sink::text::tests::{name, one};
    use crate::broker::sink::text::{Format, Variable, render};

    fn raw(format: Format, value: &[u8]) -> String {
        let name = name("N");
        let variable = Variable { name: &name, value };
        let text = render(format, &[variable]).expect("can be written");
        String::from_utf8(text.to_vec()).expect("UTF-8")
    }

    #[test]
    fn sh_leaves_and_reenters_the_quotes_for_a_quote() {
        assert_eq!(raw(Format::Sh, b"a'b$(id)"), "export N='a'\\''b$(id)'\n");
        assert_eq!(raw(Format::Sh, b""), "export N=''\n");
        assert_eq!(raw(Format::Sh, b"a\nb\\"), "export N='a\nb\\'\n");
    }

    #[test]
    fn fish_escapes_quotes_and_backslashes() {
        assert_eq!(raw(Format::Fish, b"a'\\b"), "set -gx N 'a\\'\\\\b';\n");
    }

    #[test]
    fn tcsh_escapes_history_and_refuses_newlines() {
        assert_eq!(raw(Format::Tcsh, b"a'b!"), "setenv N 'a'\\''b\\!';\n");
        assert_eq!(one(Format::Tcsh, b"a\nb"), Err("it contains a newline"));
    }

    #[test]
    fn elvish_and_xonsh_get_ascii_digits_only() {
        assert_eq!(raw(Format::Elvish, b"a\xff"), "set-env N \"\\x61\\xff\"\n");
        assert_eq!(
            raw(Format::Xonsh, b"'\n"),
            "${...}.register('N', type='str')\n$N = __import__('os').fsdecode(b'\\x27\\x0a')\n"
        );
    }

    #[test]
    fn powershell_gets_padded_base64_and_no_empty_value() {
        for (value, digits) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{2019}~?>", "4oCZfj8+"),
        ] {
            let text = raw(Format::Powershell, value.as_bytes());
            assert!(text.contains(&format!("('{digits}')")), "{text}");
        }
        assert!(one(Format::Powershell, b"").is_err());
    }
}
