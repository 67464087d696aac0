//! One item as `op item get --format json` prints it: exact values, and names that the `op://`
//! syntax cannot carry.
//!
//! The answer stays where it was read; values are borrowed as raw JSON and unescaped by
//! [`unescape`] straight into locked memory, because serde_json's own scratch buffer would keep
//! every value that holds an escape. Every key may be absent: `op` omits what is empty.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::base::suggest;
use crate::base::ui;
use crate::broker::provider::Outcome;
use crate::broker::reference::Reference;

/// An item, borrowed from `op`'s answer.
#[derive(Deserialize)]
pub(crate) struct Item<'a> {
    // Every item has one; without it the JSON is of something else.
    #[serde(borrow, rename = "id")]
    _id: &'a RawValue,
    #[serde(borrow, default)]
    fields: Vec<Field<'a>>,
    #[serde(borrow, default)]
    files: Vec<File<'a>>,
}

#[derive(Deserialize)]
struct Field<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    label: Option<Cow<'a, str>>,
    #[serde(borrow)]
    section: Option<Section<'a>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    totp: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    purpose: Option<&'a RawValue>,
    #[serde(borrow)]
    ssh_formats: Option<SshFormats<'a>>,
}

#[derive(Deserialize)]
struct Section<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    label: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct SshFormats<'a> {
    #[serde(borrow)]
    openssh: Option<SshFormat<'a>>,
}

#[derive(Deserialize)]
struct SshFormat<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// Reads one item out of `answer`.
///
/// # Errors
/// [`Error::OpNonsense`] without a word of the answer.
pub(crate) fn parse(answer: &[u8]) -> Result<Item<'_>> {
    // The parser's error would quote the value that it stumbled over.
    serde_json::from_slice(answer).map_err(|_| Error::OpNonsense {
        what: "it is not the JSON of an item",
    })
}

impl Item<'_> {
    /// The value that `reference` names within this item.
    ///
    /// # Errors
    /// [`Trouble`] when the field is missing, ambiguous or no text.
    pub(crate) fn value(&self, reference: &Reference) -> Outcome {
        let field = self.field(reference)?;
        let raw = match reference.query.as_deref() {
            None | Some("attribute=value" | "attr=value") => field.value,
            Some("attribute=otp" | "attr=otp") => field.totp,
            Some("attribute=type" | "attr=type") => field.kind,
            Some("attribute=purpose" | "attr=purpose") => field.purpose,
            Some("ssh-format=openssh") => {
                let formats = field.ssh_formats.as_ref();
                formats
                    .and_then(|f| f.openssh.as_ref())
                    .and_then(|f| f.value)
            }
            Some(_) => {
                return Err(Trouble::Unusable {
                    why: "this query is unknown, or works only with names that `op://` can carry",
                });
            }
        };
        // `op` omits the value of an empty field.
        let Some(raw) = raw else {
            return Ok(Secret::copy_of(b""));
        };
        unescape(raw.get()).ok_or(Trouble::Unusable {
            why: "it is not a text",
        })
    }

    /// Whether `reference` names a file that is attached to this item.
    pub(crate) fn has_file(&self, reference: &Reference) -> bool {
        self.files.iter().any(|file| {
            [&file.name, &file.id]
                .into_iter()
                .flatten()
                .any(|name| same(name, &reference.field))
        })
    }

    /// The label that is nearest to `field`, or the first ones.
    fn instead_of(&self, field: &str) -> Option<String> {
        const MOST: usize = 8;
        let mut labels: Vec<&str> = vec![];
        for label in self.labels().filter(|label| !label.is_empty()) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        let near = suggest::nearest(field, labels.iter().copied());
        if near.is_none() && labels.len() > MOST {
            labels.truncate(MOST);
            labels.push("…");
        }
        // Whoever writes to the vault chooses them.
        let told = || ui::in_a_line(&suggest::hint(field, &labels, "the item has"));
        (!labels.is_empty()).then(told)
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter_map(|field| field.label.as_deref())
    }

    fn field(&self, reference: &Reference) -> std::result::Result<&Field<'_>, Trouble> {
        let named: Vec<&Field<'_>> = self
            .fields
            .iter()
            .filter(|field| field.is_called(&reference.field) && field.is_in(reference))
            .collect();
        // Without a section, a field that is in none comes before those of any section.
        let bare = |field: &&Field<'_>| field.section.is_none();
        let candidates: Vec<&Field<'_>> = if reference.section.is_none() && named.iter().any(bare) {
            named.into_iter().filter(bare).collect()
        } else {
            named
        };
        match candidates[..] {
            [field] => Ok(field),
            [] => Err(Trouble::Missing {
                part: "field",
                near: self.instead_of(&reference.field),
            }),
            [..] => Err(Trouble::Ambiguous {
                part: "field",
                which: None,
            }),
        }
    }
}

