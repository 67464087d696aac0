//! `oc-secrets openclaw config`: what OpenClaw's configuration needs, and whether the gateway will
//! start this program.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;
use serde_json::json;

use super::arguments::{Global, OpenclawCommand};
use super::stdout;
use crate::base::error::{Error, Exit, Result};
use crate::base::own_environment::is_key;
use crate::base::shell_quote;
use crate::broker::manifest;
use crate::broker::session::Session;

/// What the gateway hands on where it is set: what finds the broker, or `op`, its credentials, and the manifest, and how it is asked.
const PASSED: &[&str] = &[
    "OC_SECRETS_CACHE_TTL",
    "OC_SECRETS_MANIFEST",
    "OC_SECRETS_OP",
    "OC_SECRETS_SOCKET",
    "OC_SECRETS_TOKEN_FILE",
    "OP_ACCOUNT",
    "OP_VAULT",
    "OP_SERVICE_ACCOUNT_TOKEN",
    "OP_CONNECT_HOST",
    "OP_CONNECT_TOKEN",
    "CREDENTIALS_DIRECTORY",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// Where OpenClaw keeps the keys that it is known for.
const FIELDS: &[(&str, &str)] = &[
    ("TELEGRAM_BOT_TOKEN", "channels.telegram.botToken"),
    ("DISCORD_BOT_TOKEN", "channels.discord.token"),
];

/// Prints the block, the commands, and what is wrong with the program.
pub(super) fn config(
    session: &Session,
    global: &Global,
    command: &OpenclawCommand,
) -> Result<Exit> {
    let OpenclawCommand::Config { command, uid, name } = command;
    let path = match command {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .map_err(|why| Error::system("find the path of this program", why))?,
    };
    let provider = Provider {
        name,
        arguments: arguments(global)?,
        variables: variables(session),
        path: &path,
    };
    stdout::print(provider.text(session).as_bytes())?;
    let uid = uid.unwrap_or(geteuid().as_raw());
    let Some(flaw) = flaw(&path, uid) else {
        return Ok(Exit::Done);
    };
    let hint = format!(
        "give that user a copy of its own, below a directory that nobody else can write: \
         install -o {uid} -m 0555 {} DIRECTORY/oc-secrets, and name it with --command",
        shell_quote::word(&path.display().to_string())
    );
    let what = format!("the gateway will not start {}: {flaw}", path.display());
    session.ui.failure(&what, Some(&hint));
    Ok(Exit::Failed)
}

/// An exec provider in OpenClaw's configuration.
struct Provider<'a> {
    name: &'a str,
    path: &'a Path,
    arguments: Vec<String>,
    variables: Vec<&'static str>,
}

impl Provider<'_> {
    fn text(&self, session: &Session) -> String {
        let path = self.path.display().to_string();
        let block = json!({ "secrets": { "providers": { self.name: {
            "source": "exec",
            "command": path,
            "args": self.arguments,
            "passEnv": self.variables,
            "jsonOnly": true,
        } } } });
        let mut words = vec![
            "openclaw".to_owned(),
            "config".to_owned(),
            "set".to_owned(),
            format!("secrets.providers.{}", self.name),
        ];
        let mut flag = |flag: &str, value: &str| {
            words.extend([format!("--provider-{flag}"), value.to_owned()]);
        };
        flag("source", "exec");
        flag("command", &path);
        self.arguments.iter().for_each(|one| flag("arg", one));
        self.variables.iter().for_each(|one| flag("pass-env", one));
        words.push("--provider-json-only".to_owned());
        format!(
            "# for openclaw.json\n{block:#}\n\n# the same as a command\n{}\n\n# each key that is to come from here\n{}",
            shell_quote::command(words.iter().map(String::as_str)),
            self.references(session)
        )
    }

    /// One command for each secret of the manifest.
    fn references(&self, session: &Session) -> String {
        let line = |name: &str| {
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let field = field.map_or("FIELD", |(_, field)| field);
            format!(
                "openclaw config set {field} --ref-provider {} --ref-source exec --ref-id {name}\n",
                self.name
            )
        };
        let secrets = session.manifest.secrets.iter();
        // Nobody's agent needs the key to the vault.
        let secrets = secrets.filter(|spec| !is_key(spec.name.as_str().as_bytes()));
        secrets.map(|spec| line(spec.name.as_str())).collect()
    }
}

/// The words after the program: the options that we were given ourselves.
fn arguments(global: &Global) -> Result<Vec<String>> {
    let mut words = vec![];
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    if let Some(asked) = &global.manifest {
        option("manifest", absolute(asked)?);
    }
    for file in &global.env_file {
        option("env-file", absolute(file)?);
    }
    for (name, value) in [
        ("profile", &global.profile),
        ("vault", &global.vault),
        ("account", &global.account),
        ("timeout", &global.timeout),
    ] {
        value.iter().for_each(|it| option(name, it.clone()));
    }
    let switches = [
        ("--refresh", global.refresh),
        ("--no-cache", global.no_cache),
    ];
    let switches = switches.into_iter().filter(|(_, is_on)| *is_on);
    words.extend(switches.map(|(name, _)| name.to_owned()));
    words.push("openclaw".to_owned());
    Ok(words)
}

/// The path from the root: the gateway starts the program in the program's own folder.
fn absolute(path: &Path) -> Result<String> {
    let path =
        manifest::absolute(path).map_err(|why| Error::system("find the current directory", why))?;
    Ok(path.display().to_string())
}

fn variables(session: &Session) -> Vec<&'static str> {
    let set = |name: &&&str| session.variable(name).is_some();
    let needed = ["HOME", "PATH"];
    let passed = PASSED.iter().filter(set).copied();
    needed.into_iter().chain(passed).collect()
}

/// Why the gateway of this user does not start the program: its own rules.
fn flaw(path: &Path, uid: u32) -> Option<String> {
    if !path.is_absolute() {
        return Some("its path is not absolute".to_owned());
    }
    let file = match path.symlink_metadata() {
        Ok(file) => file,
        Err(why) => return Some(why.to_string()),
    };
    if file.is_symlink() {
        return Some("it is a link".to_owned());
    }
    if !file.is_file() {
        return Some("it is no file".to_owned());
    }
    if file.mode() & 0o022 != 0 {
        return Some("others can write it".to_owned());
    }
    let owner = file.uid();
    (owner != uid).then(|| format!("it belongs to uid {owner}, and must belong to uid {uid}"))
}
