//! `oc-secrets login` and `logout`: a service-account token in the OS keyring, or encrypted for a
//! service of systemd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::desktop::Desktop;
use crate::sandbox::{CANARY, Run, Sandbox, until};
use crate::terminal::Terminal;

const KEPT: &str = "kept in the OS keyring; oc-secrets logout removes it\n";
const READS: &str = "oc-secrets: 1Password takes the token, which may read: Vault\n";

/// What there is instead.
const ELSEWHERE: &str = "oc-secrets login --systemd NAME.service, or a file of yours, mode 600, that OC_SECRETS_TOKEN_FILE names";

fn world() -> Sandbox {
    Sandbox::with_fields(&[("A", CANARY)])
}

fn login(desktop: &Desktop<'_>, sandbox: &Sandbox) -> Run {
    let run = desktop.within(sandbox.oc(["login", "--stdin"]));
    run.input(format!("{}\n", sandbox.token()))
}

fn marker(sandbox: &Sandbox) -> bool {
    sandbox.path("home/.local/state/oc-secrets/login").exists()
}

#[test]
fn a_token_is_tried_kept_used_and_removed() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    let oc = |words: &[&str]| desktop.within(sandbox.oc(words)).done();
    assert_eq!(
        login(&desktop, &sandbox).done().succeeds_saying(READS),
        KEPT
    );
    assert_eq!(sandbox.commands(), ["vault list"]);
    let done = oc(&["-v", "read", "A"]);
    assert_eq!(done.text(), format!("{CANARY}\n"));
    let how = "signing in by service account (OS keyring, by oc-secrets login)\n";
    assert!(done.stderr.contains(how), "{}", done.stderr);
    let doctor = oc(&["doctor"]).text();
    let row = "ok    sign-in     service account (OS keyring, by oc-secrets login)\n";
    assert!(doctor.contains(row), "{doctor}");
    assert!(marker(&sandbox));
    let done = oc(&["logout"]);
    assert_eq!(done.succeeds(), "removed from the OS keyring\n");
    assert!(!marker(&sandbox));
    let done = oc(&["-v", "read", "A"]);
    assert!(
        done.stderr.contains("signing in by 1Password app"),
        "{}",
        done.stderr
    );
    let nothing = "nothing to remove: oc-secrets login has kept no token here\n";
    assert_eq!(oc(&["logout"]).succeeds(), nothing);
}

#[test]
fn the_helpers_use_it_as_well() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    let manifest = "[secrets]\nA = \"op://Vault/Item/A\"\n[registries.\"ghcr.io\"]\nsecret = \"A\"\nusername = \"me\"\n";
    sandbox.file("named.toml", manifest);
    let helper = Path::new(env!("CARGO_BIN_EXE_docker-credential-oc"));
    let run = sandbox
        .run(helper, ["get"])
        .env("OC_SECRETS_MANIFEST", sandbox.path("named.toml"));
    let done = desktop.within(run).input("ghcr.io").done();
    assert!(done.succeeds().contains(CANARY));
    let used = sandbox.calls();
    let used = used.last().expect("a call")["op_env"].to_string();
    assert!(used.contains("OP_SERVICE_ACCOUNT_TOKEN"), "{used}");
}

