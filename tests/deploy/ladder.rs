//! Checks 5 to 12 and 33: what happens when the image cannot be had.

use crate::gate::{Harm, Rule, base64};
use crate::world::{GOOD, STEPS, World, answering, finish, hold, same, sh};
use crate::{Check, Outcome, check};

/// The checks of this file.
pub const CHECKS: &[Check] = &[
    check(5, "a bad token", bad_token),
    check(6, "a private image and no token", no_token),
    check(7, "a token that cannot be one", impossible_token),
    check(8, "no such tag; no registry", nothing_there),
    check(9, "the registry dies in mid-pull", cut),
    check(10, "a corrupt and a truncated layer", corrupt),
    check(11, "an image for another machine", other_platform),
    check(12, "the ladder: upstream, then a local build", rungs),
    check(33, "a certificate that is not valid now", clock),
];

fn private() -> Rule {
    Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    }
}

fn bad_token(world: &World) -> Outcome {
    world.gate.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: true,
    });
    world
        .bootstrap_as(Some("ghp_expired"), "v1", &[])
        .exits(0)?
        .says("token refused")?
        .says("GitHub GHCR Pull Token")?;
    world.gate.rule(private());
    let run = world.bootstrap_as(Some("ghp_expired"), "v2", &[]);
    run.exits(4)?
        .says("auth:")?
        .says("GitHub GHCR Pull Token")?
        .says("still runs")?;
    same("who answers", answering(), "v1".to_owned())?;
    let pair = base64(&format!("x-access-token:{GOOD}"));
    world.gate.rule(Rule::Basic { pair });
    world
        .bootstrap_as(Some("ghp_expired"), "v2", &[])
        .exits(4)?
        .says("auth:")?;
    // The control: the good token is let in by both.
    world.bootstrap("v2", &[]).exits(0)?;
    world.gate.rule(private());
    world.bootstrap("v5", &[]).exits(0).map(drop)
}

fn no_token(world: &World) -> Outcome {
    world.gate.rule(private());
    let wanted = |run: crate::world::Ran| {
        run.exits(4)?
            .says("auth-missing")?
            .says("oc-secrets exec")
            .map(drop)
    };
    wanted(world.bootstrap_as(None, "v1", &[]))?;
    let image = world.image("v1");
    let line = format!(
        "{} bootstrap --only {STEPS} --upstream-image '' --image {image}",
        crate::world::PROGRAM
    );
    // On a terminal, with something on stdin, and with stdin closed: nothing is ever read.
    let typed = sh(&format!(
        "timeout 20 script -qec \"{line}\" /dev/null < /dev/null; test $? -eq 4 && echo right"
    ))?;
    hold(
        typed.contains("right") && typed.contains("auth-missing"),
        format!("on a terminal: {typed}"),
    )?;
    let piped = sh(&format!(
        "(echo first; echo second) | (timeout 20 {line} >/dev/null 2>&1; echo rc $?; cat)"
    ))?;
    same(
        "the rest of the script",
        piped.as_str(),
        "rc 4\nfirst\nsecond",
    )?;
    let closed = sh(&format!(
        "timeout 20 {line} <&- >/dev/null 2>&1; echo rc $?"
    ))?;
    same("stdin closed", closed.as_str(), "rc 4")
}

fn impossible_token(world: &World) -> Outcome {
    for token in [
        "[use 'op item get x --reveal' to reveal]",
        "ghp_a\n",
        "ghp_a b",
        "ghp_\u{e4}",
        "op://a/b/c",
    ] {
        world.gate.requests();
        let run = world.bootstrap_as(Some(token), "v1", &[]);
        run.exits(2)?.says("cannot be a token")?;
        hold(world.gate.requests().is_empty(), "the network was used")?;
        hold(!run.err.contains("ghp_"), "a part of the value is shown")?;
    }
    hold(sh("docker ps -aq")?.is_empty(), "something was started")
}

fn nothing_there(world: &World) -> Outcome {
    world.gate.requests();
    world
        .bootstrap("missing", &[])
        .exits(4)?
        .says("not-found")?
        .never_says("trying again")?;
    world.gate.harm(Harm::Down);
    let run = world.bootstrap("v1", &["--pull-timeout", "20s"]);
    run.exits(4)?.says("network")?;
    let retries = run.err.matches("trying again in").count();
    same("pauses between three tries", retries, 2)?;
    hold(run.took < 20.0, format!("it took {:.1} s", run.took))?;
    // Shorter than the pauses.
    let run = world.bootstrap("v1", &["--pull-timeout", "1s"]);
    run.exits(4)?;
    hold(run.took < 3.0, format!("it took {:.1} s", run.took))?;
    // For each of its three layers: 95 MB take 21 s at least.
    world.gate.harm(Harm::Slow(1_500_000));
    let run = world.bootstrap("big", &["--pull-timeout", "14s"]);
    run.exits(4)?.says("no end within 14 s")?;
    hold(
        run.err
            .lines()
            .any(|line| line.contains("pulling [") && line.contains(" MB of ")),
        format!("no progress without a terminal: {}", run.err),
    )
}

fn cut(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.gate.harm(Harm::Cut(8_000_000));
    let run = world.bootstrap("big", &["--pull-timeout", "8s"]);
    run.exits(4)?.says("network")?.says("still runs")?;
    same("who answers", answering(), "v1".to_owned())?;
    world.gate.harm(Harm::None);
    world.bootstrap("big", &[]).exits(0)?;
    same("who answers", answering(), "big".to_owned())
}

