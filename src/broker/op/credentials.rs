//! With which credentials and environment `op` runs.
//!
//! One source of credentials is chosen and the others are withheld, because the order of `op` is
//! surprising: Connect beats a service account, a stale session hides the desktop app. The rest of
//! the environment is an allow-list; what changes `op`'s output format is left out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use memchr::memmem;

use super::token_source::TokenSource;
use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::Result;
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
    source: Option<TokenSource>,
    ignored: Vec<&'static str>,
}

/// Room for what is usual, in bytes.
const ENVIRONMENT_SIZE: usize = 16 * 1024;

impl Credentials {
    /// Chooses the first source that exists: `OP_SERVICE_ACCOUNT_TOKEN`, the systemd credential
    /// `op-token`, `OC_SECRETS_TOKEN_FILE`, the OS keyring, then Connect, a session, or the desktop
    /// app. `keyring` asks the OS keyring, and is called only if something is there.
    ///
    /// # Errors
    /// When a token file cannot be trusted or read, or the keyring does not give its token.
    pub(crate) fn choose(
        ours: &OwnEnvironment,
        keyring: impl FnOnce() -> Result<Secret>,
    ) -> Result<Self> {
        let sources = TokenSource::all(ours);
        let Some((first, others)) = sources.split_first() else {
            return Ok(Self {
                mode: ambient(ours),
                token: None,
                source: None,
                ignored: vec![],
            });
        };
        let others = others.iter().map(TokenSource::passed_over);
        let ambient = match ambient(ours) {
            Mode::Connect => Some("OP_CONNECT_HOST and OP_CONNECT_TOKEN are set"),
            Mode::Session => Some("OP_SESSION is set"),
            Mode::ServiceAccount | Mode::App => None,
        };
        Ok(Self {
            mode: Mode::ServiceAccount,
            token: first.token(ours, keyring)?,
            source: Some(first.clone()),
            ignored: others.chain(ambient).collect(),
        })
    }

    /// A token that is to be tried, whatever else there is.
    pub(crate) fn given(token: Secret) -> Self {
        Self {
            mode: Mode::ServiceAccount,
            token: Some(token),
            source: Some(TokenSource::Given),
            ignored: vec![],
        }
    }

    /// Where the token comes from, if there is one.
    pub(crate) fn source(&self) -> Option<&TokenSource> {
        self.source.as_ref()
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
        let source = match (&self.source, self.mode) {
            (Some(source), _) => format!("service account ({source})"),
            (None, Mode::Connect) => "Connect server (OP_CONNECT_HOST)".to_owned(),
            (None, Mode::Session) => "session (OP_SESSION)".to_owned(),
            (None, Mode::ServiceAccount | Mode::App) => "1Password app".to_owned(),
        };
        let mut text = format!("signing in by {source}");
        for ignored in &self.ignored {
            text.push_str(&format!("; {ignored} too and not used"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Result<Secret> {
        panic!("nobody has logged in, and the keyring is asked")
    }

    fn entries(pairs: &[(&str, &str)]) -> (Mode, Vec<String>) {
        let ours: OwnEnvironment = pairs.iter().copied().collect();
        let credentials = Credentials::choose(&ours, nobody).expect("chosen");
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
            let credentials = Credentials::choose(&ours, nobody).expect("chosen");
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
