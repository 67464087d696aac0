//! A world with a registry in the manifest, for the tests of the credential helpers.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::sandbox::{Done, Run, Sandbox, item};

/// The token of ghcr.io.
pub const TOKEN: &str = "ghp_cAnArY7f3a9b51e2";

/// The answer to `get ghcr.io`.
pub const ANSWER: &str = "{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"ghp_cAnArY7f3a9b51e2\"}\n";

/// Said of every host that is not ours.
pub const NOT_FOUND: &str = "credentials not found in native keychain\n";

/// Root keeps nothing unless the manifest allows it, and CI is root.
pub const CACHE: &str = "[cache]\nttl = \"1m\"\nallow_root = true\n";

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-oc");
const GIT_HELPER: &str = env!("CARGO_BIN_EXE_git-credential-oc");
const OC: &str = env!("CARGO_BIN_EXE_oc-secrets");

/// A sandbox, and the user who works in it.
pub struct World {
    /// The files, the vault, the stand-in.
    pub sandbox: Sandbox,
    user: Option<u32>,
}

impl World {
    /// ghcr.io and github.com with the same token, and a cache.
    pub fn new() -> Self {
        Self::with(CACHE)
    }

    /// The same, with `rest` for a cache.
    pub fn with(rest: &str) -> Self {
        let world = Self {
            sandbox: Sandbox::new(),
            user: None,
        };
        world.token(TOKEN);
        world.manifest(rest);
        for (program, name) in [
            (HELPER, "docker-credential-oc"),
            (GIT_HELPER, "git-credential-oc"),
            (OC, "oc-secrets"),
        ] {
            world
                .sandbox
                .place(Path::new(program), &format!("bin/{name}"));
        }
        world
    }

    /// A world of another user.
    pub fn of_user(user: u32, rest: &str) -> Self {
        let mut world = Self::with(rest);
        world.user = Some(user);
        let root = world.sandbox.path("");
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).expect("its mode");
        chown(&root, Some(user), Some(user)).expect(ROOT);
        // The programs stay root's, whom everybody trusts.
        for directory in ["home", "work", "double"] {
            own(&root.join(directory), user);
        }
        world
    }

    /// The same world, seen by another user.
    pub fn seen_by(&mut self, user: u32) -> &Self {
        self.user = Some(user);
        self
    }

    /// Changes the token in the vault.
    pub fn token(&self, value: &str) {
        self.sandbox
            .vault(json!([item("Token", &[("credential", value)])]));
    }

    /// Writes the manifest with `rest` at its end.
    pub fn manifest(&self, rest: &str) {
        self.sandbox.manifest(&format!(
            "[secrets]\nGHCR_TOKEN = \"op://Vault/Token/credential\"\n\
             [registries.\"ghcr.io\"]\nsecret = \"GHCR_TOKEN\"\n\
             [registries.\"docker.io\"]\nsecret = \"GHCR_TOKEN\"\n\
             [registries.\"localhost:5000\"]\nsecret = \"GHCR_TOKEN\"\ninsecure = true\n\
             [git.\"github.com\"]\nsecret = \"GHCR_TOKEN\"\n{rest}"
        ));
    }

    /// `docker-credential-oc` with these words.
    pub fn helper(&self, words: &[&str]) -> Run {
        self.program("docker-credential-oc", words)
    }

    /// One of our programs with these words.
    pub fn program(&self, name: &str, words: &[&str]) -> Run {
        let program = self.sandbox.path("bin").join(name);
        let run = match self.user {
            None => self.sandbox.run(&program, words),
            Some(user) => {
                let own = program.display().to_string();
                let id = [format!("--reuid={user}"), format!("--regid={user}")];
                let switch: Vec<&str> = id
                    .iter()
                    .map(String::as_str)
                    .chain(["--clear-groups", &own])
                    .collect();
                self.sandbox
                    .run(Path::new("setpriv"), switch.iter().chain(words))
            }
        };
        run.env(
            "OC_SECRETS_MANIFEST",
            self.sandbox.path("work/oc-secrets.toml"),
        )
        .env("OP_SERVICE_ACCOUNT_TOKEN", self.sandbox.token())
    }

    /// One action of the helper.
    pub fn ask(&self, action: &str, input: &str) -> Done {
        self.helper(&[action]).input(input).done()
    }

    /// `get ghcr.io`, which must succeed.
    #[track_caller]
    pub fn gets(&self, expected: &str) {
        assert_eq!(self.ask("get", "ghcr.io").succeeds(), expected);
    }

    /// How often `op` was asked.
    pub fn asked(&self) -> usize {
        self.sandbox.calls().len()
    }

    /// So many `get ghcr.io` at the same time; all of their answers.
    pub fn together(&self, count: usize) -> Vec<Done> {
        let start = |_| {
            let run = self.helper(&["get"]).input("ghcr.io");
            std::thread::spawn(move || run.done())
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("joined"))
            .collect()
    }

    /// A path in this world.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.sandbox.path(relative)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is kept for this world is of no use to anybody else.
        let mut run = self.helper(&["erase"]).input("ghcr.io");
        run.command().stdout(Stdio::null());
        run.done();
    }
}

const ROOT: &str = "this test needs root, to be another user";

/// Gives `path` and all below it to `user`.
fn own(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect(ROOT);
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a directory").flatten() {
            own(&entry.path(), user);
        }
    }
}

/// The names of our keys that the user of this process sees in the kernel, with their timeouts.
pub fn keys() -> Vec<(String, String)> {
    let keys = std::fs::read_to_string("/proc/keys").expect("readable");
    let ours = keys.lines().filter(|line| line.contains("oc-secrets:"));
    ours.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (line.to_owned(), words[3].to_owned())
    })
    .collect()
}
