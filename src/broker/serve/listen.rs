//! The folders and sockets of the clients, and those that systemd hands us.
//!
//! `clients/` is for us alone and `NAME/` can be entered and not written: what a container mounts
//! is the folder, in which it can connect and replace nothing. Folders stay when we end, since a
//! mount holds them; a socket is made anew in its folder. Each socket is its client's, 0600.

use std::ffi::OsStr;
use std::fs::{DirBuilder, Permissions};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::AcceptConn;
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::base::environment::{self, Lookup};
use crate::base::error::{Error, Result};

/// The control socket's name, in our folder and among what systemd hands us.
pub(crate) const CONTROL: &str = "control";

/// The first descriptor that systemd hands on. Source: sd_listen_fds(3).
const FIRST: RawFd = 3;

/// Our folder: `/run/oc-secrets` for root, else `oc-secrets` in `$XDG_RUNTIME_DIR`.
///
/// # Errors
/// Where there is no such folder for this user.
pub(crate) fn folder(asked: Option<&Path>, lookup: Lookup<'_>) -> Result<PathBuf> {
    let system = Path::new("/run/oc-secrets");
    if let Some(asked) = asked {
        return std::path::absolute(asked).map_err(|why| Error::system("find the directory", why));
    }
    if geteuid().is_root() {
        return Ok(system.to_owned());
    }
    match environment::absolute(lookup, "XDG_RUNTIME_DIR") {
        Some(runtime) => Ok(runtime.join("oc-secrets")),
        None => Err(Error::usage(
            "no directory for the sockets: XDG_RUNTIME_DIR is not set",
            "name one: --directory DIR",
        )),
    }
}

/// Our folder, in which nobody else makes sockets as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Flock<OwnedFd>,
}

impl Folder {
    /// Makes what is not there, and takes the lock.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
        directory(&path, mode, false)?;
        let clients = path.join("clients");
        directory(&clients, 0o700, true)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = open(&clients, flags, Mode::empty());
        let opened = opened.map_err(|why| unusable(&clients, why.desc()))?;
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(_) => Err(Error::usage(
                format!("another broker serves {}", path.display()),
                "end it, or serve another directory: --directory DIR",
            )),
        }
    }

    /// The socket of a client, for that user alone.
    pub(super) fn client(&self, name: &str, uid: u32) -> Result<(Bound, UnixListener)> {
        let folder = self.path.join("clients").join(name);
        directory(&folder, 0o755, true)?;
        bind(folder.join("socket"), uid)
    }

    /// The socket for whoever runs the broker.
    pub(super) fn control(&self) -> Result<(Bound, UnixListener)> {
        bind(self.path.join(CONTROL), geteuid().as_raw())
    }

    /// Whether the folders are still those that we made.
    pub(super) fn is_there(&self) -> bool {
        self.path.join("clients").is_dir()
    }
}

/// Makes `uid` the owner of a client's socket in `folder`, which others cannot write.
pub(super) fn own(folder: &Path, name: &str, uid: u32) -> Result<()> {
    let path = folder.join("clients").join(name).join("socket");
    let failed = |why: std::io::Error| unusable(&path, &why.to_string());
    match path.symlink_metadata().map_err(failed)?.file_type() {
        kind if kind.is_socket() => lchown(&path, Some(uid), None).map_err(failed),
        _ => Err(unusable(&path, "it is no socket")),
    }
}

/// A socket that we made beside its place or, later, in it; the file goes when this does.
pub(super) struct Bound {
    path: PathBuf,
    place: PathBuf,
    inode: u64,
}

impl Bound {
    /// Moves it to its place, whoever's socket is there.
    pub(super) fn place(&mut self) -> Result<()> {
        std::fs::rename(&self.path, &self.place)
            .map_err(|why| unusable(&self.place, &why.to_string()))?;
        self.path.clone_from(&self.place);
        Ok(())
    }

