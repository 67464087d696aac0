//! Our own `compose.yaml`, rendered from decided values, and the one door to Compose v2.
//!
//! Pure but for [`compose`]. The file is ours alone: it is written anew whenever it differs.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::env;
use super::records::Release;
use crate::deploy::engine::images::Image;
use crate::deploy::engine::{self, client_env};
use crate::deploy::exit::{Exit, Failure, Result};
use crate::deploy::host::{Access, Answer, Program};
use crate::deploy::run::Context;
use crate::deploy::settings::{Engine, Settings, Shape};

/// The compose project.
pub const PROJECT: &str = "openclaw";
/// The gateway's service in it.
pub const SERVICE: &str = "openclaw-gateway";
/// The gateway's port inside its container.
pub const INSIDE: u16 = 18789;
/// Where the engine has the network that Compose makes for the project.
pub const NETWORK: &str = "/networks/openclaw_default";

/// The text of `compose.yaml` for this image. On a remote engine `state` names its volumes; they
/// are no part of its fingerprint, because every release has others.
#[must_use]
pub fn render(
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
    text.push_str("    env_file: [.env]\n    environment:\n      HOME: /home/node\n      OPENCLAW_GATEWAY_BIND: lan\n      OPENCLAW_NO_AUTO_UPDATE: \"1\"\n");
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
#[must_use]
pub fn mounts(settings: &Settings) -> [(std::path::PathBuf, &'static str); 3] {
    [
        (settings.state(), "/home/node/.openclaw"),
        (settings.workspace(), "/home/node/.openclaw/workspace"),
        (settings.auth(), "/home/node/.config/openclaw"),
    ]
}

/// The name of a volume.
#[must_use]
pub fn volume(part: &str, state: &str) -> String {
    format!("{PROJECT}_{part}_{state}")
}

/// The parts of a state that a remote engine keeps in volumes instead.
#[must_use]
pub fn volumes() -> [(&'static str, &'static str); 2] {
    [
        ("state", "/home/node/.openclaw"),
        ("auth", "/home/node/.config/openclaw"),
    ]
}

/// The image's own command, told to listen where it can be reached: by a published port, which
/// does not reach the loopback inside of a container, on `lan`; in the host's network on `loopback`.
#[must_use]
pub fn command(own: &[String], bind: &str, port: u16) -> Vec<String> {
    let mut command = own.to_vec();
    if command.iter().any(|word| word == "gateway") && !command.iter().any(|word| word == "--bind")
    {
        command.extend(["--bind", bind, "--port"].map(str::to_owned));
        command.push(port.to_string());
    }
    command
}

/// `path` as the engine sees it.
#[must_use]
pub fn settings_path(settings: &Settings, path: &Path) -> String {
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
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The label that [`render`] put into `text`, in YAML or in a service's JSON.
#[must_use]
pub fn label_of(text: &str) -> &str {
    text.split_once("openclaw-deploy.render")
        .and_then(|(_, rest)| rest.trim_start_matches(['"', ':', ' ']).split('"').next())
        .unwrap_or_default()
}

/// The Docker client, pointed at our engine.
#[must_use]
pub fn client(cx: &Context) -> Program {
    let mut program = Program::new("docker").outside();
    for (name, value) in client_env() {
        program = program.env(name, value);
    }
    match &cx.settings.engine {
        Engine::Socket(path) => program.env("DOCKER_HOST", format!("unix://{}", path.display())),
        Engine::Client(args) => program.args(args),
    }
}

/// Writes `compose.yaml` and has Compose make the container, not started. Returns its id.
///
/// # Errors
/// When Compose cannot.
pub async fn create(cx: &Context, engine: &engine::Engine, release: &Release) -> Result<String> {
    let access = Access {
        mode: 0o644,
        owner: env::owner(cx)?,
    };
    let path = cx.settings.project().join("compose.yaml");
    cx.host.write(path, release.compose.as_bytes(), access)?;
    let up = ["up", "--no-start", "--remove-orphans"];
    let answer = compose(cx, &release.compose, &up).await?;
    if !answer.ok() {
        return Err(refused(cx, &answer));
    }
    let mut made = engine.gateways().await?.into_iter();
    match made.find(|(_, shape)| *shape == Shape::Compose) {
        Some((id, _)) => Ok(id),
        None => Err(
            Failure::wanted("a container of the gateway", "none after docker compose up").hint(
                format!("see what Compose made: docker compose --project-name {PROJECT} ps --all"),
            ),
        ),
    }
}

/// Has Compose read `release` and `.env`, and make nothing. A plain `.env` it can always read.
///
/// # Errors
/// When it cannot; nothing was touched.
pub async fn foresee(cx: &Context, release: &Release) -> Result<()> {
    if is_plain(&env::read(cx, env::owner(cx)?)?) {
        return Ok(());
    }
    let answer = compose(cx, &release.compose, &["config", "--quiet"]).await?;
    match answer.ok() {
        true => Ok(()),
        false => {
            let why = refused(cx, &answer);
            Err(Failure {
                what: format!("{}; the gateway was not touched", why.what),
                ..why
            })
        }
    }
}

/// Whether every line is blank, a comment, or a name and a value in which nothing is special.
fn is_plain(env: &str) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let value = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\$#`".contains(&byte);
    env.lines().all(|line| {
        let pair = line.split_once('=');
        line.trim().is_empty()
            || line.starts_with('#')
            || pair.is_some_and(|(key, text)| {
                !key.is_empty() && key.bytes().all(name) && text.bytes().all(value)
            })
    })
}

/// What Compose says of `.env` repeats the line, and so a secret: only its number is told.
fn refused(cx: &Context, answer: &Answer) -> Failure {
    let said = answer.last_line();
    let file = env::path(cx).display().to_string();
    if !answer.stderr.contains(".env") && !answer.stderr.contains("quoted value") {
        let said = cx.redact().text(said);
        return Failure::new(format!("docker compose refuses the gateway: {said}"))
            .hint(format!(
                "see all of it: docker compose --project-directory {0} --file {0}/compose.yaml config --quiet",
                cx.settings.project().display()
            ))
            .cause("compose");
    }
    let number = answer.stderr.split("line ").nth(1).unwrap_or_default();
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    let line = match number.as_str() {
        "" => String::new(),
        number => format!(":{number}"),
    };
    Failure::new(format!("Compose cannot read {file}{line}"))
        .hint("each line is NAME=value; a value with quotes or blanks stands in single quotes")
        .cause("compose")
}

/// Runs `docker compose` on our project, which is `text`: not the file, which the deploy user can
/// change under us.
///
/// # Errors
/// When the client cannot be run or does not end in time.
pub async fn compose(cx: &Context, text: &str, args: &[&str]) -> Result<Answer> {
    let project = cx.host.path(cx.settings.project());
    let program = client(cx)
        .args([
            "compose",
            "--ansi",
            "never",
            "--progress",
            "quiet",
            "--project-name",
            PROJECT,
        ])
        .arg("--project-directory")
        .arg(&project)
        .args(["--file", "-"])
        .args(args)
        .input(text)
        .deadline(Duration::from_secs(120));
    cx.host.run_async(&program).await
}

/// The version of Compose, if it is v2 or newer.
///
/// # Errors
/// When it is missing or too old; each case is named.
pub async fn version(cx: &Context) -> Result<String> {
    let answer = cx
        .host
        .run_async(&client(cx).args(["compose", "version", "--short"]))
        .await;
    let refuse = |what: String| {
        Failure::new(what)
            .hint("install Compose v2: apt-get install docker-compose-v2 (Ubuntu) or docker-compose-plugin (Docker's repository)")
            .exit(Exit::Docker)
            .cause("compose")
    };
    let answer = answer.map_err(|why| refuse(why.what))?;
    let version = answer.stdout.trim().trim_start_matches('v');
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(2..) if answer.ok() => Ok(version.to_owned()),
        Some(old) if answer.ok() => Err(refuse(format!(
            "Compose v2 is needed, `docker compose` is v{old}"
        ))),
        _ => Err(refuse(why_no_compose(cx).await)),
    }
}

/// The three ways in which Compose v2 is missing.
async fn why_no_compose(cx: &Context) -> String {
    let places = [
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    ];
    let there = places
        .iter()
        .map(|place| format!("{place}/docker-compose"))
        .find(|path| Path::new(path).exists());
    if let Some(path) = there {
        return format!("the Compose plugin {path} cannot be run (is it executable?)");
    }
    let old = Program::new("docker-compose")
        .outside()
        .args(["version", "--short"]);
    match cx.host.run_async(&old).await {
        Ok(answer) if answer.ok() && answer.stdout.starts_with("1.") => format!(
            "only Compose v1 ({}) is installed, v2 is needed as a plugin of docker",
            answer.stdout.trim()
        ),
        _ => "the Compose v2 plugin of docker is not installed".to_owned(),
    }
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
    fn only_an_env_without_anything_special_is_plain() {
        assert!(is_plain("# a comment\n\nA_1=b+c/d==\nEMPTY=\n"));
        for special in [
            "A=\"b\"", "A='b'", "A=$B", "A b=c", "A=b c", "A", " A=b", "=b", "A=b#c",
        ] {
            assert!(!is_plain(special), "{special}");
        }
    }

    #[test]
    fn a_dollar_is_not_interpolated() {
        assert_eq!(quoted("a$b\"c\\"), "\"a$$b\\\"c\\\\\"");
    }
}
