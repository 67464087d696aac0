//! GitHub Actions: commands that mask the values in the log, and text for `$GITHUB_ENV`.
//!
//! Two texts for two places, so they are a type of their own and cannot be confused: the runner
//! masks only what it reads on **stdout**, and sets only what it finds in the **file**. The masks
//! must be written first.

use super::variable::{NOT_UTF8, NUL, Variable, push_replaced, room_for, unwritable};
use crate::base::encode::push_hex;
use crate::base::error::{Error, Result};
use crate::base::locked_memory::Locked;

/// What a GitHub Actions step has to write, in this order.
pub(crate) struct Github {
    /// `::add-mask::` commands, for stdout.
    pub masks: Locked,
    /// `NAME<<delimiter` documents, to append to the file that `$GITHUB_ENV` names.
    pub environment: Locked,
}

/// Lines of fewer characters are not masked: `{` would make the whole log unreadable.
const SHORTEST_MASK: usize = 4;

/// The texts that mask and set all `variables`.
///
/// # Errors
/// [`Error::Unwritable`] for a NUL or bytes that are not UTF-8 (the runner would mask something
/// else), [`Error::System`] when there is no randomness.
pub(crate) fn github(variables: &[Variable<'_>]) -> Result<Github> {
    for variable in variables {
        let why = match variable.value {
            value if value.contains(&0) => NUL,
            value if std::str::from_utf8(value).is_err() => NOT_UTF8,
            _ => continue,
        };
        return Err(unwritable(*variable, "github", why));
    }
    let mut masks = room_for(variables);
    let mut environment = room_for(variables);
    // Ends a line that an earlier step left open; the runner skips empty ones.
    environment.push(b"\n");
    for variable in variables {
        push_masks(&mut masks, variable.value);
        push_document(&mut environment, *variable)?;
    }
    Ok(Github { masks, environment })
}

/// The whole value, and each of its lines, because a log is masked line by line.
fn push_masks(masks: &mut Locked, value: &[u8]) {
    push_mask(masks, value);
    for line in value.split(|byte| matches!(byte, b'\r' | b'\n')) {
        if line.len() < value.len() && characters(line) >= SHORTEST_MASK {
            push_mask(masks, line);
        }
    }
}

/// Blank masks are left out: the runner warns about them.
fn push_mask(masks: &mut Locked, value: &[u8]) {
    if value.trim_ascii().is_empty() {
        return;
    }
    masks.push(b"::add-mask::");
    push_replaced(masks, value, |byte| match byte {
        b'%' => Some(b"%25"),
        b'\r' => Some(b"%0D"),
        b'\n' => Some(b"%0A"),
        _ => None,
    });
    masks.push(b"\n");
}

/// The number of characters in UTF-8 text: bytes that do not continue one.
fn characters(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

fn push_document(environment: &mut Locked, variable: Variable<'_>) -> Result<()> {
    let delimiter = delimiter(variable.value)?;
    environment.push(variable.name.as_str().as_bytes());
    environment.push(b"<<");
    environment.push(&delimiter);
    environment.push(b"\n");
    environment.push(variable.value);
    environment.push(b"\n");
    environment.push(&delimiter);
    environment.push(b"\n");
    Ok(())
}

/// 128 random bits that do not occur in `value`, so that no value can end its document.
fn delimiter(value: &[u8]) -> Result<Locked> {
    loop {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|why| Error::system("draw random bytes", why))?;
        let mut delimiter = Locked::copy_of(b"oc_");
        push_hex(&mut delimiter, &random);
        if memchr::memmem::find(value, &delimiter).is_none() {
            return Ok(delimiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sink::text::tests::name;

    fn texts(value: &[u8]) -> (String, String) {
        let name = name("N");
        let variable = Variable { name: &name, value };
        let Github { masks, environment } = github(&[variable]).expect("can be written");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        (text(&masks), text(&environment))
    }

    #[test]
    fn a_value_is_masked_whole_and_by_line() {
        let (masks, _) = texts("100%\r\nline two\n}\nvié\nviéé".as_bytes());
        assert_eq!(
            masks,
            "::add-mask::100%25%0D%0Aline two%0A}%0Avié%0Aviéé\n\
             ::add-mask::100%25\n\
             ::add-mask::line two\n\
             ::add-mask::viéé\n"
        );
    }

    #[test]
    fn one_line_is_masked_once_even_if_short_and_blanks_never() {
        assert_eq!(texts(b"abc").0, "::add-mask::abc\n");
        assert_eq!(texts(b"  ").0, "");
        assert_eq!(texts(b"").0, "");
        assert_eq!(
            texts(b"\nsame\n").0,
            "::add-mask::%0Asame%0A\n::add-mask::same\n"
        );
    }

    #[test]
    fn a_document_ends_at_a_delimiter_that_is_new_each_time() {
        let (_, first) = texts(b"a\nN<<EOF\nEOF\n");
        let (_, second) = texts(b"a\nN<<EOF\nEOF\n");
        assert_ne!(first, second);
        let delimiter = first
            .strip_prefix("\nN<<oc_")
            .and_then(|rest| rest.get(..32))
            .expect("a delimiter of 128 bits");
        assert_eq!(
            first,
            format!("\nN<<oc_{delimiter}\na\nN<<EOF\nEOF\n\noc_{delimiter}\n")
        );
    }

    #[test]
    fn what_the_runner_would_alter_is_refused() {
        let name = name("N");
        for value in [&b"\0"[..], b"\xff"] {
            let variable = Variable { name: &name, value };
            assert!(github(&[variable]).is_err());
        }
    }
}
