//! Finds patterns in a stream and writes a mask where each of them stood.
//!
//! Every byte that belongs to any occurrence is concealed; occurrences that overlap become one mask.
//! The patterns, what is derived from them, and the text that is still undecided live in locked
//! memory, which is why this search is our own: libraries keep raw copies in ordinary memory.
//!
//! The search is Wu and Manber's: a table tells by the hash of three bytes how far the next possible
//! occurrence is, so that most bytes are never looked at.

use std::ops::Range;
use std::rc::Rc;

use crate::base::locked_memory::{self, Locked};

/// What stands where a secret stood.
pub(crate) const MASK: &[u8] = b"<concealed by oc-secrets>";

/// The shortest pattern that is looked for, in bytes: a shorter one is found in too much that is none.
pub(crate) const SHORTEST: usize = 6;

/// How many bytes of a pattern's beginning are never shown before it is decided, at the most.
const HELD: usize = 8;

const TABLE: usize = 1 << 15;

/// What is looked for, ready to be searched.
pub(crate) struct Patterns {
    bytes: Locked,
    /// Where each pattern stands in `bytes`, by the hash of its deciding block.
    patterns: Vec<Range<usize>>,
    /// How far the next occurrence is at least, by the hash of a block.
    shifts: Locked,
    /// Which patterns have this deciding block: two numbers of four bytes for each hash.
    buckets: Locked,
    /// With which bytes patterns begin.
    first: Locked,
    /// The length of the shortest pattern.
    window: usize,
}

/// One stream of text, and what is not decided of it.
pub(crate) struct Matcher {
    patterns: Rc<Patterns>,
    /// The text that is not finished yet, from the first byte of what may become an occurrence.
    text: Locked,
    /// Up to where the text was written out.
    shown: usize,
    /// Up to where it is concealed, by a mask that was written.
    concealed: usize,
    /// Up to where it may be shown if there is no time to wait.
    certain: usize,
}

/// What a search found.
#[derive(Default)]
struct Found {
    /// Whole occurrences, by their beginning.
    whole: Vec<Range<usize>>,
    /// The first beginning of one that the text's end cuts off.
    open: Option<usize>,
    /// The same, of those that have come far enough to be held.
    held: Option<usize>,
}

impl Patterns {
    /// Looks for each of `patterns`, which lie one after another in `bytes`; the short ones are left out.
    pub(crate) fn new(bytes: Locked, patterns: impl IntoIterator<Item = Range<usize>>) -> Self {
        let long = |range: &Range<usize>| range.len() >= SHORTEST;
        let mut patterns: Vec<Range<usize>> = patterns.into_iter().filter(long).collect();
        let window = patterns.iter().map(Range::len).min().unwrap_or(SHORTEST);
        let window = window.min(usize::from(u8::MAX));
        let deciding = |range: &Range<usize>| hash(&bytes[range.start + window - 3..]);
        patterns.sort_by_key(deciding);
        let mut shifts = filled(TABLE, u8::try_from(window - 2).unwrap_or(u8::MAX));
        let mut buckets = filled(TABLE * 8, 0);
        let mut first = filled(256, 0);
        for (index, range) in patterns.iter().enumerate() {
            first[usize::from(bytes[range.start])] = 1;
            for at in 0..=window - 3 {
                let shift = &mut shifts[hash(&bytes[range.start + at..])];
                *shift = (*shift).min(u8::try_from(window - 3 - at).unwrap_or(u8::MAX));
            }
            let bucket = deciding(range);
            let (from, to) = bucket_of(&buckets, bucket);
            let from = if to == 0 { index } else { from };
            for (at, number) in [(0, from), (4, index + 1)] {
                let number = u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
                buckets[bucket * 8 + at..][..4].copy_from_slice(&number);
            }
        }
        Self {
            bytes,
            patterns,
            shifts,
            buckets,
            first,
            window,
        }
    }

    fn search(&self, text: &[u8]) -> Found {
        let mut found = Found::default();
        if self.patterns.is_empty() {
            return found;
        }
        let shifts = &*self.shifts;
        let mut end = self.window;
        while end <= text.len() {
            let block = hash(&text[end - 3..end]);
            let shift = shifts[block];
            if shift > 0 {
                end += usize::from(shift);
                continue;
            }
            let (from, to) = bucket_of(&self.buckets, block);
            for range in &self.patterns[from..to] {
                self.compare(range, text, end - self.window, &mut found);
            }
            end += 1;
        }
        // What is too close to the end for a whole window.
        for start in (text.len() + 1).saturating_sub(self.window)..text.len() {
            if self.first[usize::from(text[start])] == 1 {
                for range in &self.patterns {
                    self.compare(range, text, start, &mut found);
                }
            }
        }
        found
    }

