//! With which credentials and environment `op` runs.
//!
//! One source of credentials is chosen and the others are withheld, because the order of `op` is
//! surprising: Connect beats a service account, a stale session hides the desktop app. The rest of
//! the environment is an allow-list; what changes `op`'s output format is left out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::{Error, Result};
use crate::base::file_ownership;
use crate::base::locked_memory::Locked;
use crate::base::own_environment::OwnEnvironment;
use crate::base::secret::Secret;

/// How `op` authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A service-account token.
    ServiceAccount,
    /// A Connect server.
    Connect,
    /// A session of `op signin`.
    Session,
    /// The desktop app, which may prompt.
    App,
}

/// The chosen credentials.
#[derive(Debug)]
pub(crate) struct Credentials {
    mode: Mode,
    token: Option<Secret>,
    source: String,
    ignored: Vec<&'static str>,
}

/// Room for what is usual, in bytes.
const ENVIRONMENT_SIZE: usize = 16 * 1024;

/// The largest token file that is read, in bytes.
const TOKEN_FILE_LIMIT: usize = 16 * 1024;

impl Credentials {
    /// Chooses the first source that exists: `OP_SERVICE_ACCOUNT_TOKEN`, the systemd credential
    /// `op-token`, `OC_SECRETS_TOKEN_FILE`, then Connect, a session, or the desktop app.
    ///
    /// # Errors
    /// [`Error::TokenFile`] for a token file that cannot be trusted or read.
    pub(crate) fn choose(ours: &OwnEnvironment) -> Result<Self> {
        let ambient = ambient(ours);
        match service_account(ours)? {
            Some((token, source)) => Ok(Self {
                mode: Mode::ServiceAccount,
                token: Some(token),
                source,
                ignored: match ambient {
                    Mode::Connect => vec!["OP_CONNECT_HOST and OP_CONNECT_TOKEN"],
                    Mode::Session => vec!["OP_SESSION"],
                    Mode::ServiceAccount | Mode::App => vec![],
                },
            }),
            None => Ok(Self {
                mode: ambient,
                token: None,
                source: match ambient {
                    Mode::Connect => "Connect server (OP_CONNECT_HOST)".to_owned(),
                    Mode::Session => "session (OP_SESSION)".to_owned(),
                    Mode::ServiceAccount | Mode::App => "1Password app".to_owned(),
                },
                ignored: vec![],
            }),
        }
    }

    /// How `op` authenticates.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether no prompt can appear, so that calls may run concurrently.
    pub(crate) fn promptless(&self) -> bool {
        matches!(self.mode, Mode::ServiceAccount | Mode::Connect)
    }

