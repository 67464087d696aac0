//! The Linux kernel's keyring: memory that is never swapped, that expires by itself, and that other
//! users cannot read.
//!
//! Keys are linked to the user's persistent keyring, reached through the process keyring, which
//! every process has: cron, su and systemd give no usable session keyring. A key gets its timeout
//! before it is linked, so that a crash cannot leave one without a timeout, and is replaced, never
//! updated, since an update clears the timeout. Every failure is `None`, a miss.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::base::locked_memory::Locked;

/// No key lives longer: it is 1Password's own limit on an authorisation.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// The largest payload that is stored, in bytes: quotas are small (20 000 bytes for all keys).
pub(super) const LARGEST: usize = 4096 + 64;

/// What every key of ours begins with.
pub(super) const PREFIX: &str = "oc-secrets:v1:";

const TYPE: &CStr = c"user";
const PROCESS_KEYRING: i32 = -2;

// Operations of keyctl(2), from linux/keyctl.h.
const REVOKE: libc::c_int = 3;
const DESCRIBE: libc::c_int = 6;
const LINK: libc::c_int = 8;
const UNLINK: libc::c_int = 9;
const SEARCH: libc::c_int = 10;
const READ: libc::c_int = 11;
const SET_TIMEOUT: libc::c_int = 15;
const GET_PERSISTENT: libc::c_int = 22;

/// The keys of this user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyring(i32);

impl Keyring {
    /// Opens the persistent keyring; `None` where the kernel or a container refuses.
    pub(super) fn open() -> Option<Self> {
        // An uid of -1 is our own.
        number(keyctl(GET_PERSISTENT, [-1, PROCESS_KEYRING as isize, 0, 0])).map(Self)
    }

    /// The payload of `name`.
    pub(super) fn read(self, name: &str) -> Option<Locked> {
        let key = self.find(name)?;
        let mut payload = Locked::with_capacity(LARGEST);
        let room = payload.spare();
        let length = keyctl(
            READ,
            [
                key as isize,
                room.as_mut_ptr() as isize,
                room.len() as isize,
                0,
            ],
        )?;
        // The kernel returns the whole length even if it does not fit.
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= room.len())?;
        payload.advance(length);
        Some(payload)
    }

    /// Stores `payload` as `name` for `time`, replacing what was there.
    pub(super) fn keep(self, name: &str, payload: &[u8], time: Duration) -> Option<()> {
        let seconds = time.min(LONGEST).as_secs();
        if seconds == 0 || payload.len() > LARGEST {
            return None;
        }
        let key = add(name, payload)?;
        let kept = keyctl(SET_TIMEOUT, [key as isize, seconds as isize, 0, 0])
            .and_then(|_| keyctl(LINK, [key as isize, self.0 as isize, 0, 0]));
        // If it could not be linked, this deletes the key.
        keyctl(UNLINK, [key as isize, PROCESS_KEYRING as isize, 0, 0]);
        kept.map(|_| ())
    }

    /// Deletes `name`.
    pub(super) fn forget(self, name: &str) {
        if let Some(key) = self.find(name) {
            self.drop_key(key);
        }
    }

    /// Deletes all our keys; returns how many there were.
    pub(super) fn forget_all(self) -> usize {
        let ours = self.ours();
        ours.iter().for_each(|&key| self.drop_key(key));
        ours.len()
    }

    fn find(self, name: &str) -> Option<i32> {
        let name = CString::new(name).ok()?;
        let (kind, name) = (TYPE.as_ptr() as isize, name.as_ptr() as isize);
        number(keyctl(SEARCH, [self.0 as isize, kind, name, 0]))
    }

    fn ours(self) -> Vec<i32> {
        let mut serials = vec![0_u8; 4096];
        loop {
            let room = [
                self.0 as isize,
                serials.as_mut_ptr() as isize,
                serials.len() as isize,
                0,
            ];
            let length = keyctl(READ, room).and_then(|length| usize::try_from(length).ok());
            let length = length.unwrap_or(0);
            // The kernel returns the whole length even if it does not fit.
            let fits = length <= serials.len();
            serials.resize(length, 0);
            if fits {
                break;
            }
        }
        let keys = serials
            .chunks_exact(4)
            .map(|four| i32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
        keys.filter(|&key| is_ours(key)).collect()
    }

    fn drop_key(self, key: i32) {
        keyctl(REVOKE, [key as isize, 0, 0, 0]);
        keyctl(UNLINK, [key as isize, self.0 as isize, 0, 0]);
    }
}

/// Whether the kernel describes `key` (`type;uid;gid;permissions;name`) as one of ours.
fn is_ours(key: i32) -> bool {
    let mut text = [0_u8; 256];
    let length = keyctl(
        DESCRIBE,
        [
            key as isize,
            text.as_mut_ptr() as isize,
            text.len() as isize,
            0,
        ],
    );
    let length = length
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    let text = text.get(..length).unwrap_or_default();
    let name = text.splitn(5, |&byte| byte == b';').nth(4);
    name.is_some_and(|name| name.starts_with(PREFIX.as_bytes()))
}

