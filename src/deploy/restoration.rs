//! `restore`: a backup becomes the gateway again, on the host that made it or on a bare one.
//!
//! The archive is unpacked as a snapshot of the state. Where a gateway is, that snapshot is put in place as
//! a rollback does it: what is there now is kept, and comes back if the gateway does not answer. On a
//! bare host `.env` and the records of the releases come back too, and `bootstrap` starts it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::shell_quote;
use crate::base::units::size;
use crate::deploy::backup::{self, PLACE};
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::error::{Cause, Failure, Result};
use crate::deploy::gateway::records::{Held, Records};
use crate::deploy::gateway::state::snapshot;
use crate::deploy::gateway::{container, env, recover, rollback, state};
use crate::deploy::host::{Program, disk};

const LONG: Duration = Duration::from_secs(3600);

/// What came of it.
pub(crate) struct Restored {
    /// The archive.
    pub archive: PathBuf,
    /// The new release, where a gateway runs with that state; none on a bare host.
    pub release: Option<u64>,
    /// The snapshot of what was there.
    pub kept: Option<String>,
}

/// Which archive is meant: a path, a name in the place of the backups, or the newest.
pub(crate) fn find(cx: &Context, named: &str) -> Result<PathBuf> {
    let path = match (named, backup::latest(&cx.host)) {
        ("latest", Some(newest)) => Path::new(PLACE).join(newest),
        ("latest", None) => {
            return Err(Failure::new(format!("there is no backup in {PLACE}"))
                .hint("name the file: openclaw-deploy restore FILE"));
        }
        (named, _) if named.contains('/') => std::path::absolute(named)
            .map_err(|why| Failure::file("find", Path::new(named), why))?,
        (named, _) => Path::new(PLACE).join(named),
    };
    match cx.host.exists(&path) {
        true => Ok(path),
        false => Err(Failure::new(format!("{} was not found", path.display()))
            .hint(format!("see what is there: ls {PLACE}"))),
    }
}

/// Restores. The deploy user is there.
pub(crate) fn run(cx: &Context, archive: PathBuf) -> Result<Restored> {
    if state::of(&cx.settings).directories(&cx.settings).is_empty() {
        return Err(Failure::new(
            "a backup holds directories, and a remote engine has volumes instead",
        )
        .hint("run this on the host of the gateway"));
    }
    let mut records = Records::load(&cx.host, &cx.settings)?;
    if records.pending.is_some() {
        cx.host.wait(keep_what_answers(cx, &mut records))?;
    }
    if records.current().is_none() {
        refuse_unknown(cx, &records, &archive)?;
    }
    let (id, unpacked) = unpack(cx, &archive)?;
    let done = match records.current().cloned() {
        Some(current) => cx.host.wait(async {
            let engine = Engine::open(&cx.settings.engine).await?;
            let new = rollback::run(cx, &engine, &mut records, &current, Some(&id)).await?;
            Ok((Some(new), records.held_of(current.id).map(str::to_owned)))
        }),
        None => on_bare_host(cx, records, &id, &unpacked).map(|kept| (None, kept)),
    };
    let (release, kept) = done?;
    Ok(Restored {
        archive,
        release,
        kept,
    })
}

/// Refuses where the records know no gateway and yet there is one: it would write on into the state that is
/// taken from under it. Where no engine is, none runs.
fn refuse_unknown(cx: &Context, records: &Records, archive: &Path) -> Result<()> {
    let why = if records.pending.is_some() {
        "an earlier run was cut off while it started the first gateway"
    } else if cx.host.wait(gateway_is_alive(cx))? {
        "a gateway runs here that the records do not know"
    } else {
        return Ok(());
    };
    Err(
        Failure::new(format!("{why}; nothing was changed")).hint(format!(
            "let bootstrap take it over first: openclaw-deploy bootstrap && openclaw-deploy restore {}",
            quoted(archive)
        )),
    )
}

/// A version that an earlier run was cut off at, and that answers, is what is restored over.
async fn keep_what_answers(cx: &Context, records: &mut Records) -> Result<()> {
    match Engine::open_if_there(&cx.settings.engine).await? {
        Some(engine) => recover::keep_what_answers(cx, &engine, records)
            .await
            .map(drop),
        None => Ok(()),
    }
}

async fn gateway_is_alive(cx: &Context) -> Result<bool> {
    match Engine::open_if_there(&cx.settings.engine).await? {
        Some(engine) => container::is_any_alive(&engine).await,
        None => Ok(false),
    }
}

