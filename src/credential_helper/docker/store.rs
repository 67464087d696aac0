//! The input of `store`: `{"ServerURL":…,"Username":…,"Secret":…}`, read as Go reads it.
//!
//! Keys in any case, unknown ones ignored, the last of several wins, whatever follows the object is
//! ignored too. Errors have the words of Docker's helpers, except those of the JSON parser, which
//! would quote the input. The secret goes straight into locked memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::secret::Secret;
use crate::broker::op::item::unescape;

/// A login that a client wants to store.
#[derive(Debug)]
pub(super) struct Login {
    /// The registry, as the client names it.
    pub server: String,
    /// The user name.
    pub username: String,
    /// The password.
    pub secret: Secret,
}

/// Reads a login.
///
/// # Errors
/// The error for the client.
pub(super) fn parse(input: &[u8]) -> Result<Login, String> {
    let Some(&first) = input.iter().find(|byte| !b" \t\r\n".contains(byte)) else {
        return Err("EOF".to_owned());
    };
    if !first.is_ascii_digit() && !b"{[\"-tfn".contains(&first) {
        let shown = quoted(first);
        return Err(format!(
            "invalid character {shown} looking for beginning of value"
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(input);
    let fields = Fields::deserialize(&mut deserializer).map_err(|error| malformed(&error))?;
    fields.login(first)
}

/// The fields of the object, as they stand in the text; `None` unless it is an object.
struct Fields<'a>(Option<[Option<&'a RawValue>; 3]>);

/// Go's names for them.
const NAMES: [&str; 3] = ["ServerURL", "Username", "Secret"];

impl Fields<'_> {
    fn login(self, first: u8) -> Result<Login, String> {
        let fields = match self.0 {
            Some(fields) => fields,
            None if first == b'n' => [None; 3],
            None => {
                let kind = kind(first);
                return Err(format!(
                    "json: cannot unmarshal {kind} into Go value of type credentials.Credentials"
                ));
            }
        };
        let [server, username, secret] = [0, 1, 2].map(|at| text(fields[at], NAMES[at]));
        let plain = |secret: Secret| String::from_utf8_lossy(secret.expose()).into_owned();
        let login = Login {
            server: plain(server?),
            username: plain(username?),
            secret: secret?,
        };
        if login.server.trim().is_empty() {
            return Err("no credentials server URL".to_owned());
        }
        if login.username.trim().is_empty() {
            return Err("no credentials username".to_owned());
        }
        Ok(login)
    }
}

fn text(raw: Option<&RawValue>, name: &str) -> Result<Secret, String> {
    let raw = match raw.map(RawValue::get) {
        None | Some("null") => "\"\"",
        Some(raw) => raw,
    };
    let first = raw.as_bytes().first().copied().unwrap_or_default();
    if first != b'"' {
        let kind = kind(first);
        return Err(format!(
            "json: cannot unmarshal {kind} into Go struct field Credentials.{name} of type string"
        ));
    }
    unescape(raw).ok_or_else(|| format!("invalid JSON: {name} is no text"))
}

/// Go's word for the kind of value that begins with `first`.
fn kind(first: u8) -> &'static str {
    match first {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        _ => "number",
    }
}

fn malformed(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".to_owned();
    }
    format!(
        "invalid JSON at line {} column {}",
        error.line(),
        error.column()
    )
}

