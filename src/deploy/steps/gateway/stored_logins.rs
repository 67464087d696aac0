//! Logins that `docker login` once wrote to disk: we warn of them, and never use them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::deploy::context::Context;

/// Warns of each login for the image's registry in somebody's `~/.docker/config.json`.
pub(super) fn warn(cx: &Context) {
    let registry = cx.settings.image.registry();
    let homes = cx.host.names("/home").into_iter();
    let homes = homes.map(|name| Path::new("/home").join(name));
    for home in homes.chain([PathBuf::from("/root")]) {
        let path = home.join(".docker/config.json");
        let owner = cx.host.metadata(&home).map_or(0, |it| it.uid());
        let file = cx.host.read_of(owner, &path).ok().flatten();
        let json: serde_json::Value =
            serde_json::from_slice(&file.unwrap_or_default()).unwrap_or_default();
        if json["auths"][registry]["auth"].is_string() {
            cx.reporter.warn(format!(
                "{} holds a login for {registry}, which is not used: docker logout {registry}",
                path.display()
            ));
        }
    }
}
