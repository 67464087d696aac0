//! Our own `compose.yaml`, rendered from decided values. Pure.
//!
//! The file is ours alone: it is written anew whenever it differs. Compose is run in `client.rs`.

use std::fmt::Write;
use std::path::Path;

use crate::deploy::docker::images::Image;
use crate::deploy::settings::Settings;

/// The compose project.
pub(crate) const PROJECT: &str = "openclaw";
/// The gateway's service in it.
pub(crate) const SERVICE: &str = "openclaw-gateway";
/// How the user's variables come into it.
pub(crate) const ENV_FILE: &str = "env_file: [.env]";
/// The gateway's port inside its container.
pub(crate) const INSIDE: u16 = 18789;
/// Where the engine has the network that Compose makes for the project.
pub(crate) const NETWORK: &str = "/networks/openclaw_default";

/// The text of `compose.yaml` for this image. On a remote engine `state` names its volumes; they
/// are no part of its fingerprint, because every release has others.
pub(crate) fn render(
    settings: &Settings,
    image: &Image,
    pinned: &str,
    source: &str,
    state: &str,
) -> String {
    let mut text = String::from(
        "# Written by openclaw-deploy, which replaces it. Put your own variables into .env.\n",
    );
    let command = command(&image.command, "lan", INSIDE);
    let _ = write!(
        text,
        "name: {PROJECT}\nservices:\n  {SERVICE}:\n    image: {}\n    pull_policy: never\n",
        quoted(pinned)
    );
    if !command.is_empty() {
        let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "    command: [{}]", words.join(", "));
    }
    let _ = writeln!(text, "    {ENV_FILE}");
    text.push_str("    environment:\n      HOME: /home/node\n      OPENCLAW_GATEWAY_BIND: lan\n      OPENCLAW_NO_AUTO_UPDATE: \"1\"\n");
    let _ = writeln!(
        text,
        "    ports: [\"127.0.0.1:{}:{INSIDE}\"]",
        settings.port
    );
    text.push_str(&volumes_of(settings));
    text.push_str("    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n    init: true\n    pids_limit: 512\n    restart: unless-stopped\n    stop_grace_period: 30s\n");
    if image.has_health_check {
        // Upstream's own check runs every three minutes, too seldom to be of use.
        text.push_str(
            "    healthcheck: {interval: 10s, timeout: 5s, start_period: 20s, retries: 5}\n",
        );
    }
    let mark = fingerprint(text.as_bytes());
    let _ = writeln!(
        text,
        "    labels:\n      openclaw-deploy.source: {source}\n      openclaw-deploy.render: \"{mark}\""
    );
    if settings.engine.is_remote() {
        let _ = writeln!(text, "      openclaw-deploy.state: \"{state}\"\nvolumes:");
        for (part, _) in volumes() {
            // External: Compose never makes an empty one where the state should be.
            let name = volume(part, state);
            let _ = writeln!(text, "  {part}: {{external: true, name: {name}}}");
        }
    }
    text
}

/// The mounts of the service.
fn volumes_of(settings: &Settings) -> String {
    let mut text = String::from("    volumes:\n");
    if settings.engine.is_remote() {
        for (name, inside) in volumes() {
            let _ = writeln!(
                text,
                "      - {{type: volume, source: {name}, target: {inside}}}"
            );
        }
        return text;
    }
    for (path, inside) in mounts(settings) {
        let source = quoted(&settings_path(settings, &path));
        let _ = writeln!(
            text,
            "      - {{type: bind, source: {source}, target: {inside}, bind: {{create_host_path: false}}}}"
        );
    }
    text
}

/// The host's directories and where the gateway sees them.
pub(crate) fn mounts(settings: &Settings) -> [(std::path::PathBuf, &'static str); 3] {
    [
        (settings.state(), "/home/node/.openclaw"),
        (settings.workspace(), "/home/node/.openclaw/workspace"),
        (settings.auth(), "/home/node/.config/openclaw"),
    ]
}

/// The name of a volume.
pub(crate) fn volume(part: &str, state: &str) -> String {
    format!("{PROJECT}_{part}_{state}")
}

/// The parts of a state that a remote engine keeps in volumes instead.
pub(crate) fn volumes() -> [(&'static str, &'static str); 2] {
    [
        ("state", "/home/node/.openclaw"),
        ("auth", "/home/node/.config/openclaw"),
    ]
}

/// The image's own command, told to listen where it can be reached: by a published port, which
/// does not reach the loopback inside of a container, on `lan`; in the host's network on `loopback`.
pub(crate) fn command(own: &[String], bind: &str, port: u16) -> Vec<String> {
    let mut command = own.to_vec();
    if command.iter().any(|word| word == "gateway") && !command.iter().any(|word| word == "--bind")
    {
        command.extend(["--bind", bind, "--port"].map(str::to_owned));
        command.push(port.to_string());
    }
    command
}

/// `path` as the engine sees it.
pub(crate) fn settings_path(settings: &Settings, path: &Path) -> String {
    let inside = path.strip_prefix("/").unwrap_or(path);
    settings.root.join(inside).to_string_lossy().into_owned()
}

/// A YAML double-quoted word that Compose does not interpolate.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

/// 64 bits of FNV-1a: tells texts apart, guards nothing.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The label that [`render`] put into `text`, in YAML or in a service's JSON.
pub(crate) fn label_of(text: &str) -> &str {
    text.split_once("openclaw-deploy.render")
        .and_then(|(_, rest)| rest.trim_start_matches(['"', ':', ' ']).split('"').next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::settings::{File, Flags};

    fn settings() -> Settings {
        Settings::decide(Flags::default(), File::default()).expect("the defaults are good")
    }

    #[test]
    fn nothing_is_published_beyond_loopback_and_nothing_is_pulled() {
        let image = Image {
            command: ["node", "openclaw.mjs", "gateway"]
                .map(str::to_owned)
                .to_vec(),
            ..Image::default()
        };
        let text = render(&settings(), &image, "r/x@sha256:00", "pulled", "");
        assert!(
            text.contains("ports: [\"127.0.0.1:18789:18789\"]"),
            "{text}"
        );
        assert!(text.contains("pull_policy: never") && text.contains("cap_drop: [ALL]"));
        assert!(text.contains("\"gateway\", \"--bind\", \"lan\", \"--port\", \"18789\""));
        assert_eq!(label_of(&text).len(), 16);
    }

    #[test]
    fn another_image_has_another_label() {
        let of = |pinned| {
            let text = render(&settings(), &Image::default(), pinned, "pulled", "");
            label_of(&text).to_owned()
        };
        assert_ne!(of("a"), of("b"));
        assert_eq!(of("a"), of("a"));
    }

    #[test]
    fn another_state_has_other_volumes_and_the_same_label() {
        let flags = Flags {
            docker_host: Some("ssh://root@vps".to_owned()),
            ..Flags::default()
        };
        let remote = Settings::decide(flags, File::default()).expect("they are good");
        let of = |state| render(&remote, &Image::default(), "x", "pulled", state);
        let (one, two) = (of("1-1"), of("1-2"));
        assert_eq!(label_of(&one), label_of(&two));
        assert_eq!(one.replace("1-1", "1-2"), two);
        assert!(two.contains("  auth: {external: true, name: openclaw_auth_1-2}\n"));
        assert!(two.contains("openclaw-deploy.state: \"1-2\""), "{two}");
    }

    #[test]
    fn a_dollar_is_not_interpolated() {
        assert_eq!(quoted("a$b\"c\\"), "\"a$$b\\\"c\\\\\"");
    }
}
