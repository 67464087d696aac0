//! `oc-secrets doctor`: things are broken one by one; the command that it prints, typed as it
//! stands, mends each.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sandbox::{CANARY, Done, Run, Sandbox, item};
use crate::terminal::Terminal;

/// A world in which everything is in order, and what its commands are given.
struct Patient {
    sandbox: Sandbox,
    variables: Vec<(String, String)>,
}

const OWN: &str = "vault = 'Vault'
[secrets]
TOKEN = { item = 'Item', field = 'TOKEN' }
[registries.\"ghcr.io\"]
secret = 'TOKEN'
[git.\"github.com\"]
secret = 'TOKEN'
";

impl Patient {
    fn healthy() -> Self {
        let sandbox = Sandbox::new();
        sandbox.vault(json!([item("Item", &[("TOKEN", CANARY)])]));
        for folder in ["home/bin", "home/.config/oc-secrets", "home/.docker"] {
            std::fs::create_dir_all(sandbox.path(folder)).expect("a folder");
        }
        sandbox.file("home/.config/oc-secrets/oc-secrets.toml", OWN);
        for program in ["oc-secrets", "docker-credential-oc", "git-credential-oc"] {
            let built = Path::new(env!("CARGO_BIN_EXE_oc-secrets")).with_file_name(program);
            symlink(built, sandbox.path("home/bin").join(program)).expect("a link");
        }
        sandbox
            .manifest("vault = 'Vault'\n[secrets]\nTOKEN = { item = 'Item', field = 'TOKEN' }\n");
        let mut patient = Self {
            sandbox,
            variables: vec![],
        };
        let path = format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            patient.at("home/bin").display(),
            patient.at("bin").display()
        );
        patient.set("PATH", &path);
        patient.set("OP_SERVICE_ACCOUNT_TOKEN", &patient.sandbox.token());
        // Not that of the machine.
        patient.set(
            "REGISTRY_AUTH_FILE",
            &patient.at("home/auth.json").display().to_string(),
        );
        let wired = "oc-secrets docker install --podman && oc-secrets git install";
        let wired = patient.types(wired);
        assert!(wired.status.success(), "{}", wired.stderr);
        patient
    }

    fn at(&self, path: &str) -> PathBuf {
        self.sandbox.path(path)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn mode(&self, path: &str, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.at(path), permissions).expect("its mode");
    }

    /// A shell with this line.
    fn shell(&self, line: &str) -> Run {
        let mut run = self.sandbox.run(Path::new("/bin/bash"), ["-c", line]);
        for (name, value) in &self.variables {
            run = run.env(name, value);
        }
        run
    }

    fn types(&self, line: &str) -> Done {
        self.shell(line).done()
    }

    /// The rows after `line` in the same shell.
    #[track_caller]
    fn rows(&self, line: &str) -> Vec<Value> {
        let done = self.types(&format!(
            "{{ {line} ; }} >&2; oc-secrets doctor --deep --json"
        ));
        let report: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", done.text(), done.stderr));
        let rows = report["checks"].as_array().expect("rows").clone();
        let failed = rows.iter().any(|row| row["state"] == "fail");
        assert_eq!(
            done.status.code(),
            Some(i32::from(failed)),
            "{}",
            done.text()
        );
        assert!(!done.text().contains(CANARY), "{}", done.text());
        rows
    }

    /// The row `name` that is not well, and whose text holds `word`.
    fn bad<'a>(rows: &'a [Value], name: &str, word: &str) -> Option<&'a Value> {
        rows.iter().find(|row| {
            let text = row["text"].as_str().unwrap_or_default();
            row["check"] == name && row["state"] != "ok" && text.contains(word)
        })
    }

    /// What is to be typed for the row `name`.
    #[track_caller]
    fn fix(&self, name: &str, word: &str) -> String {
        let rows = self.rows(":");
        let row =
            Self::bad(&rows, name, word).unwrap_or_else(|| panic!("{name} {word}: {rows:#?}"));
        let fix = row["fix"].as_str();
        fix.unwrap_or_else(|| panic!("no command: {row:#?}"))
            .to_owned()
    }

    /// The command that is printed for the row `name`, typed as it stands, turns it green.
    #[track_caller]
    fn is_mended(&self, name: &str, word: &str, expected: &str) {
        let fix = self.fix(name, word);
        let root = self.at("").display().to_string();
        let shown = fix.replace(&root, "@/").replace("@//", "@/");
        assert_eq!(shown, expected);
        let rows = self.rows(&fix);
        let row = Self::bad(&rows, name, word);
        assert!(row.is_none(), "after `{fix}`: {row:#?}");
    }
}

