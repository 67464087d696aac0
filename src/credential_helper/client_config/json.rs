//! A JSON object of another program, edited without touching the rest.
//!
//! Keys keep their order, and unchanged values keep their exact bytes, so what we do not understand
//! stays intact. Duplicate keys are refused, since readers differ on them.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object whose values are still text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// In their order; what was removed leaves a gap.
    entries: Vec<Option<(String, String)>>,
    /// Where each key stands.
    places: HashMap<String, usize>,
}

impl Object {
    /// Parses `text`, which must be one object and nothing else.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let parsed = deserializer.deserialize_map(Pairs);
        let parsed = parsed.and_then(|object| deserializer.end().map(|()| object));
        let object = parsed.map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "is no JSON object with unique keys".to_owned(),
            _ => format!(
                "is no valid JSON (line {}, column {})",
                error.line(),
                error.column()
            ),
        })?;
        Ok(object)
    }

    /// The text of a value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries[*self.places.get(key)?].as_ref();
        entry.map(|(_, value)| value.as_str())
    }

    /// A value that is itself an object; an absent one is empty.
    pub(super) fn object(&self, key: &str) -> Result<Self, String> {
        match self.get(key) {
            None | Some("null") => Ok(Self::default()),
            Some(text) => {
                Self::parse(text).map_err(|_| format!("`{key}` is no object with unique keys"))
            }
        }
    }

    /// A value that is a text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)
            .and_then(|value| serde_json::from_str(value).ok())
    }

    /// Sets a value in its place, or at the end.
    pub(super) fn set(&mut self, key: &str, value: impl Into<String>) {
        let entry = Some((key.to_owned(), value.into()));
        match self.places.get(key) {
            Some(&at) => self.entries[at] = entry,
            None => {
                self.places.insert(key.to_owned(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    /// Sets a value that is a text.
    pub(super) fn set_text(&mut self, key: &str, value: &str) {
        self.set(key, quoted(value));
    }

    /// Removes a value.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(at) = self.places.remove(key) {
            self.entries[at] = None;
        }
    }

    /// The keys, in their order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().flatten().map(|(key, _)| key.as_str())
    }

    /// Whether it is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The object as text, its keys indented by `depth` times `indent`.
    pub(super) fn render(&self, indent: &str, depth: usize) -> String {
        if self.is_empty() {
            return "{}".to_owned();
        }
        let inner = indent.repeat(depth);
        let lines: Vec<String> = self
            .entries
            .iter()
            .flatten()
            .map(|(key, value)| format!("{inner}{}: {value}", quoted(key)))
            .collect();
        format!("{{\n{}\n{}}}", lines.join(",\n"), indent.repeat(depth - 1))
    }
}

/// How `text` indents its first line; as Docker does where it has none.
pub(super) fn indentation(text: &str) -> &str {
    let line = text
        .trim_start()
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('\n'));
    let line = line.map_or("", |(_, line)| line);
    let width = line.len() - line.trim_start_matches([' ', '\t']).len();
    if width == 0 { "\t" } else { &line[..width] }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            if object.places.contains_key(&key) {
                return Err(serde::de::Error::custom("a key is there twice"));
            }
            object.set(&key, value.get());
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str =
        "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {}\n\t},\n\t\"zeta\": 1.50,\n\t\"alpha\": [1,  2]\n}";

    #[test]
    fn what_is_not_touched_keeps_its_bytes_and_its_place() {
        let mut object = Object::parse(DOCKER).expect("parses");
        assert_eq!(object.render(indentation(DOCKER), 1), DOCKER);
        object.set_text("credsStore", "pass");
        object.remove("zeta");
        let expected = "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {}\n\t},\n\t\"alpha\": [1,  2],\n\t\"credsStore\": \"pass\"\n}";
        assert_eq!(object.render("\t", 1), expected);
        assert_eq!(object.text("credsStore").as_deref(), Some("pass"));
    }

    #[test]
    fn the_indentation_of_the_file_is_kept() {
        assert_eq!(indentation("{\n    \"a\": 1\n}"), "    ");
        assert_eq!(indentation("  {\n  \"a\": 1}"), "  ");
        for text in ["", "{}", "{\"a\":1}", "{\n\"a\":1\n}"] {
            assert_eq!(indentation(text), "\t", "{text:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_a_word_of_it() {
        for text in [
            "",
            "[]",
            "null",
            "\"hunter2\"",
            "{\"a\":1,\"a\":2}",
            "{\"a\":hunter2}",
            "{\"a\":1}}",
            "{\"a\":1",
            "{'a':1}",
            "{\"a\":1,}",
            "// x\n{}",
            "\u{feff}{}",
        ] {
            let error = Object::parse(text).expect_err("refused");
            assert!(
                error.starts_with("is no ") && !error.contains("hunter2"),
                "{text:?}: {error}"
            );
        }
        let object = Object::parse("{\"a\":[],\"b\":null}").expect("parses");
        assert_eq!(
            object.object("a"),
            Err("`a` is no object with unique keys".to_owned())
        );
        assert_eq!(
            (object.object("b"), object.object("c")),
            (Ok(Object::default()), Ok(Object::default()))
        );
    }
}
