//! One rendering of many values, one start of a shell, one comparison.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::values::{self, TRACE};

/// A locale in which shells decode.
pub const UTF8: &str = "C.UTF-8";

/// What a child saw: name to bytes.
pub type Environment = BTreeMap<String, Vec<u8>>;

/// One way of reading one format. The script reads the files `text` and `unset` and leaves
/// the environment in `env` and `gone`.
pub struct Case<'a> {
    /// What is rendered.
    pub format: &'a str,
    /// The Debian package of the program.
    pub package: &'a str,
    /// The program and its arguments; the script comes last.
    pub command: &'a [&'a str],
    /// See above.
    pub script: &'a str,
    /// The value of `LC_ALL`.
    pub locale: &'a str,
    /// Naive text for a variable `CONTROL`, and the value that it should have had.
    pub control: (&'a str, &'a str),
}

impl Case<'_> {
    /// Everything that the format agrees to write arrives, nothing runs, and `unset` removes it.
    pub fn check(&self) {
        let Written {
            variables, text, ..
        } = &written(self.format, numbered(&values::all()));
        assert!(variables.len() > 40, "too few values are left");
        let sandbox = Sandbox::new();
        sandbox.write("text", text);
        sandbox.write("unset", &unset(self.format, variables));
        let output = self.run(&sandbox);
        if !self.command.contains(&"-i") {
            assert_silent(&output);
        }
        assert_same(&sandbox.environment("env"), variables);
        assert!(!sandbox.was_trespassed(), "a value was executed");
        if self.script.contains("gone") {
            let left = sandbox.environment("gone");
            assert!(variables.iter().all(|(name, _)| !left.contains_key(name)));
            assert!(left.contains_key("PATH"));
        }
        self.check_control();
    }

    /// The same check, on text without our quoting, notices that the value does not arrive.
    pub fn check_control(&self) {
        let (naive, value) = self.control;
        let sandbox = Sandbox::new();
        sandbox.write("text", naive.as_bytes());
        sandbox.write("unset", b"");
        self.run(&sandbox);
        let read = sandbox.environment("env");
        assert_ne!(
            read.get("CONTROL").map(Vec::as_slice),
            Some(value.as_bytes())
        );
        assert_eq!(sandbox.was_trespassed(), value.contains("touch"));
    }

    pub fn run(&self, sandbox: &Sandbox) -> Output {
        let command = [self.command, &[self.script]].concat();
        sandbox.run(self.package, &command, self.locale)
    }
}

/// A directory of its own for one run, in which a trespass would leave a trace.
pub struct Sandbox(TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(file), bytes).expect("can write");
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(file)).expect("can read")
    }

    /// `oc-secrets env` with the manifest of this directory.
    fn env(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_oc-secrets"))
            .args(["--manifest", "manifest.toml", "--quiet", "env"])
            .args(words)
            .env_clear()
            .env("GITHUB_ENV", self.0.path().join("github"))
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("can run")
    }

    pub fn has(&self, file: &str) -> bool {
        self.0.path().join(file).exists()
    }

    pub fn was_trespassed(&self) -> bool {
        self.has(TRACE)
    }

    /// Runs `command` with next to no environment.
    pub fn run(&self, package: &str, command: &[&str], locale: &str) -> Output {
        let readers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shells/readers.py");
        let program = ["/usr/bin", "/bin"]
            .map(|directory| Path::new(directory).join(command[0]))
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("{} is missing: apt-get install {package}", command[0]));
        Command::new(program)
            .args(&command[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.0.path())
            .env("LC_ALL", locale)
            .env("READERS", readers)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("can run")
    }

    /// What `env -0` left in `file`; nothing if it never got there.
    pub fn environment(&self, file: &str) -> Environment {
        let dump = std::fs::read(self.0.path().join(file)).unwrap_or_default();
        dump.split(|&byte| byte == 0)
            .filter_map(|entry| {
                let equals = entry.iter().position(|&byte| byte == b'=')?;
                let name = String::from_utf8(entry[..equals].to_vec()).ok()?;
                Some((name, entry[equals + 1..].to_vec()))
            })
            .collect()
    }
}

