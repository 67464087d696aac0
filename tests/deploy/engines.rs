//! Engines that are missing, down, not ours to use or of another kind; Compose.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::world::{GOOD, PATH, PROGRAM, Ran, World, finish, hold, put, same, sh, text, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    an_engine_that_cannot_be_used_is_refused_with_the_fix,
    a_compose_that_cannot_be_used_is_refused_with_the_fix,
    compose_is_started_once_and_is_the_one_that_docker_would_start,
];

/// The program at an engine.
fn at(world: &World, host: &str) -> Ran {
    let mut command = world.bootstrapping(Some(GOOD), &world.image("v1"), &[]);
    command.env("DOCKER_HOST", host);
    finish(command)
}

/// Demands exit 3, one line with `what`, one with the fix, and that nothing was changed.
fn refuses(run: &Ran, what: &str, fix: &str) -> Outcome {
    run.exits(3)?;
    let lines: Vec<&str> = run.err.lines().collect();
    let [error, hint] = lines[..] else {
        return Err(format!("not two lines: {}", run.err));
    };
    hold(
        error.starts_with("openclaw-deploy: error: ") && error.contains(what),
        format!("wanted {what:?}, saw {error}"),
    )?;
    hold(
        hint.starts_with("hint: ") && hint.contains(fix),
        format!("wanted {fix:?}, saw {hint}"),
    )?;
    same(
        "what was changed",
        sh("docker ps -aq; docker images -q; ls -A /home/deploy")?.as_str(),
        "",
    )
}

fn an_engine_that_cannot_be_used_is_refused_with_the_fix(world: &World) -> Outcome {
    missing(world)?;
    refuses(
        &at(world, "unix:///run/none.sock"),
        "no Docker engine: /run/none.sock not found",
        "systemctl start docker",
    )?;
    drop(UnixListener::bind("/run/dead.sock").map_err(|why| why.to_string())?);
    refuses(
        &at(world, "unix:///run/dead.sock"),
        "/run/dead.sock is not running",
        "systemctl start docker",
    )?;
    not_permitted()?;
    rootless(world)?;
    at(world, "nonsense").exits(2)?.says("not an engine")?;
    let broke = "the connection to the Docker engine broke";
    let remote = at(world, "tcp://127.0.0.1:1");
    refuses(&remote, broke, "docker --host tcp://127.0.0.1:1 version")?;
    let nowhere = world.bootstrap("v1", &["--context", "nowhere"]);
    refuses(&nowhere, broke, "docker --context nowhere version")?;
    ages(world)?;
    // The control: with the engine of this machine all is well.
    at(world, "").exits(0).map(drop)
}

/// No client here, and no apt to install it with.
fn missing(world: &World) -> Outcome {
    let hidden = sh(
        "touch /run/empty; for p in /usr/bin/docker /usr/local/bin/docker /bin/docker /usr/bin/apt-get /bin/apt-get; do test ! -x $p || { mount --bind /run/empty $p && echo $p; }; done",
    )?;
    let run = world.bootstrap("v1", &[]);
    for path in hidden.lines() {
        sh(&format!("umount {path}"))?;
    }
    refuses(
        &run,
        "Docker is not installed",
        "https://docs.docker.com/engine/install/",
    )
}

/// Somebody whose the socket is not.
fn not_permitted() -> Outcome {
    sh("chmod 660 /run/docker.sock && mkdir -p /run/nobody && chmod 777 /run/nobody")?;
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        PROGRAM,
        "status",
    ]);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/run/nobody");
    refuses(
        &finish(command),
        "not permitted to use the Docker engine",
        "sudo openclaw-deploy",
    )
}

/// A real rootless engine: `dockerd --rootless` in a user namespace of the deploy user. It lacks only
/// RootlessKit's network, which no container of this check would use.
fn rootless(world: &World) -> Outcome {
    sh("install -d -o 1001 -g 1001 /run/user/1001 /run/rootless")?;
    let mut engine = start_rootless(world)?;
    let socket = "unix:///run/user/1001/docker.sock";
    let up = wait_for(30, || sh(&format!("docker -H {socket} version")).is_ok());
    let direct = at(world, socket);
    sh(&format!(
        "docker context create rootless --docker host={socket}"
    ))?;
    let mut command = world.bootstrapping(Some(GOOD), &world.image("v1"), &[]);
    command.env("DOCKER_CONTEXT", "rootless");
    let by_context = finish(command);
    let _ = engine.kill();
    let _ = engine.wait();
    let log = crate::world::text(&world.scratch.join("rootless.log").to_string_lossy());
    hold(up, format!("the rootless engine does not answer: {log}"))?;
    for run in [direct, by_context] {
        refuses(
            &run,
            "the Docker engine is rootless",
            "--docker-host unix:///var/run/docker.sock",
        )?;
    }
    Ok(())
}

fn start_rootless(world: &World) -> Result<Child, String> {
    let log =
        std::fs::File::create(world.scratch.join("rootless.log")).map_err(|why| why.to_string())?;
    let inside = "mount -t tmpfs tmpfs /etc/docker && mount -t tmpfs tmpfs /run/docker && exec dockerd --rootless --bridge none --iptables=false --ip6tables=false \
        --storage-driver vfs --group root --data-root /run/rootless/data --exec-root /run/user/1001/docker \
        --pidfile /run/user/1001/docker.pid --host unix:///run/user/1001/docker.sock";
    Command::new("setpriv")
        .args([
            "--reuid",
            "1001",
            "--regid",
            "1001",
            "--clear-groups",
            "unshare",
            "--user",
        ])
        .args([
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            inside,
        ])
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/run/rootless")
        .env("XDG_RUNTIME_DIR", "/run/user/1001")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|why| why.to_string())
}

