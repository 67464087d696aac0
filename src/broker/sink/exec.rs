//! Replaces this process by a command whose environment holds the secrets.
//!
//! The environment is computed by a pure function, built in locked memory and handed to `execve`
//! from there: same pid, no supervisor, no copy left behind. The credentials of `op` are not passed
//! on, unless the user says so.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;

use crate::base::environment_block::EnvironmentBlock;
use crate::base::error::{ENVIRONMENT, Error, Result};
use crate::base::harden::Hardened;
use crate::base::own_environment::OwnEnvironment;

/// The longest `NAME=value` that Linux hands to a process, in bytes, its end included.
/// Source: `MAX_ARG_STRLEN` in execve(2).
const LONGEST: usize = 128 * 1024;

/// Where commands are looked for without `PATH`. Source: execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

const FILE: &str = "check the file's mode and its first line";
const LESS: &str = "hand on less, with --only or --clean";

/// What of our own environment is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inheritance {
    /// Nothing at all.
    pub clean: bool,
    /// The credentials of `op` too.
    pub keep_op_env: bool,
}

/// A command that was found.
#[derive(Debug)]
pub(crate) struct Invocation {
    path: CString,
    arguments: Vec<CString>,
}

impl Invocation {
    /// Finds the first of `words` as a shell would, before any secret is fetched for it.
    ///
    /// # Errors
    /// [`Error::CommandNotFound`] or [`Error::CannotExecute`].
    pub(crate) fn find(words: &[OsString], path: Option<&OsStr>) -> Result<Self> {
        let name = words.first().map_or(OsStr::new(""), OsString::as_os_str);
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        let file = if name.as_bytes().contains(&b'/') {
            executable(Path::new(name))?;
            name.to_owned()
        } else {
            search(name, path)?
        };
        Ok(Self {
            path: c_string(file)?,
            arguments: words.iter().cloned().map(c_string).collect::<Result<_>>()?,
        })
    }

    fn shown(&self) -> String {
        let name = self.arguments.first().unwrap_or(&self.path);
        name.to_string_lossy().into_owned()
    }
}

fn search(name: &OsStr, path: &OsStr) -> Result<OsString> {
    let here = std::env::current_dir().unwrap_or_default();
    if let Ok(found) = which::which_in(name, Some(path), here) {
        return Ok(found.into_os_string());
    }
    let unusable = std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|file| !name.is_empty() && file.is_file());
    match unusable {
        Some(file) => executable(&file).map(|()| file.into_os_string()),
        None => Err(not_found(name)),
    }
}

fn executable(file: &Path) -> Result<()> {
    if !file.exists() {
        return Err(not_found(file.as_os_str()));
    }
    let denied = |why: &str| Error::CannotExecute {
        command: file.display().to_string(),
        why: why.to_owned(),
        hint: FILE,
    };
    if file.is_dir() {
        return Err(denied("it is a directory"));
    }
    nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).map_err(|why| denied(why.desc()))
}

fn not_found(name: &OsStr) -> Error {
    Error::CommandNotFound {
        command: name.to_string_lossy().into_owned(),
    }
}

fn c_string(text: OsString) -> Result<CString> {
    // Unreachable: our own arguments cannot hold a NUL.
    CString::new(text.into_vec())
        .map_err(|_| Error::usage("an argument holds a NUL byte", "remove it"))
}

/// Computes the environment of the command: the variables of `inherited` that are passed on, then
/// `set`, which replaces inherited variables of the same name.
///
/// # Errors
/// [`Error::Unwritable`] for a value that the system cannot hand over.
pub(crate) fn environment(
    inherited: &OwnEnvironment,
    set: &[(&str, &[u8])],
    inheritance: Inheritance,
) -> Result<EnvironmentBlock> {
    let mut built = EnvironmentBlock::with_capacity(64 * 1024);
    let variables = inherited.variables.iter();
    let variables = variables.map(|(name, value)| (name, value.as_bytes()));
    let keys = inherited.keys.iter();
    let keys = keys.map(|(name, key)| (name, key.expose()));
    for (name, value) in variables.chain(keys) {
        let replaced = set.iter().any(|(own, _)| name == own);
        if !replaced && passes(name, inheritance) {
            built.push(name.as_bytes(), value);
        }
    }
    for (name, value) in set {
        let why = if value.contains(&0) {
            "it holds a NUL byte"
        } else if name.len() + value.len() + 2 > LONGEST {
            "it is longer than 128 KiB"
        } else {
            built.push(name.as_bytes(), value);
            continue;
        };
        return Err(Error::Unwritable {
            name: (*name).to_owned(),
            format: ENVIRONMENT,
            why,
        });
    }
    Ok(built)
}

/// Whether an inherited variable is passed on: the credentials of `op` and our own settings are
/// not.
fn passes(name: &OsStr, inheritance: Inheritance) -> bool {
    let name = name.as_bytes();
    let key = name == b"OP_SERVICE_ACCOUNT_TOKEN"
        || name.starts_with(b"OP_CONNECT_")
        || name.starts_with(b"OP_SESSION");
    // The socket is no key: whoever can connect needs no variable to be told where it is.
    let own = name.starts_with(b"OC_SECRETS_") && name != b"OC_SECRETS_SOCKET";
    !inheritance.clean && !own && (inheritance.keep_op_env || !key)
}

