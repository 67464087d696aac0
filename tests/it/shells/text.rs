//! What `oc-secrets env` writes of many variables at once, and which of them it refuses to write.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use serde_json::json;

use super::values;
use crate::sandbox::{Done, Sandbox, item};

/// A name and its value.
pub type Variable = (String, Vec<u8>);

/// What one format makes of some variables.
pub struct Text {
    /// Sets all of `variables`.
    pub set: Vec<u8>,
    /// Removes them again; empty where the format has no such thing.
    pub unset: Vec<u8>,
    /// Those that the format carries.
    pub variables: Vec<Variable>,
}

/// Formats that carry no bytes but UTF-8.
const UTF8_ONLY: &[&str] = &["powershell", "nu", "json", "systemd", "docker"];

/// Every value of [`values::all`] that `format` carries. The cases of a format share one text.
pub fn of_all_values(format: &'static str, utf8_only: bool) -> Arc<OnceLock<Text>> {
    type Texts = HashMap<(&'static str, bool), Arc<OnceLock<Text>>>;
    static TEXTS: LazyLock<Mutex<Texts>> = LazyLock::new(Mutex::default);
    let text = {
        let mut texts = TEXTS.lock().expect("no test panics with it");
        Arc::clone(texts.entry((format, utf8_only)).or_default())
    };
    text.get_or_init(|| {
        let is_utf8 = |value: &[u8]| std::str::from_utf8(value).is_ok();
        let mut values = values::all();
        if utf8_only {
            values.retain(|value| is_utf8(value));
        } else if UTF8_ONLY.contains(&format) {
            // Each refusal costs a start: two say it as well as a hundred.
            let mut refused = 0..2;
            values.retain(|value| is_utf8(value) || refused.next().is_some());
        }
        carried(format, numbered(&values))
    });
    text
}

/// What `format` makes of those `variables` that it carries. A refusal names one variable and
/// prints nothing of any other, so the rest is tried again without that one.
pub fn carried(format: &str, mut variables: Vec<Variable>) -> Text {
    let world = Sandbox::new();
    world.mode("bytes");
    loop {
        fill(&world, &variables);
        let done = world.oc(["env", "--format", format]).done();
        if done.status.success() {
            assert_eq!(done.stderr, "");
            let unset = world.oc(["env", "--format", format, "--unset"]).done();
            let unset = match format {
                "json" | "systemd" | "docker" => Vec::new(),
                _ => unset.succeeds().into_bytes(),
            };
            let set = done.stdout;
            return Text {
                set,
                unset,
                variables,
            };
        }
        let refused = refused(&done, format);
        let before = variables.len();
        variables.retain(|(name, _)| *name != refused);
        assert_eq!(variables.len() + 1, before, "{}", done.stderr);
    }
}

/// What `format` makes of exactly these values, all of which it carries.
pub fn written<V: AsRef<[u8]>>(format: &str, values: &[V]) -> Text {
    let text = carried(format, numbered(values));
    assert_eq!(text.variables.len(), values.len(), "{format} refuses some");
    text
}

/// What `env` prints in `format` when it fails.
pub fn failure(format: &str) -> String {
    let done = Sandbox::new().oc(["env", "--format", format]).done();
    assert_ne!(done.status.code(), Some(0), "there is no manifest");
    done.text()
}

/// The variable that `done` refuses, with nothing on stdout but the text of a failure.
fn refused(done: &Done, format: &str) -> String {
    assert_eq!(done.status.code(), Some(4), "{}", done.stderr);
    assert_eq!(done.text(), failure(format));
    // On a busy machine a line before it says that `op` takes long.
    let name = done
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("oc-secrets: error: "))
        .and_then(|text| text.split_once(&format!(" cannot be written as {format}: ")));
    name.unwrap_or_else(|| panic!("unexpected: {}", done.stderr))
        .0
        .to_owned()
}

/// One name per value; fish and Xonsh split what ends in `PATH` or `DIRS`.
pub fn numbered<V: AsRef<[u8]>>(values: &[V]) -> Vec<Variable> {
    let name = |number: usize| format!("V{number}{}", ["", "PATH", "DIRS"][number % 3]);
    let numbers = 0..;
    numbers
        .zip(values)
        .map(|(number, value)| (name(number), value.as_ref().to_vec()))
        .collect()
}

/// Puts them into the vault of `world` and its manifest. An empty value is no secret.
pub fn fill(world: &Sandbox, variables: &[Variable]) {
    let (empty, secret): (Vec<_>, Vec<_>) =
        variables.iter().partition(|(_, value)| value.is_empty());
    let characters = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let fields: Vec<_> = secret
        .iter()
        .map(|(name, value)| (name, characters(value)))
        .collect();
    world.vault(json!([item("Item", &fields)]));
    let secrets = secret
        .iter()
        .map(|(name, _)| format!("{name} = 'op://Vault/Item/{name}'\n"));
    let vars = empty.iter().map(|(name, _)| format!("{name} = ''\n"));
    world.manifest(&format!(
        "[secrets]\n{}[vars]\n{}",
        secrets.collect::<String>(),
        vars.collect::<String>()
    ));
}
