//! One `op` for all who ask the same at the same time, in whatever process.
//!
//! The first binds a socket in the folder that only we can enter, asks, and hands the answer to
//! those who connected meanwhile; both ends check who the other is. A follower greets once it has
//! checked the leader, who waits for that before it answers: a leader that has ended could no longer
//! be checked. A socket that a killed process left is replaced under the folder's lock. Nothing here
//! waits beyond its deadline, and a leader that is of no use costs no more than asking oneself.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::UnixAddr;

use super::peer::{self, Peer};
use crate::base::locked_memory::Locked;
use crate::base::runtime_directory::RuntimeDirectory;
use crate::base::secret::Secret;
use crate::base::unix_socket::dial;

/// How long all who waited together may take to be handed the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many are served at once: each takes a descriptor.
const BATCH: usize = 64;

/// What a follower sends once it has checked who the leader is.
const GREETING: u8 = b'?';

/// What stands before an answer and its length; another version answers otherwise.
const HEAD: &[u8; 4] = b"oc2\n";

/// The longest answer that is taken: a little more than `op` may print.
const LONGEST: usize = 9 * 1024 * 1024;

/// The part that this process plays.
pub(super) enum Role<'a> {
    /// It asks, for the others too.
    Leader(Leader<'a>),
    /// Another process asks, and has been greeted.
    Follower(Follower),
    /// The other process is gone: look again.
    Again,
    /// It asks for itself: a stranger is there, or no socket is to be had.
    Alone,
}

/// What a follower was told.
pub(super) enum Heard {
    /// The answer.
    Answer(Secret),
    /// The leader is gone without one.
    Nothing,
    /// Nothing whole by the deadline.
    Silence,
    /// What is no answer.
    Nonsense,
}

/// The one who asks for all. Dropped without an answer, it leaves the others to themselves.
pub(super) struct Leader<'a> {
    listener: UnixListener,
    directory: &'a RuntimeDirectory,
    name: String,
}

/// One who waits for another's answer.
pub(super) struct Follower {
    stream: UnixStream,
    heard: Locked,
}

/// Finds out who asks. Waits no longer than until `deadline`, and only for the folder's lock.
pub(super) fn join<'a>(directory: &'a RuntimeDirectory, name: &str, deadline: Instant) -> Role<'a> {
    if let Some(part) = follow(directory, name) {
        return part;
    }
    let Some(_lock) = directory.lock(deadline) else {
        return Role::Alone;
    };
    // Another may have been here first.
    if let Some(part) = follow(directory, name) {
        return part;
    }
    // Nobody listens there, and nobody else can bind while we hold the lock.
    directory.remove(name.as_ref());
    let Ok(listener) = UnixListener::bind(directory.socket(name)) else {
        return Role::Alone;
    };
    let leader = Leader {
        listener,
        directory,
        name: name.to_owned(),
    };
    match leader.listener.set_nonblocking(true) {
        Ok(()) => Role::Leader(leader),
        Err(_) => Role::Alone,
    }
}

/// Waits until nobody else holds `name`, and holds it until the result is dropped; `None` where
/// that cannot be had in time, which should stop nobody.
pub(super) fn lock<'a>(
    directory: &'a RuntimeDirectory,
    name: &str,
    deadline: Instant,
) -> Option<Leader<'a>> {
    while Instant::now() < deadline {
        match join(directory, name, deadline) {
            Role::Leader(leader) => return Some(leader),
            Role::Follower(mut follower) => match follower.listen(deadline) {
                Heard::Nothing => {}
                _ => return None,
            },
            Role::Again => std::thread::sleep(Duration::from_millis(1)),
            Role::Alone => return None,
        }
    }
    None
}

/// `None` where nobody listens.
fn follow(directory: &RuntimeDirectory, name: &str) -> Option<Role<'static>> {
    let address = UnixAddr::new(&directory.socket(name));
    let mut stream = match address.and_then(|address| dial(&address)) {
        Ok(stream) => stream,
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => return None,
        // Most likely the backlog is full.
        Err(_) => return Some(Role::Alone),
    };
    Some(match peer::of(&stream) {
        Peer::Stranger => Role::Alone,
        Peer::Gone => Role::Again,
        Peer::Ours => match stream.write(&[GREETING]) {
            Ok(1) => Role::Follower(Follower {
                stream,
                heard: Locked::with_capacity(4096),
            }),
            _ => Role::Again,
        },
    })
}

