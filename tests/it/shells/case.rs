//! One rendering of many values, one start of a shell, one comparison.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use oc_secrets::base::env_name::EnvName;
use oc_secrets::broker::sink::text::{self, Format, Variable};
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
    pub format: Format,
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
        self.check_values(|_| true);
        self.check_control();
    }

    /// Everything that the format agrees to write arrives, nothing runs, and `unset` removes it.
    pub fn check_values(&self, wanted: impl Fn(&[u8]) -> bool) {
        let values: Vec<_> = values::all()
            .into_iter()
            .filter(|value| wanted(value) && self.accepts(value))
            .collect();
        assert!(values.len() > 40, "too few values are left");
        let names = numbered(&values);
        let variables = variables(&names, &values);
        let text = text::render(self.format, &variables).expect("each could be written");
        let unset = text::unset(self.format, &names.iter().collect::<Vec<_>>());
        let sandbox = Sandbox::new();
        sandbox.write("text", &text);
        sandbox.write("unset", unset.as_deref().unwrap_or_default().as_bytes());
        let output = self.run(&sandbox);
        if !self.command.contains(&"-i") {
            assert_silent(&output);
        }
        assert_same(&sandbox.environment("env"), &variables);
        assert!(!sandbox.was_trespassed(), "a value was executed");
        if self.script.contains("gone") {
            let left = sandbox.environment("gone");
            assert!(names.iter().all(|name| !left.contains_key(name.as_str())));
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

    fn accepts(&self, value: &[u8]) -> bool {
        let name = EnvName::parse("N").expect("a name");
        let variable = Variable { name: &name, value };
        text::render(self.format, &[variable]).is_ok()
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

/// One name per value; fish and Xonsh split what ends in `PATH` or `DIRS`.
pub fn numbered<T>(values: &[T]) -> Vec<EnvName> {
    (0..values.len())
        .map(|number| format!("V{number}{}", ["", "PATH", "DIRS"][number % 3]))
        .map(|name| EnvName::parse(&name).expect("a name"))
        .collect()
}

pub fn variables<'a, T: AsRef<[u8]>>(names: &'a [EnvName], values: &'a [T]) -> Vec<Variable<'a>> {
    let of = |(name, value): (&'a EnvName, &'a T)| Variable {
        name,
        value: value.as_ref(),
    };
    names.iter().zip(values).map(of).collect()
}

pub fn assert_same(environment: &Environment, expected: &[Variable<'_>]) {
    let wrong: Vec<_> = expected
        .iter()
        .filter(|it| environment.get(it.name.as_str()).map(Vec::as_slice) != Some(it.value))
        .map(|it| {
            let got = environment.get(it.name.as_str());
            let got = got.map_or_else(|| "nothing".to_owned(), |bytes| shown(bytes));
            format!("{}: {}\n  arrived as {got}", it.name, shown(it.value))
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
