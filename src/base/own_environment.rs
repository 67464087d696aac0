//! The environment that we were started with. What signs in to 1Password is taken out of it at once,
//! as a [`Secret`].
//!
//! The kernel puts an environment on the stack of a process, where it may be swapped out and stays as
//! long as the process does. The keys to the vault are copied from there into locked memory, and
//! wiped. Everything else is ordinary.

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use zeroize::Zeroize;

use super::environment::among;
use super::secret::Secret;

/// Our variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnEnvironment {
    /// All but the keys.
    pub variables: Vec<(OsString, OsString)>,
    /// The keys to the vault, none of them empty.
    pub keys: Vec<(OsString, Secret)>,
}

impl OwnEnvironment {
    /// Reads the environment of this process and takes the keys out of it; later callers are given
    /// the same ones. There must be no other thread yet.
    pub(crate) fn take() -> Self {
        static KEYS: OnceLock<Vec<(OsString, Secret)>> = OnceLock::new();
        // SAFETY: there is one thread, so nobody reads or changes the environment meanwhile.
        let keys = KEYS.get_or_init(|| unsafe { take_keys(environ()) });
        Self {
            keys: keys.clone(),
            variables: std::env::vars_os().collect(),
        }
    }

    /// A variable that is not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let key = || self.key(name).map(|key| OsStr::from_bytes(key.expose()));
        among(&self.variables, name).or_else(key)
    }

    /// Signs in by `token` from now on, as if `OP_SERVICE_ACCOUNT_TOKEN` had been set to it.
    pub(crate) fn sign_in(&mut self, token: Secret) {
        const NAME: &str = "OP_SERVICE_ACCOUNT_TOKEN";
        self.keys.retain(|(own, _)| own != NAME);
        self.keys.push((NAME.into(), token));
    }

    /// A key to the vault.
    pub(crate) fn key(&self, name: &str) -> Option<&Secret> {
        let found = self.keys.iter().find(|(own, _)| own == name);
        found.map(|(_, key)| key)
    }
}

/// Of the variables of a test.
#[cfg(test)]
impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for OwnEnvironment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut own = Self::default();
        for (name, value) in variables {
            let (name, value): (OsString, OsString) = (name.into(), value.into());
            match is_key(name.as_bytes()) && !value.is_empty() {
                true => own.keys.push((name, Secret::copy_of(value.as_bytes()))),
                false => own.variables.push((name, value)),
            }
        }
        own
    }
}

/// Whether a variable of this name signs in to 1Password.
pub(crate) fn is_key(name: &[u8]) -> bool {
    name == b"OP_SERVICE_ACCOUNT_TOKEN"
        || name == b"OP_CONNECT_TOKEN"
        || name.starts_with(b"OP_SESSION")
}

/// Removes the keys from the list at `entries`, and wipes their values where they stand.
///
/// # Safety
/// `entries` is a list of C strings with a null pointer behind the last one, all of them ours to
/// write to, and nobody else uses it meanwhile.
unsafe fn take_keys(entries: *mut *mut c_char) -> Vec<(OsString, Secret)> {
    let mut keys = vec![];
    let (mut from, mut to) = (entries, entries);
    // SAFETY: both pointers stay before the null pointer that ends the list; a string is not read
    // any more once its value is wiped.
    unsafe {
        while !from.is_null() && !(*from).is_null() {
            let entry = CStr::from_ptr(*from).to_bytes();
            let equals = entry.iter().position(|&byte| byte == b'=');
            let name = &entry[..equals.unwrap_or(entry.len())];
            let (at, size) = (name.len() + 1, entry.len().saturating_sub(name.len() + 1));
            if is_key(name) && size > 0 {
                keys.push((
                    OsStr::from_bytes(name).to_owned(),
                    Secret::copy_of(&entry[at..]),
                ));
                let value = (*from).add(at).cast::<u8>();
                std::slice::from_raw_parts_mut(value, size).zeroize();
            } else {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        if !to.is_null() {
            *to = std::ptr::null_mut();
        }
    }
    keys
}

#[cfg(not(target_vendor = "apple"))]
fn environ() -> *mut *mut c_char {
    unsafe extern "C" {
        static environ: *mut *mut c_char;
    }
    // SAFETY: every libc has it, and it is read by the only thread.
    unsafe { environ }
}

#[cfg(target_vendor = "apple")]
fn environ() -> *mut *mut c_char {
    // SAFETY: it gives the place of the list, and has no preconditions.
    unsafe { *libc::_NSGetEnviron() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_and_wiped_and_the_rest_stays_as_it_is() {
        let texts = [
            "HOME=/h",
            "OP_SERVICE_ACCOUNT_TOKEN=ops_x=y",
            "OP_ACCOUNT=a",
            "OP_SESSION_my=s",
            "OP_CONNECT_TOKEN=",
            "odd",
            "OP_CONNECT_TOKEN=t",
        ];
        let mut strings: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| [text.as_bytes(), b"\0"].concat())
            .collect();
        let mut list: Vec<*mut c_char> = strings
            .iter_mut()
            .map(|string| string.as_mut_ptr().cast())
            .collect();
        list.push(std::ptr::null_mut());
        // SAFETY: the list is ours and ends with a null pointer.
        let keys = unsafe { take_keys(list.as_mut_ptr()) };
        let shown: Vec<(&str, &[u8])> = keys
            .iter()
            .map(|(name, key)| (name.to_str().expect("text"), key.expose()))
            .collect();
        assert_eq!(
            shown,
            [
                ("OP_SERVICE_ACCOUNT_TOKEN", &b"ops_x=y"[..]),
                ("OP_SESSION_my", b"s"),
                ("OP_CONNECT_TOKEN", b"t")
            ]
        );
        let left = list.iter().take_while(|entry| !entry.is_null());
        // SAFETY: the strings are still there.
        let left: Vec<&[u8]> = left
            .map(|entry| unsafe { CStr::from_ptr(*entry) }.to_bytes())
            .collect();
        assert_eq!(
            left,
            [
                &b"HOME=/h"[..],
                b"OP_ACCOUNT=a",
                b"OP_CONNECT_TOKEN=",
                b"odd"
            ]
        );
        assert_eq!(strings[1], b"OP_SERVICE_ACCOUNT_TOKEN=\0\0\0\0\0\0\0\0");
        assert_eq!(strings[3], b"OP_SESSION_my=\0\0");
    }

    #[test]
    fn an_empty_variable_is_one_that_is_not_set() {
        let own: OwnEnvironment = [
            ("A", ""),
            ("OP_SESSION", ""),
            ("B", "b"),
            ("OP_SESSION_x", "s"),
        ]
        .into_iter()
        .collect();
        assert_eq!(own.variable("A"), None);
        assert_eq!(own.variable("OP_SESSION"), None);
        assert_eq!(own.variable("B"), Some(OsStr::new("b")));
        assert_eq!(own.variable("OP_SESSION_x"), Some(OsStr::new("s")));
    }
}
