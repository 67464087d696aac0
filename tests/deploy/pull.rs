//! What happens when the image cannot be had.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use crate::registry_proxy::{Harm, Rule, base64};
use crate::world::{GOOD, STEPS, World, answering, hold, inspect, same, sh};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_bad_token_is_named_and_a_public_image_comes_without_it,
    a_private_image_without_a_token_is_refused,
    a_token_that_cannot_be_one_is_refused,
    a_missing_tag_and_a_missing_registry_are_told_apart,
    a_registry_that_dies_in_mid_pull_leaves_the_old_version,
    a_corrupt_and_a_truncated_layer_are_refused,
    an_image_for_another_machine_is_refused,
];

fn private() -> Rule {
    Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    }
}

fn a_bad_token_is_named_and_a_public_image_comes_without_it(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: true,
    });
    world
        .bootstrap_as(Some("ghp_expired"), "v1", &[])
        .exits(0)?
        .says("token refused")?
        .says("GitHub GHCR Pull Token")?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    world.proxy.rule(private());
    let run = world.bootstrap_as(Some("ghp_expired"), "v2", &[]);
    run.exits(4)?
        .says("auth:")?
        .says("GitHub GHCR Pull Token")?
        .says("still runs")?;
    same("who answers", answering(), "v1".to_owned())?;
    let pair = base64(&format!("x-access-token:{GOOD}"));
    world.proxy.rule(Rule::Basic { pair });
    world
        .bootstrap_as(Some("ghp_expired"), "v2", &[])
        .exits(4)?
        .says("auth:")?;
    same(
        "the gateway",
        inspect("{{.Id}} {{.State.StartedAt}}")?,
        before,
    )?;
    // The control: the good token is let in by both.
    world.bootstrap("v2", &[]).exits(0)?;
    world.proxy.rule(private());
    world.bootstrap("v5", &[]).exits(0).map(drop)
}

