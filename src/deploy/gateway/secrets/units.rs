//! The broker's units: installed where no package has done so, enabled, started. And one of our own: it compares
//! the gateway's program before Docker starts, since Docker starts containers by itself, as after a reboot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::deploy::context::Context;
use crate::deploy::error::{Cause, Result};
use crate::deploy::host::systemd::quoted;
use crate::deploy::host::{Access, Program, SEARCH};
use crate::deploy::settings::STATE_OWNER;

const SERVICE: &str = "oc-secrets.service";
const SOCKETS: [&str; 2] = ["oc-secrets.socket", "oc-secrets-client@gateway.socket"];
/// Written by us always: no package has it.
const COPY: &str = "openclaw-provider.service";
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
const OURS: &str = "/etc/systemd/system";
const UNIT: Access = Access::root(0o644);
/// How often the sockets are tried to be started.
const TRIES: u32 = 3;
/// The program's path in the units.
const PROGRAM: &str = "/usr/bin/oc-secrets";

const TEXTS: [(&str, &str); 3] = [
    (
        SERVICE,
        include_str!("../../../../shell/systemd/oc-secrets.service"),
    ),
    (
        "oc-secrets.socket",
        include_str!("../../../../shell/systemd/oc-secrets.socket"),
    ),
    (
        "oc-secrets-client@.socket",
        include_str!("../../../../shell/systemd/oc-secrets-client@.socket"),
    ),
];

/// What has to be done.
pub(super) async fn to_do(cx: &Context) -> Result<Vec<String>> {
    let mut what = Vec::new();
    for (name, text) in missing(cx) {
        if !cx
            .host
            .holds(Path::new(OURS).join(name), text.as_bytes(), UNIT)
        {
            what.push(format!("install {name}"));
        }
    }
    for socket in SOCKETS {
        if !(says_yes(cx, "is-enabled", socket).await? && says_yes(cx, "is-active", socket).await?)
        {
            what.push(format!("enable {socket}"));
        }
    }
    let older = older(cx).into_iter();
    what.extend(older.map(|path| format!("remove {}: a package has it now", path.display())));
    if !says_yes(cx, "is-enabled", COPY).await? {
        what.push(format!("enable {COPY}"));
    }
    Ok(what)
}

/// Installs what is missing, and has the sockets there now and after each boot.
pub(super) async fn start(cx: &Context) -> Result<()> {
    let mut is_new = false;
    for (name, text) in missing(cx) {
        is_new |= cx
            .host
            .write(Path::new(OURS).join(name), text.as_bytes(), UNIT)?;
    }
    for path in older(cx) {
        is_new |= cx.host.remove(path)?;
    }
    if is_new {
        systemctl(cx, &["daemon-reload"]).await?;
    }
    again(TRIES, async || enable(cx).await).await?;
    systemctl(cx, &["enable", COPY]).await
}

/// Enables and starts the sockets. systemd hands a service its sockets when it starts, and starts none of a
/// service that runs.
async fn enable(cx: &Context) -> Result<()> {
    if !says_yes(cx, "is-active", SOCKETS[1]).await? {
        systemctl(cx, &["stop", SERVICE]).await?;
    }
    systemctl(cx, &["enable", "--now", SOCKETS[0], SOCKETS[1]]).await
}

/// `work`, until it is done: a client that asks in a loop can start the service in the middle of it.
async fn again(tries: u32, mut work: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    for _ in 1..tries {
        match work().await {
            Err(why) if why.cause != Cause::Interrupted => {}
            done => return done,
        }
    }
    work().await
}

/// The broker forgets what it keeps.
pub(crate) async fn reload(cx: &Context) -> Result<()> {
    systemctl(cx, &["reload-or-restart", SERVICE]).await
}

/// A unit that makes the copy what the program is. `install` writes it as root, and nobody who can see it
/// meanwhile is root, so that nobody can change it.
///
/// `install` takes away what differs before it writes, so it is given a second name of the copy: on a full disk
/// the copy stays as it was. `ln --force` puts one file in the place of another by a rename.
fn copy_text(program: &Path) -> String {
    let ((user, group), copy) = (STATE_OWNER, super::program::MOUNT.0);
    let (program, new) = (quoted(program), format!("{copy}.new"));
    format!(
        "# Written by openclaw-deploy.\n\
         [Unit]\n\
         Description=The program by which the OpenClaw gateway asks for its keys\n\
         Before=docker.service\n\
         ConditionPathExists={copy}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/ln --force {copy} {new}\n\
         ExecStart=/usr/bin/install --compare --owner={user} --group={group} --mode=0555 {program} {new}\n\
         ExecStart=/usr/bin/sync {new}\n\
         ExecStart=/usr/bin/ln --force {new} {copy}\n\
         ExecStopPost=/usr/bin/rm --force {new}\n\
         \n\
         [Install]\n\
         WantedBy=docker.service\n"
    )
}

