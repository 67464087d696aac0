//! Every format of `env`, evaluated by the real shell or read the way its reader does, and
//! compared byte for byte with the environment of a child.
//!
//! Each case also has a control: a form without our quoting, on which the same check must fail.
//! A shell that is not installed fails its test and names the Debian package.

mod accidents;
mod case;
mod names;
mod text;
mod values;

use crate::sandbox;
use case::{Case, Sandbox, UTF8, assert_same, assert_silent, shown};

const SH: &str = r#"eval "$(cat text)"; /usr/bin/env -0 >env
eval "$(cat unset)"; /usr/bin/env -0 >gone"#;
const SH_CONTROL: (&str, &str) = ("export CONTROL=\"$(touch pwned)\"", "$(touch pwned)");

fn sh<'a>(package: &'a str, command: &'a [&'a str]) -> Case<'a> {
    Case {
        format: "sh",
        package,
        command,
        script: SH,
        locale: UTF8,
        control: SH_CONTROL,
    }
}

#[test]
fn dash_evaluates_sh() {
    sh("dash", &["dash", "-c"]).check();
}

#[test]
fn bash_evaluates_sh() {
    sh("bash", &["bash", "-c"]).check();
}

#[test]
fn bash_in_posix_mode_evaluates_sh() {
    sh("bash", &["bash", "--posix", "-c"]).check();
}

#[test]
fn bash_sources_sh_from_a_descriptor() {
    Case {
        script: "source <(cat text); /usr/bin/env -0 >env
                 source <(cat unset); /usr/bin/env -0 >gone",
        ..sh("bash", &["bash", "-c"])
    }
    .check();
}

#[test]
fn bash_with_history_expansion_evaluates_sh() {
    // It expands what is typed only, so the script is typed.
    let typed = |script: &str| format!("bash --norc --noprofile -i 2>noise <<'END'\n{script}\nEND");
    let script = typed(SH);
    let case = Case {
        script: &script,
        ..sh("bash", &["dash", "-c"])
    };
    case.check();
    let script = typed(&SH.replace("$(cat text)", "export CONTROL='a!b'"));
    let control = ("", "a!b");
    Case {
        script: &script,
        control,
        ..case
    }
    .check_control();
}

#[test]
fn zsh_evaluates_sh() {
    sh("zsh", &["zsh", "-f", "-c"]).check();
    sh("zsh", &["zsh", "-f", "-i", "-o", "rcquotes", "-c"]).check();
}

#[test]
fn ksh93_evaluates_sh() {
    sh("ksh93u+m", &["ksh93", "-c"]).check();
}

#[test]
fn mksh_evaluates_sh() {
    sh("mksh", &["mksh", "-c"]).check();
}

#[test]
fn busybox_ash_evaluates_sh() {
    sh("busybox", &["busybox", "ash", "-c"]).check();
}

#[test]
fn shells_in_the_c_locale_evaluate_sh() {
    let shells: [(&str, &[&str]); 6] = [
        ("dash", &["dash", "-c"]),
        ("bash", &["bash", "-c"]),
        ("zsh", &["zsh", "-f", "-c"]),
        ("ksh93u+m", &["ksh93", "-c"]),
        ("mksh", &["mksh", "-c"]),
        ("busybox", &["busybox", "ash", "-c"]),
    ];
    for (package, command) in shells {
        Case {
            locale: "C",
            ..sh(package, command)
        }
        .check();
    }
}

#[test]
fn yash_evaluates_sh_of_utf8() {
    let case = sh("yash", &["yash", "-c"]);
    case.check_utf8();
}

#[test]
fn fish_sources_or_evaluates_fish() {
    let case = Case {
        format: "fish",
        package: "fish",
        command: &["fish", "--no-config", "-c"],
        script: "cat text | source; /usr/bin/env -0 >env
                 cat unset | source; /usr/bin/env -0 >gone",
        locale: UTF8,
        control: ("set -gx CONTROL \"$(touch pwned)\"", "$(touch pwned)"),
    };
    case.check();
    Case {
        script: "eval (cat text | string collect); /usr/bin/env -0 >env
                 eval (cat unset | string collect); /usr/bin/env -0 >gone",
        ..case
    }
    .check();
}

