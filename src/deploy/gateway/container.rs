//! Which of the engine's containers is the gateway, and what our labels say of it.

use crate::deploy::docker::Engine;
use crate::deploy::docker::containers::{Container, Labels};
use crate::deploy::error::Result;
use crate::deploy::gateway::labels;
use crate::deploy::settings::RuntimeKind;

/// Our gateway's container, if there is one: the one that runs, or else the newest.
pub(crate) async fn find(engine: &Engine) -> Result<Option<Container>> {
    match all(engine).await?.first() {
        Some((id, _)) => engine.container(id).await,
        None => Ok(None),
    }
}

/// The ids of all our gateway's containers and what runs them, in the order in which one of them is
/// the gateway: first one that runs, then one that has run, then one that was only created; the newest
/// first.
pub(crate) async fn all(engine: &Engine) -> Result<Vec<(String, RuntimeKind)>> {
    let mut ours: Vec<_> = engine
        .containers()
        .await?
        .into_iter()
        .filter_map(|it| Some((runtime_of(&it.labels)?, it)))
        .collect();
    ours.sort_by_key(|(_, it)| match it.state.as_str() {
        "running" => 0,
        "created" => 2,
        _ => 1,
    });
    Ok(ours.into_iter().map(|(kind, it)| (it.id, kind)).collect())
}

/// Whether one of them uses the state, or will by itself in a moment.
pub(crate) async fn is_any_alive(engine: &Engine) -> Result<bool> {
    let is_alive = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let all = engine.containers().await?;
    let mut ours = all.iter().filter(|it| runtime_of(&it.labels).is_some());
    Ok(ours.any(|it| is_alive(&it.state)))
}

/// The ids of those of [`all`] that this runs.
pub(crate) async fn all_of(engine: &Engine, made_by: RuntimeKind) -> Result<Vec<String>> {
    let all = all(engine).await?.into_iter();
    Ok(all
        .filter(|(_, kind)| *kind == made_by)
        .map(|(id, _)| id)
        .collect())
}

/// What runs it.
pub(crate) fn runtime(container: &Container) -> RuntimeKind {
    runtime_of(&container.labels).unwrap_or_default()
}

/// The fingerprint of what it was made from, "" where it was not made by us.
pub(crate) fn fingerprint(container: &Container) -> &str {
    label(&container.labels, labels::RENDER)
}

/// The name of its volumes; none where it has directories.
pub(crate) fn state(container: &Container) -> Option<&str> {
    let name = label(&container.labels, labels::STATE);
    (!name.is_empty()).then_some(name)
}

/// The host's address and port of every port that is published, or will be when it starts; of a
/// service, which publishes none, those on which it was told to listen.
pub(crate) fn published(container: &Container) -> Vec<(String, u16)> {
    let mut published = container.published.clone();
    let listens = label(&container.labels, labels::PORT).parse();
    published.extend(listens.map(|port| ("127.0.0.1".to_owned(), port)));
    published.sort();
    published.dedup();
    published
}

/// Whether it is published at this address and port, and nowhere else.
pub(crate) fn is_published_at(container: &Container, address: &str, port: u16) -> bool {
    published(container) == [(address.to_owned(), port)]
}

/// What runs the container with these labels; none where it is not the gateway's.
fn runtime_of(all: &Labels) -> Option<RuntimeKind> {
    let is = |name: &str, word: &str| label(all, name) == word;
    if is("com.docker.swarm.service.name", labels::SWARM_SERVICE) {
        return Some(RuntimeKind::Swarm);
    }
    let compose = is("com.docker.compose.project", labels::PROJECT)
        && is("com.docker.compose.service", labels::COMPOSE_SERVICE)
        && is("com.docker.compose.oneoff", "False");
    compose.then_some(RuntimeKind::Compose)
}

fn label<'a>(all: &'a Labels, name: &str) -> &'a str {
    all.get(name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_container_is_ours_by_who_made_it() {
        let compose = |oneoff: &str| {
            labels_of(&[
                ("com.docker.compose.project", "openclaw"),
                ("com.docker.compose.service", "openclaw-gateway"),
                ("com.docker.compose.oneoff", oneoff),
            ])
        };
        assert_eq!(runtime_of(&compose("False")), Some(RuntimeKind::Compose));
        assert_eq!(
            runtime_of(&compose("True")),
            None,
            "`compose run` is not the gateway"
        );
        let task = labels_of(&[("com.docker.swarm.service.name", "openclaw_gateway")]);
        assert_eq!(runtime_of(&task), Some(RuntimeKind::Swarm));
        assert_eq!(runtime_of(&Labels::new()), None);
    }

    #[test]
    fn a_service_is_published_where_it_was_told_to_listen() {
        let container = Container {
            labels: labels_of(&[(labels::PORT, "18789")]),
            ..Container::default()
        };
        assert!(is_published_at(&container, "127.0.0.1", 18789));
        assert!(!is_published_at(&Container::default(), "127.0.0.1", 18789));
    }
}