/// The units that no package has installed, for the program where it is.
fn missing(cx: &Context) -> Vec<(&'static str, String)> {
    let program = cx.host.find("oc-secrets");
    let program = program.unwrap_or_else(|| PROGRAM.into());
    let missing = TEXTS.into_iter().filter(|(name, _)| !is_packaged(cx, name));
    let copy = copy_text(&program);
    missing
        .map(|(name, text)| (name, for_program(text, &program)))
        .chain([(COPY, copy)])
        .collect()
}

fn is_packaged(cx: &Context, name: &str) -> bool {
    let mut places = PACKAGED.iter().map(|it| Path::new(it).join(name));
    places.any(|path| cx.host.exists(path))
}

fn for_program(text: &str, program: &Path) -> String {
    text.replace(PROGRAM, &program.display().to_string())
}

/// Units that we wrote before a package had them: systemd would take them for the package's.
fn older(cx: &Context) -> Vec<PathBuf> {
    let ours = |path: &Path, text: &str| {
        let there = cx.host.read_of(0, path).ok().flatten();
        there.is_some_and(|there| is_ours(&there, text))
    };
    let packaged = TEXTS.into_iter().filter(|(name, _)| is_packaged(cx, name));
    let files = packaged.map(|(name, text)| (Path::new(OURS).join(name), text));
    let older = files.filter(|(path, text)| ours(path, text));
    older.map(|(path, _)| path).collect()
}

/// Whether it is to the byte what we write for a program in one of the places where we look for it. What was
/// edited is somebody's own.
fn is_ours(there: &[u8], text: &str) -> bool {
    let mut programs = SEARCH.split(':').map(|it| Path::new(it).join("oc-secrets"));
    programs.any(|program| for_program(text, &program).as_bytes() == there)
}

async fn says_yes(cx: &Context, question: &str, unit: &str) -> Result<bool> {
    let program = Program::new("systemctl").args([question, "--quiet", unit]);
    Ok(cx.host.run_async(&program).await?.ok())
}

async fn systemctl(cx: &Context, words: &[&str]) -> Result<()> {
    let program = Program::new("systemctl")
        .args(words)
        .deadline(Duration::from_secs(120));
    cx.host.must_async(&program).await.map(drop)
}

#[cfg(test)]
mod tests {
    use crate::deploy::error::Failure;
    use crate::deploy::host::Host;

    use super::*;

    #[test]
    fn the_copy_is_never_what_install_takes_away() {
        let text = copy_text(Path::new("/opt/a b/oc-secrets"));
        let copy = super::super::program::MOUNT.0;
        let run: Vec<_> = text.lines().filter(|it| it.starts_with("Exec")).collect();
        assert_eq!(
            run,
            [
                format!("ExecStart=/usr/bin/ln --force {copy} {copy}.new"),
                format!(
                    "ExecStart=/usr/bin/install --compare --owner=1000 --group=1000 --mode=0555 \"/opt/a b/oc-secrets\" {copy}.new"
                ),
                format!("ExecStart=/usr/bin/sync {copy}.new"),
                format!("ExecStart=/usr/bin/ln --force {copy}.new {copy}"),
                format!("ExecStopPost=/usr/bin/rm --force {copy}.new"),
            ]
        );
    }

    #[test]
    fn only_what_we_wrote_is_ours_wherever_the_program_was() {
        for (name, text) in TEXTS {
            for place in ["/usr/bin", "/usr/local/bin"] {
                let written = for_program(text, &Path::new(place).join("oc-secrets"));
                assert!(is_ours(written.as_bytes(), text), "{name} {place}");
            }
            let edited = format!("{text}# mine\n");
            assert!(!is_ours(edited.as_bytes(), text), "{name}");
            assert!(!is_ours(b"", text), "{name}");
        }
        let (_, service) = TEXTS[0];
        let mine = for_program(service, Path::new("/srv/mine/oc-secrets"));
        assert!(!is_ours(mine.as_bytes(), service));
    }

    #[test]
    fn what_a_client_got_in_the_way_of_is_tried_again_and_not_for_ever() {
        let tried = |succeeds_at: u32, cause: Cause| {
            let (host, mut count) = (Host::new("/").expect("a host"), 0);
            let work = async || {
                count += 1;
                match count == succeeds_at {
                    true => Ok(()),
                    false => Err(Failure::new("the service runs").cause(cause)),
                }
            };
            let done = host.wait(again(3, work));
            (done.is_ok(), count)
        };
        assert_eq!(tried(1, Cause::Step), (true, 1));
        assert_eq!(tried(3, Cause::Step), (true, 3));
        assert_eq!(tried(4, Cause::Step), (false, 3));
        assert_eq!(tried(2, Cause::Interrupted), (false, 1));
    }
}
