//! Every name that a shell knows of itself, assigned in that shell: what we agree to write must
//! arrive as it is and run nothing. It finds the special names of versions yet to come.

use std::collections::BTreeSet;

use super::case::{Sandbox, UTF8, written};

/// Evaluated as arithmetic, this runs `touch`.
const ARITHMETIC: &str = "a[$(touch pwned)0]:b";

/// Names that some shells have and do not list.
const HIDDEN: &str = "RANDOM SRANDOM SECONDS HISTCMD OPTIND LINES COLUMNS TMOUT HISTSIZE \
    MAILCHECK HISTFILESIZE SAVEHIST EPOCHSECONDS EPOCHREALTIME BASH_ARGV0 COMP_POINT \
    READLINE_POINT JOBMAX PGRP USER_ID KSHUID KSHGID KSHEGID CHILD_MAX FUNCNEST";

const EXPORT_EACH: &str = r#"for file in *.text; do
    (eval "$(cat "$file")"; /usr/bin/env -0 >"${file%.text}.env") >/dev/null 2>&1
done"#;

fn check(package: &str, command: &[&str], list: &str) {
    let names = Sandbox::new();
    let listed = names
        .run(package, &[command, &[list]].concat(), UTF8)
        .stdout;
    let listed = String::from_utf8_lossy(&listed);
    let sandbox = Sandbox::new();
    let names = listed.split_whitespace().chain(HIDDEN.split_whitespace());
    let names = names.map(|name| name.split('=').next().unwrap_or_default());
    let is_name = |name: &&str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty()
            && name.chars().all(word)
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    // A wrong locale is refused by ksh93, which is harmless.
    let is_locale = |name: &&str| *name == "LANG" || name.starts_with("LC_");
    let names: BTreeSet<&str> = names
        .filter(is_name)
        .filter(|name| !is_locale(name))
        .collect();
    let assigned = names
        .iter()
        .map(|&name| (name.to_owned(), ARITHMETIC.to_owned()));
    let written = written("sh", assigned.collect());
    assert!(!written.variables.is_empty(), "every name was refused");
    // The value has no newline, so each variable is a line.
    let lines = String::from_utf8(written.text).expect("text");
    for ((name, _), line) in written.variables.iter().zip(lines.lines()) {
        sandbox.write(&format!("{name}.text"), format!("{line}\n").as_bytes());
    }
    sandbox.run(package, &[command, &[EXPORT_EACH]].concat(), UTF8);
    assert!(!sandbox.was_trespassed(), "{package} evaluated a value");
    let names = written.variables.iter().map(|(name, _)| name.as_str());
    let altered: Vec<_> = names
        .filter(|name| {
            let environment = sandbox.environment(&format!("{name}.env"));
            environment.get(*name).map(Vec::as_slice) != Some(ARITHMETIC.as_bytes())
        })
        .collect();
    assert_eq!(altered, [""; 0], "{package} altered these");
}

#[test]
fn bash_exports_every_name_that_is_not_refused() {
    check("bash", &["bash", "-c"], "compgen -v");
}

#[test]
fn zsh_exports_every_name_that_is_not_refused() {
    let modules = "parameter zle complist datetime mapfile langinfo system termcap terminfo sched";
    let load = modules
        .split(' ')
        .map(|module| format!("zmodload zsh/{module}; "))
        .collect::<String>();
    let list = format!("{load} print -l ${{(k)parameters}}");
    check("zsh", &["zsh", "-f", "-c"], &list);
}

#[test]
fn ksh93_exports_every_name_that_is_not_refused() {
    check("ksh93u+m", &["ksh93", "-c"], "set; typeset");
}

#[test]
fn mksh_exports_every_name_that_is_not_refused() {
    check("mksh", &["mksh", "-c"], "typeset");
}

#[test]
fn dash_busybox_and_yash_export_every_name_that_is_not_refused() {
    check("dash", &["dash", "-c"], "set");
    check("busybox", &["busybox", "ash", "-c"], "set");
    check("yash", &["yash", "-c"], "typeset -p");
}

/// The control: without the refusal, quoting alone does not help.
#[test]
fn bash_and_mksh_do_evaluate_what_is_assigned_to_random() {
    for (package, shell) in [("bash", "bash"), ("mksh", "mksh")] {
        let sandbox = Sandbox::new();
        let naive = format!("export RANDOM='{ARITHMETIC}'");
        sandbox.run(package, &[shell, "-c", &naive], UTF8);
        assert!(sandbox.was_trespassed(), "{shell}");
    }
}
