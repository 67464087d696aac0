//! A first install, and what holds ever after.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::registry_proxy::{Harm, Rule};
use crate::token::{Watch, forms, nowhere};
use crate::world::{GOOD, PROGRAM, World, answering, hold, inspect, ran, same, sh, text, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    an_empty_engine_and_a_good_token_lead_to_a_gateway,
    a_second_run_changes_nothing,
    a_first_install_that_is_not_healthy_is_left_for_inspection,
    a_web_page_that_answers_200_is_not_health,
    of_two_runs_at_once_the_second_is_refused_or_waits,
    the_state_belongs_to_uid_1000,
    nothing_listens_beyond_loopback,
    journal_and_stats_tell_of_every_step_and_pull,
    a_dry_run_touches_nothing_and_predicts_the_digest,
];

fn an_empty_engine_and_a_good_token_lead_to_a_gateway(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    world.proxy.harm(Harm::Slow(2_000_000));
    let watch = Watch::begin(forms(GOOD));
    let run = world.bootstrap("v1", &[]);
    watch.saw_nothing()?;
    run.exits(0)?;
    // All nine are accounted for; the six that change the host itself do so in tests/host.
    let lines: Vec<_> = run.out.lines().filter(|it| it.contains("/9  ")).collect();
    same("lines of steps", lines.len(), 9)?;
    for (line, number) in lines.iter().zip(1..) {
        hold(
            line.starts_with(&format!("{number}/9  ")),
            format!("not in order: {line}"),
        )?;
    }
    for step in [
        "1/9  docker      unchanged",
        "3/9  files       changed",
        "4/9  gateway     changed",
    ] {
        run.says(step)?;
    }
    same("who answers", answering(), "v1".to_owned())?;
    same(
        "mode and owner of .env",
        sh("stat -c '%a %U' /home/deploy/openclaw/.env")?,
        "600 deploy".to_owned(),
    )?;
    let image = inspect("{{.Config.Image}}")?;
    same(
        "image by digest",
        image,
        format!("127.0.0.1:5001/me/openclaw@{}", world.images.digest("v1")),
    )?;
    nowhere(world, &forms(GOOD), &(run.out + &run.err))?;
    // The control: the watch does see a token in arguments and in an environment.
    let watch = Watch::begin(forms(GOOD));
    let _ = sh(&format!("sleep 0.5; true {GOOD}"));
    let _ = Command::new("sleep").arg("0.51").env("LEAK", GOOD).status();
    let hits = watch.end().hits.concat();
    hold(
        hits.contains("sleep 0.5; true") && hits.contains("sleep 0.51"),
        format!("the watch would not have seen a token: {hits}"),
    )
}

fn a_second_run_changes_nothing(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    world.proxy.requests();
    let run = world.bootstrap("v1", &[]);
    run.exits(0)?;
    for step in [
        "1/9  docker      unchanged",
        "3/9  files       unchanged",
        "4/9  gateway     unchanged",
    ] {
        run.says(step)?;
    }
    same("stderr", run.err.as_str(), "")?;
    same(
        "container and its start",
        inspect("{{.Id}} {{.State.StartedAt}}")?,
        before,
    )?;
    // The question of the tag, and the list of platforms behind it, which the engine always asks for too.
    let manifests = "/v2/me/openclaw/manifests";
    let wanted = [
        "GET /v2/".to_owned(),
        format!("HEAD {manifests}/v1"),
        format!("GET {manifests}/{}", world.images.digest("v1")),
    ];
    same("requests", world.proxy.requests().as_slice(), &wanted)?;
    hold(run.took < 5.0, format!("it took {:.2} s", run.took))
}

fn a_first_install_that_is_not_healthy_is_left_for_inspection(world: &World) -> Outcome {
    world
        .bootstrap("v3", &["--health-timeout", "2s"])
        .exits(6)?
        .says("left stopped for inspection")?;
    same(
        "its container",
        inspect("{{.State.Status}}")?,
        "exited".to_owned(),
    )?;
    // It is not remembered as bad: there was nothing to prefer to it.
    world.bootstrap("v1", &[]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())
}