    /// What a limit of 1Password's is bound to: the token, or else whatever says who we are.
    pub(crate) fn parts(&self, ours: &OwnEnvironment, account: Option<&str>) -> Vec<Vec<u8>> {
        if let Some(token) = &self.token {
            return vec![token.fingerprint().to_vec()];
        }
        let decides = |name: &OsStr| name == "HOME" || name.as_bytes().starts_with(b"OP_");
        let named = ours
            .variables
            .iter()
            .filter(|(name, _)| self.passes(name) && decides(name))
            .flat_map(|(name, value)| [name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        let keys = ours
            .keys
            .iter()
            .filter(|(name, _)| self.passes(name))
            .flat_map(|(name, key)| [name.as_bytes().to_vec(), key.fingerprint().to_vec()]);
        let account = account.map(|account| account.as_bytes().to_vec());
        named.chain(keys).chain(account).collect()
    }

    /// Where the credentials come from and which others were ignored, for `-v`.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("signing in by {}", self.source);
        for ignored in &self.ignored {
            text.push_str(&format!("; {ignored} is set too and not used"));
        }
        text
    }

    /// The whole environment of `op`.
    pub(crate) fn environment(&self, ours: &OwnEnvironment) -> EnvironmentBlock {
        let mut theirs = EnvironmentBlock::with_capacity(ENVIRONMENT_SIZE);
        let variables = ours.variables.iter();
        let variables = variables.map(|(name, value)| (name, value.as_bytes()));
        let keys = ours.keys.iter().map(|(name, key)| (name, key.expose()));
        for (name, value) in variables.chain(keys) {
            if self.passes(name) && !is_reference(value) {
                theirs.push(name.as_bytes(), value);
            }
        }
        theirs.push(b"PATH", b"/usr/local/bin:/usr/bin:/bin");
        if let Some(token) = &self.token {
            theirs.push(b"OP_SERVICE_ACCOUNT_TOKEN", token.expose());
            // Both are needed, or `op` may wait for the app's settings forever.
            theirs.push(b"OP_BIOMETRIC_UNLOCK_ENABLED", b"false");
            theirs.push(b"OP_LOAD_DESKTOP_APP_SETTINGS", b"false");
        }
        theirs
    }

    fn passes(&self, name: &OsStr) -> bool {
        let Some(name) = name.to_str() else {
            return false;
        };
        if name == "OP_SERVICE_ACCOUNT_TOKEN" {
            return false; // set below, from wherever it came
        }
        if name.starts_with("OP_CONNECT_") {
            return self.mode == Mode::Connect;
        }
        if name == "OP_SESSION" || name.starts_with("OP_SESSION_") {
            return self.mode == Mode::Session;
        }
        if self.mode == Mode::ServiceAccount
            && [
                "OP_BIOMETRIC_UNLOCK_ENABLED",
                "OP_LOAD_DESKTOP_APP_SETTINGS",
            ]
            .contains(&name)
        {
            return false;
        }
        if name.starts_with("OP_") {
            return !WITHHELD.contains(&name);
        }
        ALLOWED.contains(&name) || name.starts_with("LC_")
    }
}

/// `op run` fetches what an inherited variable refers to, and fails as a whole where it cannot.
fn is_reference(value: &[u8]) -> bool {
    memmem::find(value, b"op://").is_some()
}

/// What `op` needs to find its settings, the desktop app, the network and its certificates.
const ALLOWED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// `op`'s own variables that change what it prints, or that it has no need of here.
const WITHHELD: &[&str] = &[
    "OP_FORMAT",
    "OP_DEBUG",
    "OP_ISO_TIMESTAMPS",
    "OP_INCLUDE_ARCHIVE",
    "OP_RUN_NO_MASKING",
    "OP_SECRET_KEY",
    "OP_VAULT",
];

/// The source that `op` would use by itself.
fn ambient(ours: &OwnEnvironment) -> Mode {
    let session = |(name, _): &(OsString, Secret)| name.as_bytes().starts_with(b"OP_SESSION");
    if ours.variable("OP_CONNECT_HOST").is_some() && ours.key("OP_CONNECT_TOKEN").is_some() {
        Mode::Connect
    } else if ours.keys.iter().any(session) {
        Mode::Session
    } else {
        Mode::App
    }
}

fn service_account(ours: &OwnEnvironment) -> Result<Option<(Secret, String)>> {
    if let Some(token) = ours.key("OP_SERVICE_ACCOUNT_TOKEN") {
        let source = "service account (OP_SERVICE_ACCOUNT_TOKEN)".to_owned();
        return Ok(Some((token.clone(), source)));
    }
    let systemd = ours
        .variable("CREDENTIALS_DIRECTORY")
        .map(|directory| PathBuf::from(directory).join("op-token"))
        .filter(|file| file.exists());
    if let Some(file) = systemd {
        let token = token_file(&file)?;
        return Ok(Some((
            token,
            "service account (systemd credential op-token)".to_owned(),
        )));
    }
    if let Some(file) = ours.variable("OC_SECRETS_TOKEN_FILE").map(PathBuf::from) {
        file_ownership::path(&file).map_err(|why| unusable(&file, &why))?;
        let token = token_file(&file)?;
        return Ok(Some((
            token,
            format!("service account ({})", file.display()),
        )));
    }
    Ok(None)
}

/// Reads a token of a file that only we can read, without the line feed that editors add.
fn token_file(file: &Path) -> Result<Secret> {
    use std::io::Read;
    let failed = |why: std::io::Error| unusable(file, &why.to_string());
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let mut opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(file)
        .map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(unusable(file, "it is not a regular file"));
    }
    file_ownership::private(&opened).map_err(|why| unusable(file, &format!("it {why}")))?;
    let mut token = Locked::with_capacity(TOKEN_FILE_LIMIT + 1);
    while token.len() <= TOKEN_FILE_LIMIT {
        match opened.read(token.spare()).map_err(failed)? {
            0 => break,
            bytes => token.advance(bytes),
        }
    }
    if token.len() > TOKEN_FILE_LIMIT {
        return Err(unusable(file, "it is too large for a token"));
    }
    let token = Secret::new(token);
    let length = token.expose().trim_ascii_end().len();
    match length {
        0 => Err(unusable(file, "it is empty")),
        _ => Ok(token.slice(0..length)),
    }
}

