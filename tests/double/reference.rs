//! `op://<vault>/<item>/[<section>/]<field>[?query]`, and what `op` says of one that is not.

/// A secret reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// As it was written.
    pub text: String,
    pub vault: String,
    pub item: String,
    pub section: Option<String>,
    pub field: String,
    /// Keys and values after `?`.
    pub query: Vec<(String, String)>,
}

impl Reference {
    /// Parses it; an error is `op`'s message.
    pub fn parse(text: &str) -> Result<Self, String> {
        // ASSUMPTION: the words for another scheme.
        let rest = text.strip_prefix("op://").ok_or_else(|| {
            format!(
                "invalid secret reference '{text}': secret references should start with 'op://'"
            )
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parts: Vec<&str> = path.split('/').collect();
        if let Some(why) = fault(&parts) {
            return Err(format!("invalid secret reference '{text}': {why}"));
        }
        if let Some(c) = rest.chars().find(|c| !allowed(*c)) {
            return Err(format!("invalid character in secret reference: '{c}'"));
        }
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        };
        Ok(Self {
            text: text.to_owned(),
            vault: parts[0].to_owned(),
            item: parts[1].to_owned(),
            section: (parts.len() == 4).then(|| parts[2].to_owned()),
            field: parts[parts.len() - 1].to_owned(),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(pair)
                .collect(),
        })
    }

    /// `V/I`, as messages name the item.
    pub fn item_path(&self) -> String {
        format!("{}/{}", self.vault, self.item)
    }
}

/// What is wrong with the number or the emptiness of the parts.
fn fault(parts: &[&str]) -> Option<String> {
    let names: &[&str] = match parts.len() {
        0..3 => {
            let rule = "secret references should have at least vault, item and field specified";
            return Some(format!("too few '/': {rule}"));
        }
        3 => &["vault", "item", "field"],
        4 => &["vault", "item", "section", "field"],
        _ => {
            let rule = "secret references should match op://<vault>/<item>[/<section>]/<field>";
            return Some(format!("too many '/': {rule}"));
        }
    };
    let mut named = parts.iter().zip(names);
    let (_, name) = named.find(|(part, _)| part.is_empty())?;
    Some(format!("{name} can't be empty"))
}

/// ASSUMPTION: a query may hold `?`, `=` and `&` besides; `%` is refused like any other.
fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_. /?=&".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_references_apart() {
        let r = Reference::parse("op://V/I t/S/f?attribute=otp").expect("parses");
        assert_eq!(
            (r.vault.as_str(), r.item.as_str(), r.field.as_str()),
            ("V", "I t", "f")
        );
        assert_eq!(r.section.as_deref(), Some("S"));
        assert_eq!(r.query, [("attribute".to_owned(), "otp".to_owned())]);
    }

    #[test]
    fn says_what_op_says() {
        let cases = [
            (
                "op://",
                "invalid secret reference 'op://': too few '/': secret references should have at least vault, item and field specified",
            ),
            (
                "op://A/b",
                "invalid secret reference 'op://A/b': too few '/': secret references should have at least vault, item and field specified",
            ),
            (
                "op:///b/c",
                "invalid secret reference 'op:///b/c': vault can't be empty",
            ),
            (
                "op://a/b/c/d/e",
                "invalid secret reference 'op://a/b/c/d/e': too many '/': secret references should match op://<vault>/<item>[/<section>]/<field>",
            ),
            (
                "op://a/b (c)/d",
                "invalid character in secret reference: '('",
            ),
            (
                "op://a/b/c%20d",
                "invalid character in secret reference: '%'",
            ),
            (
                "op://a/b\n/d",
                "invalid character in secret reference: '\n'",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(Reference::parse(text).expect_err("fails"), message);
        }
    }
}