#[test]
fn of_several_sources_the_first_wins_and_verbose_names_it_and_the_others() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    sandbox.file("token", &sandbox.token());
    std::fs::create_dir(sandbox.path("credentials")).expect("a folder");
    sandbox.file("credentials/op-token", &sandbox.token());
    for file in ["token", "credentials/op-token"] {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(sandbox.path(file), mode).expect("a mode");
    }
    // Nobody is asked where another source comes first.
    desktop.hang();
    let run = || desktop.within(sandbox.oc(["-v", "read", "A"]));
    let file = |run: Run| run.env("OC_SECRETS_TOKEN_FILE", sandbox.path("token"));
    let systemd = |run: Run| run.env("CREDENTIALS_DIRECTORY", sandbox.path("credentials"));
    let variable = |run: Run| run.env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token());
    let login = "the token of oc-secrets login is there too and not used";
    let of_file = format!(
        "signing in by service account ({}); {login}\n",
        sandbox.path("token").display()
    );
    let rest = format!("OC_SECRETS_TOKEN_FILE is set too and not used; {login}\n");
    let of_systemd = format!("signing in by service account (systemd credential op-token); {rest}");
    let of_variable = format!(
        "signing in by service account (OP_SERVICE_ACCOUNT_TOKEN); the systemd credential op-token is there too and not used; {rest}"
    );
    for (run, how) in [
        (file(run()), of_file),
        (systemd(file(run())), of_systemd),
        (variable(systemd(file(run()))), of_variable),
    ] {
        let done = run.done();
        assert_eq!(done.text(), format!("{CANARY}\n"), "{}", done.stderr);
        assert!(done.stderr.contains(&how), "{}", done.stderr);
    }
    // The control.
    let run = desktop.within(sandbox.oc(["--timeout", "1s", "read", "A"]));
    assert_eq!(run.done().status.code(), Some(3));
}

#[test]
fn without_a_marker_the_keyring_is_not_asked() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    std::fs::remove_file(sandbox.path("home/.local/state/oc-secrets/login")).expect("removed");
    desktop.hang();
    let done = desktop.within(sandbox.oc(["-v", "read", "A"])).done();
    assert!(
        done.stderr.contains("signing in by 1Password app"),
        "{}",
        done.stderr
    );
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
}

#[test]
fn what_is_no_token_or_does_not_work_is_not_kept() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    let hint = "hint: 1Password shows it once, when the service account is made: op service-account create\n";
    let give = |text: &str| {
        desktop
            .within(sandbox.oc(["login", "--stdin"]))
            .input(text)
            .done()
    };
    for (text, why) in [
        ("", "no token was given"),
        (
            "hunter2",
            "that is no service-account token: it does not begin with ops_",
        ),
        (
            "op://Vault/Item/A",
            "that is no service-account token: it does not begin with ops_",
        ),
        (
            "ops_a\nops_b",
            "that is no service-account token: there is more than one word",
        ),
    ] {
        give(text).fails(2, &format!("oc-secrets: error: {why}\n{hint}"));
    }
    assert!(sandbox.calls().is_empty());
    let large = "ops_".repeat(5000);
    assert_eq!(give(&large).status.code(), Some(2));
    for (mode, code, what) in [
        (
            "bad-token",
            3,
            "the service-account token cannot be decoded",
        ),
        ("network", 5, "1Password cannot be reached"),
        ("hang", 5, "`op` did not answer within 1 s"),
    ] {
        sandbox.mode(mode);
        let run = sandbox.oc(["--timeout", "1s", "login", "--stdin"]);
        let done = desktop.within(run).input("ops_x").done();
        assert_eq!(done.status.code(), Some(code), "{mode}: {}", done.stderr);
        assert!(done.stderr.contains(what), "{mode}: {}", done.stderr);
        assert!(
            done.took < Duration::from_secs(8),
            "{mode}: {:?}",
            done.took
        );
    }
    assert!(!marker(&sandbox));
}

#[test]
fn another_source_that_goes_before_it_is_told() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    let run = login(&desktop, &sandbox).env("OP_SERVICE_ACCOUNT_TOKEN", "ops_other");
    let said = format!(
        "{READS}oc-secrets: warning: OP_SERVICE_ACCOUNT_TOKEN is set, and goes before the OS keyring\n"
    );
    assert_eq!(run.done().succeeds_saying(&said), KEPT);
}

#[test]
fn a_token_that_may_read_nothing_is_kept_with_a_warning() {
    let sandbox = world();
    sandbox.file("double/vaults.json", "{\"vaults\": []}");
    let desktop = Desktop::new(&sandbox);
    let said = "oc-secrets: warning: 1Password takes the token, but it may read no vault yet: give its service account access to one\n";
    assert_eq!(login(&desktop, &sandbox).done().succeeds_saying(said), KEPT);
}