#[test]
fn all_is_well_in_a_world_that_is_in_order() {
    let patient = Patient::healthy();
    let done = patient.types("oc-secrets doctor --deep");
    let text = done.succeeds();
    let states = text.lines().filter(|line| !line.starts_with(' '));
    assert!(states.clone().all(|line| line.starts_with("ok ")), "{text}");
    let names: Vec<&str> = states
        .filter_map(|line| line.get(6..16))
        .map(str::trim)
        .collect();
    for name in [
        "op",
        "sign-in",
        "limit",
        "cost",
        "vaults",
        "manifest",
        "secrets",
        "helper",
        "docker",
        "git",
        "cache",
        "memory",
        "passwords",
    ] {
        assert!(names.contains(&name), "{name}: {text}");
    }
    let paths = |line: &&str| !line.contains('/');
    assert!(
        text.lines()
            .filter(paths)
            .all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let used = patient.sandbox.commands();
    assert_eq!(
        used.iter()
            .filter(|command| *command == "vault list")
            .count(),
        1
    );
}

#[test]
fn op_is_made_trustworthy_and_found() {
    let patient = Patient::healthy();
    patient.mode("bin/op", 0o757);
    patient.is_mended("op", "written by others", "chmod go-w @/bin/op");
    patient.mode("bin/op", 0o755);
    patient.mode("bin", 0o777);
    patient.is_mended("op", "written by others", "chmod go-w @/bin");

    let mut patient = Patient::healthy();
    patient.set("OC_SECRETS_OP", "/absent/op");
    patient.is_mended("op", "OC_SECRETS_OP", "unset OC_SECRETS_OP");
    patient.set("OC_SECRETS_OP", "bin/op");
    patient.is_mended("op", "must be absolute", "unset OC_SECRETS_OP");

    let mut patient = Patient::healthy();
    patient.sandbox.file("bin/other", "#!/bin/sh\n");
    patient.set(
        "OC_SECRETS_OP",
        &patient.at("bin/other").display().to_string(),
    );
    let fix = patient.fix("op", "cannot be started");
    assert!(
        fix.starts_with("chmod +x ") && fix.ends_with("/bin/other"),
        "{fix}"
    );
    let rows = patient.rows(&fix);
    assert!(Patient::bad(&rows, "op", "cannot be started").is_none());

    let mut patient = Patient::healthy();
    std::fs::create_dir_all(patient.at("home/.local")).expect("a folder");
    std::fs::rename(patient.at("bin"), patient.at("home/.local/bin")).expect("moved");
    std::fs::rename(patient.at("double"), patient.at("home/.local/double")).expect("moved");
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin",
        patient.at("home/bin").display()
    );
    patient.set("PATH", &path);
    patient.is_mended(
        "op",
        "not on PATH",
        "export OC_SECRETS_OP=@/home/.local/bin/op",
    );
}

#[test]
fn an_op_that_is_none_for_here_is_named_for_what_it_is() {
    let patient = Patient::healthy();
    std::fs::rename(patient.at("bin/op"), patient.at("bin/op.exe")).expect("moved");
    let rows = patient.rows(":");
    let row = Patient::bad(&rows, "op", "the program for Windows").expect("a row");
    assert_eq!(row["state"], "fail");
    let old = Patient::healthy();
    old.sandbox.mode("version=2.29.0");
    assert_eq!(old.fix("op", "before 2.32.1"), "op update");
    old.sandbox.mode("version=1.12.4");
    assert_eq!(old.fix("op", "version 2"), "op update");
}

