//! Step 5: this host joins the tailnet.
//!
//! The packages come from Tailscale's own repository ([`crate::deploy::host::apt_repository`]). `tailscale
//! up` reads the auth key from a pipe (`--auth-key=file:/dev/stdin`), so that it is in no argument, file or
//! environment.

use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::host::{Host, Program};
use crate::deploy::step::{Step, StepState};
use crate::deploy::token::Token;

use crate::deploy::host::apt_repository::{Layout, Repository};
use crate::deploy::host::{apt, systemd};

const UNIT: &str = "tailscaled.service";
const REPOSITORY: Layout = Layout {
    key: "{codename}.noarmor.gpg",
    keyring: "/usr/share/keyrings/tailscale-archive-keyring.gpg",
    list: "/etc/apt/sources.list.d/tailscale.list",
    component: "main",
    pins: None,
};

/// Tailscale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tailscale;

impl Step for Tailscale {
    fn check(&self, cx: &Context) -> Result<StepState> {
        let host = &cx.host;
        let installed = apt::is_installed(host, "tailscale", "tailscale");
        if installed && systemd::is_running(host) && backend(host).as_deref() == Some("Running") {
            return Ok(StepState::Done);
        }
        if let Some(reason) = obstacle(cx, installed)? {
            return Ok(StepState::Skip { reason });
        }
        let mut what = Vec::new();
        if !installed {
            what.push(format!(
                "add {}",
                repository(cx)?.map_or(String::new(), |repository| repository.url)
            ));
            what.push("install tailscale".to_owned());
        }
        what.push("join the tailnet".to_owned());
        Ok(StepState::of(what))
    }

    fn apply(&self, cx: &Context) -> Result<Option<String>> {
        let host = &cx.host;
        if !apt::is_installed(host, "tailscale", "tailscale") {
            if let Some(repository) = repository(cx)? {
                repository.add(host)?;
            }
            apt::install(host, &["tailscale"])?;
        }
        systemd::systemctl(host, &["enable", "--now", UNIT])?;
        if let Some(key) = &cx.tailscale_key {
            join(cx, key)?;
        }
        Ok(None)
    }

    fn verify(&self, cx: &Context) -> Result<()> {
        match backend(&cx.host).as_deref() {
            Some("Running") => Ok(()),
            saw => Err(
                Failure::expected("Tailscale to be running", saw.unwrap_or("no answer"))
                    .hint("tailscale status"),
            ),
        }
    }
}

/// Why this host does not join.
fn obstacle(cx: &Context, installed: bool) -> Result<Option<String>> {
    let host = &cx.host;
    if cx.tailscale_key.is_none() {
        return Ok(Some("TAILSCALE_AUTH_KEY is not set".to_owned()));
    }
    if !systemd::is_running(host) {
        return Ok(Some(systemd::NOT_RUNNING.to_owned()));
    }
    if installed {
        return Ok(None);
    }
    if !apt::is_available(host) {
        return Ok(Some(apt::not_installed("tailscale")));
    }
    let unknown = repository(cx)?.is_none();
    Ok(unknown.then(|| "Tailscale's packages are added for Debian and Ubuntu only".to_owned()))
}

/// The daemon's `BackendState`, such as `Running` or `NeedsLogin`.
fn backend(host: &Host) -> Option<String> {
    // Without the peers: those of a large tailnet are more than is read of a program's output.
    let status = Program::new("tailscale").args(["status", "--json", "--peers=false"]);
    let answer = host.run(&status).ok()?;
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).ok()?;
    Some(json.get("BackendState")?.as_str()?.to_owned())
}

/// Runs `tailscale up`. Its error message may quote the key, so it is redacted.
fn join(cx: &Context, key: &Token) -> Result<()> {
    let key = key.secret();
    let up = Program::new("tailscale")
        .args(["up", "--auth-key=file:/dev/stdin", "--timeout=60s"])
        .args(&cx.settings.host.tailscale_args)
        .secret(key)
        .deadline(Duration::from_secs(90));
    let answer = cx.host.run(&up)?;
    if answer.ok() {
        return Ok(());
    }
    let said = cx.redact().text(answer.last_line());
    Err(Failure::new(format!("tailscale up failed: {said}"))
        .cause(Cause::Auth)
        .hint("make a new auth key and put it into the 1Password item of TAILSCALE_AUTH_KEY"))
}

/// The vendor's repository for this distribution; `None` where it has none.
fn repository(cx: &Context) -> Result<Option<Repository>> {
    let settings = &cx.settings.host;
    Repository::for_host(
        &cx.host,
        REPOSITORY,
        &settings.tailscale_repository,
        &settings.tailscale_fingerprint,
    )
}
