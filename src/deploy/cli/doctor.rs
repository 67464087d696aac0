//! `doctor`: what a run needs, each ok / warn / fail with its fix. Changes nothing.

use serde_json::json;

use crate::base::severity::Severity;
use crate::base::token_kind;
use crate::base::ui::clean;
use crate::base::units::{age, now, size};
use crate::deploy::backup;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::health::exposure;
use crate::deploy::gateway::observe::observe;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::runtime;
use crate::deploy::gateway::{container, env, secrets};
use crate::deploy::hooks;
use crate::deploy::host::disk;
use crate::deploy::host::lock;
use crate::deploy::settings::Deliver;
use crate::deploy::step::{Reach, StepState};
use crate::deploy::steps;
use crate::deploy::token::Token;

/// Two nights without a backup, in seconds.
const TOO_OLD: u64 = 2 * 86_400 + 3600;

/// What one check came to.
struct Diagnosis {
    name: &'static str,
    severity: Severity,
    text: String,
    fix: Option<String>,
}

impl Diagnosis {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Ok,
            text: text.into(),
            fix: None,
        }
    }

    fn bad(name: &'static str, severity: Severity, failure: &Failure) -> Self {
        Self {
            name,
            severity,
            text: failure.what.clone(),
            fix: failure.hint.clone(),
        }
    }
}

/// Runs all checks. Exit 1 when one of them fails.
pub(super) fn doctor(cx: &Context, json: bool) -> Result<Exit> {
    let mut all = Vec::new();
    all.push(match &cx.token {
        Some(token) if is_useless(cx, token) => Diagnosis::bad(
            "token",
            Severity::Warn,
            &Failure::new("GHCR_TOKEN is a fine-grained token, which ghcr.io does not take")
                .hint("put a classic one with read:packages into its 1Password item"),
        ),
        Some(_) => Diagnosis::ok("token", "GHCR_TOKEN is there and has the form of a token"),
        None => Diagnosis::bad(
            "token",
            Severity::Warn,
            &Failure::new("no GHCR_TOKEN in the environment; only public images can be pulled")
                .hint("oc-secrets exec -- openclaw-deploy doctor"),
        ),
    });
    all.extend(cx.host.wait(engine(cx)));
    all.push(
        match env::owner(cx).and_then(|owner| env::read(cx, owner)) {
            Ok(text) if text.is_empty() => Diagnosis::bad(
                "env",
                Severity::Warn,
                &Failure::new("there is no .env yet")
                    .hint("openclaw-deploy bootstrap --only files"),
            ),
            Ok(_) if !env::without_effect(cx).is_empty() => Diagnosis::bad(
                "env",
                Severity::Warn,
                &Failure::new(env::without_effect(cx).join("; "))
                    .hint(format!("remove the line from {}", env::path(cx).display())),
            ),
            Ok(_) => Diagnosis::ok("env", env::path(cx).display().to_string()),
            Err(failure) => Diagnosis::bad("env", Severity::Fail, &failure),
        },
    );
    // A remote engine does not tell how much its disk has left, and ours does not matter then.
    if Reach::ThisHost.applies(&cx.settings) {
        all.push(disk(cx));
        all.extend(this_host(cx));
    }
    print(cx, &all, json);
    let failed = all.iter().any(|it| it.severity == Severity::Fail);
    Ok(if failed { Exit::Step } else { Exit::Done })
}

fn is_useless(cx: &Context, token: &Token) -> bool {
    let ghcr = cx.settings.image.registry() == "ghcr.io";
    ghcr && token_kind::of(token.secret()) == token_kind::FINE_GRAINED
}

/// The least of what is free where the system, the engine and its images lie.
fn disk(cx: &Context) -> Diagnosis {
    let places = ["/var", "/var/lib/docker", "/var/lib/containerd"];
    let there = places.into_iter().filter(|it| cx.host.exists(it));
    let free = there.map(|it| disk::free(&cx.host.path(it)).map(|free| (free, it)));
    let least = free.reduce(|one, other| Ok(one?.min(other?)));
    match least {
        None => Diagnosis::ok("disk", "there is no /var"),
        Some(Ok((free, place))) if free > 2 << 30 => {
            Diagnosis::ok("disk", format!("{} free in {place}", size(free)))
        }
        Some(Ok((free, place))) => Diagnosis::bad(
            "disk",
            Severity::Warn,
            &Failure::new(format!("{} free in {place}", size(free))).hint("docker system df"),
        ),
        Some(Err(failure)) => Diagnosis::bad("disk", Severity::Fail, &failure),
    }
}

