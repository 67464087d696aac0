//! What `status`, `stats` and the end of a run tell, for people and as JSON.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::{newer, way_in};
use crate::base::ui::{Tone, clean, in_a_line};
use crate::base::units::{age, clock, round, size};
use crate::deploy::backup;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::env_file::EnvFile;
use crate::deploy::error::{Exit, Failure, Result};
use crate::deploy::gateway::observe::observe;
use crate::deploy::gateway::observed::Observed;
use crate::deploy::gateway::records::{Records, Release};
use crate::deploy::gateway::runtime;
use crate::deploy::gateway::{container, env, secrets};
use crate::deploy::host::lock;
use crate::deploy::image_reference::{short, short_name};
use crate::deploy::journal::stats::Stats;
use crate::deploy::outcome::{Ran, StepOutcome};
use crate::deploy::settings::{Deliver, Schedule};
use crate::deploy::step::Reach;
use crate::deploy::steps::maintenance::outlook;

/// How many releases `status` shows; `--json` has all.
const SHOWN: usize = 5;

/// The end of `bootstrap` and `update`.
pub(super) fn summary(cx: &Context, ran: &[Ran], not_run: &[&str], failure: Option<&Failure>) {
    let seconds = round(cx.began.get().elapsed().as_secs_f64());
    let steps: Vec<Value> = ran.iter().map(step).collect();
    let facts: serde_json::Map<_, _> = cx
        .facts
        .borrow()
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    let exit = failure.map_or(0, |failure| failure.exit as u8);
    cx.reporter.result(&json!({
        "exit": exit,
        "seconds": seconds,
        "steps": steps,
        "not_run": not_run,
        "facts": facts,
        "warnings": cx.reporter.warnings(),
        "error": failure.map(error),
    }));
    if cx.reporter.is_dry_run() {
        return;
    }
    if failure.is_none() {
        for (name, value) in cx.facts.borrow().iter() {
            cx.reporter.line(&format!("{name:10}  {}", clean(value)));
        }
    } else {
        what_is_done(cx, ran, not_run);
    }
    cx.reporter.line(&format!("{:10}  {seconds:.1} s", "took"));
    if Reach::ThisHost.applies(&cx.settings) {
        way_in::tell(cx, ran);
    }
}

/// After a failure: which steps are done, and which are not.
fn what_is_done(cx: &Context, ran: &[Ran], not_run: &[&str]) {
    let names = |word: &str| {
        let such = ran.iter().filter(|it| word.contains(it.outcome.word()));
        such.map(|it| it.name).collect::<Vec<_>>().join(", ")
    };
    let lines = [
        ("done", names("changed unchanged")),
        ("failed", names("failed")),
        ("not run", not_run.join(", ")),
    ];
    for (word, names) in lines.iter().filter(|(_, names)| !names.is_empty()) {
        cx.reporter.line(&format!("{word:10}  {names}"));
    }
}

/// A failure as JSON.
pub(super) fn error(failure: &Failure) -> Value {
    json!({"what": failure.what, "hint": failure.hint, "cause": failure.cause})
}

fn step(ran: &Ran) -> Value {
    let mut line = json!({
        "number": ran.number, "name": ran.name,
        "outcome": ran.outcome.word(), "seconds": round(ran.took.as_secs_f64()),
    });
    match &ran.outcome {
        StepOutcome::Skipped { reason } => line["reason"] = reason.as_str().into(),
        StepOutcome::Planned { what } => line["plan"] = json!(what),
        StepOutcome::Failed(failure) => line["error"] = failure.what.as_str().into(),
        StepOutcome::Changed { note } => line["note"] = note.as_deref().unwrap_or_default().into(),
        StepOutcome::Unchanged => {}
    }
    line
}

/// `stats`.
pub(super) fn stats(cx: &Context, plan: bool, json: bool) -> Result<Exit> {
    let path = cx.settings.records().join("journal.jsonl");
    let text = cx.host.read_at_most(path, u64::MAX)?.unwrap_or_default();
    let stats = Stats::of(&text);
    if json {
        cx.reporter.data(&stats.json().to_string());
    } else if plan {
        cx.reporter.data(&stats.plan());
    } else {
        cx.reporter.data(&stats.text());
    }
    Ok(Exit::Done)
}

