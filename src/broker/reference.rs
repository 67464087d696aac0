//! A secret reference: `op://vault/item[/section]/field[?query]`.
//!
//! A reference can also be made from parts, since item names may hold characters that the `op://`
//! syntax cannot carry. [`Reference::fits_syntax`] says whether it can; one that cannot is fetched
//! by its item.

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// The vault's name or id.
    pub vault: String,
    /// The item's title or id.
    pub item: String,
    /// The section's label or id, where the field is in one.
    pub section: Option<String>,
    /// The field's label or id.
    pub field: String,
    /// What follows `?`, such as `attribute=otp`.
    pub query: Option<String>,
}

/// Why a text is not a [`Reference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// It does not begin with `op://`.
    #[error("a reference begins with `op://`")]
    Scheme,
    /// Fewer than three parts.
    #[error("a reference needs at least vault, item and field: op://vault/item/field")]
    TooFewParts,
    /// More than four parts.
    #[error("a reference has at most four parts: op://vault/item/section/field")]
    TooManyParts,
    /// A part without a character.
    #[error("a part of the reference is empty")]
    EmptyPart,
    /// A line break or another control character.
    #[error("a reference cannot hold control characters")]
    Control,
}

impl Reference {
    /// Parses `op://vault/item[/section]/field[?query]`.
    ///
    /// # Errors
    /// [`ReferenceError`] says which rule the text breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, ReferenceError> {
        let rest = text.strip_prefix("op://").ok_or(ReferenceError::Scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let (vault, item, section, field) = match parts[..] {
            [vault, item, field] => (vault, item, None, field),
            [vault, item, section, field] => (vault, item, Some(section.to_owned()), field),
            [_, _, _, _, _, ..] => return Err(ReferenceError::TooManyParts),
            _ => return Err(ReferenceError::TooFewParts),
        };
        Self {
            vault: vault.to_owned(),
            item: item.to_owned(),
            section,
            field: field.to_owned(),
            query,
        }
        .checked()
    }

    /// Checks a reference that was made from parts.
    ///
    /// # Errors
    /// [`ReferenceError`] when a part is empty or holds a control character.
    pub(crate) fn checked(self) -> Result<Self, ReferenceError> {
        let parts = || {
            [
                Some(&self.vault),
                Some(&self.item),
                self.section.as_ref(),
                Some(&self.field),
                self.query.as_ref(),
            ]
            .into_iter()
            .flatten()
        };
        if parts().any(|part| part.trim().is_empty()) {
            return Err(ReferenceError::EmptyPart);
        }
        if parts().any(|part| part.contains(char::is_control)) {
            return Err(ReferenceError::Control);
        }
        Ok(self)
    }

    /// Whether the `op://` syntax can carry every part, so that `op run` understands it.
    /// Source: 1Password's reference syntax, `[A-Za-z0-9-_. ]`; a query also holds `=`.
    pub(crate) fn fits_syntax(&self) -> bool {
        let carried = |part: &String| {
            part.trim() == part
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c))
        };
        let query = |query: &String| {
            query
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_=&".contains(c))
        };
        carried(&self.vault)
            && carried(&self.item)
            && self.section.as_ref().is_none_or(carried)
            && carried(&self.field)
            && self.query.as_ref().is_none_or(query)
    }
}

/// Which references somebody else may ask for: `op://Vault/*`, `op://Vault/Item/*`, or a whole one.
///
/// `*` stands for one part, at the end for all that follow. The vault is always named, and names are
/// compared letter by letter, so that what is not meant is not matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReferencePattern(Vec<String>);

