//! `authorized_keys`: which lines let a person in.
//!
//! Parsed as sshd does. A key counts as usable only if no option on its line restricts it: cloud images
//! give root a key with a forced command ("please log in as ubuntu"), and if that counted, step 9 would
//! lock everybody out.

use crate::base::encode::from_base64;

/// One key of an `authorized_keys` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// The whole line.
    pub line: &'a str,
    /// The names of its options, in lower case.
    options: Vec<String>,
    /// Its type, such as `ssh-ed25519`.
    kind: &'a str,
    /// The key itself in base64.
    pub blob: &'a str,
}

/// The types that today's sshd accepts by default; DSA is not among them.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Options with which a key does not give a lasting login.
const RESTRICTING: [&str; 3] = ["command", "expiry-time", "cert-authority"];

/// Shorter RSA keys are refused by sshd since 9.1, whatever the file says.
const RSA_BITS: usize = 1024;

impl Key<'_> {
    /// Whether an administrator can log in with it and do as they please.
    pub(crate) fn usable(&self) -> bool {
        let restricted = self
            .options
            .iter()
            .any(|option| RESTRICTING.contains(&option.as_str()));
        !restricted && from_base64(self.blob).is_some_and(|bytes| is_well_formed(self.kind, &bytes))
    }
}

/// The keys of a file, in order; comments, blank and broken lines left out.
pub(crate) fn keys(text: &str) -> impl Iterator<Item = Key<'_>> {
    text.lines().filter_map(key)
}

/// The usable keys of `source` that `target` does not hold yet, as lines.
pub(crate) fn missing<'a>(source: &'a str, target: &str) -> Vec<&'a str> {
    let mut held: Vec<&str> = keys(target)
        .filter(Key::usable)
        .map(|key| key.blob)
        .collect();
    let mut lines = Vec::new();
    for key in keys(source).filter(Key::usable) {
        if !held.contains(&key.blob) {
            held.push(key.blob);
            lines.push(key.line.trim());
        }
    }
    lines
}

fn key(line: &str) -> Option<Key<'_>> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return None;
    }
    let (options, rest) = if KINDS.contains(&first_word(trimmed)) {
        (Vec::new(), trimmed)
    } else {
        let end = options_end(trimmed);
        (option_names(&trimmed[..end]), trimmed[end..].trim_start())
    };
    let mut words = rest.split_ascii_whitespace();
    let kind = words.next().filter(|kind| KINDS.contains(kind))?;
    Some(Key {
        line,
        options,
        kind,
        blob: words.next()?,
    })
}

fn first_word(text: &str) -> &str {
    text.split_ascii_whitespace().next().unwrap_or_default()
}

/// Where the options end: the first blank outside of quotes.
fn options_end(text: &str) -> usize {
    split_points(text, |byte| byte == b' ' || byte == b'\t')
        .next()
        .unwrap_or(text.len())
}

/// `from="a,b",no-pty` is `from` and `no-pty`.
fn option_names(text: &str) -> Vec<String> {
    let mut start = 0;
    let mut names = Vec::new();
    for end in split_points(text, |byte| byte == b',').chain([text.len()]) {
        let option = &text[start..end];
        let name = option.split('=').next().unwrap_or_default();
        names.push(name.to_ascii_lowercase());
        start = (end + 1).min(text.len());
    }
    names
}

/// The places outside of double quotes where `separates` holds.
fn split_points(text: &str, separates: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        if quoted && escaped {
            escaped = false;
        } else if byte == b'"' {
            quoted = !quoted;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if !quoted && separates(byte) {
            return Some(at);
        }
        None
    })
}

/// Whether the key's own type is the one on its line, and it is long enough.
fn is_well_formed(kind: &str, blob: &[u8]) -> bool {
    let Some((inner, rest)) = field(blob) else {
        return false;
    };
    if inner != kind.as_bytes() || rest.is_empty() {
        return false;
    }
    if kind != "ssh-rsa" {
        return true;
    }
    let modulus = field(rest).and_then(|(_exponent, rest)| field(rest));
    modulus.is_some_and(|(modulus, _)| {
        let digits = modulus.iter().skip_while(|byte| **byte == 0).count();
        digits * 8 >= RSA_BITS
    })
}

/// One length-prefixed field, and what follows it.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOfdgBNE0zIKSNl/ViKZQQT/Y87GtmA9nt2gXDsSKPzf";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOfdgBNE0zIKSNl/ViKZQQT/Y87GtmA9nt2gXDsSKPzg";

    fn usable(line: &str) -> bool {
        keys(line).any(|key| key.usable())
    }

    #[test]
    fn a_plain_key_is_usable_with_or_without_harmless_options() {
        assert!(usable(&format!("ssh-ed25519 {ED} me@laptop")));
        assert!(usable(&format!("  ssh-ed25519 {ED}")));
        assert!(usable(&format!(
            "from=\"10.0.0.0/8,1.2.3.4\",no-agent-forwarding ssh-ed25519 {ED}"
        )));
        assert!(usable(&format!(
            "environment=\"A=\\\"x y\\\", b\" ssh-ed25519 {ED}"
        )));
    }

    #[test]
    fn the_line_of_a_cloud_image_is_no_key() {
        let line = format!(
            "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as the user \\\"ubuntu\\\" rather than the user \\\"root\\\".';echo;sleep 10;exit 142\" ssh-ed25519 {ED} key"
        );
        assert_eq!(keys(&line).count(), 1);
        assert!(!usable(&line));
        assert!(usable(&line.replace("command=", "environment=")), "control");
    }

    #[test]
    fn what_expires_is_cut_off_or_lies_about_its_type_is_no_key() {
        for line in [
            format!("expiry-time=\"20990101\" ssh-ed25519 {ED}"),
            format!("CERT-AUTHORITY ssh-ed25519 {ED}"),
            format!("ssh-ed25519 {}", &ED[..20]),
            format!("ssh-ed25519 {}", &ED[..ED.len() - 1]),
            format!("ecdsa-sha2-nistp256 {ED}"),
            format!("ssh-dss {ED}"),
            format!("# ssh-ed25519 {ED}"),
            "ssh-ed25519".to_owned(),
            "ssh-ed25519 …".to_owned(),
            String::new(),
        ] {
            assert!(!usable(&line), "{line}");
        }
    }

    #[test]
    fn a_short_rsa_key_is_no_key() {
        let rsa = |bytes: usize| {
            let mut blob = b"\0\0\0\x07ssh-rsa\0\0\0\x01\x03".to_vec();
            blob.extend(u32::try_from(bytes + 1).expect("small").to_be_bytes());
            blob.push(0);
            blob.extend(vec![0xc7; bytes]);
            blob
        };
        assert!(!is_well_formed("ssh-rsa", &rsa(96)));
        assert!(is_well_formed("ssh-rsa", &rsa(256)));
    }

    #[test]
    fn only_what_is_missing_and_usable_is_carried_over() {
        let source = format!("# root\nssh-ed25519 {ED} a\ncommand=\"x\" ssh-ed25519 {OTHER} b\n");
        assert_eq!(missing(&source, ""), [format!("ssh-ed25519 {ED} a")]);
        assert_eq!(
            missing(&source, &format!("ssh-ed25519 {ED} other comment\n")),
            [""; 0]
        );
        let restricted = format!("command=\"x\" ssh-ed25519 {ED}\n");
        assert_eq!(
            missing(&source, &restricted).len(),
            1,
            "a restricted copy is not the key"
        );
    }
}
