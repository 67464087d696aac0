//! The host of the checks: private mounts, an engine, a registry with a proxy before it, and the
//! program under test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::images::{self, Images};
use crate::registry_proxy::RegistryProxy;

/// The program under test, copied to where no check looks for tokens.
pub const PROGRAM: &str = "/mnt/openclaw-deploy";
/// Its companion, and the stand-in for `op`, whose vault is below `/mnt/double`.
pub const SECRETS: &str = "/mnt/oc-secrets";
/// See [`SECRETS`].
pub const OP: &str = "/mnt/bin/op";
/// A token that the registry accepts.
pub const GOOD: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
/// Steps that need no systemd.
pub const STEPS: &str = "docker,files,gateway";
/// A PATH without anything of the developer's.
pub const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
const PLUGINS: &str = "/usr/local/lib/docker/cli-plugins";

/// Everything the checks need.
pub struct World {
    /// Scratch, on a disk.
    pub scratch: PathBuf,
    /// Before the registry.
    pub proxy: RegistryProxy,
    /// What the registry holds.
    pub images: Images,
    engine: Mutex<Option<Child>>,
    registry: Mutex<Child>,
}

/// What the program did.
pub struct Ran {
    /// Its exit code, or minus the signal.
    pub code: i32,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
    /// Seconds.
    pub took: f64,
}

impl World {
    /// Sets up.
    pub fn begin() -> Result<Self, String> {
        // The id of a process is always the same in a fresh namespace: the time tells runs apart.
        let unique = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let scratch = PathBuf::from(format!(
            "/var/tmp/oc-deploy-tests.{}",
            unique.map_or(0, |it| it.as_nanos())
        ));
        fs::create_dir_all(&scratch).map_err(|why| why.to_string())?;
        // An engine trusts whatever resolves to 127.0.0.0/8; a registry with TLS needs another address.
        sh("ip link set lo up && ip address add 10.9.9.9/32 dev lo")?;
        // All that lies where developers have it, before their homes are hidden: nothing needs them from
        // then on, and no token is looked for there.
        images::compile(&scratch)?;
        copy_programs(&scratch)?;
        let plugin = compose_plugin()?;
        let copied = scratch.join("docker-compose");
        fs::copy(plugin, &copied).map_err(|why| format!("copy compose: {why}"))?;
        for place in [
            "/run",
            "/home",
            "/root",
            "/var/lib/docker",
            "/etc/docker",
            PLUGINS,
        ] {
            sh(&format!(
                "mkdir -p {place}; mount -t tmpfs -o mode=755 tmpfs {place}"
            ))?;
        }
        sh(
            "mkdir -p /var/lib/openclaw-deploy && mount -t tmpfs -o mode=700,size=400m tmpfs /var/lib/openclaw-deploy",
        )?;
        fs::copy(&copied, format!("{PLUGINS}/docker-compose")).map_err(|why| why.to_string())?;
        sh(&format!("chmod 755 {PLUGINS}/docker-compose"))?;
        private_accounts(&scratch)?;
        let registry = start_registry(&scratch)?;
        let engine = start_engine(&scratch)?;
        let proxy = RegistryProxy::open(5000);
        let images = Images::publish(&scratch)?;
        Ok(Self {
            scratch,
            proxy,
            images,
            engine: Mutex::new(Some(engine)),
            registry: Mutex::new(registry),
        })
    }

    /// Ends all that was started.
    pub fn end(&self) {
        self.stop_engine();
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = registry.kill();
        let _ = registry.wait();
        let _ = fs::remove_dir_all(&self.scratch);
    }