impl ReferencePattern {
    /// Parses a pattern; `None` for what cannot match any reference, or would match every vault.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix("op://")?.split('/').collect();
        let bad = |part: &&str| {
            let starred = part.contains('*') && *part != "*";
            part.trim().is_empty() || starred || part.contains(|c: char| c.is_control() || c == '?')
        };
        let open = parts.last() == Some(&"*");
        let long_enough = parts.len() >= if open { 2 } else { 3 };
        let fits = long_enough && parts.len() <= 4 && parts[0] != "*";
        (fits && !parts.iter().any(bad))
            .then(|| Self(parts.into_iter().map(str::to_owned).collect()))
    }

    /// Whether it stands for `reference`. One with a query is never matched: a query can turn a key
    /// into another form of it.
    pub(crate) fn matches(&self, reference: &Reference) -> bool {
        let parts = [
            Some(&reference.vault),
            Some(&reference.item),
            reference.section.as_ref(),
            Some(&reference.field),
        ];
        let parts: Vec<&String> = parts.into_iter().flatten().collect();
        let open = self.0.last().is_some_and(|part| part == "*");
        let length = match open {
            true => parts.len() >= self.0.len(),
            false => parts.len() == self.0.len(),
        };
        let same = |(own, part): (&String, &&String)| own == "*" || own == *part;
        reference.query.is_none() && length && self.0.iter().zip(&parts).all(same)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "op://{}/{}/", self.vault, self.item)?;
        if let Some(section) = &self.section {
            write!(f, "{section}/")?;
        }
        f.write_str(&self.field)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_every_form() {
        for text in [
            "op://OpenClaw/GitHub GHCR Pull Token/credential",
            "op://v/i/section/field",
            "op://v/i/one-time password?attribute=otp",
            "op://v/key/private key?ssh-format=openssh",
        ] {
            assert_eq!(
                Reference::parse(text).map(|r| r.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, error) in [
            ("v/i/f", ReferenceError::Scheme),
            ("op://", ReferenceError::TooFewParts),
            ("op://v/i", ReferenceError::TooFewParts),
            ("op://v/i/s/f/x", ReferenceError::TooManyParts),
            ("op:///i/f", ReferenceError::EmptyPart),
            ("op://v/i/ ", ReferenceError::EmptyPart),
            ("op://v/i/f?", ReferenceError::EmptyPart),
            ("op://v/i\n/f", ReferenceError::Control),
        ] {
            assert_eq!(Reference::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_matches_what_it_names_and_nothing_else() {
        let matches = |pattern: &str, text: &str| {
            let pattern = ReferencePattern::parse(pattern).expect("a pattern");
            pattern.matches(&Reference::parse(text).expect("parses"))
        };
        for (pattern, text) in [
            ("op://Automation/*", "op://Automation/OpenAI/credential"),
            ("op://Automation/*", "op://Automation/OpenAI/s/credential"),
            ("op://A/i/*", "op://A/i/f"),
            ("op://A/i/*", "op://A/i/s/f"),
            ("op://A/*/f", "op://A/i/f"),
            ("op://A/i/s/f", "op://A/i/s/f"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("op://Automation/*", "op://Automation2/i/f"),
            ("op://Automation/*", "op://automation/i/f"),
            ("op://Automation/*", "op://Private/Automation/f"),
            ("op://Automation/*", "op://Automation/i/f?attribute=otp"),
            ("op://A/i/*", "op://A/j/f"),
            ("op://A/*/f", "op://A/i/g"),
            ("op://A/*/f", "op://A/i/s/f"),
            ("op://A/i/f", "op://A/i/s/f"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_names_its_vault() {
        for bad in [
            "*",
            "op://*",
            "op://*/*",
            "op://*/i/f",
            "op://",
            "op://A",
            "op://A/i",
            "op://A/x*",
            "op://A//f",
            "op://A/i/f?q",
            "op://A/i/s/f/*",
            "A/*",
            "op://A/\n/f",
        ] {
            assert_eq!(ReferencePattern::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn knows_what_the_syntax_cannot_carry() {
        let safe = |text| Reference::parse(text).expect("parses").fits_syntax();
        assert!(safe("op://v/a b.c-d_e/f"));
        assert!(safe("op://v/i/f?attribute=otp"));
        for text in [
            "op://v/Signing (prod)/f",
            "op://v/é/f",
            "op://v/i/a'b",
            "op://v/$x/f",
            "op://v/i/100%",
            "op://v/ i/f",
        ] {
            assert!(!safe(text), "{text}");
        }
    }
}