impl Follower {
    /// Waits for the answer, but not beyond `deadline`; can be asked again after a silence.
    pub(super) fn listen(&mut self, deadline: Instant) -> Heard {
        loop {
            match whole(&self.heard) {
                Ok(Some(end)) => {
                    let bytes = std::mem::replace(&mut self.heard, Locked::with_capacity(1));
                    return Heard::Answer(Secret::new(bytes).slice(8..end));
                }
                Ok(None) => {}
                Err(Nonsense) => return Heard::Nonsense,
            }
            if !wait(&[(self.stream.as_fd(), PollFlags::POLLIN)], deadline) {
                return Heard::Silence;
            }
            self.heard.reserve(4096);
            match self.stream.read(self.heard.spare()) {
                Ok(0) => return Heard::Nothing,
                Ok(bytes) => self.heard.advance(bytes),
                Err(why) if passes(&why) => {}
                Err(_) => return Heard::Nothing,
            }
        }
    }
}

/// Bytes that are no answer of ours.
struct Nonsense;

/// Where the answer at the beginning of `bytes` ends, if all of it is there.
fn whole(bytes: &[u8]) -> Result<Option<usize>, Nonsense> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    if head != HEAD {
        return Err(Nonsense);
    }
    let Some((length, answer)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    match usize::try_from(u32::from_le_bytes(*length)) {
        Ok(length) if length <= LONGEST => Ok((answer.len() >= length).then_some(8 + length)),
        _ => Err(Nonsense),
    }
}

fn framed(answer: &[u8]) -> Option<Locked> {
    let length = u32::try_from(answer.len()).ok()?;
    let mut bytes = Locked::with_capacity(8 + answer.len());
    for part in [&HEAD[..], &length.to_le_bytes(), answer] {
        bytes.push(part);
    }
    (answer.len() <= LONGEST).then_some(bytes)
}

