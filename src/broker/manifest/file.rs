//! Reads a manifest or dotenv file: small, UTF-8, a regular file, and not writable by others.
//!
//! The open descriptor is checked, not the path. Opening never blocks on a pipe, unless pipes are
//! allowed. Errors give `file:line:column`, and never a word of the content.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::base::environment;
use crate::base::error::{Error, Result};
use crate::base::file_ownership;

const LARGEST: u64 = 1024 * 1024;

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Regular files only.
    Regular,
    /// Pipes too, such as `<(…)`. A byte order mark is left to the reader.
    Pipe,
}

/// The text of the file at `path`, or `None` where there is none.
///
/// # Errors
/// [`Error::Manifest`] when there is one that cannot be used.
pub(crate) fn read(path: &Path, kind: Kind) -> Result<Option<String>> {
    let file = match open(path, kind) {
        Ok(file) => file,
        Err(why) if absent(&why) && !path.is_symlink() => return Ok(None),
        Err(why) => return Err(unreadable(path, &why)),
    };
    let metadata = file.metadata().map_err(|why| unreadable(path, &why))?;
    check(path, &file, &metadata, kind)?;
    let mut bytes = vec![];
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| unreadable(path, &why))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse(path, "larger than 1 MiB", "name the right file"));
    }
    String::from_utf8(bytes)
        .map(|text| match kind {
            Kind::Regular => Some(without_mark(text)),
            Kind::Pipe => Some(text),
        })
        .map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            let here = Document::new(path.display().to_string(), &text);
            here.error(valid, "not UTF-8", "save the file as UTF-8")
        })
}

/// A text, and its name in errors.
#[derive(Clone, Debug)]
pub(crate) struct Document<'a> {
    label: String,
    text: &'a str,
}

