//! Names of environment variables that may carry a value, and those that may not.
//!
//! A name that changes how the next program is found, loaded or configured turns a manifest into
//! code. The exact table holds for every manifest. A manifest that was merely found, such as a
//! cloned repository's, is held to the families too: nobody can list all the names in them. The way
//! around it is `env` in the command itself: `oc-secrets exec -- env GIT_DIR=… CMD`.

mod families;

pub(crate) use families::Carries;
use families::family;

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 255 bytes, not dangerous.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EnvName(String);

/// Why a text is not an [`EnvName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Not the form of a name.
    #[error("a name is a letter or `_`, then letters, digits and `_`, at most 255 of them")]
    Form,
    /// A name that steers shells, loaders, interpreters or tools.
    #[error("this name {0}, so no manifest may set it")]
    Dangerous(&'static str),
    /// A name of a family that steers programs.
    #[error("this name {0}, so a manifest that was found and not named may not set it")]
    Family(&'static str),
}

impl EnvName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] when it is malformed or in the exact table.
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        if !well_formed(text) {
            return Err(NameError::Form);
        }
        match steers(text) {
            Some(why) => Err(NameError::Dangerous(why)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Parses a name of a manifest that was merely found.
    ///
    /// # Errors
    /// As [`Self::parse`], and for a name of a family that steers programs.
    pub(crate) fn parse_found(text: &str, carries: Carries) -> Result<Self, NameError> {
        let name = Self::parse(text)?;
        match family(text, carries) {
            Some(why) => Err(NameError::Family(why)),
            None => Ok(name),
        }
    }

    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this name as others write it: `telegram-bot-token` for `TELEGRAM_BOT_TOKEN`.
    pub(crate) fn is_like(&self, text: &str) -> bool {
        let same = |(theirs, ours): (u8, u8)| {
            theirs.eq_ignore_ascii_case(&ours) || (theirs == b'-' && ours == b'_')
        };
        text.len() == self.0.len() && text.bytes().zip(self.0.bytes()).all(same)
    }
}

impl std::fmt::Display for EnvName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

fn well_formed(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a child may be given on purpose, although the beginning is refused.
const ALLOWED: &[&str] = &[
    "OP_SERVICE_ACCOUNT_TOKEN",
    "OP_CONNECT_HOST",
    "OP_CONNECT_TOKEN",
];

/// Beginnings that no manifest may use.
const BEGINNINGS: &[(&str, &str)] = &[
    ("LD_", "steers the loader"),
    ("DYLD_", "steers the loader"),
    ("MALLOC_", "steers the C library"),
    ("GIT_CONFIG", "sets git's configuration"),
    ("OP_", "steers `op`"),
    ("OC_SECRETS_", "steers oc-secrets"),
];

/// Names that no manifest may use, in any case: some programs read `HTTPS_proxy` too.
const DENIED: &[(&str, &[&str])] = &[
    (
        "steers shells",
        &[
            "PATH",
            "HOME",
            "SHELL",
            "IFS",
            "ENV",
            "BASH_ENV",
            "PS0",
            "PS1",
            "PS2",
            "PS3",
            "PS4",
            "PROMPT_COMMAND",
            "SHELLOPTS",
            "BASHOPTS",
            "ZDOTDIR",
            "FPATH",
            "CDPATH",
            "ARGV0", // zsh: the name under which a command is started, which busybox goes by
            "GLOBIGNORE",
            "MAILPATH",
            "fish_function_path",
        ],
    ),
    (
        "steers the C library",
        &["GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH"],
    ),
    (
        "steers an interpreter",
        &[
            "NODE_OPTIONS",
            "NODE_PATH",
            "PYTHONSTARTUP",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONUSERBASE",
            "PYTHONWARNINGS",
            "PYTHONBREAKPOINT",
            "PERL5OPT",
            "PERL5LIB",
            "PERLLIB",
            "PERL5DB",
            "RUBYOPT",
            "RUBYLIB",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "CLASSPATH",
            "LUA_INIT",
            "R_PROFILE",
        ],
    ),
    (
        "makes git run or load something",
        &[
            "GIT_SSH_COMMAND",
            "GIT_SSH",
            "GIT_ASKPASS",
            "GIT_EXTERNAL_DIFF",
            "GIT_PAGER",
            "GIT_EDITOR",
            "GIT_SEQUENCE_EDITOR",
            "GIT_EXEC_PATH",
            "GIT_TEMPLATE_DIR",
            "GIT_PROXY_COMMAND",
            "GIT_DIR",
        ],
    ),
    (
        "makes other programs run something",
        &[
            "SSH_ASKPASS",
            "EDITOR",
            "VISUAL",
            "PAGER",
            "FCEDIT",
            "MANPAGER",
            "LESSOPEN",
            "LESSCLOSE",
            "BROWSER",
            "MAKEFILES",
            "VIMINIT",
            "EXINIT",
            "npm_config_script_shell",
            "RUSTC_WRAPPER",
            "CC",
            "CXX",
        ],
    ),
    (
        "says where traffic goes",
        &[
            "DOCKER_HOST",
            "DOCKER_CONFIG",
            "CONTAINERS_CONF",
            "KUBECONFIG",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "FTP_PROXY",
            "SSLKEYLOGFILE",
        ],
    ),
];

/// Names that a shell itself owns: an assignment fails, ends the evaluation or is evaluated. Their
/// case matters: `VERSION` is not one.
const OWNED_BY_SHELLS: &[&str] = &[
    "_",
    "UID",
    "EUID",
    "PPID",
    "BASH_VERSINFO",
    "status",
    "argv",
    "path",
    "cdpath",
    "fpath",
    "manpath",
    "mailpath",
    "options",
    "commands",
    "aliases",
    "functions",
    "signals",
    "pipestatus",
    "terminfo",
    "LINENO",
    "history",
    "version",
    "hostname",
    "SHLVL",
    "PWD",
    "fish_pid",
    "PROMPT",
    "prompt",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "OPTIND",
    "HISTCMD",
    "MAILCHECK",
];

/// Why no manifest may set `name`.
fn steers(name: &str) -> Option<&'static str> {
    if ALLOWED.contains(&name) {
        return None;
    }
    if OWNED_BY_SHELLS.contains(&name) {
        return Some("belongs to a shell");
    }
    let begins = |beginning: &str| {
        name.get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    let beginning = BEGINNINGS.iter().find(|(beginning, _)| begins(beginning));
    let is = |names: &[&str]| names.iter().any(|denied| denied.eq_ignore_ascii_case(name));
    let exact = || DENIED.iter().find(|(_, names)| is(names));
    beginning
        .map(|(_, why)| *why)
        .or_else(|| exact().map(|(why, _)| *why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["GHCR_TOKEN", "_x", "a1", "OP_SERVICE_ACCOUNT_TOKEN"] {
            assert_eq!(
                EnvName::parse(name).map(|n| n.to_string()),
                Ok(name.to_owned())
            );
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = "x".repeat(256);
        for name in [
            "",
            "1A",
            "A-B",
            "A B",
            "A=B",
            "a[$(id)]",
            "É",
            "A\n",
            long.as_str(),
        ] {
            assert_eq!(EnvName::parse(name), Err(NameError::Form), "{name:?}");
        }
    }

    #[test]
    fn names_that_steer_programs_are_refused() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "BASH_ENV",
            "NODE_OPTIONS",
            "GIT_CONFIG_COUNT",
            "OP_SESSION_x",
            "OC_SECRETS_OP",
            "status",
            "MALLOC_CHECK_",
            "ARGV0",
        ] {
            let refused = EnvName::parse(name);
            assert!(matches!(refused, Err(NameError::Dangerous(_))), "{name}");
        }
    }

    #[test]
    fn the_case_of_a_name_that_steers_does_not_matter_but_a_shells_own_is_its_own() {
        for name in ["HTTPS_proxy", "Ld_Preload", "path", "git_dir", "kubeconfig"] {
            assert!(EnvName::parse(name).is_err(), "{name}");
        }
        for name in ["VERSION", "STATUS", "OPTIONS", "HISTORY"] {
            assert!(EnvName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_may_come_in_small_letters_and_hyphens() {
        let name = EnvName::parse("TELEGRAM_BOT_TOKEN").expect("a name");
        assert!(name.is_like("telegram-bot-token") && name.is_like("Telegram_Bot-Token"));
        for other in ["telegram-bot", "telegram.bot.token", "telegrambottoken", ""] {
            assert!(!name.is_like(other), "{other}");
        }
    }

    #[test]
    fn a_found_manifest_is_held_to_the_families_but_for_names_of_secrets() {
        let refused = |name, carries| {
            assert!(EnvName::parse(name).is_ok(), "{name} is in the exact table");
            matches!(
                EnvName::parse_found(name, carries),
                Err(NameError::Family(_))
            )
        };
        for name in [
            "GIT_HTTP_USER_AGENT",
            "XDG_CONFIG_HOME",
            "xdg_config_home",
            "npm_config_registry",
            "SSL_CERT_FILE",
            "FOO_EDITOR",
            "no_proxy",
            "PYTHONVERBOSE",
            "XONSHRC",
            "APT_CONFIG",
            "PSQLRC",
            "COMPILER_PATH",
            "GREP",
            "CVS_RSH",
        ] {
            assert!(refused(name, Carries::Plain), "{name}");
            assert!(refused(name, Carries::Secret), "{name}");
        }
        for name in ["GIT_TOKEN", "NPM_TOKEN", "DOCKER_PASSWORD", "SSH_KEY"] {
            assert!(refused(name, Carries::Plain), "{name}");
            assert!(!refused(name, Carries::Secret), "{name}");
        }
        for name in ["API_KEY", "DATABASE_URL", "AWS_REGION", "GIT_AUTHOR_NAME"] {
            assert!(!refused(name, Carries::Plain), "{name}");
        }
    }
}
