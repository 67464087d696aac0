//! Who may answer for another: nobody of another user or of another namespace, and nobody who
//! takes longer than it takes to ask.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::docker_world::{ANSWER, CACHE, World};
use crate::sandbox::{Run, until};

/// Users of these tests, who need no account.
const ERIN: u32 = 4250;
const FRANK: u32 = 4251;
const GRACE: u32 = 4252;
const HEIDI: u32 = 4253;
const IVAN: u32 = 4254;
const MALLORY: u32 = 4255;

/// Nothing is kept, so that whoever is not answered by another has to ask.
const NO_CACHE: &str = "[cache]\nttl = \"0\"\n";

/// A folder of `user` for what `$XDG_RUNTIME_DIR` names.
fn runtime(world: &World, user: u32, name: &str) -> PathBuf {
    let path = world.path(name);
    std::fs::create_dir(&path).expect("a directory");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).expect("its mode");
    chown(&path, Some(user), Some(user)).expect("root");
    path
}

/// `get ghcr.io`, with that folder.
fn get(world: &World, runtime: &Path) -> Run {
    let run = world.helper(&["get"]).input("ghcr.io");
    run.env("XDG_RUNTIME_DIR", runtime)
}

/// One that asks, and takes `latency` for it.
fn start(mut run: Run) -> Child {
    let mut child = run
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"ghcr.io").expect("written");
    child
}

/// So many `get ghcr.io` at the same time.
fn together(world: &World, runtime: &Path, count: usize) {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let run = get(world, runtime);
            std::thread::spawn(move || run.done())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("joined").succeeds(), ANSWER);
    }
}

/// The sockets in our folder there.
fn sockets(runtime: &Path) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(runtime.join("oc-secrets")).into_iter();
    let entries = folder.flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn nobody_can_see_or_bind_the_name_under_which_a_secret_is_handed_on() {
    let world = World::with(NO_CACHE);
    world.sandbox.mode("latency=1000");
    let mut leader = start(world.helper(&["get"]).input("ghcr.io"));
    world.sandbox.wait_for_calls(1);
    let open = std::fs::read_to_string("/proc/net/unix").expect("readable");
    let abstract_ones = open.lines().filter(|line| line.contains("@oc-secrets"));
    // Those of tests that run beside this one count as well: there are to be none at all.
    assert_eq!(abstract_ones.collect::<Vec<_>>(), Vec::<&str>::new());
    leader.wait().expect("reaped");
}

/// Holds what it finds: every abstract name that begins like ours, with a queue that is full. A
/// name that is taken is tried again until it is free.
const SQUATTER: &str = r#"
import signal, socket, sys, time
signal.alarm(60)
open(sys.argv[1] + "/ready", "w").close()
names, held = set(), {}
while True:
    for line in open("/proc/net/unix"):
        name = line.rsplit(" ", 1)[-1].strip()
        if name.startswith("@oc-secrets"):
            names.add("\0" + name[1:])
    for name in names - held.keys():
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(name)
        except OSError:
            continue
        listener.listen(0)
        held[name] = [listener]
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            held[name].append(one)
            try:
                one.connect(name)
            except OSError:
                pass
    time.sleep(0.001)
"#;

/// A script that runs as `user` until it is dropped.
struct Script(Child);

