//! Image references as a type: `[registry/]path[:tag][@sha256:…]`.
//!
//! One that begins with `-`, contains a blank or lacks a path is refused, so that a reference can be
//! used as an argument and in a URL.

use std::fmt;

use super::error::{Failure, Result};

/// An image reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ImageRef {
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageRef {
    /// Parses `text`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Failure::usage(format!("not an image reference: {text}: {why}"))
                .hint("write registry/owner/name:tag or registry/owner/name@sha256:…")
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("the digest is not sha256: and 64 hexadecimal digits"));
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.bytes().all(word)) {
            return Err(bad("the tag has a letter that tags cannot have"));
        }
        let first = name.split('/').next().unwrap_or_default();
        let host = is_host(first) && name.contains('/');
        let path = if host { &name[first.len() + 1..] } else { name };
        let part = |part: &str| {
            part.bytes()
                .all(|byte| word(byte) && !byte.is_ascii_uppercase())
                && part.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        };
        if name.len() > 255 || !path.split('/').all(part) {
            return Err(bad(
                "a name has lower-case letters, digits and single . _ -, in parts between /",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The name without tag and digest.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The tag, if any.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if any.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether it is the name that the original scripts gave to what they built on the host
    /// (`openclaw:latest`): no registry is asked for it.
    pub(crate) fn is_built_here(&self) -> bool {
        self.name == "openclaw" && self.digest.is_none()
    }

    /// The registry's host, as credentials are kept for it.
    pub(crate) fn registry(&self) -> &str {
        match self.name.split_once('/') {
            Some((host, _)) if is_host(host) => host,
            _ => "docker.io",
        }
    }

    /// The same image at `digest`.
    pub(crate) fn at(&self, digest: &str) -> Self {
        Self {
            name: self.name.clone(),
            tag: None,
            digest: Some(digest.to_owned()),
        }
    }

    /// The same image with `tag`.
    pub(crate) fn tagged(&self, tag: &str) -> Self {
        Self {
            name: self.name.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        }
    }

    /// What the engine takes as `tag` beside the name: the digest before the tag.
    pub(crate) fn selector(&self) -> &str {
        self.digest().or_else(|| self.tag()).unwrap_or("latest")
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether `text` is `sha256:` and 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The first 12 digits of a digest or image id, for people.
pub(crate) fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

fn is_host(text: &str) -> bool {
    (text.contains('.') || text.contains(':') || text == "localhost")
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
}

/// `ghcr.io/o/openclaw at 0123456789ab`.
pub(crate) fn short_name(pinned: &str) -> String {
    match pinned.split_once('@') {
        Some((name, digest)) => format!("{name} at {}", short(digest)),
        None => short(pinned).to_owned(),
    }
}

/// Whether a tag is that of a release of OpenClaw: `2026.9.6`, `2026.7.1-2`.
pub(crate) fn is_version(tag: &str) -> bool {
    tag.starts_with(|letter: char| letter.is_ascii_digit()) && tag.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_told_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("ghcr.io/o/openclaw:1.2", "ghcr.io", Some("1.2")),
            ("127.0.0.1:5000/openclaw", "127.0.0.1:5000", None),
            ("localhost/x:y", "localhost", Some("y")),
            ("openclaw:local", "docker.io", Some("local")),
            ("openclaw/openclaw", "docker.io", None),
        ];
        for (text, registry, tag) in cases {
            let image = ImageRef::parse(text).expect(text);
            assert_eq!((image.registry(), image.tag()), (registry, tag), "{text}");
            assert_eq!(image.to_string(), text);
            let pinned = image.at(&digest);
            assert_eq!(ImageRef::parse(&pinned.to_string()), Ok(pinned));
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            "-x",
            "a b",
            "a:",
            "A/b",
            "x@sha256:12",
            "a//b",
            "a:b c",
            "--rm/x",
            "--rm.x/y",
            "../x",
            "a\n",
        ] {
            assert!(ImageRef::parse(bad).is_err(), "{bad:?}");
        }
    }
}