    /// Notes whether this pattern stands at `start`, or may come to stand there.
    fn compare(&self, range: &Range<usize>, text: &[u8], start: usize, found: &mut Found) {
        let text = &text[start..];
        let there = range.len().min(text.len());
        if text[..there] != self.bytes[range.start..range.start + there] {
            return;
        }
        if there == range.len() {
            found.whole.push(start..start + there);
            return;
        }
        let earlier = |at: Option<usize>| Some(at.map_or(start, |at| at.min(start)));
        found.open = earlier(found.open);
        if there >= HELD.min(range.len() / 2) {
            found.held = earlier(found.held);
        }
    }
}

impl Matcher {
    /// A stream in which `patterns` are concealed. All its memory is taken now: whether that could
    /// be locked is told before the command starts.
    pub(crate) fn new(patterns: Rc<Patterns>) -> Self {
        // What is undecided is shorter than the longest pattern.
        let undecided = patterns.patterns.iter().map(Range::len).max();
        Self {
            text: Locked::with_capacity(READ + undecided.unwrap_or(0).max(READ)),
            patterns,
            shown: 0,
            concealed: 0,
            certain: 0,
        }
    }

    /// Room to read the next piece of text into; [`Self::pass`] then takes it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.text.reserve(READ);
        &mut self.text.spare()[..READ]
    }

    /// Takes the next `bytes` of text and writes out what is decided of it.
    pub(crate) fn pass(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.text.advance(bytes);
        let found = self.patterns.search(&self.text);
        let end = self.text.len();
        let keep = found.open.unwrap_or(end);
        self.write(keep, &found, out);
        self.text.forget_front(keep);
        self.shown = self.shown.saturating_sub(keep);
        self.concealed = self.concealed.saturating_sub(keep);
        self.certain = found.held.unwrap_or(end) - keep;
        locked_memory::burn_stack();
    }

    /// Whether there is text that [`Self::hurry`] would write out.
    pub(crate) fn delays(&self) -> bool {
        self.certain > self.shown.max(self.concealed)
    }

    /// Writes out what only might become an occurrence. If it does, its rest is concealed.
    pub(crate) fn hurry(&mut self, out: &mut Vec<u8>) {
        let found = self.patterns.search(&self.text);
        self.write(self.certain, &found, out);
        locked_memory::burn_stack();
    }

    /// Writes out all that is left: the text has ended.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        let found = self.patterns.search(&self.text);
        self.write(self.text.len(), &found, out);
        locked_memory::burn_stack();
    }

    /// Writes out the text up to `end`, and a mask for what was found to begin before that.
    fn write(&mut self, end: usize, found: &Found, out: &mut Vec<u8>) {
        for whole in found.whole.iter().filter(|whole| whole.start < end) {
            self.conceal(whole, out);
        }
        self.show(end, out);
    }

    fn show(&mut self, end: usize, out: &mut Vec<u8>) {
        let from = self.shown.max(self.concealed);
        if from < end {
            out.extend_from_slice(&self.text[from..end]);
            self.shown = end;
        }
    }

    fn conceal(&mut self, whole: &Range<usize>, out: &mut Vec<u8>) {
        if whole.start >= self.concealed {
            self.show(whole.start, out);
            if whole.end > self.shown {
                out.extend_from_slice(MASK);
            }
        }
        self.concealed = self.concealed.max(whole.end);
    }
}

/// How much text is read at once.
const READ: usize = 64 * 1024;

/// The hash of the first three of `bytes`.
fn hash(bytes: &[u8]) -> usize {
    let block = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    (block.wrapping_mul(0x9e37_79b1) >> 17) as usize
}

fn filled(length: usize, with: u8) -> Locked {
    let mut table = Locked::with_capacity(length);
    table.spare()[..length].fill(with);
    table.advance(length);
    table
}