/// The texts of an archive that are no state; "" for one that is not in it.
struct Unpacked {
    env: String,
    records: String,
}

/// Unpacks the archive as a snapshot, and returns its id.
fn unpack(cx: &Context, archive: &Path) -> Result<(String, Unpacked)> {
    let place = snapshot::directory(cx)?;
    let packed = cx.host.metadata(archive).map_or(0, |it| it.len());
    let free = disk::free(&cx.host.path(&place))?;
    // Twice unpacked: as a snapshot and in its place. What is packed grows about fourfold.
    if free / 8 < packed {
        return Err(Failure::expected(
            format!(
                "{} free in {}",
                size(packed.saturating_mul(8)),
                place.display()
            ),
            size(free),
        )
        .cause(Cause::Disk)
        .hint("free some space: df -h"));
    }
    let id = snapshot::new_id(cx, crate::base::units::now(), 0);
    let fresh = place.join(format!(".{id}.new"));
    cx.host.private_directory(&fresh)?;
    let unpacked = fill(cx, archive, &fresh).inspect_err(|_| {
        let _ = cx.host.remove_tree(&fresh);
    })?;
    cx.host.rename(&fresh, place.join(&id))?;
    Ok((id, unpacked))
}

/// Unpacks the archive into `fresh`, under the names of a snapshot.
fn fill(cx: &Context, archive: &Path, fresh: &Path) -> Result<Unpacked> {
    let tree = fresh.join("tree");
    cx.host.private_directory(&tree)?;
    let tar = Program::new("tar")
        .args([
            "--extract",
            "--gzip",
            "--preserve-permissions",
            "--numeric-owner",
        ])
        .args(["--acls", "--xattrs", "--delay-directory-restore", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(&tree)
        .deadline(LONG);
    cx.host.must(&tar).map_err(|why| {
        Failure {
            what: format!(
                "{} cannot be unpacked: {}; nothing was changed",
                archive.display(),
                why.what
            ),
            ..why
        }
        .hint("choose an older one: ls /var/backups/openclaw")
    })?;
    let settings = &cx.settings;
    let unpacked = texts(cx, archive, &tree)?;
    for (path, name) in [(settings.state(), "state"), (settings.auth(), "auth")] {
        let from = within(&tree, &path);
        if cx.host.exists(&from) {
            cx.host.rename(&from, fresh.join(name))?;
        }
    }
    cx.host.remove_tree(&tree)?;
    match cx.host.exists(fresh.join("state")) {
        true => Ok(unpacked),
        false => Err(Failure::new(format!(
            "{} holds no {}; nothing was changed",
            archive.display(),
            settings.state().display()
        ))
        .hint("it is a backup of another user's gateway, or none: tar -tzf FILE | head")),
    }
}

/// Where `path` of the gateway's host is in the unpacked `tree`.
fn within(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the archive has beside the state. Its `.env` was the deploy user's to make: where it is a link or a
/// pipe it is refused before anything is put in place, since root would read what they may not.
fn texts(cx: &Context, archive: &Path, tree: &Path) -> Result<Unpacked> {
    let text = |path: &Path| {
        let bytes = cx.host.read_plain(within(tree, path));
        let bytes = bytes.map_err(|why| refused(cx, &why, archive, tree, path))?;
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default());
        Ok(text.into_owned())
    };
    Ok(Unpacked {
        env: text(&env::path(cx))?,
        records: text(&cx.settings.records().join("records.json"))?,
    })
}

/// The archive is good but for the file of `path`.
fn refused(cx: &Context, why: &Failure, archive: &Path, tree: &Path, path: &Path) -> Failure {
    let why = why.what.replace(&tree.display().to_string(), "");
    let what = format!(
        "{} cannot be restored: in it {why}; nothing was changed",
        archive.display()
    );
    let member = quoted(path.strip_prefix("/").unwrap_or(path));
    let (without, archive) = (quoted(&free_beside(cx, archive)), quoted(archive));
    Failure::new(what).hint(format!(
        "restore it without that file: (umask 077; gzip -dc {archive} | tar --delete --file - {member} | gzip >{without}) && openclaw-deploy restore {without}"
    ))
}

/// A path beside the archive at which nothing is: what a hint writes there overwrites no archive, this one least of all.
fn free_beside(cx: &Context, archive: &Path) -> PathBuf {
    let names = (1..).map(|nth: u32| match nth {
        1 => archive.with_file_name("without.tar.gz"),
        nth => archive.with_file_name(format!("without-{nth}.tar.gz")),
    });
    let mut free = names.filter(|path| path != archive && !cx.host.exists(path));
    free.next().unwrap_or_default()
}

/// A path as a word of a command.
fn quoted(path: &Path) -> String {
    shell_quote::word(&path.to_string_lossy())
}

/// No gateway is known here: state, `.env` and records come back, the records last. A run that was cut off
/// is done anew, and until then `here`, with what it kept, are the records.
fn on_bare_host(
    cx: &Context,
    mut here: Records,
    id: &str,
    unpacked: &Unpacked,
) -> Result<Option<String>> {
    state::of(&cx.settings).repair(cx)?;
    let kept = keep(cx, &mut here)?;
    cx.host.wait(state::restore(cx, id))?;
    let text = &unpacked.env;
    let owner = env::owner(cx)?;
    if env::read(cx, owner)?.is_empty() && !text.is_empty() {
        let access = crate::deploy::host::Access { mode: 0o755, owner };
        cx.host.directory(cx.settings.project(), access)?;
        env::write(cx, text, owner)?;
    }
    let mut records = told(&unpacked.records);
    records.held = here.held;
    records.save(&cx.host, &cx.settings)?;
    let held = records.held.into_iter().map(|it| it.snapshot);
    snapshot::prune(cx, &held.collect::<Vec<_>>());
    Ok(kept)
}

/// Takes a snapshot of the state that is here, if there is any, and writes down that it is held: only then
/// may another state take its place.
fn keep(cx: &Context, here: &mut Records) -> Result<Option<String>> {
    for held in &here.held {
        cx.reporter.note(format!(
            "what an earlier restore found is still kept as {0}; to let it go: openclaw-deploy rollback --forget {0}",
            held.snapshot
        ));
    }
    if cx.host.names(cx.settings.state()).is_empty() {
        return Ok(None);
    }
    let kept = snapshot::new_id(cx, crate::base::units::now(), 0);
    cx.host.wait(snapshot::take(cx, &kept))?;
    here.held.push(Held {
        snapshot: kept.clone(),
        release: 0,
    });
    here.save(&cx.host, &cx.settings)?;
    Ok(Some(kept))
}

/// The releases that the archive tells of. Of this host they know neither images nor snapshots.
fn told(text: &str) -> Records {
    let mut records: Records = serde_json::from_str(text).unwrap_or_default();
    records.pending = None;
    records.restored = true;
    records.held.clear();
    records.brought.clear();
    for release in &mut records.releases {
        release.snapshot = None;
    }
    records
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use serde_json::{Value, json};

    use super::*;
    use crate::deploy::gateway::records::{Pending, tests::release};
    use crate::deploy::settings::EngineAddress;

    const ARCHIVE: &str = "/root/a.tar.gz";
    const ENV: &str = "tree/home/deploy/openclaw/.env";

    /// The texts of a tree whose `.env` is made by `make`, and a file that root alone may read.
    fn texts_where(make: impl Fn(&Path, &Path)) -> Result<String> {
        let root = tempfile::tempdir().expect("a directory");
        let (env, precious) = (root.path().join(ENV), root.path().join("precious"));
        fs::create_dir_all(env.parent().expect("a parent")).expect("made");
        fs::write(&precious, "of root alone").expect("written");
        make(&env, &precious);
        let cx = Context::below(root.path());
        let texts = texts(&cx, Path::new(ARCHIVE), Path::new("/tree"));
        texts.map(|it| it.env)
    }

    #[test]
    fn the_latest_is_neither_dated_after_now_nor_a_copy_that_is_found_by_its_name() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let place = cx.host.path(PLACE);
        fs::create_dir_all(&place).expect("made");
        for name in ["20261124T030509Z", "99991231T235959Z", "before-upgrade"] {
            fs::write(place.join(format!("openclaw-{name}.tar.gz")), "").expect("written");
        }
        let found = find(&cx, "latest").expect("found");
        assert!(found.ends_with("openclaw-20261124T030509Z.tar.gz"));
        let copy = "openclaw-before-upgrade.tar.gz";
        assert_eq!(find(&cx, copy), Ok(Path::new(PLACE).join(copy)));
    }

    #[test]
    fn an_env_that_is_no_plain_file_is_refused_and_nothing_behind_it_is_read() {
        let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU);
        let refused = [
            texts_where(|env, precious| symlink(precious, env).expect("linked")),
            texts_where(|env, _| pipe(env).expect("made")),
            texts_where(|env, _| fs::create_dir(env).expect("made")),
            texts_where(|env, _| fs::write(env, vec![b'#'; (1 << 20) + 1]).expect("written")),
        ];
        for texts in refused {
            let why = texts.expect_err("refused");
            let beginning = "/root/a.tar.gz cannot be restored: in it ";
            assert!(why.what.starts_with(beginning), "{}", why.what);
            assert!(why.what.contains("/home/deploy/openclaw/.env"));
            assert!(why.what.ends_with("; nothing was changed"));
            assert!(!why.what.contains("tree"), "{}", why.what);
            let hint = why.hint.unwrap_or_default();
            assert!(hint.contains("tar --delete --file - home/deploy/openclaw/.env |"));
        }
    }

    /// A host below `root` whose engine lists these containers; without any there is no engine.
    fn host_with(root: &Path, containers: Option<Value>) -> Context {
        let socket = root.join("engine");
        let mut cx = Context::below(root);
        cx.settings.engine = EngineAddress::Socket(socket.clone());
        if let Some(containers) = containers {
            let listener = UnixListener::bind(socket).expect("bound");
            std::thread::spawn(move || answer(&listener, &containers));
        }
        cx
    }

    /// Answers as an engine does, a connection a request.
    fn answer(listener: &UnixListener, containers: &Value) {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(|it| it.ok());
            let head: Vec<_> = lines.take_while(|it| !it.is_empty()).collect();
            let body = match head.first() {
                Some(line) if line.contains("/containers/json") => containers.to_string(),
                _ => json!({"ApiVersion": "1.47"}).to_string(),
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
        }
    }

    fn gateway(state: &str) -> Value {
        let labels = json!({
            "com.docker.compose.project": "openclaw",
            "com.docker.compose.service": "openclaw-gateway",
            "com.docker.compose.oneoff": "False",
        });
        json!([{"Id": "a", "State": "running"}, {"Id": "b", "State": state, "Labels": labels}])
    }

    #[test]
    fn a_gateway_that_the_records_do_not_know_is_not_restored_over() {
        let restored = |containers: Option<Value>| {
            let root = tempfile::tempdir().expect("a directory");
            let cx = host_with(root.path(), containers);
            let why = run(&cx, ARCHIVE.into()).err().expect("there is no archive");
            let snapshots = cx.settings.records().join("snapshots");
            (why, cx.host.exists(snapshots))
        };
        let unknown = "a gateway runs here that the records do not know; nothing was changed";
        for state in ["running", "paused", "restarting"] {
            let (why, began) = restored(Some(gateway(state)));
            assert_eq!((why.what.as_str(), began), (unknown, false), "{state}");
            let hint = why.hint.unwrap_or_default();
            assert!(hint.ends_with("bootstrap && openclaw-deploy restore /root/a.tar.gz"));
        }
        let bare = [Some(gateway("exited")), Some(json!([])), None];
        for (why, began) in bare.map(restored) {
            assert!(began && why.what != unknown, "{}", why.what);
        }
    }

    /// The records of a host whose first start was cut off.
    fn cut_off() -> Records {
        Records {
            pending: Some(Pending {
                release: release(1, "a"),
                from: None,
                snapshot: None,
                brings_back: None,
                goes_back_to: None,
                given_up: false,
                started_before: None,
            }),
            ..Records::default()
        }
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_not_restored_over() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = host_with(root.path(), None);
        let records = cut_off();
        records.save(&cx.host, &cx.settings).expect("saved");
        let why = run(&cx, ARCHIVE.into()).err().expect("refused");
        assert!(why.what.contains("was cut off"), "{}", why.what);
    }

    #[test]
    fn an_engine_that_listens_and_does_not_answer_is_not_taken_for_none() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = host_with(root.path(), None);
        let listener = UnixListener::bind(root.path().join("engine")).expect("bound");
        let hangs_up = std::thread::spawn(move || drop(listener.accept()));
        let why = refuse_unknown(&cx, &Records::default(), Path::new(ARCHIVE));
        assert!(why.is_err());
        hangs_up.join().expect("it ends");
    }

    /// A bare host with a state that says `old`, and a snapshot `archive` that says `new`.
    fn bare_host(root: &Path) -> Context {
        let cx = host_with(root, None);
        let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
        let write = |path: PathBuf, text: &str| {
            let path = cx.host.path(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        let passwd = format!("deploy:x:{user}:{group}::/home/deploy:/bin/sh\n");
        write("/etc/passwd".into(), &passwd);
        write(cx.settings.state().join("notes"), "old");
        let snapshots = snapshot::directory(&cx).expect("made");
        write(snapshots.join("archive/state/notes"), "new");
        cx
    }

    fn notes_of(cx: &Context, state: impl AsRef<Path>) -> Option<String> {
        let notes = cx.host.read(state.as_ref().join("notes"));
        notes.expect("read")
    }

    #[test]
    fn what_was_there_is_kept_though_a_restore_is_cut_off_between_its_renames() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = bare_host(root.path());
        let here = || Records::load(&cx.host, &cx.settings).expect("loaded");
        let unpacked = Unpacked {
            env: String::new(),
            records: json!({"bad": ["told"]}).to_string(),
        };
        // It ends before it puts anything in place, and then as if between the renames.
        on_bare_host(&cx, here(), "none", &unpacked).expect_err("no such snapshot");
        let (state, snapshots) = (cx.settings.state(), cx.settings.records().join("snapshots"));
        let replaced = state.with_file_name(".openclaw.replaced");
        cx.host.rename(&state, &replaced).expect("renamed");
        assert!(here().bad.is_empty(), "the archive's records come last");

        let kept = on_bare_host(&cx, here(), "archive", &unpacked).expect("restored");
        assert_eq!(notes_of(&cx, &state).as_deref(), Some("new"));
        assert!(!cx.host.exists(replaced));
        let held = here().held.into_iter().map(|it| it.snapshot);
        let held: Vec<_> = held.collect();
        assert_eq!((held.len(), held.last()), (2, kept.as_ref()));
        for snapshot in &held {
            let was = notes_of(&cx, snapshots.join(snapshot).join("state"));
            assert_eq!(was.as_deref(), Some("old"), "{snapshot}");
        }
        assert!(!cx.host.exists(snapshots.join("archive")));
        assert_eq!(here().bad, ["told"]);
    }

    #[test]
    fn the_hint_is_typed_as_it_is_and_overwrites_no_archive() {
        let root = tempfile::tempdir().expect("a directory");
        let cx = Context::below(root.path());
        let hint = |archive: &str| {
            let (tree, env) = (Path::new("/tree"), Path::new("/home/deploy/openclaw/.env"));
            let why = refused(&cx, &Failure::new("x"), Path::new(archive), tree, env);
            let hint = why.hint.unwrap_or_default();
            let (_, command) = hint.split_once(": ").expect("a command");
            command.to_owned()
        };
        assert_eq!(
            hint("/mnt/usb disk/it's.tar.gz"),
            "(umask 077; gzip -dc '/mnt/usb disk/it'\\''s.tar.gz' | tar --delete --file - home/deploy/openclaw/.env \
             | gzip >'/mnt/usb disk/without.tar.gz') && openclaw-deploy restore '/mnt/usb disk/without.tar.gz'"
        );
        let writes = |archive: &str| {
            let command = hint(archive);
            let (_, to) = command.split_once(" >").expect("a redirection");
            to.split(')').next().unwrap_or_default().to_owned()
        };
        assert_eq!(writes("/root/without.tar.gz"), "/root/without-2.tar.gz");
        let there = cx.host.path("/root/without.tar.gz");
        fs::create_dir_all(there.parent().expect("a parent")).expect("made");
        fs::write(there, "").expect("written");
        assert_eq!(writes("/root/a.tar.gz"), "/root/without-2.tar.gz");
        assert_eq!(writes("/root/without-2.tar.gz"), "/root/without-3.tar.gz");
        let why = refuse_unknown(&cx, &cut_off(), Path::new("/mnt/usb disk/a.tar.gz"));
        let hint = why.err().and_then(|it| it.hint).unwrap_or_default();
        assert!(hint.ends_with("openclaw-deploy restore '/mnt/usb disk/a.tar.gz'"));
    }

    #[test]
    fn a_plain_env_is_read_whoever_owns_it_and_none_is_none() {
        let plain = texts_where(|env, _| fs::write(env, "A=1\n").expect("written"));
        assert_eq!(plain.as_deref(), Ok("A=1\n"));
        assert_eq!(texts_where(|_, _| ()).as_deref(), Ok(""));
    }
}
