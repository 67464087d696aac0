//! Which `op` is run: found by an absolute path only, and only where no other user could have put
//! it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::base::file_ownership;
use crate::base::program;

/// Finds `op` and checks that it can be trusted. The first of `chosen` (`OC_SECRETS_OP`, then
/// the manifest's `[op] path`) is taken before the absolute entries of `path`.
///
/// # Errors
/// [`Error::OpMissing`], [`Error::OpUntrusted`], or [`Error::Usage`] for a relative choice.
pub(crate) fn find(chosen: [Option<&Path>; 2], path: Option<&OsStr>) -> Result<PathBuf> {
    let found = match chosen.into_iter().flatten().next() {
        Some(chosen) if chosen.is_relative() => {
            return Err(Error::usage(
                format!(
                    "the path of `op` must be absolute, not `{}`",
                    chosen.display()
                ),
                "write it from the root, such as /usr/bin/op",
            ));
        }
        Some(chosen) => chosen.to_owned(),
        None => search(path.unwrap_or_default())?,
    };
    file_ownership::path(&found).map_err(|why| Error::OpUntrusted {
        absent: !found.exists(),
        path: found,
        why,
    })
}

/// The first executable `op` behind an absolute entry of `path`.
fn search(path: &OsStr) -> Result<PathBuf> {
    program::find("op", path).ok_or_else(|| Error::OpMissing {
        relative: std::env::split_paths(path)
            .any(|entry| entry.is_relative() && entry.join("op").is_file()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_choice_is_a_usage_error() {
        let error = find([Some(Path::new("bin/op")), None], None).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "the path of `op` must be absolute, not `bin/op`"
        );
    }

    #[test]
    fn an_empty_path_finds_nothing() {
        for path in ["", ":", ".", "relative:also/relative"] {
            let error = find([None, None], Some(OsStr::new(path))).expect_err("not found");
            assert!(matches!(error, Error::OpMissing { .. }), "{path:?}");
        }
    }
}