fn unusable(file: &Path, why: &str) -> Error {
    Error::TokenFile {
        path: file.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> (Mode, Vec<String>) {
        let ours: OwnEnvironment = pairs.iter().copied().collect();
        let credentials = Credentials::choose(&ours).expect("chosen");
        let theirs = credentials.environment(&ours);
        let text = |entry: &&std::ffi::CStr| entry.to_str().expect("text").to_owned();
        (
            credentials.mode(),
            theirs.entries().iter().map(text).collect(),
        )
    }

    fn names(pairs: &[(&str, &str)]) -> (Mode, Vec<String>) {
        let (mode, entries) = entries(pairs);
        let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
        (mode, entries.iter().map(name).collect())
    }

    #[test]
    fn only_the_chosen_source_is_handed_on() {
        let all = [
            ("OP_SERVICE_ACCOUNT_TOKEN", "ops_x"),
            ("OP_CONNECT_HOST", "h"),
            ("OP_CONNECT_TOKEN", "t"),
            ("OP_SESSION_a", "s"),
        ];
        let rest = [
            "PATH",
            "OP_SERVICE_ACCOUNT_TOKEN",
            "OP_BIOMETRIC_UNLOCK_ENABLED",
            "OP_LOAD_DESKTOP_APP_SETTINGS",
        ];
        assert_eq!(
            names(&all),
            (Mode::ServiceAccount, rest.map(str::to_owned).to_vec())
        );
        let connect = ["OP_CONNECT_HOST", "OP_CONNECT_TOKEN", "PATH"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(names(&all[1..]), (Mode::Connect, connect));
        let session = ["OP_SESSION_a", "PATH"].map(str::to_owned).to_vec();
        assert_eq!(names(&all[3..]), (Mode::Session, session));
        assert_eq!(names(&[]), (Mode::App, vec!["PATH".to_owned()]));
    }

    #[test]
    fn a_limit_belongs_to_the_token_or_else_to_who_asks() {
        let parts = |pairs: &[(&str, &str)], account| {
            let ours: OwnEnvironment = pairs.iter().copied().collect();
            let credentials = Credentials::choose(&ours).expect("chosen");
            credentials.parts(&ours, account)
        };
        let token = ("OP_SERVICE_ACCOUNT_TOKEN", "ops_x");
        assert_eq!(
            parts(&[token], None),
            parts(&[token, ("HOME", "/h")], Some("a"))
        );
        assert!(
            !parts(&[token], None)
                .concat()
                .windows(5)
                .any(|part| part == b"ops_x")
        );
        let session = |value| parts(&[("OP_SESSION_a", value)], None);
        assert_ne!(session("s"), session("t"));
        assert_ne!(parts(&[], None), parts(&[], Some("a")));
    }

    #[test]
    fn an_empty_token_counts_as_unset() {
        assert_eq!(names(&[("OP_SERVICE_ACCOUNT_TOKEN", "")]).0, Mode::App);
        assert_eq!(
            names(&[("OP_CONNECT_HOST", "h"), ("OP_CONNECT_TOKEN", "")]).0,
            Mode::App
        );
    }

    #[test]
    fn what_steers_the_loader_or_the_output_is_withheld() {
        let withheld = [
            "LD_PRELOAD",
            "GODEBUG",
            "SSLKEYLOGFILE",
            "OP_DEBUG",
            "OP_FORMAT",
            "OP_ISO_TIMESTAMPS",
            "OP_INCLUDE_ARCHIVE",
            "OP_RUN_NO_MASKING",
            "OP_VAULT",
            "OC_SECRETS_OP",
            "AWS_SECRET_ACCESS_KEY",
        ];
        for name in withheld {
            assert_eq!(names(&[(name, "x")]).1, ["PATH"], "{name}");
        }
        for name in [
            "HOME",
            "LC_ALL",
            "https_proxy",
            "XDG_RUNTIME_DIR",
            "OP_ACCOUNT",
            "OP_CACHE",
        ] {
            assert_eq!(names(&[(name, "x")]).1, [name, "PATH"], "{name}");
        }
    }

    #[test]
    fn a_reference_among_the_settings_is_withheld() {
        for value in ["op://v/i/f", "http://op://v/i/f"] {
            assert_eq!(names(&[("https_proxy", value)]).1, ["PATH"], "{value}");
        }
        let plain = ["https_proxy", "PATH"];
        assert_eq!(names(&[("https_proxy", "http://proxy")]).1, plain);
    }

    #[test]
    fn the_path_is_fixed() {
        let (_, entries) = entries(&[("PATH", "/home/evil/bin")]);
        assert_eq!(entries, ["PATH=/usr/local/bin:/usr/bin:/bin"]);
    }
}