/// A byte as Go's JSON errors show it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b' '..=b'~' | 0xa1..=0xac | 0xae.. => format!("'{}'", char::from(byte)),
        0..0x80 => format!("'\\x{byte:02x}'"),
        _ => format!("'\\u{byte:04x}'"),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = <&'a RawValue>::deserialize(deserializer)?;
        if !whole.get().starts_with('{') {
            return Ok(Self(None));
        }
        let mut object = serde_json::Deserializer::from_str(whole.get());
        object
            .deserialize_map(Object)
            .map_err(serde::de::Error::custom)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = [None; 3];
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            if let Some(at) = NAMES
                .iter()
                .position(|name| name.eq_ignore_ascii_case(&key))
            {
                fields[at] = Some(value);
            }
        }
        Ok(Fields(Some(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(input: &str) -> String {
        match parse(input.as_bytes()) {
            Ok(login) => {
                let secret = String::from_utf8_lossy(login.secret.expose()).into_owned();
                format!("{} {} {secret}", login.server, login.username)
            }
            Err(line) => line,
        }
    }

    #[test]
    fn what_docker_s_helpers_take_is_taken() {
        for input in [
            r#"{"ServerURL":"h","Username":"u","Secret":"s"}"#,
            "{\"ServerURL\":\"h\",\"Username\":\"u\",\"Secret\":\"s\"}\n",
            r#"{"ServerURL":"h","Username":"u","Secret":"s","More":[{"Secret":1}]}"#,
            r#"{"ServerURL":"h","Username":"u","Secret":"s"} and more"#,
            r#"{"serverurl":"h","USERNAME":"u","secret":"s"}"#,
            "{\n\"ServerURL\"\n:\"h\",\"Username\":\"u\",\n\"Secret\":\"s\"\n}",
            r#"{"Secret":"x","ServerURL":"h","Username":"u","Secret":"s"}"#,
            r#"{"ServerURL":"\u0068","Username":"u","Secret":"\u0073"}"#,
        ] {
            assert_eq!(login(input), "h u s", "{input}");
        }
        assert_eq!(login(r#"{"ServerURL":"h","Username":"u"}"#), "h u ");
        assert_eq!(
            login(r#"{"ServerURL":"h","Username":"u","Secret":null}"#),
            "h u "
        );
    }

    #[test]
    fn what_they_refuse_is_refused_in_their_words() {
        let go = "json: cannot unmarshal";
        for (input, line) in [
            ("", "EOF".to_owned()),
            (" \n\t", "EOF".to_owned()),
            (
                "hello",
                "invalid character 'h' looking for beginning of value".to_owned(),
            ),
            (
                "'",
                r"invalid character '\'' looking for beginning of value".to_owned(),
            ),
            (
                "\0",
                r"invalid character '\x00' looking for beginning of value".to_owned(),
            ),
            ("{}", "no credentials server URL".to_owned()),
            ("null", "no credentials server URL".to_owned()),
            (
                r#"{"Username":"u","Secret":"s"}"#,
                "no credentials server URL".to_owned(),
            ),
            (
                r#"{"ServerURL":" ","Username":"u"}"#,
                "no credentials server URL".to_owned(),
            ),
            (
                r#"{"ServerURL":"h","Secret":"s"}"#,
                "no credentials username".to_owned(),
            ),
            (
                "[]",
                format!("{go} array into Go value of type credentials.Credentials"),
            ),
            (
                "\"x\"",
                format!("{go} string into Go value of type credentials.Credentials"),
            ),
            (
                "-1",
                format!("{go} number into Go value of type credentials.Credentials"),
            ),
            (
                "true",
                format!("{go} bool into Go value of type credentials.Credentials"),
            ),
            (
                r#"{"ServerURL":1}"#,
                format!("{go} number into Go struct field Credentials.ServerURL of type string"),
            ),
            (
                r#"{"ServerURL":"h","Username":"u","Secret":{}}"#,
                format!("{go} object into Go struct field Credentials.Secret of type string"),
            ),
            (r#"{"ServerURL":"h""#, "unexpected EOF".to_owned()),
            ("nope", "invalid JSON at line 1 column 2".to_owned()),
        ] {
            assert_eq!(login(input), line, "{input:?}");
        }
    }

    #[test]
    fn no_error_holds_a_word_of_the_secret() {
        let deep = format!("{}\"hunter2\"", "[".repeat(100_000));
        for input in [
            r#"{"ServerURL":"h","Username":"u","Secret":"hunter2"#.to_owned(),
            r#"{"ServerURL":"h","Secret":"hunter2",}"#.to_owned(),
            r#"{"ServerURL":"h","Username":"u","Secret":"hunter2\ud800"}"#.to_owned(),
            r#"{"ServerURL":"h","Username":"u","Secret":"hunter2\q"}"#.to_owned(),
            r#"{"hunter2":}"#.to_owned(),
            r#"{"ServerURL":"h","Username":"u","Secret":["hunter2"]}"#.to_owned(),
            deep,
        ] {
            let line = parse(input.as_bytes()).expect_err("refused");
            assert!(!line.contains("hunter2"), "{line}");
        }
        assert!(parse(b"{\"ServerURL\":\"h\",\"Username\":\"u\",\"Secret\":\"\xff\"}").is_err());
    }
}
