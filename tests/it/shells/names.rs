//! Every name that a shell knows of itself, assigned in that shell: what we agree to write must
//! arrive as it is and run nothing. It finds the special names of versions yet to come.

use std::collections::BTreeSet;

use super::case::{Sandbox, UTF8, assert_silent, shown};
use crate::sandbox;

/// Evaluated as arithmetic, this runs `touch`.
const ARITHMETIC: &[u8] = b"a[$(touch pwned)0]:b";

/// Names that some shells have and do not list.
const HIDDEN: &str = "RANDOM SRANDOM SECONDS HISTCMD OPTIND LINES COLUMNS TMOUT HISTSIZE \
    MAILCHECK HISTFILESIZE SAVEHIST EPOCHSECONDS EPOCHREALTIME BASH_ARGV0 COMP_POINT \
    READLINE_POINT JOBMAX PGRP USER_ID KSHUID KSHGID KSHEGID CHILD_MAX FUNCNEST ORDINARY_NAME";

const EXPORT_EACH: &str = r#"for file in *.text; do
    (eval "$(cat "$file")"; /usr/bin/env -0 >"${file%.text}.env") >/dev/null 2>&1
done"#;

fn check(package: &str, command: &[&str], list: &str) {
    let names = Sandbox::new();
    let listed = names
        .run(package, &[command, &[list]].concat(), UTF8)
        .stdout;
    let listed = String::from_utf8_lossy(&listed);
    let mut wanted = wanted(&listed);
    let text = exports("sh", &mut wanted);
    let sandbox = Sandbox::new();
    for (name, line) in wanted.iter().zip(text.lines()) {
        let export = format!("export {name}='{}'", String::from_utf8_lossy(ARITHMETIC));
        assert_eq!(line, export);
        sandbox.write(&format!("{name}.text"), line.as_bytes());
    }
    assert_eq!(text.lines().count(), wanted.len());
    assert!(
        wanted.contains("ORDINARY_NAME"),
        "an ordinary name is not refused"
    );
    sandbox.run(package, &[command, &[EXPORT_EACH]].concat(), UTF8);
    assert_unaltered(package, &sandbox, &wanted);
}

fn wanted(listed: &str) -> BTreeSet<&str> {
    let named = listed.split_whitespace().chain(HIDDEN.split_whitespace());
    named
        .filter_map(|word| word.split('=').next())
        // A wrong locale is refused by ksh93, which is harmless.
        .filter(|name| *name != "LANG" && !name.starts_with("LC_"))
        .filter(|name| has_the_form_of_a_name(name))
        .collect()
}

fn assert_unaltered(package: &str, sandbox: &Sandbox, wanted: &BTreeSet<&str>) {
    assert!(!sandbox.was_trespassed(), "{package} evaluated a value");
    let altered: Vec<_> = wanted
        .iter()
        .filter(|name| {
            let environment = sandbox.environment(&format!("{name}.env"));
            environment.get(**name).map(Vec::as_slice) != Some(ARITHMETIC)
        })
        .collect();
    assert_eq!(altered, [&""; 0], "{package} altered these");
}

fn has_the_form_of_a_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The text that sets all of `names`, without those that are refused: by the manifest, whose error
/// gives the line, or by the format, whose error gives the name.
fn exports(format: &str, names: &mut BTreeSet<&str>) -> String {
    let world = sandbox::Sandbox::new();
    let value = String::from_utf8_lossy(ARITHMETIC);
    loop {
        let lines = names.iter().map(|name| format!("{name} = '{value}'\n"));
        world.manifest(&format!("[vars]\n{}", lines.collect::<String>()));
        let done = world.oc(["env", "--format", format]).done();
        if done.status.success() {
            return done.succeeds();
        }
        let refused = refused(&done.stderr, names);
        assert!(names.remove(refused.as_str()), "{refused}: {}", done.stderr);
    }
}

fn refused(stderr: &str, names: &BTreeSet<&str>) -> String {
    let said = stderr.lines().next().unwrap_or_default();
    let said = said.strip_prefix("oc-secrets: error: ").unwrap_or_default();
    if let Some((name, _)) = said.split_once(" cannot be written as ") {
        return name.to_owned();
    }
    let line = said
        .split_once("oc-secrets.toml:")
        .and_then(|(_, rest)| rest.split(':').next()?.parse::<usize>().ok());
    // The first line is `[vars]`.
    let name = line.and_then(|line| names.iter().nth(line.checked_sub(2)?));
    name.unwrap_or_else(|| panic!("unexpected: {stderr}"))
        .to_string()
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

#[test]
fn tcsh_exports_every_name_that_is_not_refused() {
    let names = "COLUMNS LINES LSCOLORS LS_COLORS TERM TERMCAP NLSPATH HOSTTYPE GROUP HOST \
        MACHTYPE NOREBIND OSTYPE REMOTEHOST SYSTYPE TZ USER VENDOR WINDOWID autologout \
        backslash_quote color colorcat echo_style edit gid globdot histchars history home \
        implicitcd noclobber noglob prompt term uid user watch wordchars";
    let mut wanted = wanted(names);
    let text = exports("tcsh", &mut wanted);
    assert!(wanted.contains("COLUMNS") && !wanted.contains("LSCOLORS"));
    let sandbox = Sandbox::new();
    for (name, line) in wanted.iter().zip(text.lines()) {
        assert!(line.starts_with(&format!("setenv {name} ")), "{line}");
        sandbox.write(&format!("{name}.text"), format!("{line}\n").as_bytes());
        let script = format!("source {name}.text; /usr/bin/env -0 >{name}.env");
        assert_silent(&sandbox.run("tcsh", &["tcsh", "-f", "-c", &script], UTF8));
    }
    assert_unaltered("tcsh", &sandbox, &wanted);
}

/// Each name alone, and what a child would be given then.
const XONSH_EACH: &str = "import glob, subprocess
for file in glob.glob('*.text'):
    execx(open(file).read())
    with open(file[:-4] + 'env', 'wb') as dump:
        subprocess.run(['/usr/bin/env', '-0'], env=${...}.detype(), stdout=dump)
    ${...}.pop(file[:-5], None)
";

#[test]
fn xonsh_sets_every_name_that_is_not_refused() {
    let command = ["xonsh", "--no-rc", "-c"];
    let list = "print(*[name for name in ${...}._vars if isinstance(name, str)])";
    let known = Sandbox::new().run("xonsh", &[&command[..], &[list]].concat(), UTF8);
    let known = String::from_utf8_lossy(&known.stdout);
    let mut wanted = wanted(&known);
    let text = exports("xonsh", &mut wanted);
    assert!(
        wanted.contains("AUTO_CD") && wanted.len() > 60,
        "{wanted:?}"
    );
    let lines: Vec<&str> = text.lines().collect();
    let sandbox = Sandbox::new();
    for (name, both) in wanted.iter().zip(lines.chunks(2)) {
        assert!(both[1].starts_with(&format!("${name} = ")), "{both:?}");
        sandbox.write(&format!("{name}.text"), both.join("\n").as_bytes());
    }
    sandbox.run("xonsh", &[&command[..], &[XONSH_EACH]].concat(), UTF8);
    assert_unaltered("xonsh", &sandbox, &wanted);
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
