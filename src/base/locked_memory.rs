//! Memory that a secret may live in: locked, left out of core dumps, absent in forked children.
//!
//! A [`Locked`] buffer is its own anonymous mapping. It grows by moving to a larger mapping and
//! wiping the old one, and is wiped before it is unmapped, on unwinding too. Locking may be
//! refused (a small `RLIMIT_MEMLOCK`); then the buffer still works and [`refused`] says so.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether the system refused to lock a buffer, so that a secret may reach swap.
pub(crate) fn refused() -> bool {
    REFUSED.load(Ordering::Relaxed)
}

/// Overwrites 16 KiB of the stack below the caller. Searching a value loads pieces of it into
/// vector registers, which a compiler may spill; called behind every such search.
#[inline(never)]
pub(crate) fn burn_stack() {
    let mut below = [0_u8; 16 * 1024];
    below.zeroize();
    std::hint::black_box(&below);
}

/// A growable byte buffer in locked memory. It has no `Debug` and no `Clone` on purpose.
pub(crate) struct Locked {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: the mapping is owned by this value alone and has no thread affinity.
unsafe impl Send for Locked {}
// SAFETY: shared access only reads; every write needs `&mut self`.
unsafe impl Sync for Locked {}

impl Locked {
    /// An empty buffer that holds at least `bytes` before it has to move.
    ///
    /// # Panics
    /// When the system has no memory left, as any allocation would.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let capacity = bytes.max(1).next_multiple_of(page());
        Self {
            start: map(capacity),
            len: 0,
            capacity,
        }
    }

    /// A buffer that holds exactly `bytes`.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len());
        buffer.push(bytes);
        buffer
    }

    /// Appends `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Makes room for `more` bytes, at least doubling when it has to move.
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.capacity - self.len >= more {
            return;
        }
        let mut larger = Self::with_capacity((self.len + more).max(self.capacity * 2));
        larger.push(self);
        *self = larger;
    }

    /// The unused room, all of it initialised, to read into; [`Locked::advance`] then keeps it.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `len..capacity` lies in our mapping, which the kernel filled with zeros.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.start.as_ptr().add(self.len),
                self.capacity - self.len,
            )
        }
    }

    /// Keeps the first `bytes` of what [`Locked::spare`] was filled with.
    pub(crate) fn advance(&mut self, bytes: usize) {
        assert!(
            bytes <= self.capacity - self.len,
            "advance beyond the buffer"
        );
        self.len += bytes;
    }

    /// Drops the first `bytes`; what follows moves to the front.
    pub(crate) fn forget_front(&mut self, bytes: usize) {
        let len = self.len;
        self.whole().copy_within(bytes..len, 0);
        self.len -= bytes;
    }

    /// Lets a child that is forked now see it, in order to execute a program with it.
    pub(crate) fn share_with_child(&self) {
        advise(self.start.cast(), self.capacity, Sharing::Shared);
    }

    /// In such a child: gives up its view, before the parent wipes what it has.
    pub(crate) fn give_up(&self) {
        advise(self.start.cast(), self.capacity, Sharing::GivenUp);
    }

    fn whole(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `capacity` bytes long, initialised, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity) }
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.whole()[..len]
    }
}

impl std::ops::Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `0..len` lies in our mapping and was initialised.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Zeroize for Locked {
    fn zeroize(&mut self) {
        self.whole().zeroize();
        self.len = 0;
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: the mapping was made by `map` with this length and ends here.
        let _ = unsafe { munmap(self.start.cast(), self.capacity) };
    }
}

/// The size of a page in bytes.
fn page() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

fn map(length: usize) -> NonNull<u8> {
    let length = NonZeroUsize::new(length).unwrap_or(NonZeroUsize::MIN);
    // SAFETY: a fresh private anonymous mapping aliases nothing.
    let start = unsafe {
        mmap_anonymous(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE,
        )
    }
    .expect("no memory left for a locked buffer");
    // SAFETY: the range is the mapping just made.
    if unsafe { mlock(start, length.get()) }.is_err() {
        REFUSED.store(true, Ordering::Relaxed);
    }
    hide(start, length.get());
    start.cast()
}

/// Keeps the mapping out of core dumps and of forked children.
#[cfg(target_os = "linux")]
fn hide(start: NonNull<std::ffi::c_void>, length: usize) {
    use nix::sys::mman::{MmapAdvise, madvise};
    for advice in [MmapAdvise::MADV_DONTDUMP, MmapAdvise::MADV_DONTFORK] {
        // SAFETY: the range is our own mapping; neither advice changes what this process reads.
        let _ = unsafe { madvise(start, length, advice) };
    }
}

/// Who else has a view of a mapping.
#[derive(Clone, Copy)]
enum Sharing {
    Shared,
    GivenUp,
}

#[cfg(target_os = "linux")]
fn advise(start: NonNull<std::ffi::c_void>, length: usize, sharing: Sharing) {
    use nix::sys::mman::{MmapAdvise, madvise};
    let advice = match sharing {
        Sharing::Shared => MmapAdvise::MADV_DOFORK,
        // A child's view is not locked, so that its pages can be dropped; it then reads zeros.
        Sharing::GivenUp => MmapAdvise::MADV_DONTNEED,
    };
    // SAFETY: the range is our own mapping, and zeros are as good as any bytes.
    let _ = unsafe { madvise(start, length, advice) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_start: NonNull<std::ffi::c_void>, _length: usize, _sharing: Sharing) {}

#[cfg(not(target_os = "linux"))]
fn hide(_start: NonNull<std::ffi::c_void>, _length: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_what_it_held() {
        let mut buffer = Locked::with_capacity(1);
        let line = [b'x'; 1000];
        for _ in 0..100 {
            buffer.push(&line);
        }
        assert_eq!(buffer.len(), 100_000);
        assert!(buffer.iter().all(|&byte| byte == b'x'));
    }

    #[test]
    fn wiping_clears_every_byte_of_the_mapping() {
        let mut buffer = Locked::copy_of(b"canary");
        assert_eq!(&*buffer, b"canary");
        buffer.zeroize();
        assert!(buffer.is_empty());
        assert!(buffer.whole().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_follows_the_front_moves_there() {
        let mut buffer = Locked::copy_of(b"frontback");
        buffer.forget_front(5);
        assert_eq!(&*buffer, b"back");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn is_locked_undumped_and_absent_after_fork() {
        let buffer = Locked::copy_of(b"canary");
        let at = format!("{:x}-", buffer.start.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps is readable");
        let flags = maps
            .split_once(&at)
            .and_then(|(_, rest)| rest.lines().find(|line| line.starts_with("VmFlags")))
            .expect("the mapping is listed");
        for flag in [" lo", " dd", " dc"] {
            assert!(flags.contains(flag), "{flags} lacks {flag}");
        }
    }
}