/// Becomes `command`. Returns only if that fails.
pub(crate) fn replace(
    command: &Invocation,
    environment: &EnvironmentBlock,
    hardened: Hardened,
) -> Error {
    refused(command, execute(command, environment, hardened))
}

/// Becomes `command`, or tells why it cannot.
pub(super) fn execute(
    command: &Invocation,
    environment: &EnvironmentBlock,
    hardened: Hardened,
) -> Errno {
    let entries = environment.entries();
    hardened.restore();
    let why = execve(&command.path, &command.arguments, &entries);
    if why != Errno::ENOEXEC {
        return why;
    }
    // A script without a first line that names its interpreter: as execvp(3), by the shell.
    let rest = command.arguments.iter().skip(1).cloned();
    let words: Vec<CString> = [c"sh".to_owned(), command.path.clone()]
        .into_iter()
        .chain(rest)
        .collect();
    execve(c"/bin/sh", &words, &entries)
}

/// The error for a command that could not be executed.
pub(super) fn refused(command: &Invocation, why: Errno) -> Error {
    let (why, hint) = match why {
        Errno::ENOENT => ("its interpreter does not exist", FILE),
        Errno::E2BIG => ("arguments and environment together are too long", LESS),
        why => (why.desc(), FILE),
    };
    Error::CannotExecute {
        command: command.shown(),
        why: why.to_owned(),
        hint,
    }
}

fn execve(path: &CStr, arguments: &[CString], environment: &[&CStr]) -> Errno {
    match nix::unistd::execve(path, arguments, environment) {
        Err(why) => why,
        Ok(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Inheritance = Inheritance {
        clean: false,
        keep_op_env: false,
    };

    fn built(
        inherited: &[(&[u8], &[u8])],
        set: &[(&str, &[u8])],
        inheritance: Inheritance,
    ) -> Vec<Vec<u8>> {
        let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let inherited: OwnEnvironment = inherited
            .iter()
            .map(|(name, value)| (own(name), own(value)))
            .collect();
        let environment = environment(&inherited, set, inheritance).expect("built");
        environment
            .entries()
            .iter()
            .map(|entry| entry.to_bytes().to_vec())
            .collect()
    }

    #[test]
    fn every_duplicate_of_a_name_is_replaced() {
        let entries = built(
            &[(b"A", b"old"), (b"B", b"1"), (b"A", b"older")],
            &[("A", b"new")],
            PLAIN,
        );
        assert_eq!(entries, [b"B=1".to_vec(), b"A=new".to_vec()]);
    }

    #[test]
    fn what_is_not_text_passes_unchanged() {
        assert_eq!(
            built(&[(b"X\xff", b"\xfe\n=")], &[], PLAIN),
            [b"X\xff=\xfe\n=".to_vec()]
        );
    }

    #[test]
    fn the_keys_to_the_vault_stay_behind() {
        let keys: &[(&[u8], &[u8])] = &[
            (b"OP_SERVICE_ACCOUNT_TOKEN", b"t"),
            (b"OP_CONNECT_TOKEN", b"t"),
            (b"OP_CONNECT_HOST", b"h"),
            (b"OP_SESSION_abc", b"s"),
            (b"OC_SECRETS_OP", b"/x"),
            (b"OC_SECRETS_SOCKET", b"/s"),
            (b"OP_ACCOUNT", b"a"),
        ];
        assert_eq!(
            built(keys, &[], PLAIN),
            [b"OC_SECRETS_SOCKET=/s".to_vec(), b"OP_ACCOUNT=a".to_vec()]
        );
        let keep = Inheritance {
            keep_op_env: true,
            ..PLAIN
        };
        assert_eq!(built(keys, &[], keep).len(), 6);
        let named = built(keys, &[("OP_SERVICE_ACCOUNT_TOKEN", b"named")], PLAIN);
        assert_eq!(named[2], b"OP_SERVICE_ACCOUNT_TOKEN=named");
    }

    #[test]
    fn a_clean_environment_holds_the_secrets_alone() {
        let clean = Inheritance {
            clean: true,
            ..PLAIN
        };
        assert_eq!(
            built(&[(b"HOME", b"/root")], &[("A", b"1")], clean),
            [b"A=1".to_vec()]
        );
    }

    #[test]
    fn what_no_environment_can_carry_is_refused() {
        let (none, long) = (OwnEnvironment::default(), vec![b'x'; LONGEST]);
        for value in [&b"a\0b"[..], &long] {
            assert!(environment(&none, &[("A", value)], PLAIN).is_err());
        }
        assert!(environment(&none, &[("A", &long[..LONGEST - 3])], PLAIN).is_ok());
    }

    #[test]
    fn says_whether_a_command_is_missing_or_unusable() {
        let find =
            |word: &str| Invocation::find(&[word.into()], Some(OsStr::new("/bin:/etc"))).err();
        assert!(find("sh").is_none() && find("/bin/sh").is_none());
        for missing in ["", "no-such-command", "/no/such/file"] {
            assert!(
                matches!(find(missing), Some(Error::CommandNotFound { .. })),
                "{missing}"
            );
        }
        for unusable in ["passwd", "/etc/passwd", "/etc"] {
            let found = Invocation::find(&[unusable.into()], Some(OsStr::new("/etc"))).err();
            assert!(
                matches!(found, Some(Error::CannotExecute { .. })),
                "{unusable}"
            );
        }
    }
}