/// A name and its value.
pub type Variable = (String, String);

/// One name per value; fish and Xonsh split what ends in `PATH` or `DIRS`.
pub fn numbered(values: &[impl ToString]) -> Vec<Variable> {
    let name = |number| format!("V{number}{}", ["", "PATH", "DIRS"][number % 3]);
    let values = values.iter().enumerate();
    values
        .map(|(number, value)| (name(number), value.to_string()))
        .collect()
}

/// What `env` printed.
pub struct Written {
    /// Those that the format agreed to write.
    pub variables: Vec<Variable>,
    /// Standard output.
    pub text: Vec<u8>,
    /// For `github`: what was appended to its file.
    pub file: Vec<u8>,
}

/// Has `oc-secrets env` write `variables`, without those that it names as what cannot be written.
pub fn written(format: &str, mut variables: Vec<Variable>) -> Written {
    let sandbox = Sandbox::new();
    loop {
        let lines = variables.iter().map(|(name, value)| {
            let value = serde_json::to_string(value)
                .expect("text")
                .replace('\u{7f}', "\\u007f");
            format!("{name} = {value}\n")
        });
        let manifest = format!("[vars]\n{}", lines.collect::<String>());
        sandbox.write("manifest.toml", manifest.as_bytes());
        sandbox.write("github", b"");
        let output = sandbox.env(&["--format", format]);
        if output.status.success() {
            return Written {
                variables,
                text: output.stdout,
                file: sandbox.read("github"),
            };
        }
        let refused = refused(&String::from_utf8_lossy(&output.stderr), &variables);
        variables.remove(refused);
    }
}

/// The variable that an error is about: by its name, or by its line in the manifest.
fn refused(error: &str, variables: &[Variable]) -> usize {
    let text = error.strip_prefix("oc-secrets: error: ").unwrap_or(error);
    let line = text.strip_prefix("manifest.toml:");
    let line = line.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let by_name = || {
        let (name, _) = text.split_once(" cannot be written as ")?;
        variables.iter().position(|(own, _)| own == name)
    };
    line.map(|line| line - 2)
        .or_else(by_name)
        .unwrap_or_else(|| panic!("{error}"))
}

/// What `env --unset` prints for these variables; nothing where the format has no such thing.
fn unset(format: &str, variables: &[Variable]) -> Vec<u8> {
    let sandbox = Sandbox::new();
    let names = variables.iter().map(|(name, _)| format!("{name} = ''\n"));
    let manifest = format!("[vars]\n{}", names.collect::<String>());
    sandbox.write("manifest.toml", manifest.as_bytes());
    let output = sandbox.env(&["--format", format, "--unset"]);
    match output.status.success() {
        true => output.stdout,
        false => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(error.contains("has no way to unset"), "{error}");
            vec![]
        }
    }
}

/// What a failed `env` prints for the reader of this format.
pub fn failure(format: &str) -> String {
    let output = Sandbox::new().env(&["--format", format]);
    assert_eq!(output.status.code(), Some(2), "there is no manifest");
    String::from_utf8(output.stdout).expect("text")
}

pub fn assert_same(environment: &Environment, expected: &[Variable]) {
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(name, value)| environment.get(name).map(Vec::as_slice) != Some(value.as_bytes()))
        .map(|(name, value)| {
            let got = environment.get(name);
            let got = got.map_or_else(|| "nothing".to_owned(), |bytes| shown(bytes));
            format!("{name}: {}\n  arrived as {got}", shown(value.as_bytes()))
        })
        .collect();
    let (count, total) = (wrong.len(), expected.len());
    let some = wrong[..count.min(5)].join("\n");
    assert!(wrong.is_empty(), "{count} of {total} differ\n{some}");
}

pub fn assert_silent(output: &Output) {
    let (out, err) = (shown(&output.stdout), shown(&output.stderr));
    assert!(output.status.success(), "{}: {out} {err}", output.status);
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
}

pub fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(300)].escape_ascii().to_string()
}