#[test]
fn whoever_signs_in_with_something_stale_signs_in_again() {
    let mut patient = Patient::healthy();
    patient.sandbox.mode("deleted-token");
    patient.is_mended(
        "sign-in",
        "deleted service account",
        "unset OP_SERVICE_ACCOUNT_TOKEN",
    );

    patient
        .variables
        .retain(|(name, _)| name != "OP_SERVICE_ACCOUNT_TOKEN");
    patient.set("OP_SESSION_my", "stale");
    patient.sandbox.mode("session-expired\nno-app");
    assert_eq!(
        patient.fix("sign-in", "not signed in"),
        "unset OP_SESSION_my"
    );

    let mut patient = Patient::healthy();
    patient
        .variables
        .retain(|(name, _)| name != "OP_SERVICE_ACCOUNT_TOKEN");
    let file = patient.at("home/token").display().to_string();
    patient.set("OC_SECRETS_TOKEN_FILE", &file);
    patient.is_mended("sign-in", "no such file", "unset OC_SECRETS_TOKEN_FILE");
    patient.sandbox.file("home/token", &patient.sandbox.token());
    patient.is_mended(
        "sign-in",
        "read or written by others",
        "chmod 600 @/home/token",
    );
}

#[test]
fn sign_in_has_a_deadline_and_its_failure_is_told() {
    let mut patient = Patient::healthy();
    patient.sandbox.mode("network");
    let rows = patient.rows(":");
    assert!(Patient::bad(&rows, "sign-in", "1Password cannot be reached").is_some());
    // Also where nobody can be asked, and 15 s are the default.
    for mode in ["hang", "prompt-timeout=60000"] {
        patient.sandbox.mode(mode);
        let done = patient.types("oc-secrets doctor --timeout 1s");
        assert_eq!(done.status.code(), Some(1));
        assert!(
            done.text().contains("did not answer within 1 s"),
            "{}",
            done.text()
        );
        assert!(done.took.as_secs() < 10, "{mode}: {:?}", done.took);
        patient.sandbox.assert_nothing_is_left();
        patient
            .variables
            .retain(|(name, _)| name != "OP_SERVICE_ACCOUNT_TOKEN");
    }
}

#[test]
fn a_vault_that_cannot_be_seen_is_corrected_where_it_is_named() {
    let mut patient = Patient::healthy();
    patient
        .sandbox
        .manifest("vault = 'Valt'\n[secrets]\nTOKEN = { item = 'Item', field = 'TOKEN' }\n");
    patient.set("EDITOR", "sed -i s/Valt/Vault/");
    let rows = patient.rows(":");
    let row = Patient::bad(&rows, "vaults", "Valt").expect("a row");
    assert!(
        row["text"]
            .as_str()
            .is_some_and(|text| text.contains("did you mean `Vault`?"))
    );
    patient.is_mended("vaults", "Valt", "${EDITOR:-vi} @/work/oc-secrets.toml");
    patient.set("OP_VAULT", "Nowhere");
    patient.is_mended("vaults", "Nowhere", "unset OP_VAULT");
}