impl Leader<'_> {
    /// Hands `answer` to all who wait for it.
    pub(super) fn hand_out(self, answer: &[u8]) {
        self.hand_out_until(Instant::now() + PATIENCE, answer);
    }

    fn hand_out_until(self, deadline: Instant, answer: &[u8]) {
        // Whoever comes from now on asks for itself, or finds what is kept.
        self.directory.remove(self.name.as_ref());
        let Some(answer) = framed(answer) else {
            return;
        };
        loop {
            let (waiting, last) = self.waiting();
            serve(waiting, &answer, deadline);
            if last || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Some who wait and may be told, and whether nobody else waits.
    fn waiting(&self) -> (Vec<Waiting>, bool) {
        let mut all = vec![];
        for _ in 0..BATCH {
            match self.listener.accept() {
                Ok((stream, _)) => all.extend(Waiting::of(stream)),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(_) => return (all, true),
            }
        }
        (all, false)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // As long as we listen, the socket of this name is ours.
        self.directory.remove(self.name.as_ref());
    }
}

/// One who waits, and how much of the answer it has.
struct Waiting {
    stream: UnixStream,
    greeted: bool,
    sent: usize,
}

impl Waiting {
    fn of(stream: UnixStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        (peer::of(&stream) == Peer::Ours).then_some(Self {
            stream,
            greeted: false,
            sent: 0,
        })
    }

    /// Goes as far as it can; tells whether that is not the end of it.
    fn goes_on(&mut self, answer: &[u8]) -> bool {
        if !self.greeted {
            match self.stream.read(&mut [0]) {
                Ok(1) => self.greeted = true,
                Err(why) if passes(&why) => return true,
                _ => return false,
            }
        }
        while self.sent < answer.len() {
            match self.stream.write(&answer[self.sent..]) {
                Ok(0) => return false,
                Ok(bytes) => self.sent += bytes,
                Err(why) => return passes(&why),
            }
        }
        false
    }

    fn event(&self) -> (BorrowedFd<'_>, PollFlags) {
        match self.greeted {
            true => (self.stream.as_fd(), PollFlags::POLLOUT),
            false => (self.stream.as_fd(), PollFlags::POLLIN),
        }
    }
}

/// Hands `answer` to all of them side by side, so that none waits for a slow one.
fn serve(mut waiting: Vec<Waiting>, answer: &[u8], deadline: Instant) {
    loop {
        waiting.retain_mut(|one| one.goes_on(answer));
        let events: Vec<_> = waiting.iter().map(Waiting::event).collect();
        if events.is_empty() || !wait(&events, deadline) {
            return;
        }
    }
}

fn passes(why: &std::io::Error) -> bool {
    matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until one of `events` is there; false if the deadline comes first.
fn wait(events: &[(BorrowedFd<'_>, PollFlags)], deadline: Instant) -> bool {
    let mut asked: Vec<_> = events
        .iter()
        .map(|&(fd, flags)| PollFd::new(fd, flags))
        .collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spent in a loop.
        let left = PollTimeout::try_from(left + Duration::from_millis(1));
        match poll(&mut asked, left.unwrap_or(PollTimeout::MAX)) {
            Ok(0) if Instant::now() >= deadline => return false,
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType};

    use super::*;
    use crate::base::runtime_directory::tests::scratch;

    fn soon() -> Instant {
        after(5000)
    }

    fn after(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    fn leader(directory: &RuntimeDirectory) -> Leader<'_> {
        match join(directory, "flight", soon()) {
            Role::Leader(leader) => leader,
            _ => panic!("the first one leads"),
        }
    }

    fn follower(directory: &RuntimeDirectory) -> Follower {
        match join(directory, "flight", soon()) {
            Role::Follower(follower) => follower,
            _ => panic!("the others follow"),
        }
    }

    fn heard(heard: Heard) -> String {
        match heard {
            Heard::Answer(answer) => String::from_utf8(answer.expose().to_vec()).expect("text"),
            Heard::Nothing => "(nothing)".to_owned(),
            Heard::Silence => "(silence)".to_owned(),
            Heard::Nonsense => "(nonsense)".to_owned(),
        }
    }

    /// One who leads, and does with the first follower what `with` does.
    fn strange_leader(
        directory: &RuntimeDirectory,
        with: impl FnOnce(UnixStream) + Send + 'static,
    ) -> Follower {
        let leader = leader(directory);
        let follower = follower(directory);
        let (stream, _) = leader.listener.accept().expect("accepted");
        std::thread::spawn(move || with(stream));
        follower
    }

    #[test]
    fn all_who_came_meanwhile_get_the_answer_of_the_first() {
        // A hundred threads on a machine that is busy with other tests take their time: patience is not what this is about.
        let deadline = after(60_000);
        let (_parent, directory) = scratch();
        let directory = &directory;
        let answer = "x".repeat(300_000);
        std::thread::scope(|scope| {
            let leader = leader(directory);
            let mine = &answer;
            let follow = |_| {
                let mut follower = follower(directory);
                scope.spawn(move || assert_eq!(heard(follower.listen(deadline)), *mine))
            };
            let others: Vec<_> = (0..100).map(follow).collect();
            leader.hand_out_until(deadline, answer.as_bytes());
            for other in others {
                other.join().expect("answered");
            }
        });
        assert!(directory.names("").is_empty(), "nothing is left");
        drop(leader(directory));
    }

    #[test]
    fn one_whose_leader_is_gone_hears_nothing() {
        let (_parent, directory) = scratch();
        let leader = leader(&directory);
        let mut follower = follower(&directory);
        drop(leader);
        assert_eq!(heard(follower.listen(soon())), "(nothing)");
        assert!(directory.names("").is_empty(), "nothing is left");
    }

    #[test]
    fn the_socket_of_one_that_was_killed_is_replaced() {
        let (_parent, directory) = scratch();
        drop(UnixListener::bind(directory.socket("flight")).expect("bound"));
        assert_eq!(directory.names("").len(), 1, "control: it stays");
        let leader = leader(&directory);
        let mut follower = follower(&directory);
        leader.hand_out(b"new");
        assert_eq!(heard(follower.listen(soon())), "new");
    }

    #[test]
    fn a_silent_leader_is_left_at_the_deadline_and_may_be_listened_to_again() {
        let (_parent, directory) = scratch();
        let leader = leader(&directory);
        let mut follower = follower(&directory);
        let begun = Instant::now();
        assert_eq!(heard(follower.listen(after(100))), "(silence)");
        assert!(begun.elapsed() < Duration::from_secs(1));
        leader.hand_out(b"late");
        assert_eq!(heard(follower.listen(soon())), "late");
    }

    #[test]
    fn a_slow_leader_is_left_at_the_deadline() {
        let (_parent, directory) = scratch();
        let mut follower = strange_leader(&directory, |mut stream| {
            for byte in b"oc2\n\x09\0\0\0".iter().cycle() {
                std::thread::sleep(Duration::from_millis(20));
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
        });
        let begun = Instant::now();
        assert_eq!(heard(follower.listen(after(200))), "(silence)");
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn garbage_an_endless_answer_and_one_that_is_too_long_are_nonsense() {
        for bytes in [&b"HTTP/1.1 200"[..], &[0; 4096], b"oc2\n\xff\xff\xff\xff"] {
            let (_parent, directory) = scratch();
            let mut follower = strange_leader(
                &directory,
                move |mut stream| {
                    while stream.write_all(bytes).is_ok() {}
                },
            );
            assert_eq!(heard(follower.listen(soon())), "(nonsense)");
            assert!(follower.heard.len() < 1024 * 1024);
        }
    }

    #[test]
    fn what_follows_an_answer_is_not_taken() {
        let (_parent, directory) = scratch();
        let mut follower = strange_leader(&directory, |mut stream| {
            let _ = stream.write_all(b"oc2\n\x04\0\0\0four");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        assert_eq!(heard(follower.listen(soon())), "four");
    }

    #[test]
    fn a_queue_that_is_full_is_not_waited_for() {
        let (_parent, directory) = scratch();
        let listener = nix::sys::socket::socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .expect("a socket");
        let address = UnixAddr::new(&directory.socket("flight")).expect("an address");
        nix::sys::socket::bind(listener.as_raw_fd(), &address).expect("bound");
        let none = nix::sys::socket::Backlog::new(0).expect("a backlog");
        nix::sys::socket::listen(&listener, none).expect("listens");
        let begun = Instant::now();
        let parts: Vec<_> = (0..4).map(|_| join(&directory, "flight", soon())).collect();
        assert!(matches!(parts[3], Role::Alone));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn one_that_never_greets_keeps_nobody_from_the_answer() {
        let (_parent, directory) = scratch();
        let leader = leader(&directory);
        let address = UnixAddr::new(&directory.socket("flight")).expect("an address");
        let mute = dial(&address).expect("connected");
        let mut follower = follower(&directory);
        let begun = Instant::now();
        leader.hand_out(b"answer");
        assert!(begun.elapsed() < PATIENCE + Duration::from_secs(1));
        assert_eq!(heard(follower.listen(soon())), "answer");
        let mut seen = vec![];
        mute.set_nonblocking(false).expect("waits");
        let _ = (&mute).read_to_end(&mut seen);
        assert_eq!(seen, b"", "and is told nothing");
    }

    #[test]
    fn a_gate_lets_one_in_at_a_time() {
        let (_parent, directory) = scratch();
        let directory = &directory;
        let first = lock(directory, "gate", soon()).expect("open");
        assert!(lock(directory, "gate", after(100)).is_none());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| lock(directory, "gate", soon()).is_some());
            std::thread::sleep(Duration::from_millis(200));
            assert!(!second.is_finished());
            drop(first);
            assert!(second.join().expect("joined"));
        });
    }

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let cut = |bytes: &[u8]| whole(bytes).ok().flatten();
        let answer = b"oc2\n\x04\0\0\0four";
        for end in 0..answer.len() {
            assert_eq!(cut(&answer[..end]), None, "{end}");
        }
        assert_eq!(cut(answer), Some(12));
        assert_eq!(&*framed(b"four").expect("short"), answer);
    }
}
