//! JSON as `op` lays it out: two spaces, keys in the order given, lists of text on one line.

use std::fmt::Write;

/// A value to print.
pub enum Json {
    /// A number or a boolean, as it is to stand.
    Literal(String),
    /// Text, escaped when printed.
    Text(String),
    /// Text alone, printed on one line.
    Texts(Vec<String>),
    /// Values, one to a line.
    List(Vec<Json>),
    /// Keys and values in their order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A number.
    pub fn number(number: impl ToString) -> Self {
        Self::Literal(number.to_string())
    }

    /// On many lines, without a newline at the end.
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.print(&mut text, Some(0));
        text
    }

    /// On one line.
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.print(&mut text, None);
        text
    }

    fn print(&self, into: &mut String, depth: Option<usize>) {
        match self {
            Self::Literal(literal) => into.push_str(literal),
            Self::Text(text) => quote(into, text),
            Self::Texts(texts) => {
                into.push('[');
                for (index, text) in texts.iter().enumerate() {
                    into.push_str(if index > 0 { ", " } else { "" });
                    quote(into, text);
                }
                into.push(']');
            }
            Self::List(values) => {
                let print = |value: &Json, into: &mut String, depth| value.print(into, depth);
                enclose(into, depth, ('[', ']'), values, print);
            }
            Self::Object(pairs) => {
                let print = |(key, value): &(String, Json), into: &mut String, depth| {
                    quote(into, key);
                    into.push_str(": ");
                    value.print(into, depth);
                };
                enclose(into, depth, ('{', '}'), pairs, print);
            }
        }
    }
}

fn enclose<T>(
    into: &mut String,
    depth: Option<usize>,
    (open, close): (char, char),
    parts: &[T],
    print: impl Fn(&T, &mut String, Option<usize>),
) {
    let inner = depth.map(|depth| depth + 1);
    into.push(open);
    for (index, part) in parts.iter().enumerate() {
        into.push_str(match (index, depth) {
            (0, _) => "",
            (_, Some(_)) => ",",
            (_, None) => ", ",
        });
        break_line(into, inner);
        print(part, into, inner);
    }
    if !parts.is_empty() {
        break_line(into, depth);
    }
    into.push(close);
}

fn break_line(into: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        into.push('\n');
        into.push_str(&"  ".repeat(depth));
    }
}

fn quote(into: &mut String, text: &str) {
    into.push('"');
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            // ASSUMPTION: Go's encoder in its default setting, which keeps HTML safe.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\x20' => {
                let _ = write!(into, "\\u{:04x}", u32::from(c));
            }
            _ => into.push(c),
        }
    }
    into.push('"');
}

/// Builds an object; `…_if` leaves out what is absent, as `op` does.
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// No keys yet.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Any value.
    pub fn json(mut self, key: &str, value: Json) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// Any value, if there is one.
    pub fn json_if(self, key: &str, value: Option<Json>) -> Self {
        match value {
            Some(value) => self.json(key, value),
            None => self,
        }
    }

    /// Text.
    pub fn text(self, key: &str, text: &str) -> Self {
        self.json(key, Json::Text(text.to_owned()))
    }

    /// Text, if there is some.
    pub fn text_if(self, key: &str, text: Option<&str>) -> Self {
        self.json_if(key, text.map(|text| Json::Text(text.to_owned())))
    }

    /// A number.
    pub fn number(self, key: &str, number: impl ToString) -> Self {
        self.json(key, Json::number(number))
    }

    /// A list of text.
    pub fn texts(self, key: &str, texts: impl Iterator<Item = String>) -> Self {
        self.json(key, Json::Texts(texts.collect()))
    }

    /// `true`, or no key.
    pub fn flag(self, key: &str, on: bool) -> Self {
        self.json_if(key, on.then(|| Json::number(true)))
    }

    /// The object is complete.
    pub fn end(self) -> Json {
        Json::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_laid_out_as_op_does() {
        let value = Object::new()
            .text("a", "x\"\n&")
            .texts("tags", ["b".to_owned(), "c".to_owned()].into_iter())
            .text_if("absent", None)
            .json("none", Json::List(Vec::new()))
            .json("vault", Object::new().number("id", 1).end())
            .end();
        let expected = "{\n  \"a\": \"x\\\"\\n\\u0026\",\n  \"tags\": [\"b\", \"c\"],\n  \
                        \"none\": [],\n  \"vault\": {\n    \"id\": 1\n  }\n}";
        assert_eq!(value.pretty(), expected);
    }
}