/// `status`: exit 0 when the gateway answers, 1 when it does not.
pub(super) fn status(cx: &Context, check: bool, show_token: bool, json: bool) -> Result<Exit> {
    if show_token && !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "--show-token needs a terminal, so that the token ends in no log",
        ));
    }
    let (records, observed, built, newer) = cx.host.wait(async {
        // The engine first: whoever may not use it is told so, and not of a file of ours.
        let engine = Engine::open(&cx.settings.engine).await?;
        let observed = observe(cx, &engine).await?;
        let built = match &observed.container {
            Some(container) => engine
                .image(&container.image)
                .await?
                .and_then(|it| it.built),
            None => None,
        };
        let records = Records::load(&cx.host, &cx.settings)?;
        let newer = match check {
            true => Some(newer::look(cx, &engine, &records).await?),
            false => None,
        };
        Ok((records, observed, built, newer))
    })?;
    if json {
        let mut status = status_json(cx, &records, &observed);
        status["built"] = json!(built);
        if let Some(newer) = &newer {
            status["newer"] = newer.json();
        }
        cx.reporter.data(&status.to_string());
    } else {
        for line in status_lines(cx, &records, &observed, built) {
            cx.reporter.data(&line);
        }
        if let Some(newer) = &newer {
            let newer = newer.to_string();
            cx.reporter
                .data(&format!("{:10}  {}", "newer", clean(&newer)));
        }
    }
    if show_token {
        let text = env::read(cx, env::owner(cx)?)?;
        let file = EnvFile::parse(&text);
        cx.reporter.data(&format!(
            "token       {}",
            file.value(env::TOKEN).unwrap_or("-")
        ));
    }
    Ok(if observed.healthy {
        Exit::Done
    } else {
        Exit::Step
    })
}

fn word(observed: &Observed) -> (&'static str, Tone) {
    match &observed.container {
        None => ("absent", Tone::Bad),
        Some(_) if observed.healthy => ("answers", Tone::Good),
        Some(container) if container.running => ("does not answer", Tone::Bad),
        Some(_) => ("stopped", Tone::Bad),
    }
}

fn status_json(cx: &Context, records: &Records, observed: &Observed) -> Value {
    let release = |it: &Release| {
        json!({
            "id": it.id, "requested": it.requested, "image": it.pinned, "source": it.source.word(),
            "version": it.version, "revision": it.revision, "since": it.since, "seconds": it.seconds,
            "snapshot": it.snapshot, "runtime": it.runtime, "secrets": it.secrets,
            "deliver": it.delivers(),
        })
    };
    json!({
        "gateway": word(observed).0,
        "url": format!("http://127.0.0.1:{}", cx.settings.port),
        "container": observed.container.as_ref().map(|it| json!({"id": it.id, "runtime": container::runtime(it), "image": it.image, "status": it.status, "started": it.started})),
        "current": records.current().map(release),
        "releases": records.releases.iter().map(release).collect::<Vec<_>>(),
        "bad": records.bad,
        "left": records.left,
        "interrupted": records.pending.is_some(),
        "update": outlook(cx).map(|(schedule, next, last)| json!({"schedule": schedule.word(), "next": next, "last": last})),
        "backup": backup::newest(&cx.host).map(|(name, made, bytes)| json!({"name": name, "made": made, "bytes": bytes})),
    })
}

