//! Values that break naive quoting: the known awkward ones and a fixed pseudo-random lot.

use std::io::Write as _;

/// What every value would run if a quote of ours came undone; the file must never appear.
pub const TRACE: &str = "pwned";

/// The awkward values that other secret tools were measured with, and some of our own.
const AWKWARD: &[&[u8]] = &[
    b"line one\nline two\nline three",
    b"trailing newline\n",
    b"  blanks at both ends  ",
    b"it's",
    b"say \"hi\"",
    b"$(touch pwned) `touch pwned` $HOME",
    b"back\\slash\\\\ \\n \\",
    "üñíçödé 🔑 \u{2028}".as_bytes(),
    b"a=b=c==",
    b"value # no comment",
    b"crlf\r\nline\r\n",
    b"\x1b[31mred\x1b[0m",
    b"x\nV0=spoofed\nOTHER=spoofed",
    b"",
    b"op://vault/item/field",
    b"\n",
    b"\r",
    b"'",
    b"''",
    b"'\\''",
    b"\\",
    b"\\'",
    b"!",
    b"a!b!!c!$ !-1 \\! '!'",
    b"';touch pwned;'",
    b"\";touch pwned;\"",
    b"');touch pwned;('",
    b"\\';touch pwned;\\'",
    b"\x7f\x01\x02\x1f",
    b"\xff\xfe\x80",
    b"cut \xe2\x80",
    "\u{2018};touch pwned;\u{2019}".as_bytes(),
    "\u{f600}\u{f6ff}\u{feff}\u{fffd}\u{10fffd}".as_bytes(),
    "\u{ffff}\u{fdd0}\u{10ffff}".as_bytes(),
    b"-n",
    b"--",
    b"~/x:~root:$HOME",
    b"~/y:$HOME::/a//b:",
    b"~:.:..:$HOME/~",
    b"a[$(touch pwned)]",
    b"%0A%25%",
    b"{{ op://x }} ${x:-`touch pwned`}",
];

/// What generated values are made of.
const PIECES: &[&[u8]] = &[
    b"'",
    b"'",
    b"\"",
    b"`",
    b"\\",
    b"\\",
    b"!",
    b"!!",
    b"$",
    b"$$",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b" ",
    b"#",
    b";",
    b"&",
    b"|",
    b"<<",
    b">",
    b"(",
    b")",
    b"{",
    b"}",
    b"[",
    b"]",
    b"*",
    b"?",
    b"~",
    b"^",
    b"=",
    b"%",
    b",",
    b"abc",
    b"\\\n",
    b"\\'",
    b"$'",
    b"\x01",
    b"\x1b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3",
    b"$(touch pwned)",
    b"`touch pwned`",
    b"';touch pwned;'",
    b"\";touch pwned;\"",
    b"\ntouch pwned\n",
    b"(touch pwned)",
    b"\xe2\x80\x98",
    b"\xe2\x80\x99",
    b"\xe2\x80\x9c",
    b"\xc3\xa9",
    b"\xf0\x9f\x94\x91",
    b"\xef\x98\x80",
];

/// All values: awkward and generated ones, and two of 64 KiB.
pub fn all() -> Vec<Vec<u8>> {
    let mut next = generator();
    let mut values: Vec<_> = AWKWARD.iter().map(|value| value.to_vec()).collect();
    for _ in AWKWARD.len()..number() {
        let length = 1 + next() % 24;
        values.push(
            (0..length)
                .flat_map(|_| PIECES[next() % PIECES.len()])
                .copied()
                .collect(),
        );
    }
    values.push(vec![b'\''; 64 * 1024]);
    values.push((0..64 * 1024).map(|_| b' ' + (next() % 95) as u8).collect());
    values
}

/// How many: `tests/proofs/run --all` asks for a thousand, which takes its time.
fn number() -> usize {
    let asked = std::env::var("OC_TEST_VALUES");
    asked.map_or(240, |text| text.parse().expect("a number"))
}

/// Says how many arrived, where a number was asked for.
pub fn tell(format: &str, reader: &str, count: usize) {
    if std::env::var_os("OC_TEST_VALUES").is_some() {
        let line = format!("figure: {format} by {reader}: {count} values\n");
        std::io::stdout()
            .write_all(line.as_bytes())
            .expect("written");
    }
}

/// SplitMix64 with a fixed seed.
fn generator() -> impl FnMut() -> usize {
    let mut state = 0x0c5e_c7e7_u64;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 1) as usize
    }
}