/// Each trouble of the keyring has its own sentence, and none waits beyond the deadline.
#[test]
fn a_keyring_that_is_not_to_be_had_is_told_and_nothing_is_left_behind() {
    let sandbox = world();
    let mut desktop = Desktop::without_keyring(&sandbox);
    let no_service =
        format!("{READS}oc-secrets: error: no program serves an OS keyring in this session");
    let fails = |run: Run, said: &str| {
        let done = run.done();
        assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
        assert!(done.stderr.starts_with(said), "{}", done.stderr);
        assert!(done.took < Duration::from_secs(8), "{:?}", done.took);
        assert!(!marker(&sandbox));
        done.stderr
    };
    fails(login(&desktop, &sandbox), &no_service);
    let no_bus = format!(
        "{READS}oc-secrets: error: there is no D-Bus session, and so no OS keyring\nhint: without a desktop: {ELSEWHERE}\n"
    );
    let run = login(&desktop, &sandbox).without("DBUS_SESSION_BUS_ADDRESS");
    assert_eq!(fails(run, &no_bus), no_bus);
    let gone = login(&desktop, &sandbox).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/none");
    let no_bus = format!("{READS}oc-secrets: error: there is no D-Bus session");
    fails(gone, &no_bus);
    desktop.keyring(true);
    desktop.hang();
    let silent = format!("{READS}oc-secrets: error: the OS keyring did not answer in time\n");
    fails(
        login(&desktop, &sandbox).arg("--timeout").arg("1s"),
        &silent,
    );
}

#[test]
fn a_locked_keyring_an_empty_one_and_none_at_all_stop_what_needs_the_token() {
    let sandbox = world();
    let mut desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    let read = |desktop: &Desktop<'_>, said: &str| {
        let run = sandbox.oc(["--timeout", "3s", "read", "A"]);
        let done = desktop.within(run).done();
        assert_eq!(done.status.code(), Some(3), "{}", done.stderr);
        assert!(done.stderr.contains(said), "{}", done.stderr);
    };
    desktop.keyring(false);
    read(&desktop, "error: the OS keyring is locked");
    std::fs::remove_dir_all(sandbox.path("data")).expect("removed");
    std::fs::create_dir(sandbox.path("data")).expect("a folder");
    desktop.keyring(true);
    let gone = "error: the OS keyring has no token of oc-secrets login\n\
                hint: oc-secrets login puts one there; oc-secrets logout does without it\n";
    read(&desktop, gone);
    let doctor = desktop.within(sandbox.oc(["doctor", "--json"])).done();
    let doctor: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let rows = doctor["checks"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["check"] == "sign-in");
    assert_eq!(row.expect("a row")["fix"], "oc-secrets login");
    let done = desktop.within(sandbox.oc(["logout"])).done();
    let text = "the OS keyring had no token any more; it is not asked again\n";
    assert_eq!(done.succeeds(), text);
    assert!(!marker(&sandbox));
}

