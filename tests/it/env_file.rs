//! `--env-file`: every line means to us what it means to `op run`, or is refused.

use crate::sandbox::{Done, Sandbox};

const ENV: [&str; 4] = ["--", "/usr/bin/env", "-0", "-uHOME"];

/// What a file sets in its reader's child, sorted; `None` where the reader refuses it.
fn set(done: &Done) -> Option<Vec<(String, Vec<u8>)>> {
    let ours = |name: &str| name.len() == 1 || name.starts_with("NAME") || name.starts_with("ex");
    let entries = done.stdout.split(|&byte| byte == 0);
    let pairs = entries.filter_map(|entry| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        let name = String::from_utf8(entry[..at].to_vec()).ok()?;
        Some((name, entry[at + 1..].to_vec()))
    });
    let mut pairs: Vec<_> = pairs.filter(|(name, _)| ours(name)).collect();
    pairs.sort();
    done.status.success().then_some(pairs)
}

/// How `op run` reads `text`, and how we do.
fn read(sandbox: &Sandbox, text: &[u8]) -> [Done; 2] {
    std::fs::write(sandbox.path("work/.env"), text).expect("written");
    let op = sandbox.path("bin/op");
    let run = ["run", "--no-masking", "--env-file", ".env"];
    let theirs = sandbox
        .run(&op, run.iter().chain(&ENV))
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .env("SET", "from outside")
        .env("B", "of the environment");
    let ours = ["--env-file", ".env", "--quiet", "exec"];
    let ours = sandbox
        .oc(ours.iter().chain(&ENV))
        .env("SET", "from outside")
        .env("B", "of the environment");
    [theirs.done(), ours.done()]
}

/// Lines that both read, and alike.
const ALIKE: &[&str] = &[
    "A=1",
    "A = 1 ",
    "export A=1",
    "A=",
    "A=\"\"",
    "A=a b  c",
    "A=1 # note",
    "A= # note",
    "A='a#b' # note",
    "A=\"a # b\"",
    "A=C:\\new\\dir",
    "A=it's",
    "A='$SET \\n \"x\"'",
    "A=\"one\\ntwo \\\\ \\\"three\\\"\"",
    "A=\"one\ntwo\"\nC=3",
    "A='one\n\ntwo'",
    "A=$SET",
    "A=\"${SET}!\"",
    "A=${SET:-x}${NOWHERE:-y}",
    "C=2\nA=$C",
    "A=1\nA=2",
    "A={\"foo\":\"bar\"}",
    "A=op://Vault/Item/A",
    "A=\"op://Vault/Item/A\" # note",
    "A={{ op://Vault/Item/A }}",
    "\n# A=1\n\nA=2\n",
];

/// Lines that `op run` reads otherwise than one would expect, or not at all.
const REFUSED: &[(&str, &str)] = &[
    ("A=a#b", ".env:1:4: "),
    ("C=1\nA=#b", ".env:2:3: "),
    ("A=\"x\\ty\"", ".env:1:5: "),
    ("A=\"x\\ry\"", ".env:1:5: "),
    ("A=\"x\\qy\"", ".env:1:5: "),
    ("A=\"\\$SET\"", ".env:1:4: "),
    ("A=x\\$SET", ".env:1:4: "),
    ("A=it\\'s", ".env:1:5: "),
    ("A={{ x }}", ".env:1:3: "),
    ("A='{{ \"{{ x }}\" }}'", ".env:1:3: "),
    ("exportA=1", ".env:1:1: "),
    ("exported=1", ".env:1:1: "),
    ("1ST=x", ".env:1:1: "),
    ("B=own\nA=$B", ".env:2:3: "),
    ("A=$set", ".env:1:3: "),
    ("\u{feff}A=1", ".env:1:1: "),
    ("A='x", ".env:1:3: "),
    ("A=\"x\nB=1", ".env:1:3: "),
    ("A=1\n# a\0b\n", ".env:2:4: "),
];

#[test]
fn what_is_read_is_read_as_op_run_reads_it() {
    let sandbox = Sandbox::with_fields(&[("A", "value")]);
    for text in ALIKE {
        let [theirs, ours] = read(&sandbox, text.as_bytes());
        assert!(ours.status.success(), "{text:?}: {}", ours.stderr);
        assert!(theirs.status.success(), "{text:?}: {}", theirs.stderr);
        assert_eq!(set(&ours), set(&theirs), "{text:?}");
    }
}

#[test]
fn what_op_run_reads_otherwise_is_refused_by_line() {
    let sandbox = Sandbox::with_fields(&[("A", "value")]);
    for (text, place) in REFUSED {
        let [_, ours] = read(&sandbox, text.as_bytes());
        assert_eq!(ours.status.code(), Some(125), "{text:?}");
        let told = format!("oc-secrets: error: {place}");
        assert!(ours.stderr.starts_with(&told), "{text:?}: {}", ours.stderr);
    }
}

#[test]
fn control_a_line_that_is_read_differently_is_seen() {
    let sandbox = Sandbox::with_fields(&[("A", "value")]);
    let [theirs, _] = read(&sandbox, b"A=a#b");
    let [_, ours] = read(&sandbox, b"A='a#b'");
    assert_ne!(set(&theirs), set(&ours));
    assert_eq!(
        set(&theirs),
        Some(vec![
            ("A".to_owned(), b"a".to_vec()),
            ("B".to_owned(), b"of the environment".to_vec())
        ])
    );
}

/// Whatever stands in a file: never another value than that of `op run`.
#[test]
fn no_file_of_small_pieces_is_read_differently() {
    const PIECES: &[&str] = &[
        "A=",
        "B=",
        "export ",
        "export",
        "'",
        "\"",
        "#",
        " #",
        "\\",
        "\\n",
        "\\t",
        "$SET",
        "${SET}",
        "$A",
        "{{",
        "}}",
        " ",
        "\t",
        "\n",
        "x",
        "é",
        "=",
        "op://Vault/Item/A",
    ];
    let sandbox = Sandbox::with_fields(&[("A", "value")]);
    let mut state = 12_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut alike = 0;
    for _ in 0..80 {
        let count = 1 + next(6);
        let text: String = (0..count).map(|_| PIECES[next(PIECES.len())]).collect();
        let text = format!("A={text}");
        let [theirs, ours] = read(&sandbox, text.as_bytes());
        if ours.status.success() {
            assert_eq!(set(&ours), set(&theirs), "{text:?}: {}", theirs.stderr);
            alike += 1;
        }
    }
    assert!(alike > 10, "{alike} of 80 were read at all");
}