impl Script {
    /// Starts it, with a folder for its signs, and waits until it is ready.
    fn start(world: &World, user: u32, folder: &Path, script: &str, words: &[&str]) -> Self {
        let (id, group) = (format!("--reuid={user}"), format!("--regid={user}"));
        let path = folder.display().to_string();
        let fixed = [
            &id,
            &group,
            "--clear-groups",
            "python3",
            "-c",
            script,
            &path,
        ];
        let words = fixed.iter().chain(words);
        let mut run = world.sandbox.run(Path::new("setpriv"), words);
        let script = Self(run.command().spawn().expect("starts"));
        until("the script is ready", || folder.join("ready").exists());
        script
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_who_fills_the_queue_of_a_name_keeps_nobody_waiting() {
    let world = World::of_user(ERIN, NO_CACHE);
    let home = runtime(&world, ERIN, "run");
    world.sandbox.mode("latency=300");
    let signs = runtime(&world, MALLORY, "signs");
    let _stranger = Script::start(&world, MALLORY, &signs, SQUATTER, &[]);
    for _ in 0..3 {
        let mut child = start(get(&world, &home).env("OC_SECRETS_TIMEOUT", "3s"));
        until_ended(&mut child, Duration::from_secs(6));
    }
}

/// It ends in time, and well.
#[track_caller]
fn until_ended(child: &mut Child, limit: Duration) {
    let deadline = std::time::Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            return;
        }
        if std::time::Instant::now() > deadline {
            child.kill().expect("killed");
            child.wait().expect("reaped");
            panic!("it still waits after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_same_user_number_in_another_user_namespace_is_told_nothing_and_not_believed() {
    let world = World::of_user(FRANK, NO_CACHE);
    let home = runtime(&world, FRANK, "run");
    world.sandbox.mode("latency=1500");
    for stranger_leads in [false, true] {
        let before = world.asked();
        let stranger = || in_a_namespace(&world, FRANK, &home);
        let ours = || get(&world, &home);
        let (first, second) = match stranger_leads {
            true => (stranger(), ours()),
            false => (ours(), stranger()),
        };
        let first = std::thread::spawn(move || first.done());
        world.sandbox.wait_for_calls(before + 1);
        assert_eq!(second.done().succeeds(), ANSWER);
        assert_eq!(first.join().expect("joined").succeeds(), ANSWER);
        assert_eq!(
            world.asked() - before,
            2,
            "each asked for itself; the stranger first: {stranger_leads}"
        );
    }
}

#[test]
fn control_the_same_user_in_the_same_namespaces_shares() {
    let world = World::of_user(GRACE, NO_CACHE);
    let home = runtime(&world, GRACE, "run");
    world.sandbox.mode("latency=500");
    together(&world, &home, 2);
    assert_eq!(world.asked(), 1);
}

/// Becomes the user argv[1] in a user namespace whose numbers are those of the host, as in a
/// container, and there the program of the other words.
const CONTAINER: &str = r#"
import ctypes, os, sys
user, words = int(sys.argv[1]), sys.argv[2:]
inside, outside = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    if ctypes.CDLL(None).unshare(0x10000000) != 0:
        os._exit(99)
    os.write(inside[1], b"x")
    os.read(outside[0], 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(words[0], words)
os.read(inside[0], 1)
for kind in ("uid", "gid"):
    with open(f"/proc/{child}/{kind}_map", "w") as file:
        file.write("0 0 65536")
os.write(outside[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// The helper of `user`, who has the same number in a user namespace of its own.
fn in_a_namespace(world: &World, user: u32, runtime: &Path) -> Run {
    let helper = world.path("bin/docker-credential-oc").display().to_string();
    let words = ["-c", CONTAINER, &user.to_string(), &helper, "get"];
    let run = world.sandbox.run(Path::new("python3"), words);
    run.env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .env("XDG_RUNTIME_DIR", runtime)
        .input("ghcr.io")
}

#[test]
fn the_same_user_in_a_pid_namespace_of_a_container_is_told_nothing() {
    let world = World::with(NO_CACHE);
    world.sandbox.mode("latency=1500");
    let leader = world.helper(&["get"]).input("ghcr.io");
    let leader = std::thread::spawn(move || leader.done());
    world.sandbox.wait_for_calls(1);
    let helper = world.path("bin/docker-credential-oc").display().to_string();
    let words = ["--pid", "--fork", "--mount-proc", &helper, "get"];
    let stranger = world.sandbox.run(Path::new("unshare"), words);
    let stranger = stranger
        .env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token());
    assert_eq!(stranger.input("ghcr.io").done().succeeds(), ANSWER);
    assert_eq!(leader.join().expect("joined").succeeds(), ANSWER);
    assert_eq!(world.asked(), 2, "each asked for itself");
}

/// Waits for the name that a leader takes, and takes it itself once it is free: a socket in the
/// folder of argv[1], or an abstract one. Then it leads as argv[2] says.
const EVIL: &str = r#"
import glob, os, signal, socket, sys, time
signal.alarm(60)
folder, how = sys.argv[1:]
open(folder + "/ready", "w").close()
def seen():
    for path in glob.glob(folder + "/oc-secrets/*"):
        return path
    for line in open("/proc/net/unix"):
        name = line.rsplit(" ", 1)[-1].strip()
        if name.startswith("@oc-secrets/%d/" % os.getuid()):
            return "\0" + name[1:]
while not (name := seen()):
    time.sleep(0.001)
while True:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name)
        break
    except OSError:
        time.sleep(0.001)
listener.listen(64)
open(folder + "/leads", "w").close()
while True:
    peer, _ = listener.accept()
    try:
        if how == "silent":
            keep = peer
            globals().setdefault("kept", []).append(peer)
        elif how == "garbage":
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 10)
        elif how == "endless":
            head = b"\xff\xff\xff\x7f"
            peer.sendall(head)
            while True:
                peer.sendall(b"x" * 65536)
        elif how == "slow":
            for byte in b"oc2\n\x09\0\0\0" * 1000:
                peer.sendall(bytes([byte]))
                time.sleep(0.05)
        elif how == "closing":
            peer.close()
    except OSError:
        pass
"#;

#[test]
fn a_leader_that_is_silent_slow_garbage_endless_or_closing_costs_no_more_than_to_ask() {
    for how in ["silent", "slow", "garbage", "endless", "closing"] {
        let world = World::of_user(HEIDI, NO_CACHE);
        let home = runtime(&world, HEIDI, "run");
        let _evil = Script::start(&world, HEIDI, &home, EVIL, &[how]);
        world.sandbox.mode("latency=500");
        get(&world, &home).done().succeeds();
        until("it leads", || home.join("leads").exists());
        world.sandbox.mode("");
        let time = "time -f %M".split(' ');
        let mut run = measured(&world, &home, time);
        run = run.env("OC_SECRETS_TIMEOUT", "4s");
        let done = run.done();
        assert_eq!(done.status.code(), Some(0), "{how}: {}", done.stderr);
        assert_eq!(done.text(), ANSWER, "{how}");
        assert!(done.took < Duration::from_secs(4), "{how}: {:?}", done.took);
        let peak: u64 = done.stderr.trim().parse().expect("kilobytes");
        assert!(peak < 32 * 1024, "{how}: {peak} kB");
        assert_eq!(world.asked(), 2, "{how}: the second one asked by itself");
    }
}

/// `get ghcr.io` of HEIDI behind another program.
fn measured<'a>(world: &World, runtime: &Path, before: impl Iterator<Item = &'a str>) -> Run {
    let helper = world.path("bin/docker-credential-oc").display().to_string();
    let (id, group) = (format!("--reuid={HEIDI}"), format!("--regid={HEIDI}"));
    let words = [id, group, "--clear-groups".to_owned()];
    let words = words.into_iter().chain(before.map(str::to_owned));
    let words = words.chain([helper, "get".to_owned()]);
    let run = world.sandbox.run(Path::new("setpriv"), words);
    run.env("OC_SECRETS_MANIFEST", world.path("work/oc-secrets.toml"))
        .env("OP_SERVICE_ACCOUNT_TOKEN", world.sandbox.token())
        .env("XDG_RUNTIME_DIR", runtime)
        .input("ghcr.io")
}

#[test]
fn two_hundred_together_on_a_cold_cache_cost_one_op() {
    for (rest, latency) in [(CACHE, "latency=500"), (NO_CACHE, "latency=8000")] {
        let world = World::with(rest);
        world.sandbox.mode(latency);
        let done = world.together(200);
        assert!(done.iter().all(|done| done.text() == ANSWER));
        assert_eq!(world.asked(), 1, "{rest:?}");
    }
}

#[test]
fn what_a_killed_leader_left_is_taken_over_and_nothing_stays() {
    let world = World::of_user(IVAN, NO_CACHE);
    let home = runtime(&world, IVAN, "run");
    world.sandbox.mode("latency=2000");
    let mut leader = start(get(&world, &home));
    world.sandbox.wait_for_calls(1);
    until("a socket is there", || !sockets(&home).is_empty());
    leader.kill().expect("killed");
    leader.wait().expect("reaped");
    assert_eq!(sockets(&home).len(), 1, "control: it left its socket");
    world.sandbox.mode("latency=1500");
    together(&world, &home, 20);
    assert_eq!(world.asked(), 2, "one of the twenty asked");
    assert_eq!(sockets(&home), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_with_a_long_name_serves_and_one_that_is_not_ours_or_a_link_does_not() {
    let world = World::of_user(GRACE + 10, NO_CACHE);
    world.sandbox.mode("latency=500");
    let user = GRACE + 10;
    let asked = |runtime: &Path| {
        let before = world.asked();
        together(&world, runtime, 3);
        world.asked() - before
    };
    let long = runtime(&world, user, &"long".repeat(50));
    assert_eq!(asked(&long), 1);
    let foreign = runtime(&world, MALLORY, "foreign");
    assert_eq!(asked(&foreign), 3);
    let good = runtime(&world, user, "good");
    let linked = runtime(&world, user, "linked");
    std::os::unix::fs::symlink(long.join("oc-secrets"), linked.join("oc-secrets")).expect("a link");
    assert_eq!(asked(&linked), 3);
    let open = runtime(&world, user, "open");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("its mode");
    assert_eq!(asked(&open), 3);
    assert_eq!(asked(&good), 1);
    let ours = std::fs::metadata(good.join("oc-secrets")).expect("made");
    assert_eq!(ours.permissions().mode() & 0o7777, 0o700);
}
