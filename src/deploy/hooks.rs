//! Hooks: programs of the host's owner that are run before and after a run, with facts in their
//! environment and never a secret.
//!
//! They lie in [`PLACE`], and root alone may write them and every directory on the way. A hook before
//! a run that fails stops it while nothing has been changed; one that fails later is a warning.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{environment, file_ownership};
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::{Access, Host, Program};

/// Where they lie.
pub(crate) const PLACE: &str = "/etc/openclaw-deploy/hooks";
/// Which start of a unit has told `post-failure` of its failure itself, by systemd's id.
const TOLD: &str = "/run/openclaw-deploy/told";
/// What each of them may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// All that are ever looked for.
const NAMES: [&str; 8] = [
    "pre-bootstrap",
    "post-bootstrap",
    "pre-update",
    "post-update",
    "pre-rollback",
    "post-rollback",
    "pre-failure",
    "post-failure",
];

/// A command around which hooks are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hooked {
    /// `bootstrap`.
    Bootstrap,
    /// `update`.
    Update,
    /// `rollback`.
    Rollback,
}

/// A fact for a hook: the end of its variable's name, and the value.
pub(crate) type Fact = (&'static str, String);

impl Hooked {
    fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Update => "update",
            Self::Rollback => "rollback",
        }
    }
}

/// Runs `pre-COMMAND`, which is going to have `image` run.
///
/// # Errors
/// When it fails: the run is not to begin.
pub(crate) async fn before(cx: &Context, command: Hooked, image: &str) -> Result<()> {
    let word = command.word();
    let facts = vec![
        ("EVENT", format!("{word}-begins")),
        ("IMAGE", image.to_owned()),
    ];
    let ran = run(cx, &format!("pre-{word}"), facts).await;
    ran.map_err(|why| Failure {
        what: format!("{}; nothing was changed", why.what),
        ..why
    })
}

/// Runs `post-COMMAND`, or `post-failure` where the run failed.
pub(crate) async fn after(
    cx: &Context,
    command: Hooked,
    failure: Option<&Failure>,
    facts: Vec<Fact>,
) {
    let word = command.word();
    let (name, event) = match failure {
        None => (format!("post-{word}"), format!("{word}-done")),
        Some(_) => ("post-failure".to_owned(), format!("{word}-failed")),
    };
    let mut all = vec![("EVENT", event)];
    all.extend(facts);
    all.extend(failure.into_iter().flat_map(of_failure));
    all.push((
        "SECONDS",
        format!("{:.1}", cx.began.get().elapsed().as_secs_f64()),
    ));
    // Whoever is told of a failure is told of an interrupted run too.
    cx.host.shield(true);
    warn(cx, run(cx, &name, all).await);
    if let (Some(_), Some(start)) = (failure, environment::ours("INVOCATION_ID")) {
        // If that fails, the hook is told twice.
        let _ = cx
            .host
            .write(TOLD, start.as_encoded_bytes(), Access::root(0o600));
    }
    cx.host.shield(false);
}

/// Runs `pre-failure`, while what did not work is still there to be looked at.
pub(crate) async fn before_way_back(cx: &Context, image: &str, failure: &Failure) {
    let mut facts = vec![
        ("EVENT", "version-failed".to_owned()),
        ("IMAGE", image.to_owned()),
    ];
    facts.extend(of_failure(failure));
    warn(cx, run(cx, "pre-failure", facts).await);
}

/// Runs `post-failure` for what a timer started and failed, unless that has done so itself: it may have been killed,
/// or not even begun.
///
/// # Errors
/// When the hook is not to be run, or fails.
pub(crate) async fn after_timer(cx: &Context, event: &str) -> Result<()> {
    if was_told(&cx.host, environment::ours("MONITOR_INVOCATION_ID")) {
        return Ok(());
    }
    let facts = vec![("EVENT", event.to_owned())];
    run(cx, "post-failure", facts).await
}

/// Whether this start of a unit has told the hook itself.
fn was_told(host: &Host, start: Option<OsString>) -> bool {
    let told = host.read(TOLD).ok().flatten();
    start.is_some() && start == told.map(OsString::from)
}

/// What `doctor` has to say of them: their names, or the first that would not be run, and why.
pub(crate) fn diagnose(host: &Host) -> Result<String> {
    let names = host.names(PLACE);
    for name in &names {
        if !NAMES.contains(&name.as_str()) {
            return Err(Failure::new(format!("{PLACE}/{name} is never run"))
                .hint(format!("call it one of: {}", NAMES.join(", "))));
        }
        find(host, Path::new(PLACE), name)?;
    }
    Ok(match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    })
}

fn warn(cx: &Context, ran: Result<()>) {
    if let Err(why) = ran {
        cx.reporter.warn(why.what);
    }
}

