//! `doctor`: what a run needs, each ok / warn / fail with its fix. Changes nothing.

use serde_json::json;

use crate::base::token_kind;
use crate::base::ui::Tone;
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::client;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::health::exposure;
use crate::deploy::gateway::observe::observe;
use crate::deploy::gateway::records::Records;
use crate::deploy::gateway::runtime;
use crate::deploy::gateway::{container, env};
use crate::deploy::host::disk;
use crate::deploy::host::lock;
use crate::deploy::token::Token;

/// How bad a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Ok,
    Warn,
    Fail,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Notice,
            Self::Fail => Tone::Bad,
        }
    }
}

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
            Ok(_) => Diagnosis::ok("env", env::path(cx).display().to_string()),
            Err(failure) => Diagnosis::bad("env", Severity::Fail, &failure),
        },
    );
    // A remote engine does not tell how much its disk has left, and ours does not matter then.
    if !cx.settings.engine.is_remote() {
        all.push(disk(cx));
    }
    print(cx, &all, json);
    let failed = all.iter().any(|it| it.severity == Severity::Fail);
    Ok(if failed { Exit::Step } else { Exit::Done })
}

fn is_useless(cx: &Context, token: &Token) -> bool {
    let ghcr = cx.settings.image.registry() == "ghcr.io";
    ghcr && token_kind::of(token.secret()) == token_kind::FINE_GRAINED
}

fn disk(cx: &Context) -> Diagnosis {
    match disk::free(&cx.host.path("/var")) {
        Ok(free) if free > 2 << 30 => Diagnosis::ok("disk", format!("{} free in /var", size(free))),
        Ok(free) => Diagnosis::bad(
            "disk",
            Severity::Warn,
            &Failure::new(format!("{} free in /var", size(free))).hint("docker system df"),
        ),
        Err(failure) => Diagnosis::bad("disk", Severity::Fail, &failure),
    }
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

fn records(cx: &Context) -> Option<Diagnosis> {
    match Records::load(&cx.host, &cx.settings) {
        Ok(records) if records.pending.is_some() && !lock::is_held(&cx.host) => {
            Some(Diagnosis::bad(
                "records",
                Severity::Warn,
                &Failure::new("an earlier run was interrupted").hint("openclaw-deploy bootstrap"),
            ))
        }
        Ok(_) => None,
        Err(failure) => Some(Diagnosis::bad("records", Severity::Fail, &failure)),
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
        cx.reporter
            .data(&format!("{word}  {:8}  {}", it.name, it.text));
        if let Some(fix) = &it.fix {
            cx.reporter.data(&format!("{:16}{fix}", ""));
        }
    }
}