impl<'a> Document<'a> {
    /// `text`, called `label` in errors.
    pub(crate) fn new(label: impl Into<String>, text: &'a str) -> Self {
        Self {
            label: label.into(),
            text,
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// An error at the byte `offset`; lines and columns count from 1, columns in characters.
    pub(crate) fn error(
        &self,
        offset: usize,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Error {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Error::Manifest {
            at: format!("{}:{line}:{column}", self.label),
            what: what.into(),
            hint: hint.into(),
        }
    }
}

/// An error about a file as a whole.
pub(crate) fn refuse(path: &Path, what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Manifest {
        at: path.display().to_string(),
        what: what.into(),
        hint: hint.into(),
    }
}

fn open(path: &Path, kind: Kind) -> std::io::Result<File> {
    // Without O_NONBLOCK the open would wait for a writer, which for `<(…)` is right.
    let wait = match kind {
        Kind::Regular => libc::O_NONBLOCK,
        Kind::Pipe => 0,
    };
    OpenOptions::new()
        .read(true)
        .custom_flags(wait | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
}

fn absent(why: &std::io::Error) -> bool {
    matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn check(path: &Path, file: &File, metadata: &Metadata, kind: Kind) -> Result<()> {
    let pipe = metadata.file_type().is_fifo();
    if metadata.is_dir() {
        return Err(refuse(path, "is a directory", "name the file in it"));
    }
    if pipe && kind == Kind::Regular {
        let hint = "a manifest must be a regular file; --env-file takes a pipe";
        return Err(refuse(path, "is a pipe", hint));
    }
    if !metadata.is_file() && !pipe {
        return Err(refuse(path, "is not a regular file", "name a regular file"));
    }
    file_ownership::file(file).map_err(|why| {
        let hint = match is_the_callers(metadata) {
            true => "under sudo, what is yours is another user's: put sudo behind instead, \
                     oc-secrets exec -- sudo --preserve-env=NAMES CMD"
                .to_owned(),
            false => format!(
                "whoever writes it decides what is fetched; look at it, then: {}",
                file_ownership::fix(path, metadata)
            ),
        };
        refuse(path, why, hint)
    })
}

/// Whether it belongs to the user who called us through sudo.
fn is_the_callers(metadata: &Metadata) -> bool {
    let caller = environment::ours("SUDO_UID").and_then(|uid| uid.to_str()?.parse().ok());
    nix::unistd::geteuid().is_root() && caller == Some(metadata.uid())
}

fn unreadable(path: &Path, why: &std::io::Error) -> Error {
    match why.kind() {
        ErrorKind::PermissionDenied => {
            refuse(path, "permission denied", "make it readable for you")
        }
        _ if absent(why) => refuse(path, "is a link to nothing", "fix or remove the link"),
        _ => refuse(path, format!("cannot be read: {why}"), "check the path"),
    }
}

/// Some editors begin a file with a byte order mark.
fn without_mark(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn file(&self, content: &[u8], mode: u32) -> PathBuf {
            let path = self.0.path().join("f");
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
            path
        }

        /// The error without the directory's name.
        fn error(&self, path: &Path) -> String {
            let error = read(path, Kind::Regular).expect_err("refused").to_string();
            error.replace(&format!("{}/", self.0.path().display()), "")
        }
    }

    #[test]
    fn a_file_of_ours_is_read_and_an_absent_one_is_none() {
        let place = Place::new();
        let path = place.file(b"\xef\xbb\xbfa = 1\n", 0o644);
        let read = |path: &Path| read(path, Kind::Regular).expect("readable");
        assert_eq!(read(&path), Some("a = 1\n".to_owned()));
        assert_eq!(read(&place.0.path().join("absent")), None);
        assert_eq!(read(&path.join("below a file")), None);
    }

    #[test]
    fn what_cannot_be_a_manifest_is_refused() {
        let place = Place::new();
        let many = vec![b'#'; LARGEST as usize + 1];
        for (content, mode, error) in [
            (&b""[..], 0o666, "f: can be written by others (mode 666)"),
            (b"", 0o646, "f: can be written by others (mode 646)"),
            (b"a = 1\n\xc3\xa9 = \xff", 0o644, "f:2:5: not UTF-8"),
            (&many, 0o644, "f: larger than 1 MiB"),
        ] {
            let path = place.file(content, mode);
            assert_eq!(place.error(&path), error);
        }
        let at_most = place.file(&many[1..], 0o644);
        assert!(read(&at_most, Kind::Regular).is_ok());
    }

    #[test]
    fn what_is_no_file_is_refused_and_nothing_waits() {
        let place = Place::new();
        let at = |name: &str| place.0.path().join(name);
        fs::create_dir(at("d")).expect("made");
        nix::unistd::mkfifo(&at("p"), nix::sys::stat::Mode::S_IRUSR).expect("made");
        symlink("nowhere", at("l")).expect("made");
        symlink("o", at("o")).expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(at("s")).expect("bound");
        assert_eq!(place.error(&at("d")), "d: is a directory");
        assert_eq!(place.error(&at("p")), "p: is a pipe");
        assert_eq!(place.error(&at("l")), "l: is a link to nothing");
        assert!(place.error(&at("o")).starts_with("o: cannot be read: "));
        assert!(place.error(&at("s")).starts_with("s: cannot be read: "));
        let error = read(Path::new("/dev/zero"), Kind::Regular).expect_err("refused");
        assert_eq!(error.to_string(), "/dev/zero: is not a regular file");
    }

    #[test]
    fn a_pipe_is_read_where_pipes_are_welcome() {
        let place = Place::new();
        let path = place.0.path().join("p");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, "A=1\n")
        });
        let text = read(&path, Kind::Pipe).expect("readable");
        assert_eq!(text, Some("A=1\n".to_owned()));
        writer.join().expect("joined").expect("written");
    }

    #[test]
    fn positions_count_from_one_in_characters() {
        let document = Document::new("f", "ab\néü x\n");
        let at = |offset| document.error(offset, "w", "h").to_string();
        assert_eq!(at(0), "f:1:1: w");
        assert_eq!(at(3), "f:2:1: w");
        assert_eq!(at(8), "f:2:4: w");
        assert_eq!(at(9), "f:2:5: w");
        assert_eq!(at(99), "f:3:1: w");
    }
}