fn of_failure(failure: &Failure) -> Vec<Fact> {
    vec![
        ("EXIT", (failure.exit as u8).to_string()),
        ("CAUSE", failure.cause.word().to_owned()),
        ("ERROR", failure.what.clone()),
        ("HINT", failure.hint.clone().unwrap_or_default()),
    ]
}

async fn run(cx: &Context, name: &str, facts: Vec<Fact>) -> Result<()> {
    // What failed may be the words of a program that was given a secret.
    let redact = cx.redact();
    let facts = facts.into_iter();
    let facts = facts.map(|(name, value)| (name, redact.text(&value)));
    run_in(&cx.host, Path::new(PLACE), name, facts.collect(), DEADLINE).await
}

async fn run_in(
    host: &Host,
    place: &Path,
    name: &str,
    facts: Vec<Fact>,
    deadline: Duration,
) -> Result<()> {
    let Some(path) = find(host, place, name)? else {
        return Ok(());
    };
    let mut program = Program::new(path).deadline(deadline);
    for (name, value) in facts {
        program = program.env(format!("OPENCLAW_{name}"), OsString::from(value));
    }
    let done = host.must_async(&program).await;
    done.map(drop).map_err(|why| Failure {
        what: format!("the hook {why}", why = why.what),
        hint: Some(format!("look at {}", place.join(name).display())),
        ..why
    })
}

/// The hook `name`, where there is one.
///
/// # Errors
/// When others than root could have written it, or it cannot be run: what is meant to run is not
/// passed over in silence.
fn find(host: &Host, place: &Path, name: &str) -> Result<Option<PathBuf>> {
    let path = place.join(name);
    let refused = |why: String, hint: String| {
        Err(Failure::new(format!("the hook {} {why}", path.display())).hint(hint))
    };
    match host.mode(&path) {
        None if !host.exists(&path) => return Ok(None),
        Some(mode) if mode & 0o111 == 0 => {
            return refused(
                "is not executable".to_owned(),
                format!("chmod +x {}", path.display()),
            );
        }
        _ => {}
    }
    match file_ownership::path(&host.path(&path)) {
        Ok(_) => Ok(Some(path)),
        Err(why) => refused(
            format!("is not run: {why}"),
            format!("chown root:root {0} && chmod 755 {0}", path.display()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn with_hook(mode: u32, script: &str) -> (tempfile::TempDir, Host) {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("pre-update");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        (place, Host::new("/").expect("a host"))
    }

    fn run_it(mode: u32, script: &str) -> Result<String> {
        let (place, host) = with_hook(mode, script);
        let facts = vec![("EVENT", "update-begins".to_owned())];
        let deadline = Duration::from_millis(1500);
        host.wait(run_in(&host, place.path(), "pre-update", facts, deadline))?;
        Ok(fs::read_to_string(place.path().join("seen")).unwrap_or_default())
    }

    #[test]
    fn a_hook_sees_the_facts_and_nothing_else() {
        let seen = run_it(0o755, "env | cut -d= -f1 | sort >\"${0%/*}/seen\"");
        let seen = seen.expect("it runs");
        let names: Vec<_> = seen.lines().filter(|it| *it != "PWD").collect();
        assert_eq!(names, ["HOME", "LC_ALL", "OPENCLAW_EVENT", "PATH"]);
    }

    #[test]
    fn one_that_fails_or_does_not_end_is_an_error_that_names_it() {
        let failure = run_it(0o755, "echo not today >&2; exit 3").expect_err("it fails");
        assert_eq!(failure.what, "the hook pre-update exited with 3: not today");
        let failure = run_it(0o755, "sleep 60").expect_err("too slow");
        assert!(
            failure.what.starts_with("the hook pre-update did not end"),
            "{failure}"
        );
    }

    #[test]
    fn a_start_that_has_told_the_hook_itself_is_known_by_its_id() {
        let root = tempfile::tempdir().expect("a directory");
        let host = Host::new(root.path()).expect("a host");
        let was_told = |start: &str| was_told(&host, Some(start.into()));
        assert!(!was_told("a1"), "none has");
        let path = host.path(TOLD);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "a1").expect("written");
        assert!(was_told("a1") && !was_told("b2"));
        assert!(!super::was_told(&host, None), "nobody knows which");
    }

    #[test]
    fn one_that_others_could_have_written_is_not_run() {
        for (mode, why) in [
            (0o777, "can be written by others"),
            (0o644, "is not executable"),
        ] {
            let failure = run_it(mode, ": >\"${0%/*}/seen\"").expect_err("refused");
            assert!(failure.what.contains(why), "{failure}");
        }
        let (place, host) = with_hook(0o755, "");
        fs::set_permissions(place.path(), Permissions::from_mode(0o777)).expect("set");
        let found = find(&host, place.path(), "pre-update").expect_err("anybody can replace it");
        assert!(found.what.contains("can be written by others"), "{found}");
        assert_eq!(find(&host, place.path(), "post-update"), Ok(None));
    }
}
