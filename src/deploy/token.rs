//! Tokens and other secrets of our environment.
//!
//! [`take`] copies a variable into locked memory and wipes the original, so that it is neither
//! inherited nor shown by `/proc/self/environ`. A value that cannot be a token is refused before the
//! network is used.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroize;

use super::error::{Failure, Result};
use crate::base::env_name::EnvName;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;

/// What `op` shows instead of a concealed value.
const PLACEHOLDER: &[u8] = b"[use 'op item get";

/// A value that has the form of a token: visible ASCII without a blank.
#[derive(Clone, Debug)]
pub(crate) struct Token(Secret);

impl Token {
    /// Checks the form of `secret`, which came in the variable `name`.
    pub(crate) fn new(name: &'static str, secret: Secret) -> Result<Self> {
        let bytes = secret.expose();
        let why = if bytes.starts_with(PLACEHOLDER) {
            "it is op's placeholder, not the secret"
        } else if bytes.is_empty() {
            "it is empty"
        } else if bytes.contains(&b'\n') || bytes.contains(&b'\r') {
            "it holds a line break"
        } else if bytes.contains(&b' ') || bytes.contains(&b'\t') {
            "it holds a blank"
        } else if !bytes.iter().all(u8::is_ascii_graphic) {
            "it holds a byte that is not visible ASCII"
        } else if bytes.len() > 4096 || bytes.starts_with(b"<") || bytes.starts_with(b"op://") {
            "it is not the value of a secret"
        } else {
            return Ok(Self(secret));
        };
        Err(
            Failure::usage(format!("{name} cannot be a token: {why}")).hint(format!(
                "check the 1Password item of {name}: oc-secrets check --only {name}"
            )),
        )
    }

    /// The token itself, for whoever passes it on.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// Takes the variable `name` out of our environment. An empty value counts as unset.
///
/// To be called before any thread exists.
pub(crate) fn take(name: &str) -> Option<Secret> {
    let prefix = format!("{name}=");
    let mut found = None;
    // SAFETY: `environ` is the C library's null-terminated array of C strings; nothing else
    // runs yet, so nobody reads or changes it while we walk it. The bytes after `=` are
    // writable: they lie on the initial stack or on the heap.
    unsafe {
        let mut entry = libc_environ();
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if text.starts_with(prefix.as_bytes()) {
                let value = std::slice::from_raw_parts_mut(
                    (*entry).add(prefix.len()).cast::<u8>(),
                    text.len() - prefix.len(),
                );
                if !value.is_empty() {
                    found.get_or_insert_with(|| Secret::copy_of(value));
                }
                value.zeroize();
            }
            entry = entry.add(1);
        }
    }
    found
}

/// The name of the systemd credential that stands for the variable `GHCR_TOKEN`.
pub(crate) const CREDENTIAL: &str = "GHCR_TOKEN";

/// The registry's token as systemd hands it to a service, in `directory`. An empty one counts as none:
/// it is what a broker leaves that has no value. One line break at its end is not of it.
/// Not read through `host/`, which would keep it in ordinary memory.
pub(crate) fn from_systemd(directory: &Path) -> Result<Option<Secret>> {
    let path = directory.join(CREDENTIAL);
    let fail = |why: io::Error| Failure::file("read", &path, why);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(fail(why)),
    };
    let mut heard = Locked::with_capacity(8192);
    // Longer than any token: whoever checks its form says so.
    while heard.len() <= 8192 {
        heard.reserve(4096);
        match file.read(heard.spare()).map_err(fail)? {
            0 => break,
            bytes => heard.advance(bytes),
        }
    }
    let line = heard.strip_suffix(b"\n").unwrap_or(&heard);
    Ok((!line.is_empty()).then(|| Secret::copy_of(line)))
}

/// [`take`] for each of `names` that is set.
pub(crate) fn take_all(names: Vec<EnvName>) -> Vec<(EnvName, Secret)> {
    let taken = names.into_iter().map(|name| (take(name.as_str()), name));
    taken
        .filter_map(|(value, name)| Some((name, value?)))
        .collect()
}

/// Fails for the first value that is a reference or `op`'s placeholder, without showing it.
pub(crate) fn refuse_unresolved(secrets: &[(EnvName, Secret)]) -> Result<()> {
    let stands_for = |value: &[u8]| value.starts_with(b"op://") || value.starts_with(PLACEHOLDER);
    match secrets.iter().find(|(_, it)| stands_for(it.expose())) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::usage(format!(
            "{name} is not the secret, but a reference to it or op's placeholder"
        ))
        .hint("run this as: oc-secrets exec -- openclaw-deploy …")),
    }
}

/// The C library's `environ`.
///
/// # Safety
/// Nobody else may change the environment meanwhile.
unsafe fn libc_environ() -> *mut *mut libc::c_char {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: a plain read of a pointer that the C library has set up.
    unsafe { environ }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_systemd_is_read_and_an_empty_one_is_none() {
        let place = tempfile::tempdir().expect("a directory");
        let read = |text: Option<&str>| {
            if let Some(text) = text {
                std::fs::write(place.path().join(CREDENTIAL), text).expect("written");
            }
            let secret = from_systemd(place.path()).expect("it can be read");
            secret.map(|it| String::from_utf8(it.expose().to_vec()).expect("text"))
        };
        assert_eq!(read(None), None);
        assert_eq!(read(Some("")), None);
        assert_eq!(read(Some("ghp_abc\n")).as_deref(), Some("ghp_abc"));
        assert_eq!(read(Some("ghp_abc")).as_deref(), Some("ghp_abc"));
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_without_showing_it() {
        let cases: [&[u8]; 7] = [
            b"[use 'op item get x --reveal' to reveal]",
            b"",
            b"ghp_abc\n",
            b"ghp abc",
            "ghp_\u{e4}".as_bytes(),
            b"op://vault/item/field",
            b"<token>",
        ];
        for case in cases {
            let failure = Token::new("GHCR_TOKEN", Secret::copy_of(case)).expect_err("refused");
            assert!(!failure.what.contains("abc"), "{failure}");
        }
        assert!(Token::new("GHCR_TOKEN", Secret::copy_of(b"ghp_abc")).is_ok());
    }
}
