//! The access list of a file, where its file system has one and it says more than the mode does.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Entries that can matter, and the mask that limits them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl {
    entries: Vec<Entry>,
    mask: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    permissions: u16,
    id: u32,
}

const USER: u16 = 0x02;
const GROUP_OF_FILE: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const VERSION: u32 = 2;

impl Acl {
    /// Reads it through an open file.
    pub(super) fn of_descriptor(file: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        parse(&attribute::of_descriptor(file)?)
    }

    /// Reads that of the file or directory at `path`.
    pub(super) fn of_path(path: &Path) -> io::Result<Option<Self>> {
        parse(&attribute::of_path(path)?)
    }

    /// Whether a user who is neither root nor we, or a group that is not the file's, has any of these
    /// rights, which are those of a mode's group.
    pub(super) fn others_have(&self, rights: u32) -> bool {
        let us = nix::unistd::geteuid().as_raw();
        self.entries.iter().any(|entry| {
            let counts = match entry.tag {
                USER => entry.id != 0 && entry.id != us,
                GROUP => true,
                _ => false,
            };
            counts && self.grants(entry, rights)
        })
    }

    /// Whether the file's own group has any of these rights.
    pub(super) fn group_has(&self, rights: u32) -> bool {
        let group = |entry: &&Entry| entry.tag == GROUP_OF_FILE;
        let mut groups = self.entries.iter().filter(group);
        groups.any(|entry| self.grants(entry, rights))
    }

    fn grants(&self, entry: &Entry, rights: u32) -> bool {
        u32::from(entry.permissions & self.mask) & (rights >> 3) != 0
    }
}

/// `None` for no attribute.
fn parse(bytes: &[u8]) -> io::Result<Option<Acl>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "its access list is malformed");
    let Some((version, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    if u32::from_le_bytes(*version) != VERSION || rest.len() % 8 != 0 {
        return Err(malformed());
    }
    let entry = |it: &[u8]| Entry {
        tag: u16::from_le_bytes([it[0], it[1]]),
        permissions: u16::from_le_bytes([it[2], it[3]]),
        id: u32::from_le_bytes([it[4], it[5], it[6], it[7]]),
    };
    let entries: Vec<Entry> = rest.chunks_exact(8).map(entry).collect();
    let mask = entries.iter().find(|entry| entry.tag == MASK);
    Ok(Some(Acl {
        mask: mask.map_or(0o7, |entry| entry.permissions),
        entries,
    }))
}

#[cfg(target_os = "linux")]
mod attribute {
    use std::ffi::CString;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    const NAME: &std::ffi::CStr = c"system.posix_acl_access";

    pub(super) fn of_descriptor(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
        read(|buffer, length| {
            // SAFETY: the name ends in NUL, and the buffer has `length` bytes.
            unsafe { libc::fgetxattr(file.as_raw_fd(), NAME.as_ptr(), buffer, length) }
        })
    }

    pub(super) fn of_path(path: &Path) -> io::Result<Vec<u8>> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        read(|buffer, length| {
            // SAFETY: path and name end in NUL, and the buffer has `length` bytes.
            unsafe { libc::getxattr(path.as_ptr(), NAME.as_ptr(), buffer, length) }
        })
    }

    /// Nothing where there is no such attribute, or no such thing.
    fn read(get: impl Fn(*mut libc::c_void, usize) -> isize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let length = get(bytes.as_mut_ptr().cast(), bytes.len());
        match usize::try_from(length) {
            Ok(length) => {
                bytes.truncate(length);
                Ok(bytes)
            }
            Err(_) => {
                let why = io::Error::last_os_error();
                match why.raw_os_error() {
                    Some(libc::ENODATA | libc::EOPNOTSUPP | libc::ENOSYS) => Ok(vec![]),
                    _ => Err(why),
                }
            }
        }
    }
}

/// Access lists of macOS only ever give more, and its tools show them with `+`; they are not read.
#[cfg(not(target_os = "linux"))]
mod attribute {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    pub(super) fn of_descriptor(_: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
        Ok(vec![])
    }

    pub(super) fn of_path(_: &Path) -> io::Result<Vec<u8>> {
        Ok(vec![])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        parse(&bytes).expect("well formed").expect("a list")
    }

    #[test]
    fn an_entry_for_somebody_else_counts_as_far_as_the_mask_lets_it() {
        let us = nix::unistd::geteuid().as_raw();
        let stranger = acl(&[(USER, 0o6, 4242), (MASK, 0o6, 0)]);
        assert!(stranger.others_have(0o020) && stranger.others_have(0o040));
        let masked = acl(&[(USER, 0o6, 4242), (MASK, 0o4, 0)]);
        assert!(!masked.others_have(0o020) && masked.others_have(0o040));
        let ours = acl(&[(USER, 0o6, us), (USER, 0o6, 0), (MASK, 0o6, 0)]);
        assert!(!ours.others_have(0o060));
        assert!(acl(&[(GROUP, 0o2, 7), (MASK, 0o7, 0)]).others_have(0o020));
        // systemd's credential: root's, read by the service's user alone.
        let credential = acl(&[(USER, 0o4, us), (GROUP_OF_FILE, 0, 0), (MASK, 0o4, 0)]);
        assert!(!credential.others_have(0o060) && !credential.group_has(0o060));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(parse(b"").expect("none"), None);
        assert!(parse(b"\x01\0\0\0").is_err());
        assert!(parse(b"\x02\0\0\0\0").is_err());
    }
}
