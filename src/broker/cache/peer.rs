//! Whether the process at the other end of a socket may share our secrets.
//!
//! The same user number is not enough: in a container it may be somebody else's. So the kernel is
//! asked in which namespaces the other runs, by what `/proc` shows to everybody: a process of
//! another PID namespace has another count of numbers or none, one of another user namespace
//! another map of users. What cannot be told is refused.

use std::os::unix::net::UnixStream;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
};

use nix::unistd::geteuid;
#[cfg(any(target_os = "linux", target_os = "android"))]
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// This very user, in our namespaces.
    Ours,
    /// Somebody else, or nobody knows.
    Stranger,
    /// It has ended meanwhile, so that nothing can be known of it.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
    Gone,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn of(stream: &UnixStream) -> Peer {
    use nix::sys::socket::{getsockopt, sockopt};
    let Ok(peer) = getsockopt(stream, sockopt::PeerCredentials) else {
        return Peer::Stranger;
    };
    // One whose PID namespace we do not see has the number 0.
    if peer.uid() != geteuid().as_raw() || peer.pid() <= 0 {
        return Peer::Stranger;
    }
    let process = getsockopt(stream, sockopt::PeerPidfd);
    let ours = same_namespaces(peer.pid());
    // Asked last: as long as the process has not ended, its number is nobody else's.
    let ended = match &process {
        Ok(process) => has(process.as_fd(), PollFlags::POLLIN),
        // Linux before 6.5 does not give us that; the connection ends with the process.
        Err(Errno::ENOPROTOOPT) => has(stream.as_fd(), PollFlags::POLLHUP),
        Err(_) => true,
    };
    match (ended, ours) {
        (true, _) => Peer::Gone,
        (false, true) => Peer::Ours,
        (false, false) => Peer::Stranger,
    }
}

/// There are no namespaces elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn of(stream: &UnixStream) -> Peer {
    match nix::unistd::getpeereid(stream) {
        Ok((user, _)) if user == geteuid() => Peer::Ours,
        _ => Peer::Stranger,
    }
}

/// Whether `event` is there already, or the descriptor is of no use.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has(descriptor: BorrowedFd<'_>, event: PollFlags) -> bool {
    let mut asked = [PollFd::new(descriptor, event)];
    let polled = poll(&mut asked, PollTimeout::ZERO);
    let seen = asked[0].revents().unwrap_or(PollFlags::all());
    polled.is_err() || seen.intersects(event | PollFlags::POLLHUP | PollFlags::POLLERR)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn same_namespaces(pid: i32) -> bool {
    let [own, theirs] = ["self".to_owned(), pid.to_string()].map(|whose| {
        let read = |what: &str| fs::read_to_string(format!("/proc/{whose}/{what}")).ok();
        Some((depth(&read("status")?)?, read("uid_map")?))
    });
    own.is_some() && own == theirs && shares_mounts(pid)
}

/// In how many PID namespaces, from ours on, the process has a number.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn depth(status: &str) -> Option<usize> {
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(numbers.split_ascii_whitespace().count()).filter(|&count| count > 0)
}

/// Root in a container that has the host's PID namespace is the same user in the same namespaces
/// so far. Only root may look at another's files, and only root needs to.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn shares_mounts(pid: i32) -> bool {
    if !geteuid().is_root() {
        return true;
    }
    let own = fs::read_link("/proc/self/ns/mnt");
    let theirs = fs::read_link(format!("/proc/{pid}/ns/mnt"));
    matches!((own, theirs), (Ok(own), Ok(theirs)) if own == theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_ours_as_long_as_we_live() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(of(&one), Peer::Ours);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_of_a_process_are_counted() {
        assert_eq!(depth("Name:\tx\nNSpid:\t7\nNSpgid:\t7"), Some(1));
        assert_eq!(depth("NSpid:\t7\t1\n"), Some(2));
        for unknown in ["", "NSpid:\n", "NStgid:\t7\n"] {
            assert_eq!(depth(unknown), None, "{unknown:?}");
        }
    }
}
