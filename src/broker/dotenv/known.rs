//! What the lines so far define: the last of a name counts, where it was written last.

use std::collections::HashMap;

use super::definition::{Definition, Value};

/// More than any environment carries. A short line can repeat a long value: `B1=$A`, `B2=$A`.
const MOST: usize = 16 * 1024 * 1024;

/// The definitions, found by their names.
#[derive(Default)]
pub(super) struct KnownDefinitions {
    list: Vec<Option<Definition>>,
    places: HashMap<String, usize>,
    written: usize,
}

impl KnownDefinitions {
    /// What the value of `name` is.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let definition = self.list[*self.places.get(name)?].as_ref();
        definition.map(|definition| &definition.value)
    }

    /// Adds a definition; `None` where all values together, those that were replaced too, are more
    /// than is reasonable.
    pub(super) fn add(&mut self, definition: Definition) -> Option<()> {
        self.written += match &definition.value {
            Value::Plain(text) => text.len(),
            Value::Secret(reference) => reference.to_string().len(),
        };
        let name = definition.name.as_str().to_owned();
        if let Some(earlier) = self.places.insert(name, self.list.len()) {
            self.list[earlier] = None;
        }
        self.list.push(Some(definition));
        (self.written <= MOST).then_some(())
    }

    /// All of them, in their order.
    pub(super) fn into_list(self) -> Vec<Definition> {
        self.list.into_iter().flatten().collect()
    }
}
