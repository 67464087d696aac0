//! The decided settings of one run: defaults, then `/etc/openclaw-deploy.toml`, then flags.
//!
//! Pure. Everything later in the pipeline reads [`Settings`] and never a flag, a file or the
//! environment again. Unknown keys of the file are errors.

pub(crate) mod app_secrets;
mod engine;
mod file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Failure, Result};
use super::image_reference::ImageRef;
use crate::base::duration;
use crate::base::env_name::EnvName;

pub(crate) use self::app_secrets::Deliver;
pub(crate) use self::engine::EngineAddress;
pub(crate) use self::file::{ConfigFile, HostSettings, Schedule};

/// Where the configuration is looked for unless `--config` says otherwise.
pub(crate) const CONFIG: &str = "/etc/openclaw-deploy.toml";
/// The name under which the pipeline of the original repository publishes; `shell/ci/image.sh` reads it too.
const PUBLISHED: &str = include_str!("../../../shell/ci/image-name");
/// OpenClaw's own repository.
const SOURCE: &str = "https://github.com/openclaw/openclaw.git";
/// User and group of the gateway inside its container, and so of its state, by number.
pub(crate) const STATE_OWNER: (u32, u32) = (1000, 1000);

/// Everything a run needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The image that is wanted.
    pub image: ImageRef,
    /// Nobody chose that image: neither a flag nor the file names one.
    pub image_is_default: bool,
    /// Somebody asks for that image now: `--image` names it, or a line of `.env` that we did not write.
    pub image_is_named: bool,
    /// Upstream's image without a tag, where ours cannot be pulled. `None`: never.
    pub upstream: Option<ImageRef>,
    /// The user name that goes with `GHCR_TOKEN`.
    pub registry_user: String,
    /// The deploy user; its home is `/home/NAME`.
    pub user: String,
    /// The gateway's port on 127.0.0.1.
    pub port: u16,
    /// How many of our images and snapshots stay.
    pub keep: usize,
    /// When to give up pulling.
    pub pull_timeout: Duration,
    /// When to give up waiting for the gateway.
    pub health_timeout: Duration,
    /// Build here even with less memory than the build needs.
    pub allow_local_build: bool,
    /// Where a Dockerfile lies for a local build.
    pub build_context: Option<PathBuf>,
    /// The git repository that is built where there is no such folder.
    pub build_source: String,
    /// Fall back to upstream's image even when ours arrived corrupt.
    pub allow_corrupt_fallback: bool,
    /// Try an image again that is remembered as bad.
    pub retry: bool,
    /// A timer runs this, so that nobody reads its warnings.
    pub scheduled: bool,
    /// Directory that is `/`.
    pub root: PathBuf,
    /// The configuration, for runs to come, where it is another file than they would read.
    pub config: Option<PathBuf>,
    /// Which engine.
    pub engine: EngineAddress,
    /// How the gateway is run; `None`: as it is run now.
    pub runtime: Option<RuntimeKind>,
    /// The gateway's keys, by the names of their variables.
    pub app_secrets: Vec<EnvName>,
    /// Whether somebody chose those names.
    pub app_secrets_are_chosen: bool,
    /// How it gets them; `None`: as it got them before.
    pub deliver: Option<Deliver>,
    /// When the gateway is updated by itself.
    pub update: Option<Schedule>,
    /// What steps 1, 2 and 5 to 9 may be told.
    pub host: HostSettings,
}

/// How the gateway is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeKind {
    /// As the container of a Compose project.
    #[default]
    Compose,
    /// As the service of a Swarm stack.
    Swarm,
}

