//! Passwords that lie about unencrypted in files of other programs. A file is named, never what is
//! in it.

use std::path::{Path, PathBuf};

use super::row::Row;
use crate::base::environment::{self, Lookup};
use crate::base::shell_quote;
use crate::base::token_kind;
use crate::credential_helper::client_config::docker::{Client, Config};
use crate::credential_helper::client_config::location;

/// The largest file that is looked into, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A row for each file with a password, or one that says that there is none.
pub(super) fn rows(lookup: Lookup<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    let docker = location::docker(lookup).map(|path| (Client::Docker, path));
    let podman = location::podman(lookup)
        .into_iter()
        .map(|path| (Client::Podman, path));
    rows.extend(
        docker
            .into_iter()
            .chain(podman)
            .filter_map(|(client, path)| logins(client, &path)),
    );
    if let Some(home) = environment::absolute(lookup, "HOME") {
        rows.extend(FILES.iter().filter_map(|file| file.row(&home)));
        rows.extend(
            HISTORIES
                .iter()
                .filter_map(|name| history(&home.join(name))),
        );
    }
    if rows.is_empty() {
        rows.push(Row::ok(
            "passwords",
            "none is left unencrypted in the files that were looked into",
        ));
    }
    rows
}

/// A file of another program below the home directory.
struct PasswordFile {
    name: &'static str,
    holds: fn(&str) -> bool,
    /// The command that takes the passwords out, for this file.
    take_out: fn(&str) -> String,
}

/// `sed` that changes a file in its place; the one of macOS has to be told that it keeps no copy.
const SED: &str = if cfg!(target_os = "macos") {
    "sed -i ''"
} else {
    "sed -i"
};

const FILES: &[PasswordFile] = &[
    PasswordFile {
        name: ".git-credentials",
        holds: |text| text.lines().any(|line| line.contains("://")),
        take_out: |file| format!("rm {file}"),
    },
    PasswordFile {
        name: ".netrc",
        holds: |text| text.split_whitespace().any(|word| word == "password"),
        take_out: |file| format!("${{EDITOR:-vi}} {file}"),
    },
    PasswordFile {
        name: ".npmrc",
        holds: |text| {
            text.lines().any(|line| {
                let (key, value) = line.split_once('=').unwrap_or_default();
                let key = key.trim();
                let secret = ["_authToken", "_password", "_auth"]
                    .iter()
                    .any(|end| key.ends_with(end));
                secret && !value.trim().is_empty() && !value.contains("${")
            })
        },
        take_out: |file| {
            // What stands in `${…}` is the name of a variable.
            let lines = r"/\$\{/!{/(_authToken|_password|_auth)[[:space:]]*=/d;}";
            format!("{SED} -E '{lines}' {file}")
        },
    },
    PasswordFile {
        name: ".pypirc",
        holds: |text| {
            text.lines()
                .any(|line| line.trim_start().starts_with("password"))
        },
        take_out: |file| format!("{SED} '/^[[:space:]]*password/d' {file}"),
    },
];

impl PasswordFile {
    fn row(&self, home: &Path) -> Option<Row> {
        let path = home.join(self.name);
        let text = read(&path)?;
        (self.holds)(&text).then(|| lies(&path).fix((self.take_out)(&quoted(&path))))
    }
}

/// The file itself, as a shell takes it: what is typed must not replace, or remove, only a link to it.
fn quoted(path: &Path) -> String {
    shell_quote::word(&real(path).display().to_string())
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn lies(path: &Path) -> Row {
    let text = format!(
        "{} holds a password unencrypted: move it into 1Password, then take it out",
        path.display()
    );
    Row::warn("passwords", text)
}

fn logins(client: Client, path: &Path) -> Option<Row> {
    let text = read(path)?;
    let config = Config::parse(client, &text).ok()?;
    let hosts = config.plaintext_keys();
    let first = hosts.first()?;
    let fix = match client {
        Client::Docker => shell_quote::command(["docker", "logout", first]),
        // By itself it looks only into the file that is gone after a reboot.
        Client::Podman => {
            let file = real(path).display().to_string();
            shell_quote::command(["podman", "logout", "--authfile", &file, first])
        }
    };
    Some(lies(path).fix(fix))
}

const HISTORIES: &[&str] = &[
    ".bash_history",
    ".zsh_history",
    ".local/share/fish/fish_history",
];

fn history(path: &Path) -> Option<Row> {
    let text = read(path)?;
    let begins = token_kind::beginnings().find(|beginning| {
        // A dash alone would find options of programs.
        beginning.len() > 3
            && text
                .split(['\'', '"', ' ', '=', '\n'])
                .any(|word| word.len() > beginning.len() + 16 && word.starts_with(beginning))
    })?;
    let text = format!("{} holds a token that begins with {begins}", path.display());
    let fix = format!("{SED} /{begins}/d {}", quoted(path));
    Some(Row::warn("passwords", text).fix(fix))
}

fn read(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