#[test]
fn a_home_that_is_not_there_or_cannot_be_written_is_told_before_anything_is_kept() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).without("HOME").done().fails(
        2,
        "oc-secrets: error: no directory for the note that there is a login: HOME is not set\n\
         hint: set HOME or XDG_STATE_HOME\n",
    );
    sandbox.file("full", "");
    let run = login(&desktop, &sandbox).env("XDG_STATE_HOME", sandbox.path("full"));
    let done = run.done();
    assert_eq!(done.status.code(), Some(2), "{}", done.stderr);
    assert!(
        done.stderr.contains("cannot be written: "),
        "{}",
        done.stderr
    );
    // The keyring did not get it.
    let state = sandbox.path("home/.local/state/oc-secrets");
    std::fs::create_dir_all(&state).expect("a folder");
    sandbox.file("home/.local/state/oc-secrets/login", "made up");
    let done = desktop.within(sandbox.oc(["read", "A"])).done();
    assert!(
        done.stderr.contains("the OS keyring has no token"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_token_is_typed_unseen_and_ctrl_c_leaves_the_terminal_as_it_was() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    let question = "Token of the service account (it is not shown): ";
    let start = || Terminal::start(desktop.within(sandbox.oc(["login"])), 80);
    let echoes = |terminal: &Terminal| {
        let flags = tcgetattr(terminal.screen())
            .expect("a terminal")
            .local_flags;
        flags.contains(LocalFlags::ECHO)
    };
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut terminal = start();
        terminal.shows(question);
        assert!(!echoes(&terminal));
        terminal.types("ops_half");
        match signal {
            Signal::SIGINT => drop(terminal.types("\x03")),
            _ => kill(Pid::from_raw(terminal.id()), signal).expect("it lives"),
        }
        terminal.ends();
        assert!(echoes(&terminal), "{signal}");
        let (text, status) = terminal.finish();
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(status.signal(), Some(signal as i32), "{text}");
        assert!(!text.contains("ops_"), "{text}");
    }
    let mut terminal = start();
    // Ctrl-Z would have the shell show again what is typed.
    terminal.shows(question).types("\x1a");
    terminal.types(&format!("{}\n", sandbox.token())).ends();
    assert!(echoes(&terminal));
    let (text, status) = terminal.finish();
    assert!(status.success(), "{text}");
    assert!(!text.contains(&sandbox.token()), "{text}");
    assert!(text.ends_with(&format!("{READS}{KEPT}")), "{text}");
    let mut terminal = start();
    terminal.shows(question).types("\x04");
    let (text, status) = terminal.finish();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(text.contains("no token was given"), "{text}");
}

#[test]
fn without_a_terminal_a_pipe_is_named() {
    let sandbox = world();
    sandbox.oc(["login"]).done().fails(
        2,
        "oc-secrets: error: cannot ask for the token: standard input is not a terminal\n\
         hint: give it by a pipe: … | oc-secrets login --stdin\n",
    );
}

#[test]
fn a_token_is_not_typed_where_it_would_be_shown() {
    let sandbox = world();
    let run = sandbox.oc(["login", "--stdin"]);
    let (text, status) = Terminal::start(run, 80).finish();
    assert_eq!(status.code(), Some(2), "{text}");
    let what = "standard input is a terminal, which would show the token\n";
    assert!(text.contains(what), "{text}");
}

#[test]
fn the_process_that_asks_the_keyring_shows_nobody_its_answer() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    let run = || desktop.within(sandbox.oc(["keyring", "get", "5000"]));
    let (text, status) = Terminal::start(run(), 80).finish();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(!text.contains("ops_"), "{text}");
    // The control: by a pipe it answers.
    assert_eq!(
        run().done().succeeds(),
        format!("token\n{}", sandbox.token())
    );
}