/// Engines of another age: too old, too new, and one that refuses clients below API 1.44.
fn ages(world: &World) -> Outcome {
    let (old, _) = pretend("1.12", "1.24")?;
    refuses(
        &at(world, &old),
        "speaks API 1.24, at least 1.40 is needed",
        "upgrade Docker",
    )?;
    let (new, _) = pretend("1.99", "1.99")?;
    refuses(
        &at(world, &new),
        "asks for API 1.99 or newer",
        "upgrade openclaw-deploy",
    )?;
    let (strict, asked) = pretend("1.44", "1.52")?;
    let mut command = world.command(None, &["status"]);
    command.env("DOCKER_HOST", strict);
    finish(command).exits(1)?.says("absent")?;
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (first, others) = asked.split_first().ok_or("it was not asked")?;
    same("the question without a version", first.as_str(), "/version")?;
    hold(
        !others.is_empty() && others.iter().all(|path| path.starts_with("/v1.47/")),
        format!("it was asked for {others:?}"),
    )
}

/// The paths that a pretended engine was asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// A socket where something answers every question with these versions. Returns its address and what it
/// is asked for.
fn pretend(least: &str, most: &str) -> Result<(String, Asked), String> {
    let path = format!("/run/age-{most}.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(|why| why.to_string())?;
    let body = format!(
        "{{\"Version\":\"x\",\"ApiVersion\":\"{most}\",\"MinAPIVersion\":\"{least}\",\"Os\":\"linux\",\"Arch\":\"amd64\"}}"
    );
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(path);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok((format!("unix://{path}"), asked))
}

fn a_compose_that_cannot_be_used_is_refused_with_the_fix(world: &World) -> Outcome {
    let plugin = "/usr/local/lib/docker/cli-plugins/docker-compose";
    let others = sh(
        "for p in /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins; do test -d $p && echo $p; done; true",
    )?;
    for place in others.lines() {
        sh(&format!("mount -t tmpfs tmpfs {place}"))?;
    }
    // Without apt, so that nothing is installed on this machine, and without its own Compose v1.
    let hidden = sh(
        "touch /run/empty; for p in /usr/bin/apt-get /bin/apt-get /usr/bin/docker-compose /bin/docker-compose; do test ! -x $p || { mount --bind /run/empty $p && echo $p; }; done",
    )?;
    sh("mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin")?;
    sh(&format!("chmod 644 {plugin}"))?;
    let unusable = world.bootstrap("v1", &[]);
    sh(&format!("mv {plugin} /run/plugin"))?;
    let none = world.bootstrap("v1", &[]);
    let v1 = "/usr/local/sbin/docker-compose";
    put(v1, "#!/bin/sh\necho 1.29.2\n")?;
    sh(&format!("chmod 755 {v1}"))?;
    let only_v1 = world.bootstrap("v1", &[]);
    sh(&format!(
        "mv /run/plugin {plugin} && chmod 755 {plugin}; umount /usr/local/sbin"
    ))?;
    for path in hidden.lines().chain(others.lines()) {
        sh(&format!("umount {path}"))?;
    }
    let fix = "install Compose v2: apt-get install";
    refuses(&unusable, &format!("{plugin} cannot be run"), fix)?;
    refuses(
        &none,
        "the Compose v2 plugin of docker is not installed",
        fix,
    )?;
    refuses(&only_v1, "only Compose v1 (1.29.2) is installed", fix)?;
    world.bootstrap("v1", &[]).exits(0).map(drop)
}

fn compose_is_started_once_and_is_the_one_that_docker_would_start(world: &World) -> Outcome {
    let plugin = "/usr/local/lib/docker/cli-plugins/docker-compose";
    same("by itself", started(world)?, vec![plugin.to_owned()])?;
    world.reset()?;
    // The control: where somebody has a Compose of their own, Docker knows of it.
    let own = "/root/.docker/cli-plugins/docker-compose";
    sh("mkdir -p /root/.docker/cli-plugins")?;
    put(own, &format!("#!/bin/sh\nexec {plugin} \"$@\"\n"))?;
    sh(&format!("chmod 755 {own}"))?;
    let all = started(world);
    sh("rm -r /root/.docker/cli-plugins")?;
    let all = all?;
    hold(
        all[0].ends_with("/docker") && all.iter().any(|it| it == own),
        format!("another was started: {all:?}"),
    )
}

/// The programs of Docker that a bootstrap starts.
fn started(world: &World) -> Result<Vec<String>, String> {
    let trace = world.scratch.join("started");
    let mut command = world.traced(&["-f", "-e", "trace=execve"], &trace);
    let image = world.image("v1");
    command.args(["bootstrap", "--only", "files,gateway", "--image", &image]);
    command.env("GHCR_TOKEN", GOOD);
    finish(command).exits(0)?;
    let calls = text(&trace.to_string_lossy());
    let calls = calls.lines().filter(|line| line.ends_with(" = 0"));
    let paths = calls.filter_map(|line| line.split('"').nth(1).map(str::to_owned));
    Ok(paths
        .filter(|path| path.ends_with("/docker") || path.ends_with("/docker-compose"))
        .collect())
}
