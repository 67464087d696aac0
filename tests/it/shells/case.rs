//! One rendering of many values, one start of a shell, one comparison.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::text::{self, Variable};
use super::values::{self, TRACE};

/// A locale in which shells decode.
pub const UTF8: &str = "C.UTF-8";

/// What a child saw: name to bytes.
pub type Environment = BTreeMap<String, Vec<u8>>;

/// One way of reading one format. The script reads the files `text` and `unset` and leaves
/// the environment in `env` and `gone`.
pub struct Case<'a> {
    /// What `--format` is given.
    pub format: &'static str,
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
    pub fn check(&self) {
        self.check_values(false);
        self.check_control();
    }

    /// The same with values of UTF-8 only.
    pub fn check_utf8(&self) {
        self.check_values(true);
        self.check_control();
    }

    /// Everything that the format agrees to write arrives, nothing runs, and `unset` removes it.
    fn check_values(&self, utf8_only: bool) {
        let text = text::of_all_values(self.format, utf8_only);
        let text = text.get().expect("written");
        assert!(text.variables.len() > 40, "too few values are left");
        let sandbox = Sandbox::new();
        sandbox.write("text", &text.set);
        sandbox.write("unset", &text.unset);
        let output = self.run(&sandbox);
        if !self.command.contains(&"-i") {
            assert_silent(&output);
        }
        assert_same(&sandbox.environment("env"), &text.variables);
        assert!(!sandbox.was_trespassed(), "a value was executed");
        values::tell(self.format, self.command[0], text.variables.len());
        if self.script.contains("gone") {
            let left = sandbox.environment("gone");
            let mut names = text.variables.iter().map(|(name, _)| name);
            assert!(names.all(|name| !left.contains_key(name)));
            assert!(left.contains_key("PATH"));
        }
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

pub fn assert_same(environment: &Environment, expected: &[Variable]) {
    let wrong: Vec<_> = expected
        .iter()
        .filter(|(name, value)| environment.get(name) != Some(value))
        .map(|(name, value)| {
            let got = environment.get(name);
            let got = got.map_or_else(|| "nothing".to_owned(), |bytes| shown(bytes));
            format!("{name}: {}\n  arrived as {got}", shown(value))
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