#[test]
fn a_manifest_is_written_allowed_closed_and_corrected() {
    let mut patient = Patient::healthy();
    patient.sandbox.file(
        "work/oc-secrets.toml",
        "[secrets]\nA = 'op://Vault/Item/TOKEN'\n",
    );
    let fix = patient.fix("manifest", "changed since it was allowed");
    assert!(fix.starts_with("oc-secrets allow /"), "{fix}");
    let mut terminal = Terminal::start(patient.shell(&fix), 80);
    terminal.shows("Allow it?").types("y\n");
    assert!(terminal.finish().1.success());
    assert!(Patient::bad(&patient.rows(":"), "manifest", "").is_none());

    patient.mode("work/oc-secrets.toml", 0o666);
    patient.is_mended(
        "manifest",
        "written by others",
        "chmod go-w @/work/oc-secrets.toml",
    );
    patient.sandbox.file(
        "work/oc-secrets.toml",
        "[secrets\nA = 'op://Vault/Item/TOKEN'\n",
    );
    patient.set("EDITOR", "sed -i s/secrets$/secrets]/");
    patient.is_mended(
        "manifest",
        "oc-secrets.toml:1:",
        "${EDITOR:-vi} @/work/oc-secrets.toml",
    );

    std::fs::remove_file(patient.at("work/oc-secrets.toml")).expect("removed");
    std::fs::remove_dir_all(patient.at("home/.config")).expect("removed");
    assert_eq!(patient.fix("manifest", "built-in list"), "oc-secrets init");
    let mut terminal = Terminal::start(patient.shell("oc-secrets init"), 80);
    terminal.shows("Which of them?").types("1\n");
    assert!(terminal.finish().1.success());
    assert!(Patient::bad(&patient.rows(":"), "manifest", "").is_none());
}

#[test]
fn a_required_secret_that_is_missing_fails_in_the_deep_check() {
    let patient = Patient::healthy();
    patient
        .sandbox
        .manifest("[secrets]\nGONE = 'op://Vault/Item/none'\n");
    assert_eq!(patient.fix("secrets", "not: GONE"), "oc-secrets check");
    let shallow = patient.types("oc-secrets doctor").text();
    assert!(!shallow.contains("GONE"), "{shallow}");
}

#[test]
fn the_helpers_are_brought_onto_path_and_wired() {
    let patient = Patient::healthy();
    for (helper, name) in [
        ("docker-credential-oc", "helper"),
        ("git-credential-oc", "git helper"),
    ] {
        std::fs::remove_file(patient.at("home/bin").join(helper)).expect("removed");
        let fix = patient.fix(name, "not on PATH");
        let link = patient.at("home/bin").join(helper).display().to_string();
        assert!(fix.starts_with("ln -s /") && fix.ends_with(&link), "{fix}");
        assert!(Patient::bad(&patient.rows(&fix), name, "").is_none());
    }
    std::fs::remove_file(patient.at("home/.docker/config.json")).expect("removed");
    patient.is_mended("docker", "ghcr.io", "oc-secrets docker install");
    patient.sandbox.file("bin/podman", "#!/bin/sh\n");
    patient.mode("bin/podman", 0o755);
    std::fs::remove_file(patient.at("home/auth.json")).expect("removed");
    patient.is_mended("podman", "ghcr.io", "oc-secrets docker install --podman");
    patient.types("oc-secrets git uninstall").succeeds();
    patient.is_mended("git", "github.com", "oc-secrets git install");
    patient.types("git config --global credential.helper store && git config --global --unset-all credential.https://github.com.helper && git config --global credential.https://github.com.helper oc").succeeds();
    patient.is_mended("git", "`store` writes", "oc-secrets git install");
}

#[test]
fn a_broken_file_of_docker_is_named() {
    let mut patient = Patient::healthy();
    patient.sandbox.file("home/.docker/config.json", "{]");
    patient.set("EDITOR", "sed -i s/]/}/");
    patient.is_mended(
        "docker",
        "config.json",
        "${EDITOR:-vi} @/home/.docker/config.json",
    );
}

const NPMRC: &str =
    r"sed -i -E '/\$\{/!{/(_authToken|_password|_auth)[[:space:]]*=/d;}' @/home/.npmrc";

#[test]
fn a_password_is_taken_out_of_the_file_behind_a_link_and_nothing_else_is() {
    let patient = Patient::healthy();
    std::fs::create_dir(patient.at("home/dotfiles")).expect("made");
    for (name, text, left, fix) in [
        (
            ".npmrc",
            "//a.example/:_authToken=${NPM_TOKEN}\n//b.example/:_authToken\t= abc\n",
            Some("//a.example/:_authToken=${NPM_TOKEN}\n"),
            NPMRC,
        ),
        (
            ".git-credentials",
            "https://me:pass@github.com\n",
            None,
            "rm @/home/.git-credentials",
        ),
    ] {
        let (file, link) = (
            format!("home/dotfiles/{name}"),
            patient.at("home").join(name),
        );
        patient.sandbox.file(&file, text);
        symlink(patient.at(&file), &link).expect("a link");
        patient.is_mended("passwords", name, &fix.replace("@/home", "@/home/dotfiles"));
        assert!(link.is_symlink(), "{name} was replaced");
        assert_eq!(
            std::fs::read_to_string(patient.at(&file)).ok().as_deref(),
            left
        );
    }
}

