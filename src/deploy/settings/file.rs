//! `/etc/openclaw-deploy.toml`: what may be written there. Unknown keys are errors.
//!
//! It is read by `std::fs` and not through `host/`: it decides which directory is the host's root.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::base::file_ownership;
use crate::deploy::error::{Failure, Result};
use crate::deploy::settings::Deliver;

/// `[host]` in the configuration: steps 1, 2 and 5 to 9.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HostSettings {
    /// Let the deploy user use `sudo` without a password.
    pub sudo: bool,
    /// Put the deploy user into the group `docker`, which equals root.
    pub docker_group: bool,
    /// Where Compose v2 comes from on a host whose own sources have none: Docker's repository or a mirror.
    pub docker_repository: String,
    /// The fingerprint of the one key that may sign it.
    pub docker_fingerprint: String,
    /// Arguments for `tailscale up` beside the key.
    pub tailscale_args: Vec<String>,
    /// Where Tailscale's packages come from: its own repository or a mirror of it.
    pub tailscale_repository: String,
    /// The fingerprint of the one key that may sign them.
    pub tailscale_fingerprint: String,
    /// Further ports to open, as UFW writes them (`443/tcp`).
    pub allow: Vec<String>,
    /// Reboot by itself after an upgrade that needs it.
    pub automatic_reboot: bool,
    /// How many good backups stay.
    pub backup_keep: usize,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            sudo: true,
            docker_group: false,
            docker_repository: "https://download.docker.com/linux".to_owned(),
            docker_fingerprint: "9DC858229FC7DD38854AE2D88D81803C0EBFCD88".to_owned(),
            tailscale_args: Vec::new(),
            tailscale_repository: "https://pkgs.tailscale.com/stable".to_owned(),
            tailscale_fingerprint: "2596A99EAAB33821893C0A79458CA832957F5868".to_owned(),
            allow: Vec::new(),
            automatic_reboot: false,
            backup_keep: 14,
        }
    }
}

/// `[update]` in the configuration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UpdateSettings {
    /// When the gateway is updated by itself; never unless it is written.
    pub schedule: Option<Schedule>,
}

/// How often the gateway is updated by itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Schedule {
    /// Every night.
    Daily,
    /// On Mondays.
    Weekly,
    /// On the first of the month.
    Monthly,
}

impl Schedule {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// For `OnCalendar=`: an hour after the backup.
    pub(crate) fn calendar(self) -> &'static str {
        match self {
            Self::Daily => "*-*-* 04:00:00",
            Self::Weekly => "Mon *-*-* 04:00:00",
            Self::Monthly => "*-*-01 04:00:00",
        }
    }
}

/// The configuration file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Where it was read.
    #[serde(skip)]
    pub(super) path: Option<PathBuf>,
    pub(super) image: Option<String>,
    pub(super) upstream_image: Option<String>,
    pub(super) registry_user: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) keep: Option<usize>,
    #[serde(default, deserialize_with = "duration_text")]
    pub(super) pull_timeout: Option<String>,
    #[serde(default, deserialize_with = "duration_text")]
    pub(super) health_timeout: Option<String>,
    pub(super) build_context: Option<PathBuf>,
    pub(super) build_source: Option<String>,
    pub(super) swarm: Option<bool>,
    #[serde(alias = "swarm_secrets")]
    pub(super) app_secrets: Option<Vec<String>>,
    pub(super) deliver: Option<Deliver>,
    pub(super) host: HostSettings,
    pub(super) update: UpdateSettings,
}

impl ConfigFile {
    /// Reads the configuration file at `path`; `None` when there is none. It says which image runs
    /// and what is opened to whom, so nobody else may be able to write it.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        let unreadable = |why: io::Error| {
            Failure::usage(format!("cannot read {shown}: {why}"))
                .hint("it has to be a file that this user may read")
        };
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unreadable(why)),
        };
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(
                Failure::usage(format!("{shown} is not a regular file")).hint("check --config")
            );
        }
        file_ownership::file(&file).map_err(|why| {
            let fix = file_ownership::fix(path, &about);
            Failure::usage(format!("{shown} {why}")).hint(format!("look at it, then: {fix}"))
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
        let file = Self::parse(path, &text)?;
        Ok(Some(Self {
            path: std::path::absolute(path).ok(),
            ..file
        }))
    }

    /// Reads the text of a configuration file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|why| {
            let before = &text[..why.span().map_or(0, |span| span.start.min(text.len()))];
            let line = before.matches('\n').count() + 1;
            Failure::usage(format!("{}:{line}: {}", path.display(), why.message()))
                .hint("see docs/deploy.md for the keys of openclaw-deploy.toml")
        })
    }
}

/// The text of a duration. A bare number is one too, so that it is refused with the hint that names its unit.
fn duration_text<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<String>, D::Error> {
    match toml::Value::deserialize(from)? {
        toml::Value::String(text) => Ok(Some(text)),
        toml::Value::Integer(number) => Ok(Some(number.to_string())),
        other => Err(D::Error::custom(format!(
            "this is a {}, and no duration such as \"10m\"",
            other.type_str()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    use crate::deploy::error::Exit;

    #[test]
    fn a_file_that_others_could_have_written_is_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("deploy.toml");
        assert_eq!(ConfigFile::read(&path), Ok(None));
        fs::write(&path, "keep = 5").expect("written");
        let mode =
            |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        mode(0o644);
        assert!(ConfigFile::read(&path).is_ok_and(|file| file.is_some()));
        for bad in [0o666, 0o646] {
            mode(bad);
            let failure = ConfigFile::read(&path).expect_err("refused");
            assert!(
                failure.what.contains("can be written by others"),
                "{failure}"
            );
            assert_eq!(failure.exit, Exit::Usage);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let failure = ConfigFile::parse(Path::new("/etc/x.toml"), "keep = 5\nkep = 4\n");
        let failure = failure.expect_err("unknown");
        assert!(
            failure.what.starts_with("/etc/x.toml:2: unknown field"),
            "{failure}"
        );
        assert_eq!(failure.exit, Exit::Usage);
    }
}
