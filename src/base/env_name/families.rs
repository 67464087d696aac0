//! The second line against a manifest that was merely found: beginnings and ends of names by which
//! programs are steered. It is not complete, and cannot be.

/// What a name carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// What the vault answers.
    Secret,
    /// A value that stands in the manifest, and so is the manifest's author's choice.
    Plain,
}

/// Part of a name, in upper case.
enum Pattern {
    Is(&'static str),
    Begins(&'static str),
    Ends(&'static str),
}

use Pattern::{Begins, Ends, Is};

/// What no manifest may set that was merely found, but for a secret with a secret's name.
const FAMILIES: &[(Pattern, &str)] = &[
    (Begins("GIT_"), "steers git"),
    (Begins("SSH_"), "steers ssh"),
    (Begins("GPG_"), "steers gpg"),
    (Begins("GNUPG"), "steers gpg"),
    (
        Begins("XDG_"),
        "says where programs find their configuration",
    ),
    (Begins("PYTHON"), "steers Python"),
    (Begins("PIP_"), "steers pip"),
    (Begins("UV_"), "steers uv"),
    (Begins("PERL"), "steers Perl"),
    (Begins("RUBY"), "steers Ruby"),
    (Begins("GEM_"), "steers Ruby"),
    (Begins("BUNDLE_"), "steers Bundler"),
    (Begins("NODE_"), "steers Node"),
    (Begins("NPM_"), "steers npm"),
    (Begins("PNPM_"), "steers pnpm"),
    (Begins("YARN_"), "steers Yarn"),
    (Begins("COREPACK_"), "steers Corepack"),
    (Begins("JAVA_"), "steers Java"),
    (Begins("JDK_"), "steers Java"),
    (Begins("MAVEN_"), "steers Maven"),
    (Begins("GRADLE_"), "steers Gradle"),
    (Begins("LUA_"), "steers Lua"),
    (Begins("PHP"), "steers PHP"),
    (Begins("COMPOSER_"), "steers Composer"),
    (Begins("CARGO_"), "steers Cargo"),
    (Begins("RUST"), "steers Rust's tools"),
    (Is("GOENV"), "steers Go's tools"),
    (Is("GOFLAGS"), "steers Go's tools"),
    (Is("GOPATH"), "steers Go's tools"),
    (Is("GOPROXY"), "steers Go's tools"),
    (Is("GOROOT"), "steers Go's tools"),
    (Is("GOTOOLCHAIN"), "steers Go's tools"),
    (Is("GOSUMDB"), "steers Go's tools"),
    (Is("GONOSUMDB"), "steers Go's tools"),
    (Is("GONOSUMCHECK"), "steers Go's tools"),
    (Is("GOINSECURE"), "steers Go's tools"),
    (Is("GOPRIVATE"), "steers Go's tools"),
    (Is("GODEBUG"), "steers Go's tools"),
    (Begins("MAKE"), "steers make"),
    (Begins("CMAKE_"), "steers CMake"),
    (Begins("BASH"), "steers bash"),
    (Begins("ZSH"), "steers zsh"),
    (Begins("ZDOT"), "steers zsh"),
    (Begins("FISH_"), "steers fish"),
    (Begins("XONSH"), "steers xonsh"),
    (Begins("KSH_"), "steers ksh"),
    (Begins("HIST"), "steers a shell's history"),
    (Begins("LESS"), "steers less"),
    (Begins("APT_"), "steers apt"),
    (Begins("PSQL"), "steers psql"),
    (Is("MANPATH"), "steers man"),
    (Is("MANOPT"), "steers man"),
    (Begins("VIM"), "steers Vim"),
    (Begins("NVIM_"), "steers Neovim"),
    (Begins("EMACS"), "steers Emacs"),
    (Is("TERM"), "steers terminal programs"),
    (Begins("TERMINFO"), "steers terminal programs"),
    (Begins("TERMCAP"), "steers terminal programs"),
    (Begins("TMUX"), "steers tmux"),
    (Is("SCREENRC"), "steers screen"),
    (Begins("DOCKER_"), "steers Docker"),
    (Begins("BUILDKIT_"), "steers Docker"),
    (Begins("BUILDX_"), "steers Docker"),
    (Begins("COMPOSE_"), "steers Docker"),
    (Begins("CONTAINER"), "steers Podman"),
    (Begins("REGISTRY_AUTH"), "steers Podman"),
    (Begins("KUBE"), "steers kubectl"),
    (Begins("HELM_"), "steers Helm"),
    (Begins("TF_CLI_"), "steers Terraform"),
    (Begins("ANSIBLE_"), "steers Ansible"),
    (Begins("AWS_CA_"), "says whom the AWS tools trust"),
    (Begins("AWS_CONFIG_"), "steers the AWS tools"),
    (Begins("AWS_ENDPOINT_"), "says where traffic goes"),
    (Begins("AWS_SHARED_"), "steers the AWS tools"),
    (Begins("CLOUDSDK_"), "steers gcloud"),
    (Begins("CURL_"), "steers curl"),
    (Begins("WGET"), "steers wget"),
    (Begins("SSL_CERT_"), "says which certificates are trusted"),
    (
        Begins("REQUESTS_CA_"),
        "says which certificates are trusted",
    ),
    (Begins("OPENSSL_"), "steers OpenSSL"),
    (Begins("SYSTEMD_"), "steers systemd's tools"),
    (Begins("SUDO_"), "steers sudo"),
    (Begins("LC_"), "steers the C library"),
    (Is("LANG"), "steers the C library"),
    (Is("LANGUAGE"), "steers the C library"),
    (Begins("RES_"), "steers the resolver"),
    (Is("HOSTALIASES"), "steers the resolver"),
    (Is("TMP"), "says where temporary files go"),
    (Is("TMPDIR"), "says where temporary files go"),
    (Is("TEMP"), "says where temporary files go"),
    (Is("TEMPDIR"), "says where temporary files go"),
    (Begins("DIRENV_"), "steers direnv"),
    (Begins("MISE_"), "steers mise"),
    (Begins("NIX_"), "steers Nix"),
    (Begins("COMPILER_PATH"), "names a program"),
    (Begins("GCC_"), "steers the compiler"),
    (Begins("CCACHE_"), "steers the compiler"),
    (Begins("PKG_CONFIG"), "steers builds"),
    (Is("CONFIG_SHELL"), "names a program"),
    (Is("HGRCPATH"), "steers Mercurial"),
    (Is("HGEDITOR"), "names a program"),
    (Is("TEXINPUTS"), "steers TeX"),
    (Is("LD"), "names a program"),
    (Is("AR"), "names a program"),
    (Is("GREP"), "names a program"),
    (Is("TAPE"), "names a program"),
    (Begins("RSYNC_"), "steers rsync"),
    (Begins("RPM_"), "steers rpm"),
    (Begins("FZF_"), "steers fzf"),
    (Begins("RIPGREP_"), "steers ripgrep"),
    (Begins("PYTEST_"), "steers pytest"),
    (Begins("DOTNET_"), "steers .NET"),
    (Begins("CORECLR_"), "steers .NET"),
    (Begins("R_PROFILE"), "steers R"),
    (Begins("R_ENVIRON"), "steers R"),
    (Begins("R_LIBS"), "steers R"),
    (Begins("JULIA_"), "steers Julia"),
    (Begins("GUILE_"), "steers Guile"),
    (Begins("GTK_"), "loads code into programs"),
    (Begins("GIO_"), "loads code into programs"),
    (Begins("QT_"), "loads code into programs"),
    (Is("PSMODULEPATH"), "loads code into programs"),
    (Begins("PUPPETEER_"), "names a program"),
    (Is("CHROME_PATH"), "names a program"),
    (Begins("PGSERVICE"), "says where secrets go"),
    (Is("NETRC"), "names a file of passwords"),
    (Is("CLAUDE_CONFIG_DIR"), "steers an agent"),
    (Ends("_RSH"), "names a program"),
    (Ends("_SSH"), "names a program"),
    (Ends("_SHELL"), "names a program"),
    (Ends("LIBPATH"), "loads code into programs"),
    (Ends("_LOAD_PATH"), "loads code into programs"),
    (Ends("_EXEC_PREFIX"), "names a program"),
    (Ends("_EXECUTABLE_PATH"), "names a program"),
    (Ends("_MODULES"), "loads code into programs"),
    (Ends("_PLUGINS"), "loads code into programs"),
    (Ends("_PLUGIN_PATH"), "loads code into programs"),
    (Ends("_HOOKS"), "loads code into programs"),
    (Ends("_PROFILER"), "loads code into programs"),
    (Ends("_ADDOPTS"), "holds a program's flags"),
    (Ends("_PROXY"), "says where traffic goes"),
    (Ends("_EDITOR"), "names a program"),
    (Ends("_PAGER"), "names a program"),
    (Ends("_ASKPASS"), "names a program"),
    (Ends("_BROWSER"), "names a program"),
    (Ends("_WRAPPER"), "names a program"),
    (Ends("_CA_BUNDLE"), "says which certificates are trusted"),
    (Ends("_CA_CERTS"), "says which certificates are trusted"),
    (Ends("_CONFIG_FILE"), "names a configuration file"),
    (Ends("_OPTIONS"), "holds a program's flags"),
    (Ends("_OPTS"), "holds a program's flags"),
    (Ends("FLAGS"), "holds a program's flags"),
];

/// Names and addresses of authors steer nothing.
const HARMLESS: &[&str] = &[
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "NODE_ENV",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

/// Ends of names by which programs call secrets.
const SECRET_ENDS: &[&str] = &["_TOKEN", "_KEY", "_SECRET", "_PASSWORD"];

/// Why a manifest that was found may not set `name`, if so.
pub(super) fn family(name: &str, carries: Carries) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let is_secret = SECRET_ENDS.iter().any(|end| name.ends_with(end));
    if HARMLESS.contains(&name.as_str()) || (carries == Carries::Secret && is_secret) {
        return None;
    }
    let fits = |pattern: &Pattern| match pattern {
        Is(whole) => name == *whole,
        Begins(part) => name.starts_with(part),
        Ends(part) => name.ends_with(part),
    };
    FAMILIES
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, why)| *why)
}
