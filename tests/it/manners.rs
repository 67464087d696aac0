//! Manners: sentences that are true, and hints that help.

use std::os::unix::fs::chown;

use crate::sandbox::Sandbox;

const ROOT: &str = "this test needs root, to give a file away";

#[test]
fn under_sudo_the_caller_s_own_manifest_is_told_apart_from_a_stranger_s() {
    let sandbox = Sandbox::with_fields(&[("A", "x")]);
    chown(sandbox.path("work/oc-secrets.toml"), Some(4242), None).expect(ROOT);
    let hint = |uid: &str| {
        let run = sandbox.oc(["exec", "--", "true"]).env("SUDO_UID", uid);
        let done = run.env("SUDO_USER", "me").done();
        assert_eq!(done.status.code(), Some(125));
        done.stderr
    };
    let (own, strange) = (hint("4242"), hint("4243"));
    assert!(
        own.contains("oc-secrets exec -- sudo --preserve-env=NAMES CMD") && !own.contains("chown"),
        "{own}"
    );
    assert!(strange.contains("sudo chown 0"), "the control: {strange}");
}

#[test]
fn with_verbose_a_cache_that_is_off_says_why_and_a_hit_says_so() {
    let sandbox = Sandbox::with_fields(&[("A", "x")]);
    let said = |rest: &str, variable: &str, words: &[&str]| {
        let manifest = format!("[secrets]\nA = \"op://Vault/Item/A\"\n{rest}");
        sandbox.file("work/named.toml", &manifest);
        let named = ["-v", "--manifest", "named.toml"];
        let words = named.iter().chain(words).chain(&["exec", "--", "true"]);
        let run = sandbox.oc(words).env("OC_SECRETS_CACHE_TTL", variable);
        run.done().stderr
    };
    let cache = "[cache]\nttl = \"1m\"\nallow_root = true\n";
    for (rest, variable, words, why) in [
        (cache, "", &["--no-cache"][..], "--no-cache is given"),
        (cache, "0", &[], "OC_SECRETS_CACHE_TTL is 0"),
        (
            "[cache]\nttl = \"0\"\nallow_root = true\n",
            "",
            &[],
            "`ttl` under [cache] is 0",
        ),
        (
            "[cache]\nttl = \"1m\"\n",
            "",
            &[],
            "root keeps nothing without",
        ),
    ] {
        let stderr = said(rest, variable, words);
        assert!(
            stderr.contains(&format!("nothing is cached: {why}")),
            "{stderr}"
        );
    }
    let hit = "`op` was not started: the cache";
    let (first, second) = (said(cache, "", &[]), said(cache, "", &[]));
    assert!(
        !first.contains(hit) && second.contains(hit),
        "{first}\n{second}"
    );
}

#[test]
fn the_help_of_env_has_a_line_for_each_shell() {
    let help = Sandbox::new().oc(["env", "--help"]).done().succeeds();
    for line in [
        "eval \"$(oc-secrets env)\"",
        "oc-secrets env --format fish | source",
        "eval (oc-secrets env --format elvish | slurp)",
        "execx($(oc-secrets env --format xonsh))",
        "oc-secrets env --format powershell | Out-String | Invoke-Expression",
        "oc-secrets env --format nu | from json | load-env",
        "hide-env ...(oc-secrets env --format nu --unset | from json)",
    ] {
        assert!(help.contains(&format!("\n  {line}\n")), "{line}: {help}");
    }
}
