//! Values that break naive quoting: the known awkward ones and a fixed pseudo-random lot.

/// What every value would run if a quote of ours came undone; the file must never appear.
pub const TRACE: &str = "pwned";

/// The awkward values that other secret tools were measured with, and some of our own.
const AWKWARD: &[&str] = &[
    "line one\nline two\nline three",
    "trailing newline\n",
    "  blanks at both ends  ",
    "it's",
    "say \"hi\"",
    "$(touch pwned) `touch pwned` $HOME",
    "back\\slash\\\\ \\n \\",
    "üñíçödé 🔑 \u{2028}",
    "a=b=c==",
    "value # no comment",
    "crlf\r\nline\r\n",
    "\x1b[31mred\x1b[0m",
    "x\nV0=spoofed\nOTHER=spoofed",
    "",
    "\n",
    "\r",
    "'",
    "''",
    "'\\''",
    "\\",
    "\\'",
    "!",
    "a!b!!c!$ !-1 \\! '!'",
    "';touch pwned;'",
    "\";touch pwned;\"",
    "');touch pwned;('",
    "\\';touch pwned;\\'",
    "\x7f\x01\x02\x1f",
    "\u{2018};touch pwned;\u{2019}",
    "\u{f600}\u{f6ff}\u{feff}\u{fffd}\u{10fffd}",
    "\u{ffff}\u{fdd0}\u{10ffff}",
    "-n",
    "--",
    "~/x:~root:$HOME",
    "~/y:$HOME::/a//b:",
    "~:.:..:$HOME/~",
    "a[$(touch pwned)]",
    "%0A%25%",
    "{{ op://x }} ${x:-`touch pwned`}",
];

/// What generated values are made of.
const PIECES: &[&str] = &[
    "'",
    "'",
    "\"",
    "`",
    "\\",
    "\\",
    "!",
    "!!",
    "$",
    "$$",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "#",
    ";",
    "&",
    "|",
    "<<",
    ">",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "*",
    "?",
    "~",
    "^",
    "=",
    "%",
    ",",
    "abc",
    "\\\n",
    "\\'",
    "$'",
    "\x01",
    "\x1b",
    "\x7f",
    "$(touch pwned)",
    "`touch pwned`",
    "';touch pwned;'",
    "\";touch pwned;\"",
    "\ntouch pwned\n",
    "(touch pwned)",
    "\u{2018}",
    "\u{2019}",
    "\u{201c}",
    "\u{e9}",
    "\u{1f511}",
    "\u{f600}",
];

/// All values: awkward, generated, and two of 64 KiB.
pub fn all() -> Vec<String> {
    let mut next = generator();
    let mut values: Vec<_> = AWKWARD.iter().map(|&value| value.to_owned()).collect();
    for _ in 0..200 {
        let length = 1 + next() % 24;
        values.push((0..length).map(|_| PIECES[next() % PIECES.len()]).collect());
    }
    values.push("'".repeat(64 * 1024));
    values.push(
        (0..64 * 1024)
            .map(|_| char::from(b' ' + (next() % 95) as u8))
            .collect(),
    );
    values
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