/// The broker asks for its token each time that it asks `op`.
#[test]
fn a_new_login_reaches_a_broker_that_runs() {
    let sandbox = world();
    let desktop = Desktop::new(&sandbox);
    login(&desktop, &sandbox).done().succeeds_saying(READS);
    sandbox.file(
        "work/serve.toml",
        "[secrets]\nA = \"op://Vault/Item/A\"\n[clients.one]\nsecrets = [\"A\"]\nttl = \"0\"\n",
    );
    let run = sandbox
        .oc(["serve", "--directory"])
        .arg(sandbox.path("broker"))
        .arg("--manifest")
        .arg(sandbox.path("work/serve.toml"));
    let mut run = desktop.within(run);
    let log = std::fs::File::create(sandbox.path("serve.log")).expect("a log");
    let command = run.command().stderr(log).stdout(Stdio::null());
    let broker = Ended(command.spawn().expect("it starts"));
    let log = || std::fs::read_to_string(sandbox.path("serve.log")).expect("a log");
    until("the broker serves", || log().contains("serving"));
    let read = || {
        let client = sandbox.path("broker/clients/one/socket");
        let run = sandbox
            .oc(["read", "A"])
            .without("OP_SERVICE_ACCOUNT_TOKEN");
        run.env("OC_SECRETS_SOCKET", client).done()
    };
    assert_eq!(read().succeeds(), format!("{CANARY}\n"));
    // The stand-in takes this token from now on, and no other.
    sandbox.mode("only-token=ops_rotated");
    assert_eq!(read().status.code(), Some(3));
    let run = desktop.within(sandbox.oc(["login", "--stdin"]));
    run.input("ops_rotated").done().succeeds_saying(READS);
    // What it knows of the old one it believes for half a minute, or until it is told.
    kill(Pid::from_raw(broker.0.id().cast_signed()), Signal::SIGHUP).expect("it lives");
    until("it has reloaded", || log().contains("reloaded"));
    assert_eq!(read().succeeds(), format!("{CANARY}\n"), "{}", log());
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The real systemd-creds, with what it keeps for the host in a namespace of its own.
#[test]
fn a_credential_is_encrypted_for_a_service_and_can_be_decrypted_on_this_host_alone() {
    let sandbox = world();
    let oc = env!("CARGO_BIN_EXE_oc-secrets");
    let line = "mkdir -p host etc && mount --bind host /var/lib/systemd && mount --bind etc /etc/credstore.encrypted && \
                printf '%s\\n' \"$TOKEN\" | \"$OC\" login --stdin --systemd backup.service && \
                stat -c %a /etc/credstore.encrypted/op-token-backup && \
                ! grep -r ops_ host etc && \
                systemd-creds decrypt --name=op-token /etc/credstore.encrypted/op-token-backup -";
    let before = Path::new("/etc/credstore.encrypted").exists();
    std::fs::create_dir_all("/etc/credstore.encrypted").expect("this test needs root");
    let run = sandbox
        .run(
            Path::new("/usr/bin/unshare"),
            ["--mount", "/bin/sh", "-c", line],
        )
        .env("OC", oc)
        .env("TOKEN", sandbox.token());
    let done = run.done();
    if !before {
        std::fs::remove_dir("/etc/credstore.encrypted").expect("it was empty");
    }
    assert_eq!(
        done.text(),
        format!(
            "[Service]\nLoadCredentialEncrypted=op-token:/etc/credstore.encrypted/op-token-backup\n600\n{}",
            sandbox.token()
        ),
        "{}",
        done.stderr
    );
    let said = format!(
        "{READS}oc-secrets: /etc/credstore.encrypted/op-token-backup is written, encrypted for this host\n\
         oc-secrets: add this by: systemctl edit backup.service; then: systemctl restart backup.service\n"
    );
    assert!(done.stderr.starts_with(&said), "{}", done.stderr);
}

/// The broker of the host, at /run/oc-secrets in a namespace of its own.
#[test]
fn a_new_credential_reaches_the_broker_that_runs_without_a_restart() {
    let sandbox = world();
    sandbox.file(
        "work/serve.toml",
        "[secrets]\nA = \"op://Vault/Item/A\"\n[clients.one]\nsecrets = [\"A\"]\n",
    );
    sandbox.file(
        "work/line",
        r#"
        mkdir -p host etc run && mount --bind host /var/lib/systemd && mount --bind etc /etc/credstore.encrypted && mount --bind run /run
        login() { printf %s "$1" | "$OC" login --stdin --systemd oc-secrets.service >/dev/null 2>login.err || cat login.err; grep -e 'loads it' -e 'from now on' login.err; }
        read() { OC_SECRETS_SOCKET=/run/oc-secrets/clients/one/socket "$OC" read A 2>/dev/null || echo "exit $?"; }
        mkdir /run/oc-secrets
        python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("/run/oc-secrets/control"); s.listen(); time.sleep(60)' & deaf=$!
        for i in $(seq 200); do [ -S /run/oc-secrets/control ] && break; sleep 0.05; done
        printf %s ops_rotated | "$OC" login --stdin --systemd oc-secrets.service >/dev/null 2>login.err
        echo "exit $?"; grep 'does not take it' login.err
        kill $deaf && rm /run/oc-secrets/control
        login ops_rotated
        "$OC" --manifest "$PWD/serve.toml" serve 2>serve.log & broker=$!
        for i in $(seq 200); do grep -q serving serve.log && break; sleep 0.05; done
        read
        login ops_rotated
        read
        kill -HUP $broker
        for i in $(seq 200); do grep -q reloaded serve.log && break; sleep 0.05; done
        read
        kill $broker && wait $broker
        ! grep -q ops_ serve.log login.err
        "#,
    );
    let before = Path::new("/etc/credstore.encrypted").exists();
    std::fs::create_dir_all("/etc/credstore.encrypted").expect("this test needs root");
    sandbox.mode("only-token=ops_rotated"); // and not the one that the broker starts with
    let done = sandbox
        .run(
            Path::new("/usr/bin/unshare"),
            ["--mount", "/bin/sh", "line"],
        )
        .env("OC", env!("CARGO_BIN_EXE_oc-secrets"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", sandbox.token())
        .done();
    if !before {
        std::fs::remove_dir("/etc/credstore.encrypted").expect("it was empty");
    }
    let loads = "oc-secrets: oc-secrets.service of the packages loads it; in a unit of your own:\n";
    assert_eq!(
        done.succeeds(),
        format!(
            "exit 5\n\
             oc-secrets: warning: the broker that runs here does not take it: the broker did not answer within 5 s; \
             then: systemctl restart oc-secrets.service\n\
             {loads}exit 3\n\
             oc-secrets: the broker that runs here asks by it from now on\n{loads}{CANARY}\n{CANARY}\n"
        )
    );
}

#[test]
fn where_no_credential_can_be_made_it_is_said_what_there_is_instead() {
    let sandbox = world();
    let run = |unit: &str| {
        sandbox
            .oc(["login", "--stdin", "--systemd", unit])
            .input("ops_x")
    };
    let hint = "hint: keep the token in a file of the service's user, mode 600, that OC_SECRETS_TOKEN_FILE names; on a desktop: oc-secrets login\n";
    let without = run("x.service").env("PATH", sandbox.path("bin"));
    without.done().fails(
        2,
        &format!("oc-secrets: error: systemd-creds was not found, which systemd has since version 250\n{hint}"),
    );
    for unit in ["x", "x.timer", ".service", "../x.service", "a b.service"] {
        run(unit).done().fails(
            2,
            &format!(
                "oc-secrets: error: `{unit}` is no name of a service\n\
                 hint: such as: oc-secrets login --systemd oc-secrets.service\n"
            ),
        );
    }
    // The first one that is there is asked, and this one fails.
    sandbox.file(
        "bin/systemd-creds",
        "#!/bin/sh\necho 'Failed to determine the host key' >&2\nexit 1\n",
    );
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/systemd-creds"), mode).expect("a mode");
    let done = run("x.service").done();
    let what = format!(
        "{READS}oc-secrets: error: {} cannot encrypt the token: Failed to determine the host key\n{hint}",
        sandbox.path("bin/systemd-creds").display()
    );
    done.fails(2, &what);
    assert!(
        sandbox
            .commands()
            .iter()
            .all(|command| command == "vault list")
    );
    let nobody = Command::new("/usr/bin/setpriv")
        .args([
            "--reuid=4242",
            "--clear-groups",
            env!("CARGO_BIN_EXE_oc-secrets"),
        ])
        .args(["login", "--stdin", "--systemd", "x.service"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv is installed");
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert!(said.contains("only root can encrypt a credential for a service\nhint: sudo oc-secrets login --systemd x.service\n"), "{said}");
}
