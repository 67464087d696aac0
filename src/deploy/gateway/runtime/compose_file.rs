//! Our own `compose.yaml`, rendered from a release. Pure.
//!
//! The file is ours alone: it is written anew whenever it differs.

use std::fmt::Write;

use crate::base::checksum::fnv1a;
use crate::deploy::gateway::labels::{self, COMPOSE_SERVICE, INSIDE, PROJECT};
use crate::deploy::gateway::records::Release;
use crate::deploy::gateway::secrets;
use crate::deploy::gateway::state::volumes;
use crate::deploy::settings::Deliver;

/// The `.env` beside the file.
pub(super) const ENV_FILE: &str = ".env";

/// The text of `compose.yaml` for a release, with the user's variables from `env_file`. The volumes of
/// a remote engine are no part of its fingerprint, because every release has others.
pub(super) fn render(release: &Release, env_file: &str) -> String {
    let mut text = service(release, env_file);
    let (source, fingerprint) = (release.source.word(), fingerprint(release));
    let _ = writeln!(
        text,
        "    labels:\n      {}: {source}\n      {}: \"{fingerprint}\"",
        labels::SOURCE,
        labels::RENDER
    );
    let Some(state) = &release.state else {
        return text;
    };
    let _ = writeln!(text, "      {}: \"{state}\"\nvolumes:", labels::STATE);
    for (part, _) in volumes::PARTS {
        // External: Compose never creates an empty one where the state should be.
        let name = volumes::name(part, state);
        let _ = writeln!(text, "  {part}: {{external: true, name: {name}}}");
    }
    text
}

/// The fingerprint of all that the gateway is made from.
pub(super) fn fingerprint(release: &Release) -> String {
    fnv1a(service(release, ENV_FILE).as_bytes())
}

/// The service, without its labels.
fn service(release: &Release, env_file: &str) -> String {
    let spec = &release.spec;
    let mut text = String::from(
        "# Written by openclaw-deploy, which replaces it. Put your own variables into .env.\n",
    );
    let _ = write!(
        text,
        "name: {PROJECT}\nservices:\n  {COMPOSE_SERVICE}:\n    image: {}\n    pull_policy: never\n",
        quoted(&release.pinned)
    );
    let command = spec.command("lan", INSIDE);
    if !command.is_empty() {
        let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "    command: [{}]", words.join(", "));
    }
    let env_file = match env_file {
        ENV_FILE => ENV_FILE.to_owned(),
        elsewhere => quoted(elsewhere),
    };
    let _ = writeln!(text, "    env_file: [{env_file}]");
    text.push_str("    environment:\n      HOME: /home/node\n      OPENCLAW_GATEWAY_BIND: lan\n      OPENCLAW_NO_AUTO_UPDATE: \"1\"\n");
    if release.delivers() == Deliver::Broker {
        let _ = writeln!(text, "      OC_SECRETS_SOCKET: {}", secrets::SOCKET);
    }
    let _ = writeln!(text, "    ports: [\"127.0.0.1:{}:{INSIDE}\"]", spec.port);
    text.push_str(&mounts(release));
    text.push_str("    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n    init: true\n    pids_limit: 512\n    restart: unless-stopped\n    stop_grace_period: 30s\n");
    if spec.health_check {
        // Upstream's own check runs every three minutes, too seldom to be of use.
        text.push_str(
            "    healthcheck: {interval: 10s, timeout: 5s, start_period: 20s, retries: 5}\n",
        );
    }
    text
}