    /// Stops the engine.
    pub fn stop_engine(&self) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = engine.take() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }

    /// Starts the engine again.
    pub fn start_engine(&self) -> Outcome {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(start_engine(&self.scratch)?);
        Ok(())
    }

    /// An empty engine, an empty host and an open proxy.
    pub fn reset(&self) -> Outcome {
        self.proxy.reset();
        sh(
            "docker ps -aq | xargs -r docker rm -f >/dev/null; docker images -aq --no-trunc | sort -u | xargs -r docker rmi -f >/dev/null 2>&1; \
            docker network prune -f >/dev/null; docker volume ls -q | xargs -r docker volume rm -f >/dev/null",
        )?;
        sh("rm -rf /home/* /run/openclaw-deploy*; find /root /var/lib/openclaw-deploy -mindepth 1 -delete; mkdir /root/.docker; \
            install -d -m 755 -o 1001 -g 1001 /home/deploy")
            .map(drop)
    }

    /// Runs the program with these arguments and the good token.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.with_token(Some(GOOD), args)
    }

    /// Runs the program with this token or none.
    pub fn with_token(&self, token: Option<&str>, args: &[&str]) -> Ran {
        finish(self.command(token, args))
    }

    /// The program as a command, for checks that need more.
    pub fn command(&self, token: Option<&str>, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .stdin(Stdio::null());
        if let Some(token) = token {
            command.env("GHCR_TOKEN", token);
        }
        command
    }

    /// The program under strace, which writes to `trace`; its arguments and its token are still to come.
    pub fn traced(&self, options: &[&str], trace: &Path) -> Command {
        let mut command = Command::new("strace");
        command
            .args(["-qq", "-o"])
            .arg(trace)
            .args(options)
            .arg(PROGRAM)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .stdin(Stdio::null());
        command
    }

    /// Bootstraps `tag` through the proxy with the steps that need no systemd.
    pub fn bootstrap(&self, tag: &str, more: &[&str]) -> Ran {
        self.bootstrap_as(Some(GOOD), tag, more)
    }

    /// The same with another token.
    pub fn bootstrap_as(&self, token: Option<&str>, tag: &str, more: &[&str]) -> Ran {
        let args = [&["--health-timeout", "8s"], more].concat();
        finish(self.bootstrapping(token, &self.image(tag), &args))
    }

    /// A bootstrap of the image of this name, as a command.
    pub fn bootstrapping(&self, token: Option<&str>, image: &str, more: &[&str]) -> Command {
        let args = [
            "bootstrap",
            "--only",
            STEPS,
            "--image",
            image,
            "--upstream-image",
            "",
        ];
        self.command(token, &[&args, more].concat())
    }

    /// Files below `places` (words for a shell) that hold one of `needles`, one a line. The needles
    /// are on no command line.
    pub fn files_with<T: AsRef<str>>(&self, needles: &[T], places: &str) -> Result<String, String> {
        let list = self.scratch.join("needles").display().to_string();
        let needles: Vec<&str> = needles.iter().map(AsRef::as_ref).collect();
        put(&list, &needles.join("\n"))?;
        sh(&format!("grep -rlasF -f {list} -- {places}; rm {list}"))
    }

    /// The reference of `tag` at the proxy.
    pub fn image(&self, tag: &str) -> String {
        format!("127.0.0.1:{}/me/openclaw:{tag}", self.proxy.port)
    }
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Ran {
    let start = Instant::now();
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let took = start.elapsed().as_secs_f64();
    match output {
        Ok(output) => ran(&output, took),
        Err(why) => Ran {
            code: 999,
            out: String::new(),
            err: why.to_string(),
            took,
        },
    }
}

/// What a finished process did.
pub fn ran(output: &Output, took: f64) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    Ran {
        code: output
            .status
            .code()
            .unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        took,
    }
}

impl Ran {
    /// Demands an exit code.
    pub fn exits(&self, code: i32) -> Result<&Self, String> {
        if self.code == code {
            Ok(self)
        } else {
            Err(format!(
                "wanted exit {code}, saw {}:\n{}{}",
                self.code, self.out, self.err
            ))
        }
    }

    /// Demands words in stdout or stderr.
    pub fn says(&self, words: &str) -> Result<&Self, String> {
        if self.out.contains(words) || self.err.contains(words) {
            Ok(self)
        } else {
            Err(format!(
                "wanted the words {words:?}, saw:\n{}{}",
                self.out, self.err
            ))
        }
    }

    /// Demands that words are nowhere.
    pub fn never_says(&self, words: &str) -> Result<&Self, String> {
        if self.out.contains(words) || self.err.contains(words) {
            Err(format!("did not want {words:?}:\n{}{}", self.out, self.err))
        } else {
            Ok(self)
        }
    }
}

/// Demands that `truth` holds.
pub fn hold(truth: bool, what: impl AsRef<str>) -> Outcome {
    if truth {
        Ok(())
    } else {
        Err(what.as_ref().to_owned())
    }
}

/// Demands that two values are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, saw: T, wanted: T) -> Outcome {
    if saw == wanted {
        Ok(())
    } else {
        Err(format!("{what}: wanted {wanted:?}, saw {saw:?}"))
    }
}

