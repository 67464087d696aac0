//! The one door to this host: every foreign program and every file goes through it.
//!
//! A program is found in a fixed list of directories, gets an environment that is made here (so
//! no token of ours reaches it), `/dev/null` or given bytes as stdin, a deadline, a cap on its
//! output, and is killed when we give up. No shell is ever involved. With `--root DIR` every
//! path lies below DIR, and programs run inside it (`chroot`), except those that serve the
//! operator's side ([`Program::outside`]: the Docker client).

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::{Exit, Failure, Result};

/// Where programs are looked for, and the PATH that they get.
pub const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    deadline: Duration,
    cap: usize,
    outside: bool,
}

impl Program {
    /// `name` is an absolute path, or a plain name that is looked up in [`SEARCH`].
    #[must_use]
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            input: Vec::new(),
            deadline: Duration::from_secs(60),
            cap: 1 << 20,
            outside: false,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable beside PATH, HOME and LC_ALL, which are always there.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Bytes for its stdin, which is `/dev/null` otherwise.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// When to give up; 60 s unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs on the operator's side even under `--root`.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.outside = true;
        self
    }

    /// The name without its directory, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        Path::new(&self.name)
            .file_name()
            .unwrap_or(&self.name)
            .to_string_lossy()
            .into_owned()
    }
}

/// What a program answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its stdout, up to the cap.
    pub stdout: String,
    /// Its stderr, up to the cap.
    pub stderr: String,
}

impl Answer {
    /// Whether it exited with 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The last line that says something, of stderr or else stdout.
    #[must_use]
    pub fn last_line(&self) -> &str {
        [&self.stderr, &self.stdout]
            .into_iter()
            .flat_map(|text| text.lines().rev())
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("no output")
    }
}

/// What a file is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// Numeric user and group; `None` leaves those of whoever runs us.
    pub owner: Option<(u32, u32)>,
}

/// This host, or the tree below `--root`.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    runtime: Rc<Runtime>,
    interrupt: Option<watch::Receiver<bool>>,
    shielded: Rc<Cell<bool>>,
}