impl Field<'_> {
    fn is_called(&self, name: &str) -> bool {
        [&self.label, &self.id]
            .into_iter()
            .flatten()
            .any(|own| same(own, name))
    }

    fn is_in(&self, reference: &Reference) -> bool {
        let Some(wanted) = &reference.section else {
            return true;
        };
        self.section.as_ref().is_some_and(|section| {
            [&section.label, &section.id]
                .into_iter()
                .flatten()
                .any(|own| same(own, wanted))
        })
    }
}

/// `op` ignores case when it looks a name up.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// The text of a JSON string literal, quotes included, built in locked memory.
///
/// `None` unless `literal` is a string that denotes valid Unicode. The caller has it from
/// serde_json, so its form is known to be right.
pub(crate) fn unescape(literal: &str) -> Option<Secret> {
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    // Unescaping never makes a text longer, so the buffer never moves.
    let mut text = Locked::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.push(&rest[..at]);
        rest = escape(&rest[at + 1..], &mut text)?;
    }
    text.push(rest);
    Some(Secret::new(text))
}

/// Writes what one escape denotes and returns what follows it.
fn escape<'a>(rest: &'a [u8], text: &mut Locked) -> Option<&'a [u8]> {
    let (&letter, after) = rest.split_first()?;
    let byte = match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(after, text),
        _ => return None,
    };
    text.push(&[byte]);
    Some(after)
}

/// Writes what `XXXX`, or a surrogate pair `XXXX\uXXXX`, denotes.
fn unicode<'a>(rest: &'a [u8], text: &mut Locked) -> Option<&'a [u8]> {
    let (unit, rest) = hex(rest)?;
    let (code, rest) = match unit {
        0xd800..=0xdbff => {
            let (low, rest) = hex(rest.strip_prefix(b"\\u")?)?;
            let low = (0xdc00..=0xdfff).contains(&low).then(|| low - 0xdc00)?;
            (0x1_0000 + ((unit - 0xd800) << 10) + low, rest)
        }
        unit => (unit, rest),
    };
    let mut utf8 = zeroize::Zeroizing::new([0; 4]);
    text.push(char::from_u32(code)?.encode_utf8(&mut *utf8).as_bytes());
    Some(rest)
}