    /// Whether it is still there. Another broker may have made its own meanwhile.
    pub(super) fn is_there(&self) -> bool {
        let found = self.path.symlink_metadata();
        found.is_ok_and(|file| file.ino() == self.inode)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.is_there() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket that belongs at `place`, beside it.
fn bind(place: PathBuf, uid: u32) -> Result<(Bound, UnixListener)> {
    let us = geteuid();
    if uid != us.as_raw() && !us.is_root() {
        return Err(Error::usage(
            format!(
                "only root can make a socket for uid {uid}: {}",
                place.display()
            ),
            "run the broker as root, or have systemd make the sockets: docs/broker.md",
        ));
    }
    let socket = |path: &Path| match path.symlink_metadata() {
        Ok(file) if file.file_type().is_socket() => Ok(true),
        Ok(_) => Err(unusable(path, "it is there and no socket")),
        Err(_) => Ok(false),
    };
    socket(&place)?;
    let path = place.with_extension("new");
    if socket(&path)? {
        std::fs::remove_file(&path).map_err(|why| unusable(&path, &why.to_string()))?;
    }
    let failed = |why: std::io::Error| unusable(&path, &why.to_string());
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    if uid != us.as_raw() {
        chown(&path, Some(uid), None).map_err(failed)?;
    }
    // The standard library asks for a backlog that is too short for many clients at once.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN)
        .map_err(|why| unusable(&path, why.desc()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let inode = path.symlink_metadata().map_err(failed)?.ino();
    Ok((Bound { path, place, inode }, listener))
}

/// Makes a directory, or makes sure that the one that is there is ours and as it should be.
fn directory(path: &Path, mode: u32, exactly: bool) -> Result<()> {
    let failed = |why: std::io::Error| unusable(path, &why.to_string());
    let made = match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => true,
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(why) => return Err(failed(why)),
    };
    let found = path.symlink_metadata().map_err(failed)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(unusable(path, "it is no directory of ours"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(unusable(path, "others can write it"));
    }
    // Whatever the umask took away.
    if (made || exactly) && found.mode() & 0o7777 != mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::usage(
        format!("cannot use {}: {why}", path.display()),
        "look at what is there, or serve another directory: --directory DIR",
    )
}

/// The sockets that systemd made for us, by their names; `None` where it made none. To be called
/// before anything else takes a descriptor, which could be one that systemd is said to have made.
pub(super) fn inherited(lookup: Lookup<'_>) -> Result<Option<Vec<(String, UnixListener)>>> {
    let number = |name: &str| lookup(name)?.to_str()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|count| ours && (1..=512).contains(count));
    let Some(count) = count else {
        return Ok(None);
    };
    let names = lookup("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.to_string_lossy().into_owned();
    let names = names.split(':').chain(std::iter::repeat(""));
    let sockets = (FIRST..).zip(names).take(count as usize);
    let socket = |(descriptor, name): (RawFd, &str)| Ok((name.to_owned(), listener(descriptor)?));
    sockets.map(socket).collect::<Result<_>>().map(Some)
}

/// The socket that systemd is said to have opened as `descriptor`.
fn listener(descriptor: RawFd) -> Result<UnixListener> {
    let none = || {
        Error::usage(
            format!("descriptor {descriptor} is no listening socket, as LISTEN_FDS has it"),
            "have systemd make the sockets (docs/broker.md), or start without LISTEN_FDS",
        )
    };
    // SAFETY: fcntl looks at the number alone, whether it is open or not.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(none());
    }
    // SAFETY: it is open, and by LISTEN_PID ours; nothing else here has taken a descriptor yet.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    match getsockopt(&descriptor, AcceptConn) {
        Ok(true) => {}
        _ => return Err(none()),
    }
    let listener = UnixListener::from(descriptor);
    let set = listener.set_nonblocking(true);
    set.map_err(|why| Error::system("listen on a socket", why))?;
    Ok(listener)
}

/// The name in `…/unit/UNIT/NAME`, to which systemd binds its end of the connection where it loads
/// a credential from a socket. Source: systemd.exec(5), `LoadCredential=`.
pub(super) fn credential(address: &OsStr) -> Option<&str> {
    let mut parts = address.to_str()?.splitn(4, '/');
    let (random, unit) = (parts.next()?, parts.next()?);
    let (name, credential) = (parts.next()?, parts.next()?);
    // Of a number of 64 bits, without zeros in front.
    let hexadecimal =
        (1..=16).contains(&random.len()) && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && unit == "unit" && !name.is_empty()).then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_sockets_are_for_whom_they_should_be() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("x");
        let folder = Folder::open(path.clone()).expect("made");
        let us = geteuid().as_raw();
        let (mut bound, _listener) = folder.client("gateway", us).expect("bound");
        assert!(!path.join("clients/gateway/socket").exists(), "not yet");
        bound.place().expect("placed");
        let mode = |path: &Path| path.symlink_metadata().expect("there").mode() & 0o7777;
        assert_eq!(mode(&path.join("clients")), 0o700);
        assert_eq!(mode(&path.join("clients/gateway")), 0o755);
        assert_eq!(mode(&path.join("clients/gateway/socket")), 0o600);
        assert!(Folder::open(path.clone()).is_err(), "one at a time");
        drop(bound);
        assert!(!path.join("clients/gateway/socket").exists());
        assert!(path.join("clients/gateway").is_dir(), "a mount holds it");
        drop(folder);
        std::fs::write(path.join("clients/gateway/socket"), "x").expect("written");
        let folder = Folder::open(path.clone()).expect("again");
        assert!(
            folder.client("gateway", us).is_err(),
            "a file is not replaced"
        );
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("a mode");
        drop(folder);
        assert!(Folder::open(path).is_err(), "others could exchange it");
    }

    #[test]
    fn the_socket_of_a_later_one_stays() {
        let parent = tempfile::tempdir().expect("a directory");
        let folder = Folder::open(parent.path().join("x")).expect("made");
        let us = geteuid().as_raw();
        let (mut first, _) = folder.client("a", us).expect("bound");
        first.place().expect("placed");
        let (mut second, _) = folder.client("a", us).expect("bound again");
        assert!(first.is_there());
        second.place().expect("placed");
        assert!(!first.is_there());
        drop(first);
        assert!(parent.path().join("x/clients/a/socket").exists());
    }

    #[test]
    fn systemd_names_the_credential_by_its_own_address() {
        let name = |text: &'static str| credential(OsStr::new(text));
        assert_eq!(
            name("adf9d86b6eda275e/unit/foobar.service/credx"),
            Some("credx")
        );
        for random in ["0", "9d86b6eda275e", "df9d86b6eda275e"] {
            let address = format!("{random}/unit/x.service/c");
            assert_eq!(credential(OsStr::new(&address)), Some("c"), "{random}");
        }
        for other in [
            "",
            "credx",
            "/unit/x.service/c",
            "1adf9d86b6eda275e/unit/x.service/c",
            "adfg/unit/x.service/c",
            "adf9d86b6eda275e/user/x/c",
            "adf9d86b6eda275e/unit//c",
            "adf9d86b6eda275e/unit/x",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