/// The directories of the service, or its volumes.
fn mounts(release: &Release) -> String {
    let mut text = String::from("    volumes:\n");
    for mount in &release.spec.mounts {
        let (source, target) = (quoted(&mount.source), &mount.target);
        let _ = writeln!(
            text,
            "      - {{type: bind, source: {source}, target: {target}, bind: {{create_host_path: false}}}}"
        );
    }
    if release.delivers() == Deliver::Broker {
        for (source, target) in [(secrets::FOLDER, secrets::MOUNTED), secrets::PROGRAM] {
            let _ = writeln!(
                text,
                "      - {{type: bind, source: {source}, target: {target}, read_only: true, bind: {{create_host_path: false}}}}"
            );
        }
    }
    for (name, inside) in volumes::PARTS.iter().filter(|_| release.state.is_some()) {
        let _ = writeln!(
            text,
            "      - {{type: volume, source: {name}, target: {inside}}}"
        );
    }
    text
}

/// A YAML double-quoted word that Compose does not interpolate.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::gateway::records::tests::release;

    fn here(pinned: &str) -> Release {
        let mut it = release(1, "sha256:00");
        it.pinned = pinned.to_owned();
        it.spec.port = 18789;
        it.spec.command = ["node", "openclaw.mjs", "gateway"]
            .map(str::to_owned)
            .to_vec();
        it.spec.mounts = vec![crate::deploy::gateway::spec::Mount {
            source: "/home/deploy/.openclaw".to_owned(),
            target: "/home/node/.openclaw".to_owned(),
        }];
        it
    }

    #[test]
    fn nothing_is_published_beyond_loopback_and_nothing_is_pulled() {
        let text = render(&here("r/x@sha256:00"), ENV_FILE);
        assert!(
            text.contains("ports: [\"127.0.0.1:18789:18789\"]"),
            "{text}"
        );
        assert!(text.contains("pull_policy: never") && text.contains("cap_drop: [ALL]"));
        assert!(text.contains("\"gateway\", \"--bind\", \"lan\", \"--port\", \"18789\""));
        assert_eq!(fingerprint(&here("r/x@sha256:00")).len(), 16);
    }

    #[test]
    fn what_asks_the_broker_has_its_folder_read_only_and_is_another_gateway() {
        let mut broker = here("a");
        broker.deliver = Some(Deliver::Broker);
        let text = render(&broker, ENV_FILE);
        assert!(text.contains("      OC_SECRETS_SOCKET: /run/oc-secrets/socket\n"));
        for mount in [
            "source: /run/oc-secrets/clients/gateway, target: /run/oc-secrets, read_only: true",
            "target: /usr/local/lib/oc-secrets/oc-secrets, read_only: true",
        ] {
            assert!(text.contains(mount), "{text}");
        }
        assert_ne!(fingerprint(&broker), fingerprint(&here("a")));
        let mut env = here("a");
        env.deliver = Some(Deliver::Env);
        assert_eq!(fingerprint(&env), fingerprint(&here("a")));
    }

    #[test]
    fn another_image_has_another_fingerprint_and_another_env_file_has_not() {
        assert_ne!(fingerprint(&here("a")), fingerprint(&here("b")));
        assert_eq!(fingerprint(&here("a")), fingerprint(&here("a")));
        let elsewhere = render(&here("a"), "/run/a b.env");
        assert!(elsewhere.contains("    env_file: [\"/run/a b.env\"]\n"));
        assert!(elsewhere.contains(&fingerprint(&here("a"))));
    }

    #[test]
    fn another_state_has_other_volumes_and_the_same_fingerprint() {
        let of = |state: &str| {
            let mut remote = here("x");
            remote.spec.mounts.clear();
            remote.state = Some(state.to_owned());
            (render(&remote, ENV_FILE), fingerprint(&remote))
        };
        let ((one, its), (two, others)) = (of("1-1"), of("1-2"));
        assert_eq!(its, others);
        assert_eq!(one.replace("1-1", "1-2"), two);
        assert!(two.contains("  auth: {external: true, name: openclaw_auth_1-2}\n"));
        assert!(two.contains("openclaw-deploy.state: \"1-2\""), "{two}");
    }

    #[test]
    fn a_dollar_is_not_interpolated() {
        assert_eq!(quoted("a$b\"c\\"), "\"a$$b\\\"c\\\\\"");
    }
}