#[test]
fn passwords_that_lie_about_are_named_by_file_and_taken_out() {
    let mut patient = Patient::healthy();
    patient.set("EDITOR", "sed -i s/password.*//");
    let token = format!("ghp_{}", "x".repeat(36));
    for (file, text, fix) in [
        (
            ".git-credentials",
            "https://me:pass@github.com\n",
            "rm @/home/.git-credentials",
        ),
        (
            ".netrc",
            "machine x login me password pass\n",
            "${EDITOR:-vi} @/home/.netrc",
        ),
        (".npmrc", "//registry.npmjs.org/:_authToken=abc\n", NPMRC),
        (
            ".pypirc",
            "[pypi]\n\tpassword = pass\n",
            "sed -i '/^[[:space:]]*password/d' @/home/.pypirc",
        ),
        (
            ".bash_history",
            &format!("ls\nexport T={token}\n"),
            "sed -i /ghp_/d @/home/.bash_history",
        ),
    ] {
        patient.sandbox.file(&format!("home/{file}"), text);
        patient.is_mended("passwords", file, fix);
    }
    // References and variables are none.
    patient.sandbox.file(
        "home/.npmrc",
        "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n",
    );
    assert!(Patient::bad(&patient.rows(":"), "passwords", "").is_none());
    let login =
        "{\"auths\":{\"quay.io\":{\"auth\":\"eDp5\"}},\"credHelpers\":{\"ghcr.io\":\"oc\"}}";
    patient.sandbox.file("home/.docker/config.json", login);
    assert_eq!(
        patient.fix("passwords", "config.json"),
        "docker logout quay.io"
    );
    patient.sandbox.file("home/.docker/config.json", "{}");
    // Podman's file that survives a reboot; in a folder whose name has to be quoted.
    let settings = patient.at("home/my settings");
    patient
        .variables
        .retain(|(name, _)| name != "REGISTRY_AUTH_FILE");
    patient.set("XDG_CONFIG_HOME", &settings.display().to_string());
    std::fs::create_dir_all(settings.join("containers")).expect("made");
    patient
        .sandbox
        .file("home/my settings/containers/auth.json", login);
    let file = settings.join("containers/auth.json");
    assert_eq!(
        patient.fix("passwords", "containers/auth.json"),
        format!("podman logout --authfile '{}' quay.io", file.display())
    );
}

#[test]
fn a_newcomer_without_a_manifest_is_led_to_init_and_nothing_fails() {
    let patient = Patient::healthy();
    std::fs::remove_file(patient.at("work/oc-secrets.toml")).expect("removed");
    std::fs::remove_dir_all(patient.at("home/.config")).expect("removed");
    let done = patient.types("oc-secrets doctor");
    let text = done.succeeds();
    let row = "warn  manifest    none was found: the built-in list for OpenClaw is used\n\
               \u{20}                 fix: oc-secrets init\n";
    assert!(text.contains(row), "{text}");
}

#[test]
fn a_limit_that_is_nearly_reached_is_told() {
    let patient = Patient::healthy();
    patient.sandbox.mode("limit=20");
    patient.sandbox.file("double/requests", "18\n");
    let rows = patient.rows(":");
    assert!(
        Patient::bad(&rows, "limit", "of 20 requests to read this hour").is_some(),
        "{rows:#?}"
    );
}