impl Host {
    /// A host whose `/` is `root`.
    ///
    /// # Errors
    /// When the system gives us no event loop.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| Failure::system("start the event loop", why))?;
        Ok(Self {
            root: root.into(),
            runtime: Rc::new(runtime),
            interrupt: None,
            shielded: Rc::default(),
        })
    }

    /// From now on SIGINT, SIGTERM and SIGHUP end what waits, in an orderly way, instead of us.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn heed_signals(&mut self) -> Result<()> {
        let _inside = self.runtime.enter();
        let fail = |why: io::Error| Failure::system("listen for signals", why);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(fail)?;
        let (sender, receiver) = watch::channel(false);
        self.runtime.spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let _ = sender.send(true);
            sender.closed().await;
        });
        self.interrupt = Some(receiver);
        Ok(())
    }

    /// While putting things back, signals are noted but end nothing.
    pub fn shield(&self, on: bool) {
        self.shielded.set(on);
    }

    /// Whether a signal has asked us to end.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.wait(tokio::task::yield_now());
        self.interrupt.as_ref().is_some_and(|heard| *heard.borrow())
    }

    /// `work`, unless a signal asks us to end first.
    ///
    /// # Errors
    /// [`interrupted`], or those of `work`.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.interrupt {
            Some(heard) if !self.shielded.get() => {
                let mut heard = heard.clone();
                tokio::select! {
                    biased;
                    _ = heard.wait_for(|asked| *asked) => Err(interrupted()),
                    result = work => result,
                }
            }
            _ => work.await,
        }
    }

    /// Runs a future to its end. Not from within another one.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Whether `/` is `/`.
    #[must_use]
    pub fn is_real_root(&self) -> bool {
        self.root == Path::new("/")
    }

    /// `path` (absolute, as the host sees it) below the root.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether something is there, be it a dangling link.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Where `name` is installed, as the host sees it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        find_in(name, |path| self.path(path))
    }

    /// A text file, `None` where there is none. Invalid UTF-8 is replaced, 1 MiB is the most.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        match File::open(self.path(path)) {
            Ok(file) => file
                .take(1 << 20)
                .read_to_end(&mut bytes)
                .map_err(|why| Failure::system(format!("read {}", path.display()), why))?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => {
                return Err(Failure::system(format!("read {}", path.display()), why));
            }
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether a file is exactly `bytes` with `access`, and no symbolic link.
    #[must_use]
    pub fn holds(&self, path: impl AsRef<Path>, bytes: &[u8], access: Access) -> bool {
        let path = self.path(path);
        let Ok(meta) = path.symlink_metadata() else {
            return false;
        };
        meta.is_file()
            && meta.mode() & 0o7777 == access.mode
            && access
                .owner
                .is_none_or(|owner| owner == (meta.uid(), meta.gid()))
            && fs::read(&path).is_ok_and(|there| there == bytes)
    }

    /// Writes a file atomically: a new file beside it, synced, given its mode and owner, then
    /// renamed over it. A symbolic link is replaced, never followed. Missing parents are made
    /// 0755. Returns whether anything changed.
    ///
    /// # Errors
    /// When any of that fails; the old file is then still whole.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], access: Access) -> Result<bool> {
        let path = path.as_ref();
        if self.holds(path, bytes, access) {
            return Ok(false);
        }
        replace(&self.path(path), bytes, access)
            .map(|()| true)
            .map_err(|why| Failure::system(format!("write {}", path.display()), why))
    }

    /// Makes a directory (parents 0755) with this mode and owner. Returns whether anything
    /// changed. Never recursive: what lies in it is left alone.
    ///
    /// # Errors
    /// When it cannot be made, or something else has its name (a symbolic link too).
    pub fn directory(&self, path: impl AsRef<Path>, access: Access) -> Result<bool> {
        let shown = path.as_ref().display().to_string();
        let path = self.path(path);
        let fail = |why: io::Error| Failure::system(format!("make directory {shown}"), why);
        let mut changed = false;
        if path.symlink_metadata().is_err() {
            fs::create_dir_all(&path).map_err(fail)?;
            changed = true;
        }
        let meta = path.symlink_metadata().map_err(fail)?;
        if !meta.is_dir() {
            return Err(Failure::wanted(
                format!("a directory at {shown}"),
                "something else",
            ));
        }
        if meta.mode() & 0o7777 != access.mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(access.mode)).map_err(fail)?;
            changed = true;
        }
        if let Some((user, group)) = access.owner
            && (meta.uid(), meta.gid()) != (user, group)
        {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).map_err(fail)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Removes a file if it is there. Returns whether it was.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        match fs::remove_file(self.path(path)) {
            Ok(()) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(Failure::system(format!("remove {}", path.display()), why)),
        }
    }

    /// Runs a program to its end. A bad exit is an [`Answer`], not an error.
    ///
    /// # Errors
    /// When it is not there, cannot be started or does not end in time.
    pub fn run(&self, program: &Program) -> Result<Answer> {
        self.wait(self.run_async(program))
    }

    /// [`Host::run`] where 0 is the only good exit.
    ///
    /// # Errors
    /// As [`Host::run`], and for any other exit, with the program's last line.
    pub fn must(&self, program: &Program) -> Result<String> {
        good(program, self.run(program)?)
    }

    /// [`Host::run`] within a future.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn run_async(&self, program: &Program) -> Result<Answer> {
        let label = program.label();
        let fail = |why: io::Error| Failure::system(format!("run {label}"), why);
        let mut child = self.command(program)?.spawn().map_err(fail)?;
        let (mut stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(pipe) = stdin.as_mut() {
                // A program that reads no further is not an error here: its exit tells.
                let _ = pipe.write_all(&program.input).await;
            }
            drop(stdin);
        };
        let work = async {
            let (_, out, err, status) = tokio::join!(
                feed,
                drain(stdout, program.cap),
                drain(stderr, program.cap),
                child.wait()
            );
            status.map(|status| Answer {
                code: status.code(),
                stdout: out,
                stderr: err,
            })
        };
        let limited = async {
            match tokio::time::timeout(program.deadline, work).await {
                Ok(answer) => answer.map_err(fail),
                Err(_) => Err(Failure::new(format!(
                    "{label} did not end within {} s",
                    program.deadline.as_secs()
                ))),
            }
        };
        self.unless_interrupted(limited).await
    }

    fn command(&self, program: &Program) -> Result<tokio::process::Command> {
        let here = program.outside || self.is_real_root();
        let name = program.name.to_string_lossy();
        let path = if name.starts_with('/') {
            Some(PathBuf::from(&program.name))
        } else if here {
            find_in(&name, Path::to_path_buf)
        } else {
            self.find(&name)
        };
        let path = path.ok_or_else(|| Failure::new(format!("{name} is not installed")))?;
        let mut command = if here {
            tokio::process::Command::new(path)
        } else {
            let mut chroot = tokio::process::Command::new("/usr/sbin/chroot");
            chroot.arg(&self.root).arg(path);
            chroot
        };
        command
            .args(&program.args)
            .env_clear()
            .env("PATH", SEARCH)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(if program.input.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
}

/// What a run that a signal ended says.
#[must_use]
pub fn interrupted() -> Failure {
    Failure::new("interrupted by a signal")
        .hint("run the same command again: it goes on where this run stopped")
        .exit(Exit::Interrupted)
        .cause("interrupted")
}

/// The stdout of a program that exited with 0, else its failure.
///
/// # Errors
/// When it did not exit with 0.
pub fn good(program: &Program, answer: Answer) -> Result<String> {
    if answer.ok() {
        return Ok(answer.stdout);
    }
    let end = answer.code.map_or_else(
        || "was killed".to_owned(),
        |code| format!("exited with {code}"),
    );
    Err(Failure::new(format!(
        "{} {end}: {}",
        program.label(),
        answer.last_line()
    )))
}

fn find_in(name: &str, place: impl Fn(&Path) -> PathBuf) -> Option<PathBuf> {
    SEARCH
        .split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|path| {
            fs::metadata(place(path))
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// Reads to the end, so that the program never blocks, and keeps the first `cap` bytes.
async fn drain(pipe: Option<impl AsyncRead + Unpin>, cap: usize) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    if let Some(mut pipe) = pipe {
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let room = cap.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The atomic write: same directory, synced, mode and owner before the name.
fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)?;
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".openclaw-deploy.new");
    let fresh = parent.join(name);
    // What an interrupted run left behind is ours by its name.
    let _ = fs::remove_file(&fresh);
    let result = fill(&fresh, bytes, access).and_then(|()| fs::rename(&fresh, path));
    if result.is_err() {
        let _ = fs::remove_file(&fresh);
        return result;
    }
    File::open(parent)?.sync_all()
}

fn fill(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if let Some((user, group)) = access.owner {
        std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(access.mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().expect("a directory");
        let host = Host::new(root.path()).expect("a host");
        (root, host)
    }

    #[test]
    fn a_written_file_has_its_mode_and_is_written_once() {
        let (_root, host) = host();
        let access = Access {
            mode: 0o640,
            owner: None,
        };
        assert_eq!(host.write("/etc/x/y", b"one", access), Ok(true));
        assert_eq!(host.write("/etc/x/y", b"one", access), Ok(false));
        let looser = Access {
            mode: 0o644,
            owner: None,
        };
        assert_eq!(host.write("/etc/x/y", b"one", looser), Ok(true));
        assert_eq!(host.read("/etc/x/y"), Ok(Some("one".to_owned())));
        let names = fs::read_dir(host.path("/etc/x")).expect("it is there");
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_symbolic_link_is_replaced_and_never_followed() {
        let (root, host) = host();
        fs::create_dir(root.path().join("etc")).expect("made");
        fs::write(root.path().join("victim"), "safe").expect("written");
        std::os::unix::fs::symlink("../victim", root.path().join("etc/x")).expect("linked");
        let access = Access {
            mode: 0o600,
            owner: None,
        };
        assert_eq!(host.write("/etc/x", b"new", access), Ok(true));
        assert_eq!(host.read("/victim"), Ok(Some("safe".to_owned())));
    }

    #[test]
    fn a_program_gets_an_empty_environment_and_no_stdin() {
        let host = Host::new("/").expect("a host");
        let env = host.must(&Program::new("env")).expect("it runs");
        let names: Vec<_> = env
            .lines()
            .filter_map(|line| line.split('=').next())
            .collect();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
        let cat = host.must(&Program::new("cat")).expect("it ends");
        assert_eq!(cat, "");
        let cat = host.must(&Program::new("cat").input(*b"given"));
        assert_eq!(cat.expect("it ends"), "given");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let host = Host::new("/").expect("a host");
        let sleep = Program::new("sleep")
            .arg("600")
            .deadline(Duration::from_millis(50));
        let failure = host.run(&sleep).expect_err("it is too slow");
        assert!(failure.what.starts_with("sleep did not end"), "{failure}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let host = Host::new("/").expect("a host");
        let failure = host
            .run(&Program::new("no-such-program"))
            .expect_err("none");
        assert_eq!(failure.what, "no-such-program is not installed");
    }
}
