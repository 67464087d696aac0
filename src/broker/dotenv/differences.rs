//! Where `op run` reads a file otherwise than one would expect, so that nobody's reading is safe:
//! such a line is refused.
//!
//! Measured of `op` 2.34.1: it rejects files with a byte order mark or a NUL; `#` begins a comment
//! in an unquoted value with or without a blank before it; in double quotes it decodes `\n`, `\"`
//! and `\\` alone; `exportA=1` sets `A`; `$A` is what its
//! own environment says; and names of variables have no case.
//! What is not known of it is refused as well: a `\` before `$ # " ' \` without quotes.

/// Where a line differs, why, and what to write instead.
pub(super) type Difference = (usize, &'static str, &'static str);

/// A variable that an earlier line and our environment set to different values.
pub(super) const TWICE: Difference = (
    0,
    "an earlier line sets this variable, and `op run` takes the other value in its environment",
    "write the value out, or unset the variable in the environment",
);

/// A variable that is set under a name that differs in case.
pub(super) const CASE: Difference = (
    0,
    "this variable is set with another case, of which `op run` takes no notice",
    "write its name as where it is set",
);

/// What spoils the whole file.
pub(super) fn in_file(text: &str) -> Option<Difference> {
    if text.starts_with('\u{feff}') {
        let what = "the file begins with a byte order mark, for which `op run` rejects all of it";
        return Some((0, what, "save the file as UTF-8 without a mark"));
    }
    let what = "a NUL character, for which `op run` rejects the whole file";
    let nul = text.find('\0')?;
    Some((nul, what, "remove it: no environment can carry one"))
}

/// A name, the words before it included, of which `op run` takes another part for the name.
pub(super) fn in_name(name: &str) -> Option<Difference> {
    let rest = name.strip_prefix("export")?;
    let glued = rest.starts_with(|c: char| !c.is_whitespace());
    let what = "`op run` takes the `export` at the beginning of this name for the word";
    glued.then_some((
        0,
        what,
        "write a blank behind `export`, or rename the variable",
    ))
}

/// What `op run` does not take, or may not take, for a part of an unquoted value.
pub(super) fn in_unquoted(value: &str) -> Option<Difference> {
    let special = |&(at, c): &(usize, char)| match c {
        '#' => true,
        '\\' => value[at + 1..].starts_with(['$', '#', '"', '\'', '\\']),
        _ => false,
    };
    let (at, c) = value.char_indices().find(special)?;
    Some(match c {
        '#' => (
            at,
            "`op run` begins a comment at this `#`, though no blank is before it",
            "put the value in quotes, or a blank before a comment",
        ),
        _ => (
            at,
            "how `op run` reads this `\\` without quotes is not known",
            "put the value in quotes",
        ),
    })
}

/// A plain value in which `op run` sees a template.
pub(super) fn in_template(value: &str) -> Option<Difference> {
    let what = "`op run` takes `{{` for the beginning of a template";
    let hint = "write {{ op://vault/item/field }} and nothing else, or put the braces together in the program";
    value.contains("{{").then_some((0, what, hint))
}

/// A `\` in double quotes, at the start of `text`, that `op run` does not decode.
pub(super) fn in_escape(text: &str) -> Option<Difference> {
    let decoded = text[1..].starts_with(['n', '"', '\\']);
    let what = "in double quotes `op run` decodes \\n, \\\" and \\\\ alone, and keeps this `\\`";
    let hint = "write the character itself, \\\\ for a plain `\\`, or single quotes around a value with `$`";
    (!decoded).then_some((0, what, hint))
}