fn tcsh(script: &str) -> Case<'_> {
    Case {
        format: "tcsh",
        package: "tcsh",
        command: &["tcsh", "-f", "-c"],
        script,
        locale: UTF8,
        control: ("setenv CONTROL \"`touch pwned`\"\n", "`touch pwned`"),
    }
}

#[test]
fn tcsh_sources_or_evaluates_tcsh() {
    tcsh("source text; /usr/bin/env -0 >env; source unset; /usr/bin/env -0 >gone").check();
    tcsh(
        "eval \"`cat text`\"; /usr/bin/env -0 >env
         eval \"`cat unset`\"; /usr/bin/env -0 >gone",
    )
    .check();
}

/// Of UTF-8 only: behind other bytes in a pipe, tcsh 6.24 was seen to lose a letter of ours.
#[test]
fn tcsh_sources_tcsh_from_a_pipe() {
    let case = tcsh(
        "cat text | source /dev/stdin; /usr/bin/env -0 >env
         cat unset | source /dev/stdin; /usr/bin/env -0 >gone",
    );
    case.check_utf8();
}

#[test]
fn quoting_carries_every_value_and_json_all_that_is_utf8() {
    let carried = |format| {
        let text = text::of_all_values(format, false);
        text.get().expect("written").variables.len()
    };
    let all = values::all();
    let utf8 = all.iter().filter(|it| std::str::from_utf8(it).is_ok());
    let utf8 = utf8.count();
    assert!(utf8 < all.len());
    for format in ["sh", "fish", "elvish", "xonsh"] {
        assert_eq!(carried(format), all.len(), "{format}");
    }
    for format in ["json", "nu"] {
        assert_eq!(carried(format), utf8, "{format}");
    }
    assert_eq!(carried("powershell"), utf8 - 1, "all but the empty one");
}

/// The form of ssh-agent and others, which is typed from habit.
#[test]
fn tcsh_evaluates_plain_values_without_quotes_too() {
    let values = [&b"a-token_1"[..], b"it's one; two", b""];
    let text = text::written("tcsh", &values);
    let sandbox = Sandbox::new();
    sandbox.write("text", &text.set);
    let script = "eval `cat text`; /usr/bin/env -0 >env";
    assert_silent(&sandbox.run("tcsh", &["tcsh", "-f", "-c", script], UTF8));
    assert_same(&sandbox.environment("env"), &text.variables);
}

#[test]
fn elvish_evaluates_elvish() {
    Case {
        format: "elvish",
        package: "elvish",
        command: &["elvish", "-norc", "-c"],
        script: "eval (cat text | slurp); e:env -0 >env
                 eval (cat unset | slurp); e:env -0 >gone",
        locale: UTF8,
        control: ("set-env CONTROL (touch pwned)\n", "(touch pwned)"),
    }
    .check();
}

#[test]
fn xonsh_executes_xonsh() {
    Case {
        format: "xonsh",
        package: "xonsh",
        command: &["xonsh", "--no-rc", "-c"],
        script: "from subprocess import check_output as run\n\
                 execx(run(['cat', 'text'], text=True))\n/usr/bin/env -0 >env\n\
                 execx(run(['cat', 'unset'], text=True))\n/usr/bin/env -0 >gone\n",
        locale: UTF8,
        control: ("$CONTROL = $(touch pwned)\n", "$(touch pwned)"),
    }
    .check();
}

#[test]
fn bash_sources_systemd() {
    Case {
        format: "systemd",
        script: "set -a; . ./text; /usr/bin/env -0 >env",
        control: ("CONTROL=\"$(touch pwned)\"", "$(touch pwned)"),
        ..sh("bash", &["bash", "-c"])
    }
    .check();
}