/// What the command line and the environment choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `--image`.
    pub image: Option<String>,
    /// `--upstream-image`; "" for never.
    pub upstream_image: Option<String>,
    /// `GITHUB_USER`, for the default image.
    pub github_user: Option<String>,
    /// `--pull-timeout`.
    pub pull_timeout: Option<String>,
    /// `--health-timeout`.
    pub health_timeout: Option<String>,
    /// `--keep`.
    pub keep: Option<usize>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--allow-local-build`.
    pub allow_local_build: bool,
    /// `--build-context`.
    pub build_context: Option<PathBuf>,
    /// `--allow-corrupt-fallback`.
    pub allow_corrupt_fallback: bool,
    /// `--retry`.
    pub retry: bool,
    /// `--scheduled`.
    pub scheduled: bool,
    /// `--swarm`.
    pub swarm: Option<bool>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `DOCKER_HOST` or `--host`.
    pub docker_host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// Where this user's programs keep their state: `~/.local/state`.
    pub state_home: Option<PathBuf>,
}

impl Settings {
    /// Decides.
    pub(crate) fn decide(flags: Flags, file: ConfigFile) -> Result<Self> {
        let engine = engine::choose(flags.context.as_deref(), flags.docker_host.as_deref())?;
        let image_is_named = flags.image.is_some();
        let chosen = flags.image.or(file.image);
        let image_is_default = chosen.is_none();
        let image = chosen.unwrap_or_else(|| default_image(flags.github_user.as_deref()));
        let upstream = flags
            .upstream_image
            .or(file.upstream_image)
            .unwrap_or_else(|| "ghcr.io/openclaw/openclaw".to_owned());
        Ok(Self {
            image: ImageRef::parse(&image)?,
            image_is_default,
            image_is_named,
            upstream: (!upstream.is_empty())
                .then(|| ImageRef::parse(&upstream))
                .transpose()?,
            registry_user: file
                .registry_user
                .unwrap_or_else(|| "x-access-token".to_owned()),
            user: user(file.user.unwrap_or_else(|| "deploy".to_owned()))?,
            port: port(flags.port.or(file.port))?,
            keep: flags.keep.or(file.keep).unwrap_or(3).max(1),
            pull_timeout: duration(
                "pull_timeout",
                flags.pull_timeout.or(file.pull_timeout),
                600,
            )?,
            health_timeout: duration(
                "health_timeout",
                flags.health_timeout.or(file.health_timeout),
                120,
            )?,
            allow_local_build: flags.allow_local_build,
            build_context: flags.build_context.or(file.build_context),
            build_source: file.build_source.unwrap_or_else(|| SOURCE.to_owned()),
            allow_corrupt_fallback: flags.allow_corrupt_fallback,
            retry: flags.retry,
            scheduled: flags.scheduled,
            runtime: flags.swarm.or(file.swarm).map(RuntimeKind::from),
            app_secrets_are_chosen: file.app_secrets.is_some(),
            app_secrets: app_secrets::names(file.app_secrets)?,
            deliver: deliverable(file.deliver, &engine)?,
            config: file.path.filter(|path| path != Path::new(CONFIG)),
            root: root(flags.root, flags.state_home, &engine),
            engine,
            host: openable(file.host)?,
            update: file.update.schedule,
        })
    }

    /// The gateway's port, where it can be asked: that of a remote engine is out of our reach.
    pub(crate) fn reachable_port(&self) -> Option<u16> {
        (!self.engine.is_remote()).then_some(self.port)
    }

    /// Where the gateway answers, for people: a remote engine's loopback is not the reader's.
    pub(crate) fn address(&self) -> String {
        let there = match self.engine.is_remote() {
            true => " of the engine's machine",
            false => "",
        };
        format!("http://127.0.0.1:{}{there}", self.port)
    }

    /// The deploy user's home.
    pub(crate) fn home(&self) -> PathBuf {
        Path::new("/home").join(&self.user)
    }

    /// `.env` and `compose.yaml` lie here.
    pub(crate) fn project(&self) -> PathBuf {
        self.home().join("openclaw")
    }

    /// The gateway's state: `/home/node/.openclaw` in the container.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".openclaw")
    }

    /// The gateway's workspace, within its state.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.state().join("workspace")
    }

    /// Keys of encrypted sidecars: `/home/node/.config/openclaw` in the container.
    pub(crate) fn auth(&self) -> PathBuf {
        self.home().join(".openclaw-auth")
    }

    /// Journal, releases and snapshots.
    pub(crate) fn records(&self) -> PathBuf {
        PathBuf::from("/var/lib/openclaw-deploy")
    }
}

impl RuntimeKind {
    /// What is done to a gateway that runs under the other.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Compose => "move to Compose and replace",
            Self::Swarm => "move to Swarm and replace",
        }
    }
}

impl From<bool> for RuntimeKind {
    fn from(swarm: bool) -> Self {
        if swarm { Self::Swarm } else { Self::Compose }
    }
}

/// The newest image that the pipeline publishes; that of the same repository of `owner`, where one is named.
fn default_image(owner: Option<&str>) -> String {
    let name = PUBLISHED.trim();
    let mut parts: Vec<_> = name.split('/').collect();
    let owner = owner.map(str::to_lowercase);
    if let (Some(owner), Some(part)) = (&owner, parts.get_mut(1)) {
        *part = owner;
    }
    format!("{}:latest", parts.join("/"))
}

/// `/`, unless the engine is another machine's: then what is kept here about it has a place of
/// its own for each engine, and needs no root.
fn root(given: Option<PathBuf>, state_home: Option<PathBuf>, engine: &EngineAddress) -> PathBuf {
    match (given, state_home, engine) {
        (Some(root), _, _) => root,
        (None, Some(home), EngineAddress::Client(args)) => home
            .join("openclaw-deploy")
            .join(engine::file_name(args.last().map_or("", String::as_str))),
        _ => PathBuf::from("/"),
    }
}

/// A user name that can be a path component and an argument.
fn user(name: String) -> Result<String> {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.bytes().all(good) && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
        Ok(name)
    } else {
        Err(Failure::usage(format!("not a user name: {name}")))
    }
}

/// The broker and its folder are this host's: another machine's engine has neither.
fn deliverable(deliver: Option<Deliver>, engine: &EngineAddress) -> Result<Option<Deliver>> {
    if deliver == Some(Deliver::Broker) && engine.is_remote() {
        return Err(Failure::usage(
            "deliver = \"broker\" is for this host's engine: a container on another machine cannot reach the broker here",
        )
        .hint("run openclaw-deploy on that machine, or write deliver = \"env\""));
    }
    Ok(deliver)
}

/// 0 would have the engine choose another port each time, at which nobody looks for the gateway.
fn port(given: Option<u16>) -> Result<u16> {
    match given {
        Some(0) => Err(Failure::usage("not a port: 0").hint("write one from 1 to 65535")),
        given => Ok(given.unwrap_or(18789)),
    }
}

/// With ports as UFW lists them again once they are open. It takes more, such as the name of a service,
/// but shows another word for that, and the firewall would seem never to be done.
fn openable(host: HostSettings) -> Result<HostSettings> {
    match host.allow.iter().find(|text| !is_opening(text)) {
        None => Ok(host),
        Some(text) => Err(
            Failure::usage(format!("not a port that can be opened: {text:?}"))
                .hint("write 443, 443/tcp, 443/udp or 6000:6007/tcp under allow, in [host]"),
        ),
    }
}

/// `443`, `443/tcp`, `443/udp`; a range only with its protocol, as UFW has it.
fn is_opening(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|it| it.to_string() == text);
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, protocol)) => (ports, Some(protocol)),
        None => (text, None),
    };
    let good = match ports.split_once(':') {
        None => number(ports).is_some_and(|port| port > 0),
        Some((first, last)) => {
            let (first, last) = (number(first), number(last));
            protocol.is_some() && last.is_some() && first > Some(0) && first < last
        }
    };
    good && protocol.is_none_or(|it| matches!(it, "tcp" | "udp"))
}

/// `90s`, `2m`; at least a second and less than a day.
fn duration(name: &str, text: Option<String>, default: u64) -> Result<Duration> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(default));
    };
    let day = Duration::from_secs(86_400);
    match duration::parse(&text) {
        Some(span) if (Duration::from_secs(1)..day).contains(&span) => Ok(span),
        Some(_) => Err(Failure::usage(format!("{name} cannot be {text}"))
            .hint("at least 1s and less than 24h")),
        None => Err(Failure::usage(format!("{name} is not a duration: {text}"))
            .hint(duration::how_to_write(&text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let file = ConfigFile::parse(
            Path::new("f"),
            "keep = 5\nport = 1234\n[host]\nsudo = false\n",
        );
        let flags = Flags {
            keep: Some(2),
            ..Flags::default()
        };
        let settings = Settings::decide(flags, file.expect("it is good")).expect("decided");
        assert_eq!((settings.keep, settings.port), (2, 1234));
        assert_eq!(settings.pull_timeout, Duration::from_secs(600));
        assert!(!settings.host.sudo && !settings.host.docker_group);
    }

    #[test]
    fn the_default_image_is_the_one_that_the_pipeline_publishes() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/shell/ci/image.sh");
        let published = |repository: Option<&str>| {
            let mut bash = std::process::Command::new("bash");
            let script = bash
                .arg(script)
                .env_remove("REGISTRY")
                .env_remove("REPOSITORY");
            let script = script.envs(repository.map(|it| ("REPOSITORY", it)));
            let output = script.output().expect("it runs").stdout;
            String::from_utf8(output).expect("text").trim().to_owned()
        };
        let default = |user: Option<&str>| {
            let flags = Flags {
                github_user: user.map(str::to_owned),
                ..Flags::default()
            };
            let settings = Settings::decide(flags, ConfigFile::default()).expect("decided");
            assert!(settings.image_is_default);
            assert_eq!(settings.image.tag(), Some("latest"));
            settings.image.name().to_owned()
        };
        assert_eq!(default(None), published(None));
        assert_eq!(
            default(Some("Me")),
            published(Some("Me/open-claw-deployment"))
        );
    }

    #[test]
    fn the_gateway_stays_in_its_runtime_unless_another_is_asked_for() {
        let runtime = |flag, text| {
            let flags = Flags {
                swarm: flag,
                ..Flags::default()
            };
            let file = ConfigFile::parse(Path::new("f"), text).expect("it is good");
            Settings::decide(flags, file).expect("decided").runtime
        };
        assert_eq!(runtime(None, ""), None);
        assert_eq!(runtime(None, "swarm = true"), Some(RuntimeKind::Swarm));
        assert_eq!(
            runtime(Some(false), "swarm = true"),
            Some(RuntimeKind::Compose)
        );
    }

    #[test]
    fn the_documentation_shows_what_holds_where_a_key_is_left_out() {
        let page = include_str!("../../../docs/deploy.md");
        let begin = page.find("image           = ").expect("it shows the file");
        let text = page[begin..].split("```").next().unwrap_or_default();
        let shown = ConfigFile::parse(Path::new("docs/deploy.md"), text).expect("it is good");
        assert_ne!(shown, ConfigFile::default());
        let decide = |file| Settings::decide(Flags::default(), file).expect("decided");
        let shown = Settings {
            image_is_default: true,
            ..decide(shown)
        };
        assert_eq!(shown, decide(ConfigFile::default()));
    }

    #[test]
    fn no_port_is_no_port() {
        let refused = port(Some(0)).expect_err("refused");
        assert_eq!(refused.exit, crate::deploy::error::Exit::Usage);
        assert_eq!((port(None), port(Some(1))), (Ok(18789), Ok(1)));
    }

    #[test]
    fn only_what_the_firewall_shows_again_can_be_opened() {
        for good in ["443", "443/tcp", "53/udp", "6000:6007/tcp"] {
            assert!(is_opening(good), "{good}");
        }
        for bad in [
            "https",
            "",
            "0",
            "+443",
            "0443",
            "65536",
            "443/TCP",
            "443/",
            "443/sctp",
            "80,443/tcp",
            "6000:6007",
            "6007:6000/tcp",
            "0:9/tcp",
            "1:/tcp",
            " 443",
            "443/tcp from any",
        ] {
            assert!(!is_opening(bad), "{bad}");
        }
        let file = ConfigFile::parse(Path::new("f"), "[host]\nallow = [\"443\", \"https\"]\n");
        let refused = Settings::decide(Flags::default(), file.expect("it is TOML"));
        assert_eq!(
            refused.expect_err("refused").what,
            "not a port that can be opened: \"https\""
        );
    }

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(
            duration("x", Some("2m".into()), 1),
            Ok(Duration::from_secs(120))
        );
        for bad in ["", "0", "-1", "soon", "7", "500ms", "24h", "99999999s"] {
            assert!(duration("x", Some(bad.into()), 1).is_err(), "{bad}");
        }
        let bare = duration("x", Some("7".into()), 1).expect_err("no unit");
        assert_eq!(bare.hint.as_deref(), Some("write it with its unit: 7s"));
        let file = ConfigFile::parse(Path::new("f"), "pull_timeout = 7\n").expect("it is TOML");
        let bare = Settings::decide(Flags::default(), file).expect_err("no unit");
        assert_eq!(bare.hint.as_deref(), Some("write it with its unit: 7s"));
        let other = ConfigFile::parse(Path::new("f"), "keep = 2\nhealth_timeout = true\n");
        assert_eq!(
            other.expect_err("no duration").what,
            "f:2: this is a boolean, and no duration such as \"10m\""
        );
    }
}
