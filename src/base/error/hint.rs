//! What to do about each error: a command or a page that fixes it.

use std::io::IsTerminal;
use std::path::Path;

use crate::base::environment;
use crate::base::error::{ENVIRONMENT, Error, Problem};
use crate::base::shell_quote;

impl Error {
    /// What the user can do about it: a command or a page that fixes it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Usage { hint, .. } | Self::Manifest { hint, .. } => hint.as_str(),
            Self::NotAllowed { path, .. } => return Some(not_allowed(path)),
            Self::AllowedDirectory { .. } => {
                "set XDG_STATE_HOME to a directory of your own, or name the manifest: --manifest FILE"
            }
            Self::OpMissing { .. } => {
                "install it: https://developer.1password.com/docs/cli/get-started, or name its absolute path in OC_SECRETS_OP"
            }
            Self::OpUntrusted { absent: true, .. } => {
                "correct the path in OC_SECRETS_OP or under [op] in the manifest; without it, `op` is looked for on PATH"
            }
            Self::OpUntrusted { absent: false, .. } => {
                "`op` must be executable; it and every directory above it must belong to root or to you, and nobody else may write there"
            }
            Self::OpTimeout { .. } => {
                "answer the 1Password prompt if one is open; allow more time with --timeout; run `op vault list` to see where it hangs"
            }
            Self::OpKilled { .. } => "look for the out-of-memory killer: dmesg | tail",
            Self::OpNonsense { .. } => {
                "check that `op` is 1Password's own (op --version); if the secrets are large, ask for fewer at a time with --only"
            }
            Self::OpUnknown { by_hand, .. } => {
                return Some(format!("run `{by_hand}` yourself to see what it says"));
            }
            Self::Broker { .. } => {
                "look at the broker on the host: systemctl status oc-secrets; is its folder mounted, and OC_SECRETS_SOCKET the socket in it?"
            }
            Self::BrokerRefuses { .. } => {
                let uid = nix::unistd::geteuid();
                return Some(format!(
                    "`uid =` of this client in the broker's manifest must be this user as the host sees it: {uid} by `id -u`, under userns-remap the mapped number; outside of a container only root can reach this socket"
                ));
            }
            Self::BrokerSilent { .. } => {
                "its log says what it waits for: journalctl -u oc-secrets; allow more time with --timeout"
            }
            Self::OpConfigDirectory => {
                "op's configuration must be yours alone: chmod 700 ~/.config/op, and check its owner"
            }
            Self::Network => {
                "check the connection and the proxy: curl -sI https://my.1password.com"
            }
            Self::SignedOut { session: true } => {
                "an OP_SESSION variable is set and may be stale: unset it, or run `op signin` again"
            }
            Self::SignedOut { session: false } => {
                "run `op signin`, or set OP_SERVICE_ACCOUNT_TOKEN"
            }
            Self::NoAccount => {
                "turn on the CLI integration of the 1Password app, run `op account add`, or set OP_SERVICE_ACCOUNT_TOKEN"
            }
            Self::WhichAccount { .. } => {
                "run `op account list` and name one with --account, OP_ACCOUNT or `account = …` in the manifest"
            }
            Self::PromptRefused { .. } => "run it again and approve the prompt",
            Self::AppUnreachable { .. } => {
                "start and unlock the 1Password app, with Settings > Developer > Integrate with 1Password CLI on"
            }
            Self::UnsignedCaller => {
                "on macOS the app answers only programs that are signed: start a signed build, or set OP_SERVICE_ACCOUNT_TOKEN"
            }
            Self::OtherAccount => {
                "unset OP_DEVICE if it is set, and compare the account of the token with --account, OP_ACCOUNT and `account = …` in the manifest"
            }
            Self::TokenInvalid { .. } => {
                "make a new token (op service-account create) and put it in the place of this one; oc-secrets doctor shows where that is"
            }
            Self::Forbidden { .. } => {
                "give the account or service account read access to the vault: op vault list shows what it sees"
            }
            Self::NoEnvironments => {
                "update it with `op update`: 2.41 has `op run --environment`, 2.39 does not"
            }
            Self::EnvironmentUnreadable {
                service_account: true,
                ..
            } => {
                "a service account needs read access to the Environment itself, which cannot be added later: make a new one that has it"
            }
            Self::EnvironmentUnreadable {
                service_account: false,
                ..
            } => "compare the id with the one in the 1Password app, under Developer > Environments",
            Self::RateLimited {
                remembered: false, ..
            } => "see what is left with `op service-account ratelimit`; every retry costs more",
            Self::RateLimited {
                remembered: true, ..
            } => {
                "see what is left with `op service-account ratelimit`; to ask all the same: `oc-secrets lock`, or --refresh"
            }
            Self::ClientConfig { hint, .. } => hint,
            Self::NoHome { variable, .. } => return Some(format!("set HOME or {variable}")),
            Self::WouldPrompt => "load it by hand, with oc-secrets env",
            Self::NobodyToAsk { path } => {
                let path = shell_quote::word(&path.display().to_string());
                return Some(format!(
                    "read what it hands out, then: oc-secrets allow --yes {path}"
                ));
            }
            Self::NoVault { manifest, .. } => {
                return Some(format!(
                    "write vault = \"…\" at the top of {manifest}, or use --vault or OP_VAULT"
                ));
            }
            Self::TokenFile { .. } => {
                "it must be a regular file of yours, mode 600, in directories that nobody else can write"
            }
            Self::Keyring { trouble, .. } => return Some(trouble.hint()),
            Self::Password {
                look: Some(look), ..
            } => {
                return Some(format!("compare with `{look}`"));
            }
            Self::Password { look: None, .. } => "fix it in 1Password",
            Self::NotListed { .. } => "`op vault list` shows the names of all that you can see",
            Self::NotStored { .. } => {
                "put the secret into 1Password and the registry into oc-secrets.toml, then run `oc-secrets lock`"
            }
            Self::EndlessInput => "end it, as in: echo ghcr.io | docker-credential-oc get",
            Self::Bug { .. } => "this is a bug, please report it",
            Self::Unresolved { problems } => return Some(unresolved(problems)),
            Self::Unwritable { name, format, .. } if *format == ENVIRONMENT => {
                return Some(format!(
                    "use `oc-secrets read {name}`, which prints any value"
                ));
            }
            Self::Unwritable { .. } => "use `oc-secrets exec`, which carries every value",
            Self::CommandNotFound { command } if command.is_empty() => {
                "name a command after --; a variable there may be unset"
            }
            Self::CommandNotFound { command } if command.contains(char::is_whitespace) => {
                let line = shell_quote::word(command);
                return Some(format!(
                    "for a line of a shell: oc-secrets exec -- sh -c {line}"
                ));
            }
            Self::CommandNotFound { .. } => "check the spelling and PATH",
            Self::CannotExecute { hint, .. } => hint,
            Self::Relayed { hint, .. } => return hint.clone(),
            Self::OpenFiles => "raise the limit: ulimit -n 256",
            Self::Interrupted { .. }
            | Self::Cancelled
            | Self::Demo { .. }
            | Self::System { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

/// A script cannot review a manifest, but it can name one.
fn not_allowed(path: &Path) -> String {
    // Root trusts root's records alone, and sudo keeps the caller's directory.
    if nix::unistd::geteuid().is_root() && environment::ours("SUDO_USER").is_some() {
        let path = shell_quote::word(&path.display().to_string());
        return format!(
            "under sudo, what you have allowed yourself does not count: name it with --manifest {path}, \
             or put sudo behind: oc-secrets exec -- sudo --preserve-env=NAMES CMD"
        );
    }
    let allow = "look at it, then: oc-secrets allow";
    match std::io::stdin().is_terminal() {
        true => allow.to_owned(),
        false => format!(
            "{allow}; or name it: --manifest {}",
            shell_quote::word(&path.display().to_string())
        ),
    }
}

fn unresolved(problems: &[Problem]) -> String {
    let mut commands: Vec<&str> = vec![];
    for look in problems
        .iter()
        .filter_map(|problem| problem.look.as_deref())
    {
        let kind = |command: &str| command.split(' ').take(3).collect::<Vec<_>>().join(" ");
        // One command of each kind is enough as an example.
        if !commands.iter().any(|known| kind(known) == kind(look)) {
            commands.push(look);
        }
    }
    let look = match commands.is_empty() {
        false => format!("compare with `{}`", commands.join("`, `")),
        true => "fix it in 1Password".to_owned(),
    };
    match problems.iter().any(|problem| problem.waivable) {
        true => format!("{look}, or mark what may be absent with `required = false`"),
        false => look,
    }
}
