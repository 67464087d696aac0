//! A world of its own for each test: a home, a vault, the stand-in for `op` first on PATH, an
//! empty environment, and commands whose whole output is compared.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, SigHandler, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The secret that must never be seen where it does not belong.
pub const CANARY: &str = "cAnArY-7f3a9b51'e2-secret";

/// Values that others alter on the way; the names say how.
pub fn awkward() -> Vec<(&'static str, String)> {
    [
        ("NEWLINE", "one\ntwo\nthree"),
        ("TRAILING", "ends with two\n\n"),
        ("LEADING", "\n\t  blanks at both ends \t\n "),
        ("SQUOTE", "it's ''quoted''"),
        ("DQUOTE", "a \"quoted\" word"),
        ("DOLLAR", "$(touch pwned) `touch pwned` $HOME ${IFS}"),
        ("BACKSLASH", "\\n \\\\ \\' \\"),
        ("UNICODE", "grüße \u{2019} \u{1f980} \u{2028}"),
        ("EQUALS", "a=b==c"),
        ("HASH", "a #b # c"),
        ("CRLF", "one\r\ntwo\r\n"),
        ("SPOOF", "x\nEQUALS=spoofed\nDOLLAR=spoofed"),
        ("TEMPLATE", "{{ op://v/i/f }} op://Vault/Item/field ${X:-y}"),
        ("TABS", "\ta\tb\t"),
        ("BANG", "wow!! !1 !$"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into_iter()
    .chain([("LONG", "0123456789abcdef".repeat(4096))])
    .collect()
}

/// One test's world.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// A world with the stand-in, an empty vault `Vault` and an empty directory to work in.
    pub fn new() -> Self {
        let sandbox = Self {
            root: tempfile::Builder::new()
                .prefix("oc-")
                .tempdir()
                .expect("a directory"),
        };
        for directory in ["home", "bin", "double", "work"] {
            std::fs::create_dir(sandbox.path(directory)).expect("a directory");
        }
        sandbox.place(&double(), "bin/op");
        sandbox.vault(json!([]));
        sandbox
    }

    /// A world whose item `Item` in `Vault` has these fields, and whose manifest asks for them.
    pub fn with_fields<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Self {
        let sandbox = Self::new();
        sandbox.vault(json!([item("Item", fields)]));
        let lines = fields.iter().map(|(name, _)| {
            let name = name.as_ref();
            format!("{name} = \"op://Vault/Item/{name}\"\n")
        });
        sandbox.manifest(&format!("[secrets]\n{}", lines.collect::<String>()));
        sandbox
    }

    /// A path in this world.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Copies a program by another process. Where we held it open for writing ourselves, a child
    /// of another test would hold it too for a moment, and nobody could execute it (ETXTBSY).
    pub fn place(&self, program: &Path, relative: &str) {
        let copied = Command::new("cp")
            .arg(program)
            .arg(self.path(relative))
            .status();
        assert!(
            copied.expect("cp runs").success(),
            "{} was built by cargo",
            program.display()
        );
    }

    /// Replaces the items of the vault `Vault`.
    pub fn vault(&self, items: Value) -> &Self {
        let vaults = json!({ "vaults": [
            { "id": "v".repeat(26), "name": "Vault", "items": items }
        ] });
        self.file("double/vaults.json", &vaults.to_string())
    }

    /// How the stand-in misbehaves: one word or `key=value` a line.
    pub fn mode(&self, mode: &str) -> &Self {
        self.file("double/mode", mode)
    }

    /// Writes the manifest of the directory to work in, and allows it unless it is broken.
    pub fn manifest(&self, text: &str) -> &Self {
        self.file("work/oc-secrets.toml", text);
        self.oc(["allow", "--yes"]).done();
        self
    }

    /// Writes a file.
    pub fn file(&self, relative: &str, text: &str) -> &Self {
        let path = self.path(relative);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("its mode");
        self
    }

    /// `oc-secrets` with these words, in a clean environment with a service-account token.
    pub fn oc<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        self.run(Path::new(env!("CARGO_BIN_EXE_oc-secrets")), words)
            .env("OP_SERVICE_ACCOUNT_TOKEN", self.token())
    }

    /// A service-account token of this world alone: what is remembered of it is no other's.
    pub fn token(&self) -> String {
        let name = self.root.path().file_name().expect("a name");
        format!("ops_{}", name.to_str().expect("text"))
    }

    /// Any program in the same clean environment.
    pub fn run<S: AsRef<OsStr>>(&self, program: &Path, words: impl IntoIterator<Item = S>) -> Run {
        let mut command = Command::new(program);
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            self.path("bin").display()
        );
        command
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .current_dir(self.path("work"))
            .stdin(Stdio::null());
        heed_signals(&mut command);
        Run {
            command,
            input: None,
        }
    }

    /// What the stand-in noted: one record for each call that began.
    pub fn calls(&self) -> Vec<Value> {
        self.notes()
            .into_iter()
            .filter(|note| note.get("argv").is_some())
            .collect()
    }

    /// The command words of each call, such as `run` or `item get`.
    pub fn commands(&self) -> Vec<String> {
        let words = |call: &Value| {
            let words = call["argv"].as_array().expect("argv").iter().skip(1);
            let plain = words
                .filter_map(Value::as_str)
                .take_while(|word| *word != "--")
                .filter(|word| !word.starts_with('-') && !word.starts_with("op://"));
            plain.take(2).collect::<Vec<_>>().join(" ")
        };
        self.calls().iter().map(words).collect()
    }

    /// Every note of the stand-in.
    pub fn notes(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.path("double/calls.jsonl")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }

    /// Asserts that no stand-in of this world runs any more. The killed child of a killed `op` is
    /// reaped by init, in its own time.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.survivors().is_empty() {
            assert!(
                Instant::now() < deadline,
                "left behind: {:?}",
                self.survivors()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a stand-in has ended, and a moment longer, in which its answer is used.
    #[track_caller]
    pub fn wait_until_op_has_ended(&self) {
        until("`op` ends", || {
            self.notes().iter().any(|note| note["end"].is_u64())
        });
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Waits until so many stand-ins have begun.
    #[track_caller]
    pub fn wait_for_calls(&self, count: usize) {
        until("`op` is started", || self.calls().len() >= count);
    }

    /// The pids of this world's stand-ins that still run, whoever their parent is now.
    pub fn survivors(&self) -> Vec<u32> {
        let program = self.path("bin/op");
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        processes
            .filter(|entry| {
                std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program)
            })
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}

/// Waits until `it` holds; a test never waits for ever.
#[track_caller]
pub fn until(what: &str, it: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !it() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An item with fields of this name and value.
pub fn item<N: AsRef<str>, V: AsRef<str>>(title: &str, fields: &[(N, V)]) -> Value {
    let field = |(name, value): &(N, V)| json!({ "id": name.as_ref(), "type": "CONCEALED", "label": name.as_ref(), "value": value.as_ref() });
    let id: String = title
        .bytes()
        .cycle()
        .filter(u8::is_ascii_alphanumeric)
        .take(26)
        .map(char::from)
        .collect();
    json!({
        "id": id.to_lowercase(), "title": title, "category": "API_CREDENTIAL",
        "fields": fields.iter().map(field).collect::<Vec<_>>()
    })
}

/// Has it start with no signal ignored, however these tests were started: `nohup` and a shell's `&`
/// leave some ignored, and that is inherited.
fn heed_signals(command: &mut Command) {
    let reset = || {
        for signal in [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
        ] {
            // SAFETY: the default action replaces whatever was there; no handler of ours is involved.
            unsafe { signal::signal(signal, SigHandler::SigDfl)? };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only signal(2) is called, which is async-signal-safe.
    unsafe { command.pre_exec(reset) };
}

/// The stand-in, which cargo builds beside the programs.
fn double() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_oc-secrets"));
    program.with_file_name("examples").join("op-double")
}

/// A command that is about to run.
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Run {
    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Adds a word.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.command.arg(word);
        self
    }

    /// Works elsewhere.
    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Gives it a text to read.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// The command itself, for what has no word here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    pub fn done(mut self) -> Done {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = self.command.spawn().expect("it starts");
        if let Some(input) = self.input {
            // The child may end before it has read all.
            let _ = child.stdin.take().expect("a pipe").write_all(&input);
        }
        let output = child.wait_with_output().expect("it ends");
        Done {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("text on stderr"),
            took: begun.elapsed(),
        }
    }
}

/// What a command did.
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything on standard output.
    pub stdout: Vec<u8>,
    /// Everything on standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Done {
    /// Asserts success and an empty stderr; gives standard output as text.
    #[track_caller]
    pub fn succeeds(&self) -> String {
        assert_eq!(
            (self.status.code(), self.stderr.as_str()),
            (Some(0), ""),
            "{}",
            self.text()
        );
        self.text()
    }

    /// Asserts success and this stderr; gives standard output as text.
    #[track_caller]
    pub fn succeeds_saying(&self, stderr: &str) -> String {
        assert_eq!(
            (self.status.code(), self.stderr.as_str()),
            (Some(0), stderr)
        );
        self.text()
    }

    /// Asserts this exit code, an empty standard output, and this stderr.
    #[track_caller]
    pub fn fails(&self, code: i32, stderr: &str) {
        assert_eq!(
            (
                self.status.code(),
                self.stderr.as_str(),
                self.text().as_str()
            ),
            (Some(code), stderr, ""),
            "signal {:?}",
            self.status.signal()
        );
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("text")
    }

    /// Standard output as `env -0` prints an environment.
    pub fn environment(&self) -> Vec<(OsString, Vec<u8>)> {
        use std::os::unix::ffi::OsStringExt;
        let entries = self
            .stdout
            .split(|&byte| byte == 0)
            .filter(|entry| !entry.is_empty());
        let pair = |entry: &[u8]| {
            let at = entry.iter().position(|&byte| byte == b'=').expect("a name");
            (
                OsString::from_vec(entry[..at].to_vec()),
                entry[at + 1..].to_vec(),
            )
        };
        entries.map(pair).collect()
    }
}