fn corrupt(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    for harm in [Harm::Corrupt, Harm::Truncate] {
        world.gate.harm(harm.clone());
        let upstream = world.image("v5");
        let run = world.bootstrap(
            "big",
            &[
                "--upstream-image",
                &upstream,
                "--allow-local-build",
                "--pull-timeout",
                "60s",
            ],
        );
        run.exits(4).map_err(|why| format!("{harm:?}: {why}"))?;
        run.says("integrity")
            .map_err(|why| format!("{harm:?}: {why}"))?
            .never_says("local build")?;
        hold(
            run.err.matches("trying again").count() <= 1,
            format!("{harm:?}: tried too often: {}", run.err),
        )?;
        same("who answers", answering(), "v1".to_owned())?;
    }
    world.gate.harm(Harm::None);
    world.bootstrap("big", &[]).exits(0).map(drop)
}

fn other_platform(world: &World) -> Outcome {
    let run = world.bootstrap("arm", &[]);
    run.exits(4)?
        .says("platform")?
        .says("linux/arm64")?
        .says("linux/amd64")?;
    hold(
        sh("docker images -q")?.is_empty(),
        "it was pulled all the same",
    )
}

fn rungs(world: &World) -> Outcome {
    // Upstream's image of the same version, which is public; ours is private.
    world.gate.rule(private());
    let wanted = "127.0.0.1:5001/me/openclaw:2026.9.6";
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        wanted,
        "--upstream-image",
        "127.0.0.1:5000/me/openclaw",
    ];
    let run = finish(world.command(Some("ghp_expired"), &args));
    run.exits(0)?
        .says("auth")?
        .says("trying upstream's 127.0.0.1:5000/me/openclaw:2026.9.6")?
        .says("(upstream)")?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      upstream")?;
    // Ours is back: it takes the place.
    finish(world.command(Some(GOOD), &args)).exits(0)?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      pulled")?;
    world.reset()?;
    // Nothing but a build is left.
    let missing = world.image("missing");
    let place = world.scratch.join("images").display().to_string();
    let build = |more: &[&str]| {
        let mut args = vec![
            "bootstrap",
            "--only",
            STEPS,
            "--image",
            &missing,
            "--upstream-image",
            "127.0.0.1:5000/me/none:1",
        ];
        args.extend(more);
        finish(world.command(Some(GOOD), &args))
    };
    build(&[])
        .exits(4)?
        .says("not-found")?
        .says("upstream:")?
        .says("local build: no build_context")?;
    // Little memory: on a machine that has less, as this file says.
    let little = world.scratch.join("meminfo");
    std::fs::write(&little, "MemTotal: 4000000 kB\nSwapTotal: 0 kB\n")
        .map_err(|why| why.to_string())?;
    sh(&format!("mount --bind {} /proc/meminfo", little.display()))?;
    let refused = build(&["--build-context", &place]);
    let broken = world.scratch.join("broken");
    sh(&format!(
        "mkdir -p {0}; echo 'FROM scratch\nCOPY none /' > {0}/Dockerfile",
        broken.display()
    ))?;
    let failed = build(&[
        "--build-context",
        &broken.display().to_string(),
        "--allow-local-build",
    ]);
    let built = build(&["--build-context", &place, "--allow-local-build"]);
    sh("umount /proc/meminfo")?;
    refused.exits(4)?.says("6.0 GB")?.says("4.0 GB")?;
    failed
        .exits(4)?
        .says("not-found")?
        .says("local build: docker exited")?;
    built.exits(0)?.says("local-build")?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      local-build")?;
    // A pull that works replaces it.
    world.bootstrap("v1", &[]).exits(0)?;
    world
        .run(&["status"])
        .exits(0)?
        .says("source      pulled")
        .map(drop)
}

fn clock(world: &World) -> Outcome {
    // A registry whose certificate began a year from now: what a clock a year off looks like.
    let place = world.scratch.join("tls");
    let place = place.display();
    sh(&format!(
        "mkdir -p {place}/new && cd {place} && touch index && echo 01 > serial && \
         printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=new\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n[e]\\nsubjectAltName=DNS:registry.test\\n[req]\\ndistinguished_name=d\\n[d]\\n' > ca.cnf && \
         openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE 2>/dev/null && \
         openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=registry.test 2>/dev/null && \
         openssl ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in s.csr -out s.crt -extensions e -startdate $(date -u -d '+1 year' +%Y%m%d%H%M%SZ) -enddate $(date -u -d '+2 years' +%Y%m%d%H%M%SZ) 2>/dev/null && \
         mkdir -p /etc/docker/certs.d/registry.test:5443 && cp ca.crt /etc/docker/certs.d/registry.test:5443/"
    ))?;
    let server = std::process::Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            "10.9.9.9:5443",
            "-www",
            "-cert",
            &format!("{place}/s.crt"),
            "-key",
            &format!("{place}/s.key"),
        ])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut server = server.map_err(|why| why.to_string())?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let args = [
        "bootstrap",
        "--only",
        STEPS,
        "--image",
        "registry.test:5443/me/openclaw:v1",
        "--upstream-image",
        "",
    ];
    let run = finish(world.command(Some(GOOD), &args));
    let _ = server.kill();
    let _ = server.wait();
    run.exits(4)?
        .says("clock:")?
        .says("timedatectl")?
        .never_says("auth:")
        .map(drop)
}
