//! Every name that a shell knows of itself, assigned in that shell: what we agree to write must
//! arrive as it is and run nothing. It finds the special names of versions yet to come.

use oc_secrets::base::env_name::EnvName;
use oc_secrets::broker::sink::text::{Format, Variable, render};

use super::case::{Sandbox, UTF8, shown};

/// Evaluated as arithmetic, this runs `touch`.
const ARITHMETIC: &[u8] = b"a[$(touch pwned)0]:b";

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
    let mut written = Vec::new();
    for name in listed.split_whitespace().chain(HIDDEN.split_whitespace()) {
        let name = name.split('=').next().unwrap_or_default();
        // A wrong locale is refused by ksh93, which is harmless.
        if name == "LANG" || name.starts_with("LC_") {
            continue;
        }
        let Ok(name) = EnvName::parse(name) else {
            continue;
        };
        let variable = Variable {
            name: &name,
            value: ARITHMETIC,
        };
        if let Ok(text) = render(Format::Sh, &[variable]) {
            sandbox.write(&format!("{name}.text"), &text);
            written.push(name);
        }
    }
    sandbox.run(package, &[command, &[EXPORT_EACH]].concat(), UTF8);
    assert!(!sandbox.was_trespassed(), "{package} evaluated a value");
    let altered: Vec<_> = written
        .iter()
        .filter(|name| {
            let environment = sandbox.environment(&format!("{name}.env"));
            environment.get(name.as_str()).map(Vec::as_slice) != Some(ARITHMETIC)
        })
        .map(EnvName::as_str)
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
        let naive = format!("export RANDOM='{}'", shown(ARITHMETIC));
        sandbox.run(package, &[shell, "-c", &naive], UTF8);
        assert!(sandbox.was_trespassed(), "{shell}");
    }
}
