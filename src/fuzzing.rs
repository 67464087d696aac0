//! What `tests/fuzz` throws bytes at: every parser of what others wrote. Only built with
//! `--cfg fuzzing`.
//!
//! A target panics when a property is broken, and not only when the parser itself does.

use crate::base::duration;
use crate::base::encode;
use crate::base::env_name::EnvName;
use crate::broker::cache::fuzzing as cache;
use crate::broker::dotenv;
use crate::broker::manifest::{self, Origin};
use crate::broker::op::fuzzing as op;
use crate::broker::reference::Reference;
use crate::broker::registry::HostQuery;
use crate::broker::sink::text::{Format, Variable, render};
use crate::broker::wire::{self, Head, Question};
use crate::credential_helper::fuzzing as helper;

/// A parser, and what must hold of it.
pub type Target = fn(&[u8]);

/// All targets by their names.
pub const TARGETS: &[(&str, Target)] = &[
    ("item", op::item),
    ("frame", op::frame),
    ("diagnostics", op::diagnostics),
    ("manifest", manifest),
    ("dotenv", env_file),
    ("reference", reference),
    ("host", host),
    ("docker", helper::docker),
    ("git", helper::git),
    ("config", helper::config),
    ("openclaw", helper::openclaw),
    ("broker", broker),
    ("entry", cache::entry),
    ("duration", length),
    ("shell", shell),
];

/// What is good enough to be found is good enough to be named.
fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let found = manifest::parse(text, "f", Origin::Found("/f".into()));
    let named = manifest::parse(text, "f", Origin::File("/f".into()));
    assert!(named.is_ok() || found.is_err());
}

/// Each name is defined once.
fn env_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut definitions = vec![];
    let environment = |name: &str| (name == "SET").then(|| "op://v/i/f".into());
    if dotenv::parse(text, "f", &mut definitions, &environment).is_ok() {
        let mut names: Vec<&str> = definitions.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), definitions.len());
    }
}

/// What is printed is the same reference again.
fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
    }
}

/// A host is made of few characters, and is its own name.
fn host(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some(asked) = HostQuery::parse(text) else {
        return;
    };
    let host = asked.host.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
    assert!(!host.is_empty() && host.chars().all(plain), "{host:?}");
    if !asked.plain {
        assert_eq!(HostQuery::parse(host).as_ref(), Some(&asked));
    }
}

/// A deadline is a duration, and never a long one.
fn length(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(timeout) = duration::timeout(text) {
        assert_eq!(duration::parse(text), Some(timeout));
        assert!(timeout.as_secs() <= 24 * 60 * 60);
    }
}

/// What both ends of the broker's socket read: a question is written as it was understood, and an
/// answer arrives as it was sent.
fn broker(bytes: &[u8]) {
    if let Ok(Some(question)) = Question::parse(bytes) {
        assert_eq!(Question::parse(&question.written()), Ok(Some(question)));
    }
    if let Ok(Some(Head::Ok { start, length })) = wire::head(bytes) {
        assert!(start <= bytes.len() && length <= wire::LONGEST_ANSWER);
    }
    let sent = wire::ok(bytes);
    match wire::head(&sent) {
        Ok(Some(Head::Ok { start, length })) => assert_eq!(&sent[start..start + length], bytes),
        other => panic!("{other:?}"),
    }
}

/// The first byte chooses the format, the rest is the value: a reader gets it back as it was.
fn shell(bytes: &[u8]) {
    let Some((&choice, value)) = bytes.split_first() else {
        return;
    };
    let format = Format::ALL[usize::from(choice) % Format::ALL.len()];
    let name = EnvName::parse("N").expect("a name");
    let variable = Variable { name: &name, value };
    let Ok(text) = render(format, &[variable]) else {
        return;
    };
    let text: &[u8] = &text;
    let between = |open: &str, close: &str| {
        let rest = text.strip_prefix(open.as_bytes()).expect("its beginning");
        rest.strip_suffix(close.as_bytes())
            .expect("its end")
            .to_vec()
    };
    let read = match format {
        Format::Sh => unquoted(&between("export N='", "'\n"), &[(b"'\\''", b"'")]),
        Format::Fish => unquoted(
            &between("set -gx N '", "';\n"),
            &[(b"\\'", b"'"), (b"\\\\", b"\\")],
        ),
        Format::Tcsh => unquoted(
            &between("setenv N '", "';\n"),
            &[(b"'\\''", b"'"), (b"\\!", b"!")],
        ),
        Format::Elvish => digits(&between("set-env N \"", "\"\n")),
        Format::Xonsh => {
            let open = "${...}.register('N', type='str')\n$N = __import__('os').fsdecode(b'";
            digits(&between(open, "')\n"))
        }
        Format::Nu | Format::Json => json(text),
        Format::Powershell => return,
        // The renderer itself reads these again.
        Format::Systemd | Format::Docker => return,
    };
    assert_eq!(read, value, "{format:?}");
}

/// Undoes `escapes`; nothing else may hold a quote.
fn unquoted(mut text: &[u8], escapes: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut value = vec![];
    'next: while let Some((&first, rest)) = text.split_first() {
        for (escape, meaning) in escapes {
            if let Some(rest) = text.strip_prefix(*escape) {
                value.extend_from_slice(meaning);
                text = rest;
                continue 'next;
            }
        }
        assert_ne!(first, b'\'', "a quote ends the value");
        value.push(first);
        text = rest;
    }
    value
}

/// Undoes `\xHH`.
fn digits(text: &[u8]) -> Vec<u8> {
    let bytes = text.chunks(4).map(|four| {
        let hex = four.strip_prefix(b"\\x").expect("an escape");
        let hex = std::str::from_utf8(hex).expect("digits");
        u8::from_str_radix(hex, 16).expect("two digits")
    });
    let bytes: Vec<u8> = bytes.collect();
    assert_eq!(text.len(), 2 * encode::hex(&bytes).len());
    bytes
}

fn json(text: &[u8]) -> Vec<u8> {
    let object: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    let value = object["N"].as_str().expect("a text");
    value.as_bytes().to_vec()
}