/// The lines for people. What the image says of itself, such as its version, stays within its line.
fn status_lines(
    cx: &Context,
    records: &Records,
    observed: &Observed,
    built: Option<u64>,
) -> Vec<String> {
    let (word, tone) = word(observed);
    let (word, place) = (cx.reporter.paint(tone, word), cx.settings.address());
    let mut lines = vec![format!("{:10}  {word} at {place}", "gateway")];
    let mut line = |name: &str, value: &str| lines.push(format!("{name:10}  {}", in_a_line(value)));
    if let Some(current) = records.current() {
        release_text(current, &mut line);
        if let Some(built) = built {
            line("built", &format!("{} ({})", clock(built), age(built)));
        }
        line("keys", &keys_text(cx, current));
    }
    if records.pending.is_some() {
        let word = match lock::is_held(&cx.host) {
            true => "a run is under way",
            false => "a run was interrupted; the next one finishes it or goes back",
        };
        line("pending", word);
    }
    for it in records.releases.iter().rev().take(SHOWN) {
        let snapshot = if it.snapshot.is_some() {
            "snapshot"
        } else {
            "-"
        };
        line(
            &format!("release {}", it.id),
            &format!(
                "{}  {:11}  {snapshot:8}  {}",
                clock(it.since),
                it.source.word(),
                version(it)
            ),
        );
    }
    for (name, images, why) in [
        ("bad", &records.bad, "not tried again without --retry"),
        (
            "left",
            &records.left,
            "rolled back from, and not installed again without --retry",
        ),
    ] {
        // Each is there by its id and by its name.
        let ids = images.iter().filter(|it| !it.contains('@'));
        let ids: Vec<_> = ids.map(|id| short(id)).collect();
        if !ids.is_empty() {
            line(name, &format!("{} ({why})", ids.join(", ")));
        }
    }
    if Reach::ThisHost.applies(&cx.settings) {
        line("backup", &backup_text(cx));
        if let Some((schedule, next, last)) = outlook(cx) {
            line("updates", &updates_text(schedule, &next, &last));
        }
    }
    lines
}

/// How the gateway gets its keys.
fn keys_text(cx: &Context, current: &Release) -> String {
    match current.delivers() {
        Deliver::Broker => format!("by the broker: {}", secrets::names(cx)),
        Deliver::Swarm => "as secrets of the swarm".to_owned(),
        Deliver::Env => "in .env, and so on the engine's disk".to_owned(),
    }
}

/// How a release is told from others.
fn version(release: &Release) -> String {
    match release.version.is_empty() {
        true => short(release.pinned.rsplit('@').next().unwrap_or_default()).to_owned(),
        false => release.version.clone(),
    }
}

/// When the gateway is updated by itself.
fn updates_text(schedule: Schedule, next: &str, last: &str) -> String {
    let next = match next {
        "" => "no timer: openclaw-deploy bootstrap --only upkeep".to_owned(),
        next => format!("next {next}"),
    };
    let last = match last {
        "" => String::new(),
        last => format!(", last: {last}"),
    };
    format!("{}, {next}{last}", schedule.word())
}

/// Age and size of the newest backup.
fn backup_text(cx: &Context) -> String {
    match backup::newest(&cx.host) {
        None => "none, or none that this user may see".to_owned(),
        Some((_, made, bytes)) => format!("{}, {}", age(made), size(bytes)),
    }
}

/// The release that should be running.
fn release_text(current: &Release, mut line: impl FnMut(&str, &str)) {
    line("image", &short_name(&current.pinned));
    line("source", current.source.word());
    if let Some(service) = runtime::of(current.runtime).describe(current) {
        line("service", &service);
    }
    if !current.version.is_empty() {
        line("version", &current.version);
    }
    line(
        "since",
        &format!("{} ({})", clock(current.since), age(current.since)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::gateway::records::tests::release;

    #[test]
    fn what_an_image_says_of_itself_acts_on_no_terminal() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let mut named = release(1, "a");
        named.version = "1.0\x1b]0;owned\x07\nbackup      just now".to_owned();
        let records = Records {
            releases: vec![named],
            bad: vec!["b\x1b[2J".to_owned()],
            ..Records::default()
        };
        let lines = status_lines(&cx, &records, &Observed::default(), None);
        let text = lines.join("\n");
        assert!(text.contains("1.0\\u{1b}]0;owned"), "{text}");
        assert!(!text.contains(['\x1b', '\x07']), "{text}");
        let backups = lines.iter().filter(|it| it.starts_with("backup"));
        assert_eq!(backups.count(), 1, "{text}");
    }
}
