//! `shell/notify.sh`: what it posts, and that the secret is on no command line.

use std::path::Path;

use crate::sandbox::Sandbox;

const URL: &str = "https://hooks.slack.com/services/T0/B0/canary";
const TOKEN: &str = "1234567890:canary";

/// Runs it with a `curl` that writes down what it is given, and an `oc-secrets` with these secrets.
/// Returns the arguments and the standard input of `curl`.
fn post(secrets: &str, facts: &[(&str, &str)]) -> (String, String) {
    let sandbox = Sandbox::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/shell/notify.sh");
    let around = format!(
        "curl() {{ printf '%s\\n' \"$@\" >argv; cat >stdin; }}\n\
         oc-secrets() {{ case $2 in {secrets} *) return 4 ;; esac; }}\n. {script}"
    );
    let mut run = sandbox.run(Path::new("/bin/bash"), ["-c", &around]);
    for (name, value) in facts {
        run = run.env(name, value);
    }
    run.done().succeeds();
    let read = |name: &str| std::fs::read_to_string(sandbox.path("work").join(name));
    let read = |name| read(name).unwrap_or_default();
    (read("argv"), read("stdin"))
}

const FAILED: [(&str, &str); 2] = [
    ("OPENCLAW_EVENT", "update-failed"),
    ("OPENCLAW_ERROR", "it said \"no\"\nand \\ended"),
];

#[test]
fn the_url_of_slack_reaches_curl_by_its_input_alone() {
    let (argv, stdin) = post(&format!("SLACK_WEBHOOK_URL) printf %s {URL} ;;"), &FAILED);
    assert_eq!(stdin, format!("url = \"{URL}\"\n"));
    assert!(!argv.contains("canary"), "{argv}");
    let sent = argv.lines().find(|it| it.starts_with('{')).expect("a body");
    let sent: serde_json::Value = serde_json::from_str(sent).expect("JSON");
    let text = sent["text"].as_str().expect("text");
    assert!(
        text.ends_with("update-failed\nit said \"no\"\nand \\ended"),
        "{text}"
    );
}

#[test]
fn telegram_is_told_where_slack_is_not_known() {
    let secrets = format!("TELEGRAM_BOT_TOKEN) echo {TOKEN} ;; TELEGRAM_CHAT_ID) echo 42 ;;");
    let (argv, stdin) = post(&secrets, &FAILED);
    let config = format!(
        "url = \"https://api.telegram.org/bot{TOKEN}/sendMessage\"\ndata-urlencode = \"chat_id=42\"\n"
    );
    assert_eq!(stdin, config);
    assert!(
        argv.contains("text=") && !argv.contains("chat_id") && !argv.contains("canary"),
        "{argv}"
    );
}

#[test]
fn an_update_that_changed_nothing_is_not_told() {
    let secrets = format!("SLACK_WEBHOOK_URL) printf %s {URL} ;;");
    let done = |changed| {
        let facts = [
            ("OPENCLAW_EVENT", "update-done"),
            ("OPENCLAW_CHANGED", changed),
        ];
        post(&secrets, &facts).0
    };
    assert_eq!(done("false"), "");
    assert!(done("true").contains("update-done"));
}