fn a_web_page_that_answers_200_is_not_health(world: &World) -> Outcome {
    world
        .bootstrap("html", &["--health-timeout", "2s"])
        .exits(6)?
        .says("not with JSON")?;
    world.reset()?;
    // An old version without health endpoints is taken, with a warning.
    world
        .bootstrap("old", &[])
        .exits(0)?
        .says("no health endpoint")
        .map(drop)
}

fn of_two_runs_at_once_the_second_is_refused_or_waits(world: &World) -> Outcome {
    world.proxy.harm(Harm::Slow(400_000));
    let first = world
        .bootstrapping(Some(GOOD), &world.image("v1"), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| why.to_string())?;
    let pid = first.id();
    let seconds = || sh("date +%s").map(|text| text.parse::<i64>().unwrap_or(0));
    let begun = seconds()?;
    hold(
        wait_for(5, || {
            text("/run/openclaw-deploy.lock").contains(&pid.to_string())
        }),
        "no lock was taken",
    )?;
    let second = world.bootstrap("v1", &[]);
    second.exits(7)?.says(&format!("pid {pid}, started 20"))?;
    let started = second
        .err
        .split("started ")
        .nth(1)
        .and_then(|it| it.split(" (").next());
    let started = sh(&format!("date -d '{}' +%s", started.unwrap_or_default()))?;
    let late = started.parse::<i64>().unwrap_or(0) - begun;
    hold(
        (-2..=5).contains(&late),
        format!("it names a start that is {late} s off"),
    )?;
    hold(second.took < 1.0, "the second did not exit at once")?;
    // Whoever waits can be told to stop waiting.
    let stopped = format!("timeout --preserve-status -s INT 0.3 {PROGRAM} backup --wait; echo $?");
    same("its exit", sh(&stopped)?.as_str(), "130")?;
    let waiting = world.bootstrap("v1", &["--wait"]);
    waiting.exits(0)?.says("gateway     unchanged")?;
    let output = first.wait_with_output().map_err(|why| why.to_string())?;
    ran(&output, 0.0).exits(0).map(drop)
}

fn the_state_belongs_to_uid_1000(world: &World) -> Outcome {
    // As Docker leaves them: made by root. And what must not be touched.
    sh(
        "mkdir -p /home/deploy/.openclaw/state /home/deploy/other /run/elsewhere; touch /home/deploy/.openclaw/state/db /home/deploy/other/x /run/elsewhere/y; \
        ln -s /run/elsewhere /home/deploy/.openclaw/link; touch /home/deploy/other/twice; ln /home/deploy/other/twice /home/deploy/.openclaw/twice; mkdir /home/deploy/.openclaw/mnt; mount --bind /run/elsewhere /home/deploy/.openclaw/mnt",
    )?;
    let run = world.bootstrap("v1", &["--skip", "gateway"]);
    let owner = |path: &str| sh(&format!("stat -c %u:%g {path}"));
    let saw = (
        owner("/home/deploy/.openclaw/state/db"),
        owner("/run/elsewhere/y"),
        owner("/home/deploy/other/x"),
        owner("/home/deploy/other/twice"),
    );
    sh("umount /home/deploy/.openclaw/mnt")?;
    run.exits(0)?;
    let root = || Ok("0:0".to_owned());
    same(
        "db; another file system, another directory, a file with a second name there",
        saw,
        (Ok("1000:1000".into()), root(), root(), root()),
    )?;
    world.bootstrap("v1", &[]).exits(0)?;
    same(
        "what the gateway wrote",
        sh("stat -c %u /home/deploy/.openclaw/state/data")?,
        "1000".to_owned(),
    )
}

fn nothing_listens_beyond_loopback(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    let open = sh("ss -Hltn | awk '{print $4}' | grep -E ':(18789|18790|3978)$'")?;
    same("listeners", open.as_str(), "127.0.0.1:18789")?;
    world.run(&["doctor"]).never_says("reached from outside")?;
    // The control: a neighbour beyond loopback is found by the program itself.
    for address in [
        "0.0.0.0:18790",
        "0.0.0.0:3978",
        "[::]:18790",
        "[::]:3978",
        "10.9.9.9:18789",
    ] {
        let listener = TcpListener::bind(address).map_err(|why| format!("{address}: {why}"))?;
        let run = world.run(&["doctor"]);
        drop(listener);
        let port = address.rsplit(':').next().unwrap_or_default();
        run.exits(1)?.says("reached from outside")?.says(port)?;
    }
    // And an upgrade does not begin.
    let listener = TcpListener::bind("0.0.0.0:3978").map_err(|why| why.to_string())?;
    let run = world.bootstrap("v2", &[]);
    drop(listener);
    run.exits(1)?
        .says("another program listens on every address, port 3978")?;
    same("who answers", answering(), "v1".to_owned())
}