/// The steps that concern the host itself, and its backups: what `bootstrap` would do there now.
fn this_host(cx: &Context) -> Vec<Diagnosis> {
    if cx.host.is_real_root() && !nix::unistd::geteuid().is_root() {
        let failure = Failure::new("firewall, SSH, updates and backups can be seen by root alone");
        let failure = failure.hint("sudo openclaw-deploy doctor");
        return vec![Diagnosis::bad("host", Severity::Warn, &failure)];
    }
    let steps = steps::all().into_iter();
    let steps = steps.filter(|step| step.reach == Reach::ThisHost);
    let mut all: Vec<_> = steps
        .map(|step| match step.step.check(cx) {
            Ok(StepState::Done) => Diagnosis::ok(step.name, "as bootstrap leaves it"),
            Ok(StepState::Skip { reason }) => Diagnosis::ok(step.name, reason),
            Ok(StepState::Needed { what }) => Diagnosis::bad(
                step.name,
                Severity::Warn,
                &Failure::new(format!("to do: {}", what.join("; ")))
                    .hint(format!("openclaw-deploy bootstrap --only {}", step.name)),
            ),
            Err(failure) => Diagnosis::bad(step.name, Severity::Warn, &failure),
        })
        .collect();
    all.push(backups(cx));
    all.extend(dated_ahead(cx));
    all.push(match hooks::diagnose(&cx.host) {
        Ok(text) => Diagnosis::ok("hooks", text),
        Err(failure) => Diagnosis::bad("hooks", Severity::Warn, &failure),
    });
    all
}

/// Whether there is a backup, and how old it is.
fn backups(cx: &Context) -> Diagnosis {
    let warn = |what: String| {
        let failure = Failure::new(what).hint("openclaw-deploy backup");
        Diagnosis::bad("backup", Severity::Warn, &failure)
    };
    match backup::newest(&cx.host) {
        None => warn("there is none".to_owned()),
        Some((_, made, bytes)) => {
            let text = format!("{}, {}", age(made), size(bytes));
            match now().saturating_sub(made) > TOO_OLD {
                true => warn(format!("{text}: no night since has made one")),
                false => Diagnosis::ok("backup", text),
            }
        }
    }
}

/// An archive of a time that is not here yet, which sorts behind every one that is made from now on.
fn dated_ahead(cx: &Context) -> Option<Diagnosis> {
    let name = backup::dated_ahead(&cx.host).pop()?;
    let what = format!("{name} is dated after now: the clock was ahead when it was made");
    let failure = Failure::new(what).hint(format!(
        "check the clock: date; then restore it by its name if it is wanted, and remove it: rm {}/{name}",
        backup::PLACE
    ));
    Some(Diagnosis::bad("backup", Severity::Warn, &failure))
}

async fn engine(cx: &Context) -> Vec<Diagnosis> {
    let engine = match Engine::open(&cx.settings.engine).await {
        Ok(engine) => engine,
        Err(failure) => return vec![Diagnosis::bad("engine", Severity::Fail, &failure)],
    };
    let mut all = vec![Diagnosis::ok(
        "engine",
        format!("Docker {} on {}", engine.version, engine.platform),
    )];
    all.push(
        match client::compose_version(&cx.host, &cx.settings.engine).await {
            Ok(version) => Diagnosis::ok("compose", version),
            Err(failure) => Diagnosis::bad("compose", Severity::Fail, &failure),
        },
    );
    all.extend(gateway(cx, &engine).await);
    all.extend(secrets(cx).await);
    all.extend(records(cx));
    all
}

async fn gateway(cx: &Context, engine: &Engine) -> Vec<Diagnosis> {
    let seen = match observe(cx, engine).await {
        Ok(seen) => seen,
        Err(failure) => return vec![Diagnosis::bad("gateway", Severity::Fail, &failure)],
    };
    let mut all = Vec::new();
    let container = seen.container.clone().unwrap_or_default();
    let kind = cx
        .settings
        .runtime
        .unwrap_or(container::runtime(&container));
    match runtime::of(kind).diagnose(engine).await {
        Ok(said) => all.extend(said.map(|text| Diagnosis::ok("swarm", text))),
        Err(failure) => all.push(Diagnosis::bad("swarm", Severity::Fail, &failure)),
    }
    let bad = |what: &str, fix: &str| {
        Diagnosis::bad("gateway", Severity::Fail, &Failure::new(what).hint(fix))
    };
    all.push(match (&seen.container, seen.healthy) {
        (_, true) => Diagnosis::ok("gateway", "answers"),
        (None, _) => bad("not found", "openclaw-deploy bootstrap"),
        (Some(_), _) => bad("does not answer", "openclaw-deploy logs"),
    });
    // The listeners of a remote engine's machine cannot be seen from here.
    if let Some(port) = cx.settings.reachable_port().filter(|_| seen.healthy)
        && let Err(failure) = exposure::assert_private(&cx.host, &container, port)
    {
        all.push(Diagnosis::bad("exposure", Severity::Fail, &failure));
    }
    all
}

