//! Names that a shell acts on when they are assigned, so that no quoting of the value helps.
//!
//! bash and mksh *evaluate* what is assigned to their integers, and an array index in such an
//! expression may hold `$(…)`: `export RANDOM='a[$(id)]'` runs `id`. zsh and ksh93 end the whole
//! evaluation at a read-only or wrongly typed name, prompts are expanded when shown, and fish
//! finds its functions through variables. Only the format of that shell refuses them: as plain
//! environment (`exec`, JSON) they were measured to be inert.

use super::format::Format;
use crate::base::env_name::EnvName;

/// Whether the shell that evaluates `format` would do more with this name than set it.
pub(super) fn special(format: Format, name: &EnvName) -> bool {
    let name = name.as_str();
    let listed = |names: &str| names.split_ascii_whitespace().any(|it| it == name);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match format {
        Format::Sh => [EVALUATED, SHOWN, KEPT_BY_KSH_AND_BASH, KEPT_BY_ZSH]
            .into_iter()
            .any(listed),
        Format::Fish => listed(KEPT_BY_FISH) || begins(&["fish_", "__fish_"]),
        Format::Tcsh => listed(KEPT_BY_TCSH),
        Format::Xonsh => begins(&["XONSH", "XONTRIB"]),
        _ => false,
    }
}

/// Evaluated as arithmetic by bash, ksh93 or mksh.
const EVALUATED: &str = "
    BASHPID COLUMNS HISTCMD HISTSIZE JOBMAX KSHEGID KSHGID KSHUID LINENO LINES MAILCHECK OPTIND
    PGRP PIPESTATUS PPID RANDOM SECONDS SHLVL SRANDOM TMOUT USER_ID";

/// Expanded when an interactive shell shows them.
const SHOWN: &str = "
    MAILPATH POSTEDIT PROMPT PROMPT2 PROMPT3 PROMPT4 PS0 PS1 PS2 PS3 PS4 RPROMPT RPROMPT2 RPS1
    RPS2 SPROMPT prompt";

/// Read-only, typed or computed in bash, ksh93 or mksh.
const KEPT_BY_KSH_AND_BASH: &str = "
    BASHOPTS BASH_ALIASES BASH_ARGC BASH_ARGV BASH_ARGV0 BASH_CMDS BASH_COMMAND BASH_LINENO
    BASH_MONOSECONDS BASH_SOURCE BASH_SUBSHELL BASH_TRAPSIG BASH_VERSINFO DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME
    GROUPS KSH_VERSION SHELLOPTS UID _";

/// Read-only, typed or computed in zsh.
const KEPT_BY_ZSH: &str = "
    ARGC EGID ERRNO FUNCNEST GID HISTCHARS KEYBOARD_HACK KEYTIMEOUT LISTMAX LOGCHECK SAVEHIST
    TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTYIDLE USERNAME WATCH ZLE_RPROMPT_INDENT ZSH_EVAL_CONTEXT
    ZSH_SUBSHELL aliases argv builtins cdpath commands dirstack dis_aliases dis_builtins dis_functions
    dis_functions_source dis_galiases dis_patchars dis_reswords dis_saliases epochtime errnos
    fignore fpath funcfiletrace funcsourcetrace funcstack functions functions_source functrace
    galiases histchars history historywords jobdirs jobstates jobtexts keymaps langinfo mailpath
    manpath mapfile module_path modules nameddirs options parameters patchars path pipestatus
    psvar reswords saliases signals status sysparams termcap terminfo userdirs usergroups watch
    widgets zsh_eval_context zsh_scheduled_events";

/// Parsed by tcsh when it is set; its error shows characters of the value.
const KEPT_BY_TCSH: &str = "LSCOLORS LS_COLORS";

/// Read-only in fish, besides everything that begins with its name.
const KEPT_BY_FISH: &str =
    "FISH_VERSION _ argv history hostname pipestatus status status_generation umask version";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sink::text::{Variable, render};

    #[test]
    fn names_that_a_shell_acts_on_are_refused_by_its_format_only() {
        for (text, format) in [
            ("RANDOM", Format::Sh),
            ("SECONDS", Format::Sh),
            ("psvar", Format::Sh),
            ("zsh_scheduled_events", Format::Sh),
            ("ZLE_RPROMPT_INDENT", Format::Sh),
            ("LSCOLORS", Format::Tcsh),
            ("umask", Format::Fish),
            ("fish_function_path", Format::Fish),
            ("XONSH_SHOW_TRACEBACK", Format::Xonsh),
        ] {
            let Ok(name) = EnvName::parse(text) else {
                continue; // no manifest may set it at all
            };
            let variable = Variable {
                name: &name,
                value: b"x",
            };
            assert!(render(format, &[variable]).is_err(), "{text}");
            assert!(render(Format::Json, &[variable]).is_ok(), "{text}");
        }
    }
}
