//! Process hardening at start-up, and what is restored for the child.
//!
//! The process is made undumpable (no core, no ptrace, no `/proc/PID/environ` for others of the
//! same user) and its core limit 0. Descriptors that the caller passed down stay ours alone
//! while `op` runs, since its cache daemon would keep them for hours, and are handed on by
//! [`Hardened::restore`], so that `<(…)` and fd 3 still reach the command.

use std::os::fd::{BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};

/// The signals that end us, and that we turn into an orderly end while `op` runs.
pub(crate) const ENDING: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// What was changed, so that it can be restored.
#[derive(Debug)]
pub(crate) struct Hardened {
    core_limit: Option<(u64, u64)>,
    passed_down: Vec<RawFd>,
    signal_mask: Option<SigSet>,
}

/// Hardens this process. Called first in every `main`; costs a few microseconds.
pub(crate) fn harden() -> Hardened {
    undumpable();
    let core_limit = getrlimit(Resource::RLIMIT_CORE).ok();
    if let Some((_, hard)) = core_limit {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
    }
    // If our parent blocked SIGCHLD, we would wait for an `op` that has exited.
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    Hardened {
        signal_mask: children.thread_swap_mask(SigmaskHow::SIG_UNBLOCK).ok(),
        core_limit,
        passed_down: descriptors()
            .into_iter()
            .filter(|&fd| keep_to_ourselves(fd))
            .collect(),
    }
}

impl Hardened {
    /// Restores what a child inherits: core limit, descriptors, signals. The child is dumpable
    /// again by itself, since execve resets that.
    pub(crate) fn restore(self) {
        if let Some((soft, hard)) = self.core_limit {
            let _ = setrlimit(Resource::RLIMIT_CORE, soft, hard);
        }
        for fd in self.passed_down {
            let _ = set_close_on_exec(fd, false);
        }
        if let Some(mask) = self.signal_mask {
            let _ = mask.thread_set_mask();
        }
        // Rust ignores SIGPIPE at start-up; no command expects that.
        default(Signal::SIGPIPE);
    }
}

/// Ends this process by `signal`, as it would have ended without our handler.
pub(crate) fn die_of(signal: i32) {
    if let Ok(signal) = Signal::try_from(signal) {
        default(signal);
        let _ = nix::sys::signal::raise(signal);
    }
}

/// Whether our parent had us ignore `signal`, as `nohup` does.
pub(crate) fn ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action only reads the present one into `now`.
    let read = unsafe { libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: the call succeeded, so `now` was written.
    read == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn default(signal: Signal) {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { sigaction(signal, &action) };
}

#[cfg(target_os = "linux")]
fn undumpable() {
    let _ = nix::sys::prctl::set_dumpable(false);
}

#[cfg(target_os = "macos")]
fn undumpable() {
    // SAFETY: PT_DENY_ATTACH takes no addresses.
    unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) };
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn undumpable() {}

/// The open descriptors above standard error.
fn descriptors() -> Vec<RawFd> {
    match std::fs::read_dir("/dev/fd") {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&fd| fd > 2)
            .collect(),
        Err(_) => (3..256).collect(),
    }
}

/// Marks `fd` close-on-exec; true if that changed anything.
fn keep_to_ourselves(fd: RawFd) -> bool {
    // SAFETY: the descriptor is only asked for its flags; a closed one answers EBADF.
    let flags = fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_GETFD);
    let inherited = flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0);
    inherited && set_close_on_exec(fd, true)
}

fn set_close_on_exec(fd: RawFd, on: bool) -> bool {
    let flag = if on {
        FdFlag::FD_CLOEXEC
    } else {
        FdFlag::empty()
    };
    // SAFETY: the caller passed this descriptor down; only its close-on-exec flag changes.
    fcntl(
        unsafe { BorrowedFd::borrow_raw(fd) },
        FcntlArg::F_SETFD(flag),
    )
    .is_ok()
}
