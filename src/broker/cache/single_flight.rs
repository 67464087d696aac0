//! One `op` for all processes that ask for the same secrets at the same time.
//!
//! The first process binds a name in the abstract socket namespace, fetches, and sends the answer
//! to all that have connected; both sides check that the other is the same user. The kernel
//! releases the name when its process ends, even by SIGKILL, so there is no stale lock. This needs
//! neither a cache nor a file to lock.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// How long a waiting process may take to read its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this process does in the flight.
pub(super) enum Role {
    /// It fetches, for the others too.
    Leader(Leader),
    /// Another process fetched; this is its answer.
    Answered(Secret),
    /// The leader ended without an answer: try again.
    Again,
    /// No answer before the deadline.
    TooLate,
    /// It fetches for itself alone: there is no abstract namespace here, or another user holds the
    /// name.
    Alone,
}

/// Holds the name while this process fetches for all.
pub(super) struct Leader(UnixListener);

/// Leads the flight `name`, or waits for its leader's answer.
pub(super) fn join(name: &str, deadline: Instant) -> Role {
    let Some(address) = address(name) else {
        return Role::Alone;
    };
    match UnixListener::bind_addr(&address) {
        Ok(listener) => Role::Leader(Leader(listener)),
        Err(why) if why.kind() == ErrorKind::AddrInUse => follow(&address, deadline),
        Err(_) => Role::Alone,
    }
}

/// Holds `name` alone until the result is dropped; `None` if it cannot before the deadline, in
/// which case the caller goes on without it.
pub(super) fn lock(name: &str, deadline: Instant) -> Option<Leader> {
    loop {
        match join(name, deadline) {
            Role::Leader(leader) => return Some(leader),
            Role::Again | Role::Answered(_) if Instant::now() < deadline => {}
            _ => return None,
        }
    }
}

impl Leader {
    /// Sends `answer` to all processes that wait for it.
    pub(super) fn hand_out(self, answer: &[u8]) {
        if self.0.set_nonblocking(true).is_err() {
            return;
        }
        while let Ok((stream, _)) = self.0.accept() {
            let _ = hand_to(stream, answer);
        }
    }
}

fn hand_to(mut stream: UnixStream, answer: &[u8]) -> std::io::Result<()> {
    if !is_ours(&stream) {
        return Ok(());
    }
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = u32::try_from(answer.len()).map_err(std::io::Error::other)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(answer)
}

fn follow(address: &SocketAddr, deadline: Instant) -> Role {
    let Ok(stream) = UnixStream::connect_addr(address) else {
        return Role::Again;
    };
    if !is_ours(&stream) {
        return Role::Alone;
    }
    match receive(stream, deadline) {
        Ok(Some(answer)) => Role::Answered(answer),
        Ok(None) => Role::Again,
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Role::TooLate
        }
        Err(_) => Role::Again,
    }
}

/// The whole answer, or `None` if the connection ends before that.
fn receive(mut stream: UnixStream, deadline: Instant) -> std::io::Result<Option<Secret>> {
    let mut bytes = Locked::with_capacity(4096);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        bytes.reserve(4096);
        match stream.read(bytes.spare()) {
            Ok(0) => return Ok(complete(bytes)),
            Ok(read) => bytes.advance(read),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

fn complete(bytes: Locked) -> Option<Secret> {
    let bytes = Secret::new(bytes);
    let (length, answer) = bytes.expose().split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    (usize::try_from(length).ok()? == answer.len()).then(|| bytes.slice(4..bytes.len()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn address(name: &str) -> Option<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn address(_name: &str) -> Option<SocketAddr> {
    None
}

/// Whether the peer is a process of this user. Root in a container that shares the host's network
/// namespace is uid 0 too and can see our name; its other namespaces tell it apart.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_ours(stream: &UnixStream) -> bool {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    use std::os::fd::AsFd;
    let us = nix::unistd::geteuid();
    let Ok(peer) = getsockopt(&stream.as_fd(), PeerCredentials) else {
        return false;
    };
    peer.uid() == us.as_raw() && (!us.is_root() || shares_namespaces(peer.pid()))
}

/// Only root may read the namespaces of another process, and only root needs to.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn shares_namespaces(pid: i32) -> bool {
    ["mnt", "pid", "user"].iter().all(|kind| {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}"));
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        matches!((own, theirs), (Ok(own), Ok(theirs)) if own == theirs)
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_ours(_stream: &UnixStream) -> bool {
    false
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn name(of: &str) -> String {
        format!("oc-secrets:test:{of}:{}", std::process::id())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn leader(name: &str) -> Leader {
        match join(name, soon()) {
            Role::Leader(leader) => leader,
            _ => panic!("the first one leads"),
        }
    }

    #[test]
    fn all_who_came_meanwhile_get_the_answer_of_the_first() {
        let name = name("all");
        let leader = leader(&name);
        let others: Vec<_> = (0..30)
            .map(|_| {
                let name = name.clone();
                std::thread::spawn(move || join(&name, soon()))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        let answer = vec![b'x'; 300_000];
        leader.hand_out(&answer);
        for other in others {
            let Role::Answered(got) = other.join().expect("joined") else {
                panic!("no answer")
            };
            assert_eq!(got.expose(), answer);
        }
        assert!(
            matches!(join(&name, soon()), Role::Leader(_)),
            "the name is free again"
        );
    }

    #[test]
    fn one_whose_leader_is_gone_looks_again() {
        let name = name("gone");
        let leader = leader(&name);
        let other = std::thread::spawn({
            let name = name.clone();
            move || join(&name, soon())
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(leader);
        assert!(matches!(other.join().expect("joined"), Role::Again));
    }

    #[test]
    fn nobody_waits_beyond_the_deadline() {
        let name = name("late");
        let _leader = leader(&name);
        let begun = Instant::now();
        assert!(matches!(
            join(&name, begun + Duration::from_millis(100)),
            Role::TooLate
        ));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_gate_lets_one_in_at_a_time() {
        let name = name("lock");
        let first = lock(&name, soon()).expect("open");
        let begun = Instant::now();
        let second = std::thread::spawn({
            let name = name.clone();
            move || lock(&name, soon()).is_some()
        });
        assert!(lock(&name, begun + Duration::from_millis(100)).is_none());
        std::thread::sleep(Duration::from_millis(200));
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().expect("joined"));
    }

    #[test]
    fn half_an_answer_is_none() {
        for bytes in [&b""[..], b"\x05\0\0", b"\x05\0\0\0four", b"\x03\0\0\0four"] {
            assert!(complete(Locked::copy_of(bytes)).is_none());
        }
        assert_eq!(
            complete(Locked::copy_of(b"\x04\0\0\0four"))
                .expect("whole")
                .expose(),
            b"four"
        );
    }
}
