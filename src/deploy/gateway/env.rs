//! The `.env` beside `compose.yaml`: checked before it is read, merged, never overwritten whole.
//!
//! It belongs to the deploy user, so it is foreign text to us, who are root: a symbolic link or
//! a file of somebody else is refused, and nothing in it is ever run.

use std::path::PathBuf;

use crate::base::checksum::fnv1a;
use crate::base::encode;
use crate::base::secret::Secret;
use crate::deploy::context::Context;
use crate::deploy::env_file::{EnvFile, is_plain};
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Access;
use crate::deploy::redact::Redact;

/// The key that names the image, for people who use compose by hand.
pub(crate) const IMAGE: &str = "OPENCLAW_IMAGE";
/// The gateway's own token.
pub(crate) const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// The password of the keyring of `gog`.
pub(crate) const KEYRING: &str = "GOG_KEYRING_PASSWORD";

/// Where it lies.
pub(crate) fn path(cx: &Context) -> PathBuf {
    cx.settings.project().join(".env")
}

/// Its text, "" where there is none.
pub(crate) fn read(cx: &Context, owner: Option<(u32, u32)>) -> Result<String> {
    let shown = path(cx).display().to_string();
    let owner = owner.map_or_else(|| nix::unistd::geteuid().as_raw(), |(user, _)| user);
    let bytes = cx.host.read_of(owner, path(cx))?.unwrap_or_default();
    String::from_utf8(bytes)
        .map_err(|_| {
            Failure::expected(format!("text in {shown}"), "bytes that are not UTF-8").hint(format!(
                "find the line: LC_ALL=C.UTF-8 grep --line-number --invert-match --text --extended-regexp '^.*$' {shown}"
            ))
        })
}

/// `text` with every key that has to be there.
pub(crate) fn complete(cx: &Context, text: &str) -> Result<String> {
    let mut file = EnvFile::parse(text);
    if text.is_empty() {
        file = EnvFile::parse(
            "# Variables of the OpenClaw gateway. Yours to edit; openclaw-deploy only adds what is missing.\n",
        );
    }
    let settings = &cx.settings;
    file.set_if_missing(TOKEN, random_hex)?;
    file.set_if_missing(KEYRING, random_hex)?;
    file.set_if_missing("OPENCLAW_GATEWAY_BIND", || Ok("lan".to_owned()))?;
    file.set_if_missing("OPENCLAW_GATEWAY_PORT", || Ok(settings.port.to_string()))?;
    for (key, path) in [
        ("OPENCLAW_CONFIG_DIR", settings.state()),
        ("OPENCLAW_WORKSPACE_DIR", settings.workspace()),
    ] {
        file.set_if_missing(key, || Ok(path.to_string_lossy().into_owned()))?;
    }
    Ok(file.text())
}

/// Writes it.
pub(crate) fn write(cx: &Context, text: &str, owner: Option<(u32, u32)>) -> Result<bool> {
    cx.host
        .write(path(cx), text.as_bytes(), Access { mode: 0o600, owner })
}

/// Names the image that runs, unless the user has put an image of his own there.
pub(crate) fn name_image(cx: &Context, pinned: &str, ours: &[String]) -> Result<()> {
    let owner = owner(cx)?;
    let text = read(cx, owner)?;
    let mut file = EnvFile::parse(&text);
    let there = file.value(IMAGE).unwrap_or_default().to_owned();
    if there == pinned || !is_plain(pinned) {
        return Ok(());
    }
    if !is_ours(&there, ours) {
        cx.reporter.warn(format!(
            "{IMAGE} in .env is left as it is ({there}); the gateway runs {pinned}"
        ));
        return Ok(());
    }
    file.set(IMAGE, pinned);
    write(cx, &file.text(), owner).map(drop)
}

/// Whether we, or the script that this program replaces, wrote that image's name.
fn is_ours(name: &str, ours: &[String]) -> bool {
    name.is_empty() || name.starts_with("openclaw:") || ours.iter().any(|our| our == name)
}

/// User and group that own the project directory; `None` for a remote engine.
pub(crate) fn owner(cx: &Context) -> Result<Option<(u32, u32)>> {
    if cx.settings.engine.is_remote() {
        return Ok(None);
    }
    let account = crate::deploy::host::account::Account::need(&cx.host, &cx.settings.user)?;
    Ok(Some((account.uid, account.gid)))
}

/// The fingerprint of `.env`; the image's name does not count.
pub(crate) fn fingerprint(cx: &Context) -> Result<String> {
    let mut file = EnvFile::parse(&read(cx, owner(cx)?)?);
    file.set(IMAGE, "");
    Ok(fnv1a(file.text().as_bytes()))
}

/// Hides the values of `.env` that are secrets by their names.
pub(crate) fn redact(cx: &Context, redact: &mut Redact) {
    let text = owner(cx)
        .and_then(|owner| read(cx, owner))
        .unwrap_or_default();
    let secret = |key: &str| {
        ["TOKEN", "KEY", "SECRET", "PASSWORD", "PASS"]
            .iter()
            .any(|word| key.to_ascii_uppercase().contains(word))
    };
    for (_, value) in EnvFile::parse(&text).pairs().filter(|(key, _)| secret(key)) {
        redact.add(&Secret::copy_of(value.as_bytes()));
    }
}

/// 64 hexadecimal digits from the OS.
pub(super) fn random_hex() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|why| {
        Failure::system("get random bytes", why).hint("see what the kernel says: dmesg | tail")
    })?;
    Ok(encode::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_the_users_own_is_not_ours() {
        let ours = ["r/x@sha256:1".to_owned()];
        assert!(
            is_ours("", &ours)
                && is_ours("openclaw:v2026.2.6", &ours)
                && is_ours("r/x@sha256:1", &ours)
        );
        assert!(!is_ours("me/fork:1", &ours));
    }

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let (one, two) = (random_hex().expect("random"), random_hex().expect("random"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }
}
