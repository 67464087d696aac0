//! All programs of this package, as clap sees them: for completion and man pages.

use clap::Command;

use super::arguments;
use crate::deploy;

/// Their names; ours is the first.
pub(super) const NAMES: [&str; 4] = [
    "oc-secrets",
    "openclaw-deploy",
    "docker-credential-oc",
    "git-credential-oc",
];

/// The command line of the program `name`, with what all of its commands have in common in each.
pub(super) fn command(name: &str) -> Option<Command> {
    let mut command = match name {
        "oc-secrets" => arguments::shown(),
        "openclaw-deploy" => deploy::cli::command_line(),
        "docker-credential-oc" => helper(
            "docker-credential-oc",
            "Answer Docker with credentials from 1Password",
            "Docker and its relatives start this program; `oc-secrets docker install` wires it. It answers \
             exactly the registries of the manifest, by the protocol of Docker's credential helpers.",
        )
        .subcommand(action("list", "List the registries that are answered"))
        .subcommand(action("version", "Print the version")),
        "git-credential-oc" => helper(
            "git-credential-oc",
            "Answer git with credentials from 1Password",
            "git starts this program, by `git config credential.https://HOST.helper oc`. It answers exactly \
             the hosts of the manifest, by the protocol of git's credential helpers.",
        ),
        _ => return None,
    };
    command.build();
    Some(command)
}

/// A credential helper, which reads its question from stdin. It does not use clap itself.
fn helper(name: &'static str, about: &'static str, more: &'static str) -> Command {
    Command::default()
        .name(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .long_about(format!("{about}.\n\n{more}"))
        .disable_help_subcommand(true)
        .subcommand(action("get", "Print the credential for the host on stdin"))
        .subcommand(action("store", "Accept what would be answered anyway"))
        .subcommand(action("erase", "Forget the cached copy"))
}

fn action(name: &'static str, about: &'static str) -> Command {
    Command::default().name(name).about(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_sound_command_line() {
        for name in NAMES {
            let command = command(name).expect(name);
            assert_eq!(command.get_name(), name);
            command.debug_assert();
        }
        assert!(command("op").is_none());
    }
}
