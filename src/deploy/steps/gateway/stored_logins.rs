//! Logins that `docker login` once wrote to disk: named, and never used.

use std::os::unix::fs::MetadataExt;

use crate::deploy::context::Context;

/// Names logins that `docker login` once wrote to disk. We never use them.
pub(super) fn warn(cx: &Context) {
    let registry = cx.settings.image.registry();
    let mut homes = vec![std::path::PathBuf::from("/root")];
    if let Ok(entries) = std::fs::read_dir(cx.host.path("/home")) {
        homes.extend(
            entries
                .flatten()
                .map(|entry| std::path::Path::new("/home").join(entry.file_name())),
        );
    }
    for home in homes {
        let path = home.join(".docker/config.json");
        let owner = std::fs::metadata(cx.host.path(&home)).map_or(0, |it| it.uid());
        let file = cx.host.read_of(owner, &path).ok().flatten();
        let text = String::from_utf8_lossy(&file.unwrap_or_default()).into_owned();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if json["auths"][registry]["auth"].is_string() {
            cx.reporter.warn(format!(
                "{} holds a login for {registry}, which is not used: docker logout {registry}",
                path.display()
            ));
        }
    }
}