fn a_private_image_without_a_token_is_refused(world: &World) -> Outcome {
    world.proxy.rule(private());
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
    // On a terminal where nobody types, with something on stdin, and with stdin closed: nothing is ever read.
    sh("mkfifo /run/nobody-types")?;
    let on_terminal = |line: &str, seconds: u8| {
        sh(&format!(
            "timeout {seconds} script -qec \"{line}\" /dev/null <>/run/nobody-types; echo rc $?"
        ))
    };
    let typed = on_terminal(&line, 20)?;
    hold(
        typed.contains("rc 4") && typed.contains("auth-missing"),
        format!("on a terminal: {typed}"),
    )?;
    // The control: whoever does ask waits there for ever.
    let asks = on_terminal("head -c 1 /dev/tty", 2)?;
    same("one who asks", asks.as_str(), "rc 124")?;
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

fn a_token_that_cannot_be_one_is_refused(world: &World) -> Outcome {
    for token in [
        "[use 'op item get x --reveal' to reveal]",
        "ghp_a\n",
        "ghp_a b",
        "ghp_\u{e4}",
        "op://a/b/c",
    ] {
        world.proxy.requests();
        let run = world.bootstrap_as(Some(token), "v1", &[]);
        run.exits(2)?.says("cannot be a token")?;
        hold(world.proxy.requests().is_empty(), "the network was used")?;
        hold(!run.err.contains("ghp_"), "a part of the value is shown")?;
    }
    hold(sh("docker ps -aq")?.is_empty(), "something was started")?;
    // The control: a token that can be one is taken there.
    world.bootstrap("v1", &[]).exits(0)?;
    hold(
        !world.proxy.requests().is_empty(),
        "the proxy does not count",
    )
}

fn a_missing_tag_and_a_missing_registry_are_told_apart(world: &World) -> Outcome {
    world.proxy.requests();
    world
        .bootstrap("missing", &[])
        .exits(4)?
        .says("not-found")?
        .never_says("trying again")?;
    world.proxy.harm(Harm::Down);
    let run = world.bootstrap("v1", &["--pull-timeout", "20s"]);
    run.exits(4)?.says("network")?;
    let pauses: Vec<f64> = run
        .err
        .split("trying again in ")
        .skip(1)
        .filter_map(|it| it.split(' ').next()?.parse().ok())
        .collect();
    hold(
        matches!(pauses[..], [first, second] if (1.0..=2.0).contains(&first) && (2.0..=4.0).contains(&second)),
        format!("pauses between three tries: {pauses:?}"),
    )?;
    hold(run.took < 20.0, format!("it took {:.1} s", run.took))?;
    // Shorter than the pauses.
    let run = world.bootstrap("v1", &["--pull-timeout", "1s"]);
    run.exits(4)?;
    hold(run.took < 3.0, format!("it took {:.1} s", run.took))?;
    progress(world)
}

/// Without a terminal: a line every ten seconds, with bytes. Each of three layers takes more than 30 s.
fn progress(world: &World) -> Outcome {
    world.proxy.harm(Harm::Slow(900_000));
    let image = world.image("big");
    let args = [
        "update",
        "--image",
        &image,
        "--upstream-image",
        "",
        "--pull-timeout",
        "23s",
    ];
    let mut child = world
        .command(Some(GOOD), &args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| why.to_string())?;
    let begun = Instant::now();
    let talk = BufReader::new(child.stderr.take().ok_or("no stderr")?);
    let lines: Vec<(f64, String)> = talk
        .lines()
        .map_while(Result::ok)
        .map(|line| (begun.elapsed().as_secs_f64(), line))
        .collect();
    let code = child.wait().map_err(|why| why.to_string())?.code();
    same("exit", code, Some(4))?;
    hold(
        lines
            .iter()
            .any(|(_, line)| line.contains("no end within 23 s")),
        format!("{lines:?}"),
    )?;
    let bars = lines
        .iter()
        .filter(|(_, it)| it.contains("pulling [") && it.contains(" MB of 9"));
    let times: Vec<f64> = bars.map(|(time, _)| *time).collect();
    hold(
        matches!(times[..], [first, second] if (9.0..13.0).contains(&first) && (9.0..12.0).contains(&(second - first))),
        format!("not every ten seconds: {lines:?}"),
    )
}

fn a_registry_that_dies_in_mid_pull_leaves_the_old_version(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let layers = world.images.layers("big")?;
    same("layers of big", layers.len(), 4)?;
    // After so many bytes and not so many seconds: no machine is too fast for that.
    world.proxy.harm(Harm::Cut {
        after: 8_000_000,
        spare: layers[..2].to_vec(),
    });
    let run = world.bootstrap("big", &["--pull-timeout", "8s"]);
    run.exits(4)?.says("network")?.says("still runs")?;
    same("who answers", answering(), "v1".to_owned())?;
    world.proxy.harm(Harm::None);
    world.proxy.requests();
    world.bootstrap("big", &[]).exits(0)?;
    same("who answers", answering(), "big".to_owned())?;
    // It goes on with what the engine has kept: the layer of v1. Of a pull that failed, Engine 20.10
    // keeps nothing, not even the second layer, which had arrived whole; later ones may.
    let requests = world.proxy.requests();
    let asked = |layer: &str| requests.iter().any(|it| it.ends_with(layer));
    hold(
        !asked(&layers[0]) && asked(&layers[2]) && asked(&layers[3]),
        format!("asked for {requests:?} of {layers:?}"),
    )
}

fn a_corrupt_and_a_truncated_layer_are_refused(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    for harm in [Harm::Corrupt, Harm::Truncate] {
        world.proxy.harm(harm.clone());
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
            .never_says("trying upstream")?
            .says("local build: not tried")?;
        hold(
            run.err.matches("trying again").count() <= 1,
            format!("{harm:?}: tried too often: {}", run.err),
        )?;
        same("who answers", answering(), "v1".to_owned())?;
    }
    world.proxy.harm(Harm::None);
    world.bootstrap("big", &[]).exits(0).map(drop)
}

fn an_image_for_another_machine_is_refused(world: &World) -> Outcome {
    world.proxy.requests();
    let run = world.bootstrap("arm", &[]);
    run.exits(4)?
        .says("platform")?
        .says("linux/arm64")?
        .says("linux/amd64")?;
    hold(
        sh("docker images -q")?.is_empty(),
        "it was pulled all the same",
    )?;
    let requests = world.proxy.requests();
    let asked = |word: &str| requests.iter().any(|it| it.contains(word));
    hold(
        asked("/manifests/") && !asked("/blobs/"),
        format!("refused only after a pull had begun: {requests:?}"),
    )
}