fn journal_and_stats_tell_of_every_step_and_pull(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("missing", &[]).exits(4)?;
    let stats = world.run(&["stats", "--json"]);
    stats
        .exits(0)?
        .says("\"median_seconds\":")?
        .says("\"pulled\":1")?
        .says("\"not-found\":1")?
        // A name that nobody has is no failed pull.
        .says("\"success_percent\":100.0")?
        .says("\"cpu_percent\":")?;
    world
        .run(&["stats"])
        .exits(0)?
        .says("provisioning  ")?
        .says("pull success  100.0 %")?
        .says("failed: not-found 1")?;
    world
        .run(&["stats", "--plan"])
        .exits(0)?
        .says("at most 10 min")?
        .says("GitHub's billing page tells")?;
    let journal = text("/var/lib/openclaw-deploy/journal.jsonl");
    for line in journal.lines() {
        let json: serde_json::Value =
            serde_json::from_str(line).map_err(|why| format!("{why}: {line}"))?;
        let has = |key: &str| !json[key].is_null();
        let needs: &[&str] = match json["event"].as_str() {
            Some("step") => &["step", "outcome", "seconds"],
            Some("pull") if json["outcome"] == "pulled" => &["bytes", "seconds"],
            Some("pull") => &["outcome", "cause"],
            Some(_) => &[],
            None => return Err(format!("no event: {line}")),
        };
        let whole = has("time") && needs.iter().all(|key| has(key));
        hold(whole, format!("something is missing: {line}"))?;
    }
    for word in [
        "\"bytes\":",
        "\"seconds\":",
        "\"cause\":\"not-found\"",
        "\"outcome\":\"unchanged\"",
        "\"step\":\"gateway\"",
    ] {
        hold(journal.contains(word), format!("the journal lacks {word}"))?;
    }
    let own = sh("sed -n 's/^OPENCLAW_GATEWAY_TOKEN=//p' /home/deploy/openclaw/.env")?;
    same("length of the gateway's token", own.len(), 64)?;
    for needle in forms(GOOD).into_iter().chain(forms(&own)) {
        hold(!journal.contains(&needle), "the journal holds a token")?;
    }
    Ok(())
}

fn a_dry_run_touches_nothing_and_predicts_the_digest(world: &World) -> Outcome {
    let hash = || {
        sh(
            "(find /home /var/lib/openclaw-deploy /run/openclaw* -printf '%p %m %u %T@\\n' 2>/dev/null; find /home /var/lib/openclaw-deploy -type f -exec sha256sum {} +; docker ps -aq --no-trunc; docker images -aq --no-trunc) | sha256sum",
        )
    };
    let before = hash()?;
    let run = world.bootstrap("v1", &["--dry-run"]);
    run.exits(0)?
        .says("planned")?
        .says(world.images.digest("v1"))?;
    same("what is there", hash()?, before.clone())?;
    world.bootstrap("v1", &[]).exits(0)?;
    // The control: what is really done shows.
    hold(hash()? != before, "a bootstrap would not have been seen")?;
    let before = hash()?;
    world
        .bootstrap("v2", &["--dry-run"])
        .exits(0)?
        .says(world.images.digest("v2"))?
        .says("replace the gateway")?;
    world
        .bootstrap("v1", &["--dry-run"])
        .exits(0)?
        .says("gateway     unchanged")?;
    // Where the image is here already and step 2 has yet to make its owner.
    crate::world::put("/run/newcomer.toml", "user = \"newcomer\"\n")?;
    let image = world.image("v1");
    let steps = ["bootstrap", "--dry-run", "--only", "user,files,gateway"];
    let more = ["--image", &image, "--config", "/run/newcomer.toml"];
    world
        .run(&[steps, more].concat())
        .exits(0)?
        .says("- create the user newcomer")?
        .says("the gateway with ")?;
    same("what is there", hash()?, before)
}
