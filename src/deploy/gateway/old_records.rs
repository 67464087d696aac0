//! Records as earlier versions wrote them.
//!
//! Of a release they kept the whole `compose.yaml` that they had written themselves, or Swarm's service
//! as JSON. What varies is read from it. A text that they did not write is refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::deploy::gateway::labels::{INSIDE, PORT};
use crate::deploy::gateway::spec::{Mount, Spec, listen};

/// A specification, or the text from which a gateway was made.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Spec(Spec),
    Text(String),
}

/// Reads a release's specification.
pub(super) fn spec<'de, D: Deserializer<'de>>(from: D) -> Result<Spec, D::Error> {
    match Stored::deserialize(from)? {
        Stored::Spec(spec) => Ok(spec),
        Stored::Text(text) => of_text(&text)
            .ok_or_else(|| D::Error::custom("not a gateway that an earlier version has made")),
    }
}

/// Reads a name, for which "" once stood where there is none.
pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    Ok(name.filter(|it| !it.is_empty()))
}

fn of_text(text: &str) -> Option<Spec> {
    let spec = match serde_json::from_str(text) {
        Ok(service @ Value::Object(_)) => of_service(&service),
        _ => of_compose(text)?,
    };
    // Every text that we wrote names a port.
    (spec.port != 0).then_some(spec)
}

fn of_compose(text: &str) -> Option<Spec> {
    let list = |text| serde_json::from_str::<Vec<String>>(text).ok();
    let mut spec = Spec::default();
    for line in text.lines().map(str::trim_start) {
        if let Some(words) = line.strip_prefix("command: ") {
            let words = list(words)?.into_iter().map(|word| word.replace("$$", "$"));
            spec.command = without_listen(words.collect(), "lan", INSIDE);
        } else if let Some(ports) = line.strip_prefix("ports: ") {
            let ports = list(ports)?;
            spec.port = ports.first()?.split(':').nth(1)?.parse().ok()?;
        } else if line.starts_with("healthcheck: ") {
            spec.health_check = true;
        } else if let Some(mount) = line.strip_prefix("- {type: bind, source: ") {
            spec.mounts.push(mount_of(mount)?);
        }
    }
    Some(spec)
}

/// `"/home/deploy/.openclaw", target: /home/node/.openclaw, bind: {…}}`
fn mount_of(text: &str) -> Option<Mount> {
    let (source, rest) = text.split_once(", target: ")?;
    let (target, _) = rest.split_once(", bind: ")?;
    let source: String = serde_json::from_str(source).ok()?;
    Some(Mount {
        source: source.replace("$$", "$"),
        target: target.to_owned(),
    })
}

fn of_service(service: &Value) -> Spec {
    let container = &service["TaskTemplate"]["ContainerSpec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let port = text(&container["Labels"][PORT]).parse().unwrap_or_default();
    let words = list(&container["Args"]).iter().map(text).collect();
    Spec {
        command: without_listen(words, "loopback", port),
        port,
        health_check: container["Healthcheck"].is_object(),
        mounts: list(&container["Mounts"])
            .iter()
            .filter(|mount| mount["Type"] == "bind")
            .map(|mount| Mount {
                source: text(&mount["Source"]),
                target: text(&mount["Target"]),
            })
            .collect(),
    }
}

/// The image's own command, of which only what we added is taken away.
fn without_listen(mut words: Vec<String>, bind: &str, port: u16) -> Vec<String> {
    if words.ends_with(&listen(bind, port)) {
        words.truncate(words.len() - 4);
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::deploy::gateway::records::Records;
    use crate::deploy::gateway::runtime;

    /// What the version before wrote: one release of each kind, here and on a remote engine. Read, it is
    /// rendered to the very text from which it came, so that no gateway is replaced for it.
    #[test]
    fn records_of_the_version_before_are_read_and_render_as_they_were() {
        let text = include_str!("old_records.json");
        let records: Records = serde_json::from_str(text).expect("they are read");
        let raw: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(records.releases.len(), 5);
        for (release, raw) in records
            .releases
            .iter()
            .zip(raw["releases"].as_array().expect("a list"))
        {
            let before = raw["compose"].as_str().expect("text");
            assert_eq!(runtime::rendered(release), before, "release {}", release.id);
            assert!(before.contains(&runtime::fingerprint(release)));
        }
        let states: Vec<_> = records.releases.iter().map(|it| &it.state).collect();
        let (third, fifth) = ("1795489509-3".to_owned(), "1795489509-5".to_owned());
        assert_eq!(states, [&None, &None, &Some(third), &None, &Some(fifth)]);
    }

    #[test]
    fn a_text_that_no_version_wrote_is_refused() {
        let text = include_str!("old_records.json");
        for (ours, other) in [
            ("    ports: ", "    expose: "),
            ("ports: [", "ports: {"),
            ("command: [", "command: {"),
            ("openclaw-deploy.port", "somebody.port"),
        ] {
            let records = serde_json::from_str::<Records>(&text.replace(ours, other));
            assert!(records.is_err(), "{other}");
        }
    }
}
