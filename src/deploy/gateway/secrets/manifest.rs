//! The broker's manifest: made from `app_secrets` where there is none. One that is there is somebody's,
//! and has to have the client already.

use std::fmt::Write;
use std::path::Path;

use super::place::CLIENT;
use crate::base::env_name::EnvName;
use crate::broker::manifest::{Location, Manifest, Origin, builtin, parse};
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::Access;
use crate::deploy::settings::STATE_OWNER;

const PATH: &str = "/etc/oc-secrets/oc-secrets.toml";

/// What has to be done, if anything.
pub(super) fn to_do(cx: &Context) -> Result<Option<String>> {
    let names = &cx.settings.app_secrets;
    let Some(text) = cx.host.read(PATH)? else {
        return made(names).map(|_| Some(format!("write {PATH}")));
    };
    let parsed = parse(&text, PATH, Origin::File(Path::new(PATH).to_owned()));
    let manifest = parsed.map_err(|why| {
        Failure::usage(why.to_string()).hint(format!("correct it: oc-secrets --manifest {PATH} ls"))
    })?;
    match serves(&manifest, names) {
        true => Ok(None),
        false => Err(Failure::usage(format!(
            "{PATH} does not give the client `{CLIENT}` all of app_secrets, and is not ours to change"
        ))
        .hint(format!("it has to hold these lines:\n{}", client(names)))),
    }
}

/// Writes it where there is none.
pub(super) fn write(cx: &Context) -> Result<()> {
    if cx.host.exists(PATH) {
        return Ok(());
    }
    let text = made(&cx.settings.app_secrets)?;
    // The broker's own user reads it; no value is in it.
    let access = Access::root(0o644);
    cx.host.write(PATH, text.as_bytes(), access).map(drop)
}

fn serves(manifest: &Manifest, names: &[EnvName]) -> bool {
    let mut clients = manifest.clients.iter();
    let client = clients.find(|it| it.name == CLIENT);
    client.is_some_and(|it| {
        it.uid == Some(STATE_OWNER.0) && names.iter().all(|name| it.secrets.contains(name))
    })
}

/// A manifest with these names, whose items are those of the built-in one.
fn made(names: &[EnvName]) -> Result<String> {
    let known = builtin();
    let mut text =
        String::from("# Written by openclaw-deploy from app_secrets; yours from now on.\n");
    if let Some(vault) = &known.vault {
        let _ = writeln!(text, "vault = {vault:?}");
    }
    text.push_str("\n[secrets]\n");
    for name in names {
        let spec = known.secrets.iter().find(|it| it.name == *name);
        let Some(Location::Item { item, field, .. }) = spec.map(|it| &it.location) else {
            return Err(Failure::usage(format!(
                "where {name} is kept is not known: there is no {PATH}"
            ))
            .hint(format!(
                "write it, with the references of your own items:\n[secrets]\n{}\n{}",
                references(names),
                client(names)
            )));
        };
        let _ = writeln!(text, "{name} = {{ item = {item:?}, field = {field:?} }}");
    }
    Ok(format!("{text}\n{}", client(names)))
}

fn references(names: &[EnvName]) -> String {
    let line = |name: &EnvName| format!("{name} = \"op://VAULT/ITEM/FIELD\"\n");
    names.iter().map(line).collect()
}

fn client(names: &[EnvName]) -> String {
    let names: Vec<_> = names.iter().map(|it| format!("\"{it}\"")).collect();
    let (names, uid) = (names.join(", "), STATE_OWNER.0);
    format!("[clients.{CLIENT}]\nsecrets = [{names}]\nuid = {uid}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<EnvName> {
        let names = all.iter().map(|it| EnvName::parse(it));
        names.map(|it| it.expect("a name")).collect()
    }

    #[test]
    fn what_is_written_is_a_manifest_that_serves_the_gateway() {
        let wanted = names(&["TELEGRAM_BOT_TOKEN", "EMAIL_APP_PASSWORD"]);
        let text = made(&wanted).expect("both are known");
        let manifest = parse(&text, "x", Origin::BuiltIn).expect(&text);
        assert!(serves(&manifest, &wanted));
        assert!(serves(&manifest, &wanted[..1]));
        assert!(!serves(&manifest, &names(&["NOTION_API_KEY"])));
        assert_eq!(manifest.secrets.len(), 2, "nothing else is asked for");
        let spec = &manifest.secrets[1];
        let source = "op://OpenClaw/Google Service Account/app password";
        assert_eq!(manifest.shown_source(spec), source);
        assert!(spec.required);
    }

    #[test]
    fn a_name_whose_item_is_not_known_is_refused_with_the_lines_to_write() {
        let failure = made(&names(&["MY_KEY"])).expect_err("not known");
        let hint = failure.hint.unwrap_or_default();
        assert!(
            hint.contains("MY_KEY = \"op://VAULT/ITEM/FIELD\""),
            "{hint}"
        );
        assert!(hint.contains("[clients.gateway]\nsecrets = [\"MY_KEY\"]\nuid = 1000"));
    }

    #[test]
    fn another_user_or_another_client_is_not_the_gateway() {
        let text = "[secrets]\nA_KEY = \"op://a/b/c\"\n[clients.other]\nsecrets = [\"A_KEY\"]\nuid = 1000\n[clients.gateway]\nsecrets = [\"A_KEY\"]\nuid = 1001\n";
        let manifest = parse(text, "x", Origin::BuiltIn).expect("good");
        assert!(!serves(&manifest, &names(&["A_KEY"])));
    }
}
