//! Names of environment variables that may carry a value, and those that may not.
//!
//! A manifest can come from a colleague or a cloned repository. A name that changes how the next
//! program is found, loaded or configured would turn such a file into code, so it is refused.

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
    #[error("this name changes how programs run, so no manifest may set it")]
    Dangerous,
}

impl EnvName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] when it is malformed or on the deny list.
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        if !well_formed(text) {
            return Err(NameError::Form);
        }
        if dangerous(text) {
            return Err(NameError::Dangerous);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
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

/// What a child may be given on purpose, although the prefix is refused.
const ALLOWED: &[&str] = &[
    "OP_SERVICE_ACCOUNT_TOKEN",
    "OP_CONNECT_HOST",
    "OP_CONNECT_TOKEN",
];

const PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "MALLOC_",
    "GIT_CONFIG",
    "OP_",
    "OC_SECRETS_",
];

const DENIED: &[&str] = &[
    // shells
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
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
    "GLOBIGNORE",
    // special to a shell: an assignment fails or ends the evaluation
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
    // evaluated by a shell: as a prompt, as a place of functions, or as arithmetic when assigned
    "PS0",
    "PROMPT",
    "prompt",
    "MAILPATH",
    "fish_function_path",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "OPTIND",
    "HISTCMD",
    "MAILCHECK",
    // the loader and the C library
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "LOCPATH",
    // interpreters
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "LUA_INIT",
    "R_PROFILE",
    // git, ssh, and what they start
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    "GIT_ASKPASS",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_EXEC_PATH",
    "SSH_ASKPASS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESSOPEN",
    "BROWSER",
    // where traffic goes
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "all_proxy",
    "SSLKEYLOGFILE",
];

fn dangerous(name: &str) -> bool {
    !ALLOWED.contains(&name)
        && (DENIED.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
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
        ] {
            assert_eq!(EnvName::parse(name), Err(NameError::Dangerous), "{name}");
        }
    }
}