fn bucket_of(buckets: &[u8], hash: usize) -> (usize, usize) {
    let number = |at: usize| {
        let bytes = &buckets[hash * 8 + at..][..4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
    };
    (number(0), number(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(patterns: &[Vec<u8>]) -> Matcher {
        let mut bytes = Locked::with_capacity(1);
        let mut ranges = vec![];
        for pattern in patterns {
            ranges.push(bytes.len()..bytes.len() + pattern.len());
            bytes.push(pattern);
        }
        Matcher::new(Rc::new(Patterns::new(bytes, ranges)))
    }

    fn feed(matcher: &mut Matcher, bytes: &[u8], out: &mut Vec<u8>) {
        matcher.room()[..bytes.len()].copy_from_slice(bytes);
        matcher.pass(bytes.len(), out);
    }

    fn streamed(patterns: &[Vec<u8>], pieces: &[&[u8]]) -> Vec<u8> {
        let (mut matcher, mut out) = (matcher(patterns), Vec::new());
        for piece in pieces {
            feed(&mut matcher, piece, &mut out);
        }
        matcher.end(&mut out);
        out
    }

    /// The same over the whole text, in the plainest way.
    fn naive(patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let mut found: Vec<(usize, usize)> = vec![];
        for start in 0..text.len() {
            for pattern in patterns.iter().filter(|it| it.len() >= SHORTEST) {
                if text[start..].starts_with(pattern) {
                    found.push((start, start + pattern.len()));
                }
            }
        }
        let (mut out, mut done) = (vec![], 0);
        for (start, end) in found {
            if start >= done {
                out.extend_from_slice(&text[done..start]);
                out.extend_from_slice(MASK);
            }
            done = done.max(end);
        }
        out.extend_from_slice(&text[done.min(text.len())..]);
        out
    }

    /// A generator of numbers that is the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as usize % limit
        }

        fn word(&mut self, letters: usize, length: usize) -> Vec<u8> {
            (0..length)
                .map(|_| b"abcdefgh"[self.below(letters)])
                .collect()
        }
    }

    #[test]
    fn a_stream_in_any_pieces_is_masked_as_the_whole_text_would_be() {
        let mut masked = 0;
        for seed in 0..400 {
            let mut dice = Dice(seed);
            let letters = 1 + dice.below(4);
            let patterns: Vec<Vec<u8>> = (0..=dice.below(5))
                .map(|_| {
                    let length = 4 + dice.below(14);
                    dice.word(letters, length)
                })
                .collect();
            let mut text = vec![];
            while text.len() < 150 {
                match dice.below(2) {
                    0 => text.extend_from_slice(&patterns[dice.below(patterns.len())]),
                    _ => {
                        let length = dice.below(9);
                        text.extend(dice.word(letters, length));
                    }
                }
            }
            let mut pieces = vec![];
            let mut rest = &text[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(1 + dice.below(rest.len().min(30)));
                pieces.push(piece);
                rest = behind;
            }
            let expected = naive(&patterns, &text);
            masked += usize::from(expected != text);
            assert_eq!(
                String::from_utf8_lossy(&streamed(&patterns, &pieces)),
                String::from_utf8_lossy(&expected),
                "seed {seed}: {patterns:?} in {pieces:?}"
            );
        }
        assert!(masked > 200, "the control: {masked} texts held a pattern");
    }

    #[test]
    fn of_a_secret_that_comes_slowly_no_more_than_the_beginning_is_seen() {
        let secret = b"0123456789abcdef".to_vec();
        let (mut matcher, mut out) = (matcher(std::slice::from_ref(&secret)), Vec::new());
        for byte in &secret {
            feed(&mut matcher, &[*byte], &mut out);
            matcher.hurry(&mut out);
            assert!(!matcher.delays());
        }
        feed(&mut matcher, b" 0123 and 01234567x", &mut out);
        matcher.end(&mut out);
        let expected = [b"0123456", MASK, b" 0123 and 01234567x"].concat();
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&expected)
        );
    }

    #[test]
    fn what_might_be_a_beginning_waits_and_the_rest_does_not() {
        let (mut matcher, mut out) = (matcher(&[b"secretsecret".to_vec()]), Vec::new());
        feed(&mut matcher, b"Password: s", &mut out);
        assert_eq!(out, b"Password: ");
        assert!(matcher.delays());
        matcher.hurry(&mut out);
        assert_eq!(out, b"Password: s");
        feed(&mut matcher, b"ecretse", &mut out);
        assert!(!matcher.delays(), "eight bytes are held");
        matcher.hurry(&mut out);
        assert_eq!(out, b"Password: s");
        feed(&mut matcher, b"!", &mut out);
        assert_eq!(out, b"Password: secretse!");
    }

    #[test]
    fn what_follows_a_beginning_that_waits_is_concealed_too() {
        let patterns = [
            b"abcdefgh-long".to_vec(),
            b"efghij".to_vec(),
            b"cdcdcd".to_vec(),
        ];
        let (mut matcher, mut out) = (matcher(&patterns), Vec::new());
        feed(&mut matcher, b"[abcdcdcda", &mut out);
        assert!(matcher.delays());
        matcher.hurry(&mut out);
        let expected = [b"[ab", MASK, b"a"].concat();
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&expected)
        );
    }

    #[test]
    fn what_is_undecided_never_takes_more_memory() {
        let secret: Vec<u8> = (0_u32..100_000).flat_map(u32::to_le_bytes).collect();
        let (mut matcher, mut out) = (matcher(std::slice::from_ref(&secret)), Vec::new());
        let text = |matcher: &Matcher| matcher.text.as_ptr();
        let before = text(&matcher);
        for piece in secret[..secret.len() - 1].chunks(READ) {
            feed(&mut matcher, piece, &mut out);
        }
        assert!(out.is_empty(), "all of it is undecided");
        assert_eq!(text(&matcher), before, "it has not moved");
    }

    #[test]
    fn without_a_pattern_all_passes() {
        assert_eq!(
            streamed(&[b"short".to_vec()], &[b"short ", b"text"]),
            b"short text"
        );
    }

    #[test]
    fn secrets_side_by_side_are_two_masks() {
        let patterns = [b"abcabc".to_vec(), b"xyzxyz".to_vec()];
        assert_eq!(
            streamed(&patterns, &[b"abcabcxyz", b"xyz"]),
            [MASK, MASK].concat()
        );
    }
}