fn hex(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = rest.split_at_checked(4)?;
    let value = digits.iter().try_fold(0, |value, &digit| {
        Some(value * 16 + char::from(digit).to_digit(16)?)
    })?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = r#"{
      "id": "aaaaaaaaaaaaaaaaaaaaaaaaaa", "title": "Signing (prod)",
      "sections": [ { "id": "s1", "label": "Keys" }, { "id": "add more" } ],
      "fields": [
        { "id": "notesPlain", "type": "STRING", "purpose": "NOTES", "label": "notesPlain" },
        { "id": "password", "type": "CONCEALED", "label": "password", "value": "top \"x\"\n" },
        { "id": "f2", "section": { "id": "s1", "label": "Keys" }, "label": "Password", "value": "in section" },
        { "id": "f3", "section": { "id": "s1", "label": "Keys" }, "label": "twice", "value": "1" },
        { "id": "f4", "section": { "id": "s1", "label": "Keys" }, "label": "twice", "value": "2" },
        { "type": "REFERENCE", "value": "no id, no label" },
        { "id": "TOTP_x", "section": { "id": "add more" }, "label": "one-time password", "value": "otpauth://x", "totp": "741354" },
        { "id": "pk", "label": "private key", "value": "PKCS8", "ssh_formats": { "openssh": { "value": "OPENSSH\r\n" } } },
        { "id": "n", "label": "number", "value": 17 }
      ],
      "files": [ { "id": "ffff", "name": "cert.pem" } ]
    }"#;

    fn ask(reference: &str) -> std::result::Result<String, Trouble> {
        let reference = Reference::parse(reference).expect("parses");
        let secret = parse(ITEM.as_bytes()).expect("an item").value(&reference)?;
        Ok(String::from_utf8(secret.expose().to_vec()).expect("text"))
    }

    #[test]
    fn finds_fields_by_label_or_id_whatever_the_case() {
        assert_eq!(ask("op://v/i/PASSWORD"), Ok("top \"x\"\n".to_owned()));
        assert_eq!(ask("op://v/i/keys/password"), Ok("in section".to_owned()));
        assert_eq!(ask("op://v/i/S1/f2"), Ok("in section".to_owned()));
        assert_eq!(
            ask("op://v/i/one-time password?attribute=otp"),
            Ok("741354".to_owned())
        );
        assert_eq!(
            ask("op://v/i/private key?ssh-format=openssh"),
            Ok("OPENSSH\r\n".to_owned())
        );
        assert_eq!(ask("op://v/i/notesPlain"), Ok(String::new()));
    }

    #[test]
    fn says_why_there_is_no_value() {
        let missing = |near: Option<&str>| {
            Err(Trouble::Missing {
                part: "field",
                near: near.map(str::to_owned),
            })
        };
        assert_eq!(
            ask("op://v/i/passwort"),
            missing(Some("did you mean `password`?"))
        );
        let all =
            "the item has: notesPlain, password, Password, twice, one-time password, private key";
        let Err(Trouble::Missing {
            near: Some(near), ..
        }) = ask("op://v/i/zzz")
        else {
            panic!("no label is named");
        };
        assert!(near.starts_with(all), "{near}");
        assert_eq!(
            ask("op://v/i/Keys/twice"),
            Err(Trouble::Ambiguous {
                part: "field",
                which: None
            })
        );
        assert_eq!(
            ask("op://v/i/number"),
            Err(Trouble::Unusable {
                why: "it is not a text"
            })
        );
    }

    #[test]
    fn knows_attached_files() {
        let item = parse(ITEM.as_bytes()).expect("an item");
        let file = |text| item.has_file(&Reference::parse(text).expect("parses"));
        assert!(file("op://v/i/cert.pem"));
        assert!(!file("op://v/i/password"));
    }

    #[test]
    fn damaged_answers_are_errors_without_a_word_of_them() {
        for cut in [0, 1, 40, ITEM.len() - 1] {
            let error = parse(&ITEM.as_bytes()[..cut]).err().expect("an error");
            assert!(matches!(error, Error::OpNonsense { .. }), "cut at {cut}");
        }
        for bad in [
            "[]",
            "null",
            "{}",
            "{\"id\":\"i\",\"fields\":7}",
            "{\"id\":\"i\"} x",
            "{\"id\":\"i\",\"fields\":[{\"label\":7}]}",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn unescapes_as_serde_json_does() {
        let texts = [
            "",
            "plain",
            "\"\\/\u{8}\u{c}\n\r\t",
            "é\u{2028}🦀",
            "\0\u{1b}[2J\u{7f}",
            "a\\u0041",
        ];
        let ascii = [r#""\u00e9\ud83e\udd80\u0041""#, r#""\/\b\f""#];
        let literals = texts
            .iter()
            .map(|text| serde_json::to_string(text).expect("a literal"));
        for literal in literals.chain(ascii.map(str::to_owned)) {
            let theirs: String = serde_json::from_str(&literal).expect("a string");
            let ours = unescape(&literal).expect("a string");
            assert_eq!(ours.expose(), theirs.as_bytes(), "{literal}");
        }
    }

    #[test]
    fn lone_surrogates_and_other_nonsense_are_refused() {
        for bad in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\x""#,
            r#""\u12""#,
            r#""\u+123""#,
            "17",
            "\"",
        ] {
            assert!(unescape(bad).is_none(), "{bad}");
        }
    }
}
