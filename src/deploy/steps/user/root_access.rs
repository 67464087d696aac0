//! Who could administer this host over SSH if the deploy user's rule for sudo went.

use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::account::{Account, KeyLogin};
use crate::deploy::host::sshd;

use super::sudo;

/// Whether somebody could: root itself, the deploy user by a password, or another user with a key. What
/// cannot be found out is a no, because a host that nobody administers is worse than a rule too many.
pub(super) fn remains_without_rule(cx: &Context) -> Result<bool> {
    let (host, ours) = (&cx.host, &cx.settings.user);
    if host.find("sshd").is_none() {
        return Ok(true);
    }
    let Ok(effective) = sshd::effective(host) else {
        return Ok(false);
    };
    let root_is_let_in = effective.value("permitrootlogin") != Some("no");
    if root_is_let_in || sudo::becomes_root_by_password(host, ours) {
        return Ok(true);
    }
    let admitted = effective.words("allowusers");
    let mut others = Account::all(host)?.into_iter().filter(|other| {
        other.is_person()
            && other.name != *ours
            && (admitted.is_empty() || sshd::admits(&admitted, &other.name))
            && KeyLogin::of(host, other) == KeyLogin::Usable
    });
    Ok(others.any(|other| sudo::can_become_root(host, &other.name)))
}