#[test]
fn completion_that_is_not_there_is_a_line_away() {
    let mut patient = Patient::healthy();
    for shell in ["bash", "zsh", "fish"] {
        patient.set("SHELL", &format!("/usr/bin/{shell}"));
        let fix = patient.fix("completion", shell);
        assert!(fix.contains("oc-secrets completions"), "{fix}");
        let mended = patient.rows(&fix);
        let row = mended.iter().find(|row| row["check"] == "completion");
        assert_eq!(row.expect("a row")["state"], "ok", "{fix}");
    }
    patient.set("SHELL", "/bin/sh");
    let rows = patient.rows("true");
    assert!(!rows.iter().any(|row| row["check"] == "completion"));
}

/// A stand-in for the engine at this socket, which takes one password for the registry.
fn engine(socket: &Path) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("a socket");
    let good = data_encoding::BASE64URL.encode(
        json!({"username": "x-access-token", "password": CANARY, "serveraddress": "ghcr.io"})
            .to_string()
            .as_bytes(),
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut lines = BufReader::new(stream.try_clone().expect("its other end")).lines();
            let mut head: Vec<String> = vec![];
            while let Some(Ok(line)) = lines.next() {
                if !line.is_empty() {
                    head.push(line);
                    continue;
                }
                let auth = head.iter().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("x-registry-auth")
                        .then(|| value.to_owned())
                });
                let reads = |text: &str| data_encoding::BASE64URL.decode(text.as_bytes()).ok();
                let is_good = auth.is_some_and(|auth| {
                    let value = |text: &str| serde_json::from_slice::<Value>(&reads(text)?).ok();
                    value(&auth) == value(&good)
                });
                let (status, body) = match head.remove(0) {
                    path if path.contains("/version") => (
                        "200 OK",
                        json!({"Version": "26.1", "ApiVersion": "1.45", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}),
                    ),
                    path if path.contains("/info") => {
                        ("200 OK", json!({"DockerRootDir": "/var/lib/docker"}))
                    }
                    path if path.contains("/distribution/ghcr.io/you/none") && is_good => {
                        ("404 Not Found", json!({"message": "manifest unknown"}))
                    }
                    path if path.contains("/distribution/ghcr.io/you/app") && is_good => (
                        "200 OK",
                        json!({"Descriptor": {"digest": "sha256:0"}, "Platforms": []}),
                    ),
                    _ => ("403 Forbidden", json!({"message": "denied: denied"})),
                };
                head.clear();
                let body = body.to_string();
                let text = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
}

#[test]
fn the_engine_is_asked_whether_the_password_may_pull_an_image() {
    let mut patient = Patient::healthy();
    let row = |patient: &Patient, image: &str| {
        let done = patient.types(&format!("oc-secrets doctor --json --image {image}"));
        let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        assert!(!done.text().contains(CANARY), "{}", done.text());
        let rows = report["checks"].as_array().expect("rows").clone();
        let row = rows
            .into_iter()
            .find(|row| row["check"] == "image")
            .expect("a row");
        (
            row["state"].as_str().expect("a state").to_owned(),
            row["text"].to_string(),
        )
    };
    let socket = patient.at("engine.sock");
    patient.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let (state, text) = row(&patient, "ghcr.io/you/app:1");
    assert!(state == "warn" && text.contains("not asked"), "{text}");
    engine(&socket);
    let (state, text) = row(&patient, "ghcr.io/you/app:1");
    assert_eq!(
        (state.as_str(), text.contains("can be pulled with TOKEN")),
        ("ok", true),
        "{text}"
    );
    let (state, text) = row(&patient, "ghcr.io/you/none");
    assert!(state == "fail" && text.contains("no such image"), "{text}");
    let (state, text) = row(&patient, "quay.io/you/app");
    assert!(
        state == "warn" && text.contains("no password for quay.io"),
        "{text}"
    );
    patient
        .sandbox
        .vault(json!([item("Item", &[("TOKEN", "expired")])]));
    patient.types("oc-secrets lock");
    let (state, text) = row(&patient, "ghcr.io/you/app:1");
    assert!(state == "fail" && text.contains("refuses TOKEN"), "{text}");
}