fn number(value: Option<libc::c_long>) -> Option<i32> {
    value.and_then(|value| i32::try_from(value).ok())
}

fn keyctl(operation: libc::c_int, arguments: [isize; 4]) -> Option<libc::c_long> {
    let [a, b, c, d] = arguments;
    // SAFETY: every caller passes plain numbers, or the address and length of a live buffer of
    // its own, or a NUL-terminated text that outlives the call, as the operation expects.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, operation, a, b, c, d) };
    (result >= 0).then_some(result)
}

fn add(name: &str, payload: &[u8]) -> Option<i32> {
    let name = CString::new(name).ok()?;
    // SAFETY: type and name end in NUL, the payload is `len` bytes long, and all of them
    // outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            TYPE.as_ptr(),
            name.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            PROCESS_KEYRING,
        )
    };
    number((result >= 0).then_some(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of this test alone.
    fn name(of: &str) -> String {
        format!("{PREFIX}test-{of}-{}", std::process::id())
    }

    fn ring() -> Keyring {
        Keyring::open().expect("the tests need a kernel with keyrings; run them outside a container that forbids keyctl")
    }

    fn text(name: &str) -> Option<Vec<u8>> {
        ring().read(name).map(|payload| payload.to_vec())
    }

    /// The seconds a key has left, as `/proc/keys` shows them.
    fn timeout_of(name: &str) -> String {
        let keys = std::fs::read_to_string("/proc/keys").expect("readable");
        let line = keys
            .lines()
            .find(|line| line.contains(name))
            .expect("the key is listed");
        line.split_whitespace()
            .nth(3)
            .expect("a timeout")
            .to_owned()
    }

    #[test]
    fn what_is_kept_is_read_until_it_is_forgotten() {
        let name = name("kept");
        assert_eq!(text(&name), None);
        ring()
            .keep(&name, b"\0binary\xff", Duration::from_secs(60))
            .expect("kept");
        assert_eq!(text(&name).as_deref(), Some(&b"\0binary\xff"[..]));
        assert!(!ring().ours().is_empty());
        ring().forget(&name);
        assert_eq!(text(&name), None);
    }

    #[test]
    fn a_replaced_key_keeps_a_timeout_and_only_the_new_value() {
        let name = name("replaced");
        for value in [b"one", b"two"] {
            ring()
                .keep(&name, value, Duration::from_secs(90))
                .expect("kept");
            assert_eq!(text(&name).as_deref(), Some(&value[..]));
            assert_ne!(timeout_of(&name), "perm", "a key without a timeout");
        }
        ring().forget(&name);
    }

    #[test]
    fn control_a_key_without_a_timeout_is_seen_as_such() {
        let name = name("control");
        let key = add(&name, b"x").expect("added");
        assert_eq!(timeout_of(&name), "perm");
        keyctl(REVOKE, [key as isize, 0, 0, 0]);
    }

    #[test]
    fn a_key_ends_by_itself() {
        let name = name("ends");
        ring()
            .keep(&name, b"x", Duration::from_secs(1))
            .expect("kept");
        assert!(text(&name).is_some());
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(text(&name), None);
        // An expired key of the same name does not stand in the way.
        ring()
            .keep(&name, b"y", Duration::from_secs(60))
            .expect("kept again");
        assert_eq!(text(&name).as_deref(), Some(&b"y"[..]));
        ring().forget(&name);
    }

    #[test]
    fn all_keys_are_forgotten_however_many_there_are() {
        let (kind, title) = (c"keyring", CString::new(name("ring")).expect("a name"));
        // SAFETY: both texts end in a NUL and outlive the call, and there is no payload.
        let ring = unsafe {
            libc::syscall(
                libc::SYS_add_key,
                kind.as_ptr(),
                title.as_ptr(),
                std::ptr::null::<u8>(),
                0_usize,
                PROCESS_KEYRING,
            )
        };
        let ring = Keyring(number(Some(ring)).expect("a keyring of this test alone"));
        for key in 0..1100 {
            let kept = ring.keep(&name(&format!("many-{key}")), b"x", LONGEST);
            kept.expect("kept: root may have as many keys");
        }
        assert_eq!(ring.ours().len(), 1100);
        assert_eq!(ring.forget_all(), 1100);
        assert_eq!(ring.ours(), [0; 0]);
        keyctl(REVOKE, [ring.0 as isize, 0, 0, 0]);
    }

    #[test]
    fn nothing_lives_longer_than_twelve_hours() {
        let name = name("long");
        ring()
            .keep(&name, b"x", Duration::from_secs(10_000_000))
            .expect("kept");
        assert!(
            ["11h", "12h"].contains(&timeout_of(&name).as_str()),
            "{}",
            timeout_of(&name)
        );
        ring().forget(&name);
    }

    #[test]
    fn what_is_too_large_or_for_no_time_is_not_kept() {
        let name = name("large");
        assert_eq!(ring().keep(&name, &[b'x'; LARGEST + 1], LONGEST), None);
        assert_eq!(ring().keep(&name, b"x", Duration::from_millis(999)), None);
        assert_eq!(text(&name), None);
    }
}