/// The broker, where the gateway is to ask it.
async fn secrets(cx: &Context) -> Option<Diagnosis> {
    let records = Records::load(&cx.host, &cx.settings).ok()?;
    let recorded = records.current().map(Release::delivers);
    if cx.settings.deliver.or(recorded) != Some(Deliver::Broker) {
        return None;
    }
    Some(match secrets::diagnose(cx).await {
        Ok(text) => Diagnosis::ok("secrets", text),
        Err(failure) => Diagnosis::bad("secrets", Severity::Fail, &failure),
    })
}

fn records(cx: &Context) -> Option<Diagnosis> {
    match Records::load(&cx.host, &cx.settings) {
        Ok(records) if records.pending.is_some() && !lock::is_held(&cx.host) => {
            Some(Diagnosis::bad(
                "records",
                Severity::Warn,
                &Failure::new("an earlier run was interrupted").hint("openclaw-deploy bootstrap"),
            ))
        }
        Ok(records) => its_file(cx, records.current()?),
        Err(failure) => Some(Diagnosis::bad("records", Severity::Fail, &failure)),
    }
}

/// The file from which people steer the gateway by hand, where it is not as it was written.
fn its_file(cx: &Context, current: &Release) -> Option<Diagnosis> {
    match runtime::of(current.runtime).has_its_file(cx, current) {
        Ok(true) => None,
        Ok(false) => {
            let failure = Failure::new("compose.yaml is missing or was edited");
            let failure = failure.hint("openclaw-deploy update");
            Some(Diagnosis::bad("compose", Severity::Warn, &failure))
        }
        Err(failure) => Some(Diagnosis::bad("compose", Severity::Fail, &failure)),
    }
}

fn print(cx: &Context, all: &[Diagnosis], json: bool) {
    if json {
        let list: Vec<_> = all
            .iter()
            .map(|it| json!({"check": it.name, "state": it.severity.word(), "text": it.text, "fix": it.fix}))
            .collect();
        cx.reporter.data(&json!({"checks": list}).to_string());
        return;
    }
    for it in all {
        let word = format!("{:4}", it.severity.word());
        let word = cx.reporter.paint(it.severity.tone(), &word);
        for line in lines(it, &word) {
            cx.reporter.data(&line);
        }
    }
}

/// A diagnosis and its fix. A registry or an image may have a say in both.
fn lines(it: &Diagnosis, word: &str) -> Vec<String> {
    let text = format!("{word}  {:9}  {}", it.name, clean(&it.text));
    let fix = it.fix.as_deref().map(clean);
    let fix = fix.map(|fix| format!("{:17}{fix}", ""));
    std::iter::once(text).chain(fix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_acts_on_no_terminal() {
        let failure = Failure::new("they say: \x1b[2J").hint("try \x07");
        let it = Diagnosis::bad("gateway", Severity::Fail, &failure);
        let said = lines(&it, "fail").join("\n");
        assert!(said.starts_with("fail  gateway    they say: \\u{1b}[2J\n"));
        assert!(!said.contains(['\x1b', '\x07']), "{said}");
    }

    #[test]
    fn a_backup_of_a_clock_that_was_ahead_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        assert!(dated_ahead(&cx).is_none());
        let place = cx.host.path(backup::PLACE);
        std::fs::create_dir_all(&place).expect("made");
        for name in ["20261124T030509Z", "99991231T235959Z"] {
            let archive = place.join(format!("openclaw-{name}.tar.gz"));
            std::fs::write(archive, "").expect("written");
        }
        let said = dated_ahead(&cx).map(|it| (it.severity, it.text));
        let (severity, text) = said.expect("a diagnosis");
        assert_eq!(severity, Severity::Warn);
        assert!(text.starts_with("openclaw-99991231T235959Z.tar.gz is dated after now"));
    }
}
