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

/// The key that names the image that runs; another one written there is what the next run takes.
pub(crate) const IMAGE: &str = "OPENCLAW_IMAGE";
/// The gateway's own token.
pub(crate) const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
/// The password of the keyring of `gog`.
pub(crate) const KEYRING: &str = "GOG_KEYRING_PASSWORD";

/// What an earlier version wrote there and nothing reads: it is decided elsewhere.
const DECIDED_ELSEWHERE: [(&str, &str); 3] = [
    (
        "OPENCLAW_GATEWAY_PORT",
        "`port` in /etc/openclaw-deploy.toml decides",
    ),
    (
        "OPENCLAW_CONFIG_DIR",
        "`user` in /etc/openclaw-deploy.toml decides whose home it is",
    ),
    (
        "OPENCLAW_WORKSPACE_DIR",
        "`user` in /etc/openclaw-deploy.toml decides whose home it is",
    ),
];

/// The beginning of a new one.
const HEAD: &str = "\
# Variables of the OpenClaw gateway. Yours to edit; openclaw-deploy only adds what is missing.
# After a change: openclaw-deploy update. OPENCLAW_IMAGE chooses the image, unless --image or
# /etc/openclaw-deploy.toml does. Port and directories are decided there (port, user), not here.
";

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
pub(crate) fn complete(text: &str) -> Result<String> {
    let mut file = EnvFile::parse(text);
    if text.is_empty() {
        file = EnvFile::parse(HEAD);
    }
    file.set_if_missing(TOKEN, random_hex)?;
    file.set_if_missing(KEYRING, random_hex)?;
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

/// The image that the user has written there in the place of ours. An account that is not root anyway
/// cannot choose: what runs as root in a container can leave files of root's in the state.
pub(crate) fn chosen_image(cx: &Context, ours: &[String]) -> Option<String> {
    let host = &cx.settings.host;
    // What cannot be read is the business of the step that needs it.
    let owner = owner(cx).ok()?;
    let may_choose = owner.is_none() || host.sudo || host.docker_group;
    let text = read(cx, owner).ok()?;
    let file = EnvFile::parse(&text);
    let there = file.value(IMAGE)?;
    (may_choose && is_chosen(there, ours)).then(|| there.to_owned())
}

/// `openclaw:latest` is how the original plan asks for a build on the host.
fn is_chosen(name: &str, ours: &[String]) -> bool {
    !is_ours(name, ours) || (name == "openclaw:latest" && !ours.iter().any(|our| our == name))
}

/// What stands in `.env` and has no effect, as it is not what was decided elsewhere.
pub(crate) fn without_effect(cx: &Context) -> Vec<String> {
    let text = owner(cx)
        .and_then(|owner| read(cx, owner))
        .unwrap_or_default();
    let settings = &cx.settings;
    let decided = [
        settings.port.to_string(),
        settings.state().to_string_lossy().into_owned(),
        settings.workspace().to_string_lossy().into_owned(),
    ];
    idle_keys(&text, &decided)
}

fn idle_keys(text: &str, decided: &[String; 3]) -> Vec<String> {
    let file = EnvFile::parse(text);
    let keys = DECIDED_ELSEWHERE.iter().zip(decided);
    keys.filter(|((key, _), value)| file.value(key).is_some_and(|there| there != value.as_str()))
        .map(|((key, place), value)| format!("{key} in .env has no effect: it is {value}, {place}"))
        .collect()
}

/// Whether we, or the script that this program replaces, wrote that image's name.
fn is_ours(name: &str, ours: &[String]) -> bool {
    name.is_empty() || name.starts_with("openclaw:") || ours.iter().any(|our| our == name)
}

/// User and group that own the project directory; `None` for a remote engine: its `.env` is on this
/// machine and belongs to whoever runs us. `gateway::state` cannot be asked, since it uses this file.
pub(crate) fn owner(cx: &Context) -> Result<Option<(u32, u32)>> {
    if cx.settings.engine.is_remote() {
        return Ok(None);
    }
    let account = crate::deploy::host::account::Account::need(&cx.host, &cx.settings.user)?;
    Ok(Some((account.uid, account.gid)))
}

/// `text` without these keys.
pub(crate) fn without(text: &str, names: &[String]) -> String {
    let mut file = EnvFile::parse(text);
    for name in names {
        file.remove(name);
    }
    file.text()
}

/// The fingerprint of `.env` without the keys `left_out`; the image's name does not count.
pub(crate) fn fingerprint(cx: &Context, left_out: &[String]) -> Result<String> {
    let mut file = EnvFile::parse(&without(&read(cx, owner(cx)?)?, left_out));
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
    fn what_the_user_wrote_in_the_place_of_our_image_is_chosen() {
        let ours = ["r/x@sha256:1".to_owned(), "r/x:latest".to_owned()];
        assert!(is_chosen("me/fork:1", &ours) && is_chosen("openclaw:latest", &ours));
        for name in ["", "openclaw:v2026.2.6", "r/x@sha256:1", "r/x:latest"] {
            assert!(!is_chosen(name, &ours), "{name}");
        }
        assert!(!is_chosen(
            "openclaw:latest",
            &["openclaw:latest".to_owned()]
        ));
    }

    #[test]
    fn a_new_file_has_secrets_only_and_says_where_the_rest_is_decided() {
        let text = complete("").expect("random");
        let file = EnvFile::parse(&text);
        let keys: Vec<_> = file.pairs().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(keys, [TOKEN, KEYRING]);
        assert!(text.starts_with(HEAD) && HEAD.contains("/etc/openclaw-deploy.toml"));
    }

    #[test]
    fn what_another_file_decides_is_named_where_it_differs() {
        let decided = ["18789", "/s", "/s/w"].map(str::to_owned);
        let same = "OPENCLAW_GATEWAY_PORT=18789\nOPENCLAW_CONFIG_DIR=/s\n";
        assert_eq!(idle_keys(same, &decided), [""; 0]);
        let idle = idle_keys("OPENCLAW_GATEWAY_PORT=1\n", &decided);
        assert_eq!(
            idle,
            [
                "OPENCLAW_GATEWAY_PORT in .env has no effect: it is 18789, `port` in /etc/openclaw-deploy.toml decides"
            ]
        );
    }

    #[test]
    fn keys_that_are_left_out_leave_all_else_to_the_byte() {
        let left_out = ["B_TOKEN".to_owned(), "NONE".to_owned()];
        let text = "# mine\nA=1\nB_TOKEN=x\nC='2'\nB_TOKEN=\"y\nz\"\n";
        assert_eq!(without(text, &left_out), "# mine\nA=1\nC='2'\n");
        assert_eq!(without(text, &[]), text);
    }

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let (one, two) = (random_hex().expect("random"), random_hex().expect("random"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }
}