/// A reader that is played by `readers.py`.
fn reader(format: &'static str, control: (&str, &str)) {
    let kind = if format == "nu" { "json" } else { format };
    let script = format!("exec python3 \"$READERS\" {kind} <text >env");
    Case {
        format,
        package: "python3",
        command: &["dash", "-c"],
        script: &script,
        locale: UTF8,
        control,
    }
    .check();
}

#[test]
fn json_is_read_as_json() {
    let control = ("{\"CONTROL\":\"say \"hi\"\"}", "say \"hi\"");
    reader("json", control);
}

/// Nushell itself where `OC_TEST_NU` names it, as in `tests/proofs/run --all`: no distribution that these
/// tests run on has a package of it.
#[test]
fn nu_loads_nu() {
    let control = ("{\"CONTROL\":\"say \"hi\"\"}", "say \"hi\"");
    let Ok(nu) = std::env::var("OC_TEST_NU") else {
        return reader("nu", control);
    };
    Case {
        format: "nu",
        package: "nushell",
        command: &[&nu, "--no-config-file", "-c"],
        script: "open --raw text | from json | load-env
                 ^/usr/bin/env -0 | save --raw env
                 hide-env ...(open --raw unset | from json)
                 ^/usr/bin/env -0 | save --raw gone",
        locale: UTF8,
        control,
    }
    .check();
}

#[test]
fn powershell_is_read_as_base64() {
    reader("powershell", ("$env:CONTROL = 'it's'\n", "it's"));
}

#[test]
fn systemd_is_read_as_an_environment_file() {
    reader("systemd", ("CONTROL=\"a\\b$\"c\"\n", "a\\b$\"c"));
}

#[test]
fn docker_is_read_as_an_env_file() {
    reader("docker", ("CONTROL=\"a\"\n", "\"a\""));
}

/// `docker run --env-file` said "no variable name on line", `podman create` "invalid environment
/// variable". A line without `=` is a variable to both, and `false` is a value to JSON.
#[test]
fn the_text_of_a_failure_is_refused_by_docker_and_json() {
    let docker = "exec python3 \"$READERS\" docker <text >env";
    let json = "exec python3 -c 'import json, sys; json.load(sys.stdin)' <text";
    for (format, script) in [("docker", docker), ("json", json), ("nu", json)] {
        for (text, taken) in [(&*text::failure(format), false), ("false\n", true)] {
            let sandbox = Sandbox::new();
            sandbox.write("text", text.as_bytes());
            let output = sandbox.run("python3", &["dash", "-c", script], UTF8);
            assert_eq!(output.status.success(), taken, "{format}: {text}");
        }
    }
}

#[test]
fn github_sets_and_masks_every_value() {
    let values: Vec<_> = values::all()
        .into_iter()
        .filter(|value| std::str::from_utf8(value).is_ok())
        .collect();
    let variables = text::numbered(&values);
    let world = sandbox::Sandbox::new();
    world.mode("bytes");
    world.file("work/github.env", "");
    text::fill(&world, &variables);
    let run = world.oc(["env", "--format", "github"]);
    let done = run.env("GITHUB_ENV", world.path("work/github.env")).done();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    let sandbox = Sandbox::new();
    let read = |kind: &str, text: &[u8]| {
        sandbox.write("text", text);
        let script = format!("exec python3 \"$READERS\" {kind} <text >env");
        let output = sandbox.run("python3", &["dash", "-c", &script], UTF8);
        assert_silent(&output);
        sandbox.environment("env")
    };
    let file = std::fs::read(world.path("work/github.env")).expect("its file");
    assert_same(&read("github", &file), &variables);
    let masks: Vec<_> = read("masks", &done.stdout).into_values().collect();
    for value in &values {
        let whole = std::iter::once(value.as_slice());
        let long = |line: &&[u8]| String::from_utf8_lossy(line).chars().count() > 3;
        let lines = value.split(|byte| b"\r\n".contains(byte)).filter(long);
        for part in whole.chain(lines).filter(|it| !it.trim_ascii().is_empty()) {
            assert!(masks.iter().any(|mask| mask == part), "{}", shown(part));
        }
    }
}