/// A line of shell, for setting things up. Returns its stdout.
pub fn sh(line: &str) -> Result<String, String> {
    let output = Command::new("bash")
        .args(["-c", line])
        .env("PATH", PATH)
        .output()
        .map_err(|why| why.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!(
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The version that answers on the gateway's port.
pub fn answering() -> String {
    sh("curl -s -m 2 http://127.0.0.1:18789/version").unwrap_or_else(|_| "nothing".to_owned())
}

/// What `docker inspect` says of the gateway.
pub fn inspect(format: &str) -> Result<String, String> {
    sh(&format!(
        "docker inspect openclaw-openclaw-gateway-1 --format '{format}'"
    ))
}

/// Waits until `truth` holds.
pub fn wait_for(seconds: u64, mut truth: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < deadline {
        if truth() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Where Compose v2 was installed by `tests/deploy/setup`.
fn compose_plugin() -> Result<PathBuf, String> {
    [
        "/usr/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        PLUGINS,
    ]
    .iter()
    .map(|place| Path::new(place).join("docker-compose"))
    .find(|path| path.is_file())
    .ok_or_else(|| "Compose v2 is not installed; see tests/deploy/setup".to_owned())
}

/// The programs of this tree, to where no check looks for tokens.
fn copy_programs(scratch: &Path) -> Outcome {
    let place = scratch.join("programs");
    let place = place.display();
    let deploy = Path::new(env!("CARGO_BIN_EXE_openclaw-deploy"));
    let double = deploy.with_file_name("examples").join("op-double");
    sh(&format!("mkdir -p {place}/bin {place}/double"))?;
    for (from, to) in [
        (deploy, PROGRAM),
        (Path::new(env!("CARGO_BIN_EXE_oc-secrets")), SECRETS),
        (&double, OP),
    ] {
        let to = format!("{place}{}", to.trim_start_matches("/mnt"));
        fs::copy(from, to).map_err(|why| format!("{}: {why}", from.display()))?;
    }
    sh(&format!("mount --bind {place} /mnt")).map(drop)
}

/// A deploy user, and names for 127.0.0.1, on private copies of the system's files.
fn private_accounts(scratch: &Path) -> Outcome {
    for (file, line) in [
        ("passwd", "deploy:x:1001:1001::/home/deploy:/bin/bash"),
        ("group", "deploy:x:1001:"),
        ("hosts", "10.9.9.9 registry.test"),
    ] {
        let copy = scratch.join(file);
        let mut text = fs::read_to_string(format!("/etc/{file}")).unwrap_or_default();
        text.push_str(&format!("{line}\n"));
        fs::write(&copy, text).map_err(|why| why.to_string())?;
        sh(&format!("mount --bind {} /etc/{file}", copy.display()))?;
    }
    Ok(())
}

fn start_registry(scratch: &Path) -> Result<Child, String> {
    let config = scratch.join("registry.yml");
    let store = scratch.join("registry");
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:5000\"}}\n",
        store.display()
    );
    fs::write(&config, text).map_err(|why| why.to_string())?;
    let log = fs::File::create(scratch.join("registry.log")).map_err(|why| why.to_string())?;
    let child = Command::new("docker-registry")
        .args(["serve".as_ref(), config.as_os_str()])
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|why| format!("docker-registry: {why}"))?;
    let up = wait_for(10, || sh("curl -sf http://127.0.0.1:5000/v2/").is_ok());
    hold(up, "the registry does not answer").map(|()| child)
}

fn start_engine(scratch: &Path) -> Result<Child, String> {
    let _ = fs::remove_file("/run/docker.pid");
    let log = fs::File::create(scratch.join("dockerd.log")).map_err(|why| why.to_string())?;
    let child = Command::new("dockerd")
        .arg("--data-root")
        .arg(scratch.join("docker"))
        .args([
            "--exec-root",
            "/run/docker",
            "--pidfile",
            "/run/docker.pid",
            "-H",
            "unix:///var/run/docker.sock",
        ])
        .env("PATH", PATH)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|why| format!("dockerd: {why}"))?;
    let up = wait_for(30, || sh("docker version").is_ok());
    hold(up, "dockerd does not answer; see its log").map(|()| child)
}

/// Text to a file, for setting things up.
pub fn put(path: &str, text: &str) -> Outcome {
    let mut file = fs::File::create(path).map_err(|why| format!("{path}: {why}"))?;
    file.write_all(text.as_bytes())
        .map_err(|why| why.to_string())
}

/// The text of a file, "" where there is none.
pub fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
