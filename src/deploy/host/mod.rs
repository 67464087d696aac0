//! The one door to this host: every foreign program and every file goes through it.
//!
//! A program is found in a fixed list of directories, gets an environment that is made here (so
//! no token of ours reaches it), `/dev/null` or given bytes as stdin, a deadline, a cap on its
//! output, and is killed when we give up. No shell is ever involved. With `--root DIR` every
//! path lies below DIR, and programs run inside it (`chroot`), except those that serve the
//! operator's side ([`Program::outside`]: the Docker client).

#[cfg_attr(not(target_os = "linux"), path = "system_elsewhere.rs")]
pub(crate) mod system;
mod directory_entry;
mod tree_copy;
mod files;
mod program;
mod spawn;
pub(crate) mod disk;
pub(crate) mod load;
pub(crate) mod lock;
pub(crate) mod keys;
pub(crate) mod account;
pub(crate) mod apt;
pub(crate) mod apt_repository;
pub(crate) mod systemd;
pub(crate) mod ufw;
pub(crate) mod listeners;
pub(crate) mod sshd;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::program::find_in;
pub(crate) use self::program::{Program, ProgramOutput, find_here, good, is_executable};
pub(crate) use self::system::SEARCH;
pub(crate) use self::tree_copy::Files;
use crate::base::open_files;

use super::error::{Cause, Exit, Failure, Result};

/// What a file is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permission bits.
    pub mode: u32,
    /// Numeric user and group; `None` leaves those of whoever runs us.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// Of root, with these permission bits.
    pub(crate) const fn root(mode: u32) -> Self {
        let owner = Some((0, 0));
        Self { mode, owner }
    }
}

/// This host, or the tree below `--root`.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    root: PathBuf,
    runtime: Rc<Runtime>,
    interrupt: Option<watch::Receiver<bool>>,
    shielded: Rc<Cell<bool>>,
}

impl Host {
    /// A host whose `/` is `root`.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Result<Self> {
        let runtime = open_files::enough()
            .and_then(|()| {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                builder.enable_all().build()
            })
            .map_err(|why| {
                Failure::system("start the event loop", why).hint(
                    "too many files may be open, or too little memory free: ulimit -n; free -m",
                )
            })?;
        Ok(Self {
            root: root.into(),
            runtime: Rc::new(runtime),
            interrupt: None,
            shielded: Rc::default(),
        })
    }

    /// From now on SIGINT, SIGTERM and SIGHUP end what waits, in an orderly way, instead of us.
    pub(crate) fn heed_signals(&mut self) -> Result<()> {
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
    pub(crate) fn shield(&self, on: bool) {
        self.shielded.set(on);
    }

    /// Whether signals are noted and end nothing.
    fn is_shielded(&self) -> bool {
        self.shielded.get()
    }

    /// Whether a signal has asked us to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.wait(tokio::task::yield_now());
        self.interrupt.as_ref().is_some_and(|heard| *heard.borrow())
    }

    /// `work`, unless a signal asks us to end first.
    pub(crate) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
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
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Whether `/` is `/`.
    pub(crate) fn is_real_root(&self) -> bool {
        self.root == Path::new("/")
    }

    /// `path` (absolute, as the host sees it) below the root.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether something is there, be it a dangling link.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Where `name` is installed, as the host sees it.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        find_in(name, |path| self.path(path))
    }
}

/// What a run that a signal ended says.
pub(crate) fn interrupted() -> Failure {
    Failure::new("interrupted by a signal")
        .hint("run the same command again")
        .exit(Exit::Interrupted)
        .cause(Cause::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

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
    fn a_room_is_new_and_ours_wherever_it_is_moved() {
        let (root, host) = host();
        let room = host.private_directory("/room").expect("made");
        assert!(
            host.private_directory("/room").is_err(),
            "it is there already"
        );
        fs::rename(root.path().join("room"), root.path().join("moved")).expect("moved");
        let touch = Program::new("touch").outside().within(&room).arg("file");
        host.must(&touch).expect("it runs");
        assert!(root.path().join("moved/file").exists());
        host.move_out(&room, "file", "/here").expect("moved");
        assert!(root.path().join("here").exists());
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
    fn what_a_program_has_started_ends_with_it_when_it_is_ended_and_not_otherwise() {
        let (root, host) = (tempfile::tempdir().expect("a directory"), Host::new("/"));
        let host = host.expect("a host");
        let child_of = |then: &str, deadline: u64| {
            let file = root.path().join("pid");
            let script = format!("sleep 60 >&- 2>&- & echo $! > {}; {then}", file.display());
            let shell = Program::new("sh").args(["-c", &script]);
            let ended = host.run(&shell.deadline(Duration::from_millis(deadline)));
            let pid = fs::read_to_string(file).expect("it began");
            (ended.is_ok(), format!("/proc/{}/stat", pid.trim()))
        };
        let runs = |stat: &str| fs::read_to_string(stat).is_ok_and(|it| !it.contains(") Z "));
        let (ended, daemon) = child_of("exit", 10_000);
        assert!(ended && runs(&daemon), "a daemon is left alone");
        let (ended, plugin) = child_of("sleep 600", 500);
        std::thread::sleep(Duration::from_millis(300));
        assert!(!ended && !runs(&plugin), "a plugin is not");
        let pid: i32 = daemon
            .split('/')
            .nth(2)
            .and_then(|it| it.parse().ok())
            .expect("a pid");
        let daemon = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGKILL).expect("it ran");
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
