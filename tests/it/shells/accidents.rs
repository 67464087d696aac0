//! What happens to a script when our output is cut off, or when there is none to give.

use super::case::{Sandbox, UTF8};
use super::text;

#[test]
fn text_that_is_cut_off_runs_nothing() {
    let values = [
        &b"$(touch pwned) `touch pwned`\n;touch pwned\n"[..],
        b"a'b';touch pwned;'\\",
    ];
    let posix = r#"n=0; while [ $n -le $LENGTH ]
        do (eval "$(head -c $n text)") >/dev/null 2>&1; n=$((n+1)); done"#;
    let fish = "for n in (seq 0 $LENGTH); head -c $n text | source; end 2>/dev/null";
    let naive_posix = "export A=\"$(touch pwned)\"";
    let shells = [
        ("sh", "dash", vec!["dash", "-c"], posix, naive_posix),
        ("sh", "bash", vec!["bash", "-c"], posix, naive_posix),
        ("sh", "zsh", vec!["zsh", "-f", "-c"], posix, naive_posix),
        (
            "fish",
            "fish",
            vec!["fish", "--no-config", "-c"],
            fish,
            "set A (touch pwned)",
        ),
    ];
    for (format, package, command, script, naive) in shells {
        let text = text::written(format, &values).set;
        for (text, runs) in [(&*text, false), (naive.as_bytes(), true)] {
            let sandbox = Sandbox::new();
            sandbox.write("text", text);
            let script = script.replace("$LENGTH", &text.len().to_string());
            sandbox.run(package, &[&command[..], &[&script]].concat(), UTF8);
            assert_eq!(sandbox.was_trespassed(), runs, "{package}");
        }
    }
}

#[test]
fn false_stops_a_careful_script() {
    let one_step = "set -e; eval \"$(cat text)\"; touch reached";
    let two_steps = "set -e; v=$(cat text; exit 1); eval \"$v\"; touch reached";
    let shells: [(&str, &[&str]); 7] = [
        ("dash", &["dash", "-c"]),
        ("bash", &["bash", "-c"]),
        ("zsh", &["zsh", "-f", "-c"]),
        ("ksh93u+m", &["ksh93", "-c"]),
        ("mksh", &["mksh", "-c"]),
        ("busybox", &["busybox", "ash", "-c"]),
        ("yash", &["yash", "-c"]),
    ];
    let failure = text::failure("sh");
    for (package, command) in shells {
        for (script, text, stops) in [
            (one_step, &*failure, true),
            (one_step, "true\n", false),
            (two_steps, "", true),
        ] {
            let sandbox = Sandbox::new();
            sandbox.write("text", text.as_bytes());
            let output = sandbox.run(package, &[command, &[script]].concat(), UTF8);
            assert_eq!(!output.status.success(), stops, "{package}: {script}");
            assert_eq!(!sandbox.has("reached"), stops, "{package}: {script}");
        }
    }
}

#[test]
fn the_text_of_a_failure_stops_the_other_shells_too() {
    let shells: [(&str, &str, &[&str], &str); 4] = [
        (
            "fish",
            "fish",
            &["fish", "--no-config", "-c"],
            "cat text | source; or exit 1; touch reached",
        ),
        (
            "tcsh",
            "tcsh",
            &["tcsh", "-ef", "-c"],
            "source text; touch reached",
        ),
        (
            "elvish",
            "elvish",
            &["elvish", "-norc", "-c"],
            "eval (cat text | slurp); touch reached",
        ),
        (
            "xonsh",
            "xonsh",
            &["xonsh", "--no-rc", "-c"],
            "import subprocess\n\
             execx(subprocess.check_output(['cat', 'text'], text=True))\ntouch reached\n",
        ),
    ];
    for (format, package, command, script) in shells {
        for (text, stops) in [(&*text::failure(format), true), ("\n", false)] {
            let sandbox = Sandbox::new();
            sandbox.write("text", text.as_bytes());
            let output = sandbox.run(package, &[command, &[script]].concat(), UTF8);
            assert_eq!(!output.status.success(), stops, "{package}");
            assert_eq!(!sandbox.has("reached"), stops, "{package}");
        }
    }
}
