//! Reads what earlier versions kept of a release: the whole `compose.yaml` that they had written
//! themselves, or Swarm's service as JSON. Whatever it lacks stays as it is by default.

use serde_json::Value;

use super::{Mount, Spec, listen};
use crate::deploy::gateway::labels::{INSIDE, PORT};

pub(super) fn read(text: &str) -> Spec {
    match serde_json::from_str(text) {
        Ok(service @ Value::Object(_)) => of_service(&service),
        _ => of_compose(text),
    }
}

fn of_compose(text: &str) -> Spec {
    let mut spec = Spec::default();
    for line in text.lines().map(str::trim_start) {
        if let Some(words) = line.strip_prefix("command: ") {
            let words: Vec<String> = serde_json::from_str(words).unwrap_or_default();
            let words = words.iter().map(|word| word.replace("$$", "$")).collect();
            spec.command = without_listen(words, "lan", INSIDE);
        } else if let Some(ports) = line.strip_prefix("ports: ") {
            let ports: Vec<String> = serde_json::from_str(ports).unwrap_or_default();
            let port = ports
                .first()
                .and_then(|it| it.split(':').nth(1)?.parse().ok());
            spec.port = port.unwrap_or_default();
        } else if line.starts_with("healthcheck: ") {
            spec.health_check = true;
        } else if let Some(mount) = line.strip_prefix("- {type: bind, source: ") {
            spec.mounts.extend(mount_of(mount));
        }
    }
    spec
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
        let text = include_str!("records-before.json");
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
            assert!(before.contains(&runtime::mark(release)));
        }
    }
}
