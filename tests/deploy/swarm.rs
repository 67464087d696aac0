//! The gateway as a Swarm stack, its app secrets as Swarm secrets.

use std::process::{Command, Stdio};

use crate::images::variant;
use crate::registry_proxy::{Rule, base64};
use crate::token::Watch;
use crate::world::{
    GOOD, Ran, STEPS, World, answering, finish, hold, put, same, sh, text, wait_for,
};
use crate::{Check, Outcome, checks, remote};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_manager_runs_the_stack_and_any_other_node_is_refused,
    token_and_secrets_are_in_no_file_argument_or_inspect,
    an_unchanged_run_changes_nothing_and_a_changed_secret_is_rotated,
    an_unhealthy_upgrade_brings_back_version_state_and_secret,
    compose_and_swarm_take_over_one_state_from_each_other,
    another_engine_runs_the_stack_by_tcp_and_by_ssh,
];

const DATA: &str = "/home/deploy/.openclaw/state/data";
const TELEGRAM: &str = "1234567:telegram-canary \"quoted\" \\ and\na second line";
const NOTION: &str = "ntn_notion-canary-0123456789";
pub const HERE: &str = "docker";
const THERE: &str = "docker -H tcp://127.0.0.1:2375";

/// Runs `work` on an engine that manages a swarm.
pub fn in_swarm(docker: &str, world: &World, work: impl FnOnce(&World) -> Outcome) -> Outcome {
    sh(&format!(
        "{docker} swarm init --advertise-addr 127.0.0.1 --listen-addr 127.0.0.1:2377"
    ))?;
    let outcome = work(world);
    sh(&format!("{docker} swarm leave --force")).map(drop)?;
    outcome
}

fn command(world: &World, tag: &str, notion: &str, more: &[&str]) -> Command {
    let image = world.image(tag);
    let mut args = vec!["bootstrap", "--only", STEPS, "--image", &image];
    args.extend(["--health-timeout", "8s", "--upstream-image", ""]);
    args.extend(more);
    let mut command = world.command(Some(GOOD), &args);
    command
        .env("TELEGRAM_BOT_TOKEN", TELEGRAM)
        .env("NOTION_API_KEY", notion);
    command
}

fn deploy(world: &World, tag: &str) -> Ran {
    finish(command(world, tag, NOTION, &["--swarm"]))
}

/// The task's container that runs, by this format.
pub fn task(docker: &str, format: &str) -> Result<String, String> {
    sh(&format!(
        "{docker} inspect --format '{format}' $({docker} ps -q --filter label=com.docker.swarm.service.name=openclaw_gateway)"
    ))
}

/// What the gateway's process finds at /run/secrets, and who may read it.
fn secrets(docker: &str) -> Result<Vec<(String, String, String)>, String> {
    let place = format!("/proc/{}/root/run/secrets", task(docker, "{{.State.Pid}}")?);
    let names = sh(&format!("ls {place}"))?;
    names
        .lines()
        .map(|name| {
            let access = sh(&format!("stat -c '%u:%g %a %h %F' {place}/{name}"))?;
            Ok((name.to_owned(), text(&format!("{place}/{name}")), access))
        })
        .collect()
}

fn objects(docker: &str) -> Result<String, String> {
    sh(&format!(
        "{docker} secret ls --format '{{{{.Name}}}}' | sort | tr '\\n' ' '"
    ))
}

fn mounted(docker: &str, notion: &str) -> Outcome {
    let access = "1000:1000 400 1 regular file";
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned(), access.to_owned());
    let wanted = vec![
        one("NOTION_API_KEY", notion),
        one("TELEGRAM_BOT_TOKEN", TELEGRAM),
    ];
    same(
        "the secrets that the gateway sees",
        secrets(docker)?,
        wanted,
    )
}

fn a_manager_runs_the_stack_and_any_other_node_is_refused(world: &World) -> Outcome {
    let refused = deploy(world, "v1");
    refused
        .exits(3)?
        .says("this engine manages no swarm; the gateway was not touched")?
        .says("hint: docker swarm init --advertise-addr 127.0.0.1")?;
    same("what was made", sh("docker ps -aq")?.as_str(), "")?;
    // Where nothing was about to be touched, nothing is said of that.
    put("/run/swarm.toml", "swarm = true\n")?;
    world
        .run(&["doctor", "--config", "/run/swarm.toml"])
        .exits(1)?
        .says("this engine manages no swarm\n")?;
    in_swarm(HERE, world, |world| {
        let plan = finish(command(world, "v1", NOTION, &["--swarm", "--dry-run"]));
        plan.exits(0)?
            .says("- give Swarm the secret openclaw_TELEGRAM_BOT_TOKEN_v1")?
            .says("- start the gateway")?;
        let made = sh("docker service ls -q; docker secret ls -q; docker ps -aq")?;
        same("what a dry run made", made.as_str(), "")?;
        deploy(world, "v1").exits(0)?;
        same("who answers", answering(), "v1".to_owned())?;
        as_narrow_as_compose(world)?;
        mounted(HERE, NOTION)?;
        let environment = sh(&format!(
            "tr '\\0' '\\n' < /proc/{}/environ",
            task(HERE, "{{.State.Pid}}")?
        ))?;
        hold(
            !environment.contains("canary") && environment.contains("OPENCLAW_GATEWAY_TOKEN="),
            "the secrets are in the environment, or .env is not",
        )?;
        world
            .run(&["status"])
            .exits(0)?
            .says("service     openclaw_gateway, with ")?
            .says("TELEGRAM_BOT_TOKEN, NOTION_API_KEY")?;
        world
            .run(&["logs"])
            .exits(0)?
            .says("gateway v1 mode good")?;
        world
            .run(&["doctor"])
            .exits(0)?
            .says("ok    gateway    answers")?;
        stack(world)
    })
}

/// Confined, private, pinned, and without the registry's credentials.
fn as_narrow_as_compose(world: &World) -> Outcome {
    let pinned = format!("127.0.0.1:5001/me/openclaw@{}", world.images.digest("v1"));
    let host = "{{json .HostConfig.CapDrop}} {{.HostConfig.Init}} {{.HostConfig.PidsLimit}} {{.HostConfig.NetworkMode}} {{.Config.Image}}";
    let wanted = format!("[\"ALL\"] true 512 host {pinned}");
    same("the container", task(HERE, host)?, wanted)?;
    let listens = sh("ss -ltnH 'sport = :18789' | awk '{print $4}'")?;
    same("where it listens", listens.as_str(), "127.0.0.1:18789")?;
    let swarm = sh("ss -ltnH 'sport = :2377' | awk '{print $4}'")?;
    same("where Swarm listens", swarm.as_str(), "127.0.0.1:2377")?;
    let service = sh("docker service inspect openclaw_gateway")?;
    let node = sh("docker info --format '{{.Swarm.NodeID}}'")?;
    hold(
        service.contains(&format!("node.id=={node}")),
        format!("it is not pinned: {service}"),
    )?;
    hold(
        !service.contains("RegistryAuth") && !service.contains("PullOptions"),
        "Swarm was given credentials",
    )
}

/// For Docker's own client it is a stack like any other; and when that is removed, it is
/// deployed again.
fn stack(world: &World) -> Outcome {
    let known = sh("docker stack ls --format '{{.Name}} {{.Services}}'")?;
    same("docker stack ls", known.as_str(), "openclaw 1")?;
    let tasks = sh("docker stack ps openclaw --format '{{.Name}} {{.DesiredState}}'")?;
    same(
        "docker stack ps",
        tasks.as_str(),
        "openclaw_gateway.1 Running",
    )?;
    sh("docker stack rm openclaw")?;
    same("secrets without the stack", objects(HERE)?.as_str(), "")?;
    hold(
        wait_for(20, || answering() == "nothing"),
        "docker stack rm does not end the gateway",
    )?;
    deploy(world, "v1").exits(0)?;
    same("who answers again", answering(), "v1".to_owned())
}

fn token_and_secrets_are_in_no_file_argument_or_inspect(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    in_swarm(HERE, world, |world| {
        let telegram = TELEGRAM.split('\n').next().unwrap_or_default();
        let needles = [
            GOOD,
            &base64(GOOD)[..40],
            &base64(&format!("x-access-token:{GOOD}"))[..40],
            &telegram[..20],
            &base64(TELEGRAM)[..40],
            NOTION,
            &base64(NOTION)[..36],
        ];
        let watch = Watch::begin(needles.map(str::to_owned).to_vec());
        let run = deploy(world, "v1");
        let changed = finish(command(
            world,
            "v1",
            "ntn_notion-canary-other",
            &["--swarm"],
        ));
        watch.saw_nothing()?;
        run.exits(0)?;
        changed.exits(0)?;
        let inspected = sh(
            "docker inspect $(docker ps -aq); docker service inspect openclaw_gateway; docker secret inspect $(docker secret ls -q); docker inspect --type task $(docker service ps -q openclaw_gateway)",
        )?;
        hold(
            inspected.contains("OPENCLAW_GATEWAY_TOKEN"),
            "the search of docker inspect would find nothing",
        )?;
        let output = format!("{}{}{}{}", run.out, run.err, changed.out, changed.err);
        for (place, text) in [("docker inspect", &inspected), ("the output", &output)] {
            let found = needles.iter().find(|it| text.contains(**it));
            hold(found.is_none(), format!("{found:?} is in {place}"))?;
        }
        same("files with them", files_with(world, &needles)?.as_str(), "")?;
        // The control: the same search finds what lies among the engine's files.
        let planted = world.scratch.join("docker/planted").display().to_string();
        put(&planted, &format!("x{NOTION}x"))?;
        same(
            "the planted file",
            files_with(world, &needles)?,
            planted.clone(),
        )?;
        sh(&format!("rm {planted}")).map(drop)
    })
}

/// The files on disks that hold one of `needles`: the engine's (the swarm's log among them), the
/// registry's but for images, ours; not the vault of the stand-in for `op`. What is mounted below them, as the secrets in memory are, is no disk.
pub fn files_with(world: &World, needles: &[&str]) -> Result<String, String> {
    let words: Vec<_> = needles.iter().map(|it| format!("-e '{it}'")).collect();
    sh(&format!(
        "find {} /home /root /run /etc/docker /var/lib/openclaw-deploy -xdev \\( -path '*/registry/docker' -o -path '*/programs/double' \\) -prune -o -type f ! -name 'random*' -print0 | LC_ALL=C xargs -0 grep -laF {} 2>/dev/null || true",
        world.scratch.display(),
        words.join(" ")
    ))
}

fn an_unchanged_run_changes_nothing_and_a_changed_secret_is_rotated(world: &World) -> Outcome {
    in_swarm(HERE, world, |world| {
        deploy(world, "v1").exits(0)?;
        let before = task(HERE, "{{.Id}} {{.State.StartedAt}}")?;
        let unmoved = |run: Ran, what: &str| {
            run.exits(0)?.says("gateway     unchanged")?;
            same(
                what,
                task(HERE, "{{.Id}} {{.State.StartedAt}}")?,
                before.clone(),
            )
        };
        unmoved(deploy(world, "v1"), "the same again")?;
        unmoved(
            world.bootstrap("v1", &[]),
            "without secrets in the environment, and no --swarm",
        )?;
        let both = "openclaw_NOTION_API_KEY_v1 openclaw_TELEGRAM_BOT_TOKEN_v1";
        same("the objects", objects(HERE)?.as_str(), both)?;
        finish(command(world, "v1", "ntn_notion-canary-two", &[])).exits(0)?;
        mounted(HERE, "ntn_notion-canary-two")?;
        let both = "openclaw_NOTION_API_KEY_v2 openclaw_TELEGRAM_BOT_TOKEN_v1";
        same(
            "the objects after the change",
            objects(HERE)?.as_str(),
            both,
        )?;
        chosen(world)
    })
}

/// `swarm_secrets` in the configuration file.
fn chosen(world: &World) -> Outcome {
    let config = "/home/deploy/deploy.toml";
    let with = |list: &str, more: &str| {
        put(config, &format!("swarm = true\nswarm_secrets = [{list}]\n"))?;
        let mut command = command(world, "v1", NOTION, &["--config", config]);
        command.env("OTHER", more);
        Ok::<_, String>(finish(command))
    };
    with("\"OTHER\"", "other-canary")?.exits(0)?;
    same("the objects", objects(HERE)?.as_str(), "openclaw_OTHER_v1")?;
    let seen = secrets(HERE)?
        .into_iter()
        .map(|(name, value, _)| (name, value));
    let other = ("OTHER".to_owned(), "other-canary".to_owned());
    same("what is mounted", seen.collect::<Vec<_>>(), vec![other])?;
    with("\"GHCR_TOKEN\"", "x")?
        .exits(2)?
        .says("app_secrets: GHCR_TOKEN cannot be one")?;
    with("\"OTHER\"", "op://vault/item/field")?
        .exits(2)?
        .says("OTHER is not the secret")
        .map(drop)
}

fn an_unhealthy_upgrade_brings_back_version_state_and_secret(world: &World) -> Outcome {
    // An image that listens everywhere, whatever it is told.
    let wide = "CMD [\"node\",\"gateway\",\"--bind\",\"lan\"]";
    variant(&world.scratch, "wide", wide)?;
    in_swarm(HERE, world, |world| {
        deploy(world, "v3")
            .exits(6)?
            .says("its service is left without a task")?
            .says("    | listening with token <concealed>")?;
        same("what runs", sh("docker ps -q")?.as_str(), "")?;
        deploy(world, "v1").exits(0)?;
        let state = text(DATA);
        for (tag, why) in [
            ("v3", "/startupz says starting"),
            ("v4", "exited with 78"),
            ("wide", "can be reached from outside"),
        ] {
            let run = finish(command(
                world,
                tag,
                "ntn_notion-canary-bad",
                &["--swarm", "--retry"],
            ));
            run.exits(5)
                .map_err(|why| format!("{tag}: {why}"))?
                .says(why)?
                .says("runs again with its state and answers")?;
            same("who answers", answering(), "v1".to_owned())?;
            same("the state", text(DATA), state.clone())?;
            mounted(HERE, NOTION)?;
            let both = "openclaw_NOTION_API_KEY_v1 openclaw_TELEGRAM_BOT_TOKEN_v1";
            same("the objects", objects(HERE)?.as_str(), both)?;
        }
        killed(world)?;
        world.run(&["rollback"]).exits(0)?;
        same("who answers after rollback", answering(), "v1".to_owned())?;
        same("its state", text(DATA), state)?;
        mounted(HERE, NOTION)
    })
}

/// A run that is killed while it waits for a bad version; the next one mends.
fn killed(world: &World) -> Outcome {
    let run = command(world, "v3", NOTION, &["--retry", "--health-timeout", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut run = run.map_err(|why| why.to_string())?;
    let v3 = world.images.digest("v3");
    hold(
        wait_for(20, || {
            task(HERE, "{{.Config.Image}}").is_ok_and(|it| it.contains(v3))
        }),
        "v3 was never started",
    )?;
    let environment = text(&format!("/proc/{}/environ", run.id()));
    hold(
        environment.contains("NOTION_API_KEY=")
            && !environment.contains("canary")
            && !environment.contains(GOOD),
        "the secrets are still in our environment",
    )?;
    run.kill().map_err(|why| why.to_string())?;
    run.wait().map_err(|why| why.to_string())?;
    deploy(world, "v2").exits(0)?.says("putting back")?;
    same("who answers after the kill", answering(), "v2".to_owned())
}

fn backed_up(world: &World) -> Outcome {
    let first = task(HERE, "{{.Id}}")?;
    sh("mkdir -p /var/backups && mount -t tmpfs tmpfs /var/backups")?;
    let backup = world.run(&["backup"]);
    let archive = sh("tar -tzf /var/backups/openclaw/openclaw-*.tar.gz");
    sh("umount /var/backups")?;
    backup.exits(0)?;
    hold(archive?.contains("state/data"), "the backup has no state")?;
    hold(
        wait_for(20, || answering() == "v1"),
        "no answer after the backup",
    )?;
    hold(
        task(HERE, "{{.Id}}")? != first,
        "the backup did not stop the gateway",
    )
}

fn restarted_without_the_registry(world: &World) -> Outcome {
    world.stop_engine();
    world.start_engine()?;
    hold(
        wait_for(60, || answering() == "v1"),
        "no answer after the engine's restart",
    )?;
    let asked = world.proxy.requests();
    hold(
        asked.is_empty(),
        format!("Swarm asked the registry: {asked:?}"),
    )
}

fn compose_and_swarm_take_over_one_state_from_each_other(world: &World) -> Outcome {
    let only = |what: &str, tag: &str, wanted: &str| {
        same(what, answering(), tag.to_owned())?;
        same(what, text(&format!("{DATA}.kept")).as_str(), "precious\n")?;
        // Swarm takes its last container away when it comes to it.
        let containers = || sh("docker ps -a --format '{{.Names}}' | sed 's/[.].*//'");
        let alone = wait_for(10, || containers().is_ok_and(|it| it == wanted));
        hold(alone, format!("{what}: {:?}", containers()))
    };
    let (compose, swarm) = ("openclaw-openclaw-gateway-1", "openclaw_gateway");
    in_swarm(HERE, world, |world| {
        world.bootstrap("v1", &[]).exits(0)?;
        sh(&format!("echo precious > {DATA}.kept"))?;
        deploy(world, "v3").exits(5)?;
        only("a move that fails leaves Compose's", "v1", compose)?;
        same(
            "services",
            sh("docker service ls -q; docker secret ls -q")?.as_str(),
            "",
        )?;
        let plan = finish(command(world, "v1", NOTION, &["--swarm", "--dry-run"]));
        plan.exits(0)?
            .says("- move to Swarm and replace the gateway with ")?;
        deploy(world, "v1").exits(0)?;
        only("moved to Swarm", "v1", swarm)?;
        hold(
            !std::path::Path::new("/home/deploy/openclaw/compose.yaml").exists(),
            "compose.yaml would start a second gateway",
        )?;
        world
            .bootstrap("v1", &[])
            .exits(0)?
            .says("gateway     unchanged")?;
        world.proxy.requests();
        backed_up(world)?;
        only("after the backup", "v1", swarm)?;
        restarted_without_the_registry(world)?;
        world
            .bootstrap("v1", &[])
            .exits(0)?
            .says("gateway     unchanged")?;
        world.bootstrap("v1", &["--swarm=false"]).exits(0)?;
        only("moved back to Compose", "v1", compose)?;
        same(
            "services",
            sh("docker service ls -q; docker secret ls -q")?.as_str(),
            "",
        )?;
        world
            .bootstrap("v1", &["--swarm"])
            .exits(0)?
            .says("no app secret is in the environment or the swarm")
            .map(drop)
    })
}

fn another_engine_runs_the_stack_by_tcp_and_by_ssh(world: &World) -> Outcome {
    remote::with_engine(world, "", |world| {
        in_swarm(THERE, world, |world| {
            over(world, "tcp://127.0.0.1:2375", over_ssh)
        })
    })
}

/// A life on the engine at `host`: first, again, next, a bad one.
fn over(world: &World, host: &str, then: fn(&World) -> Outcome) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    let at = |tag: &str, notion: &str| {
        let more = ["--swarm", "--health-timeout", "40s"];
        let mut command = command(world, tag, notion, &more);
        command.env("DOCKER_HOST", host).env("HOME", "/home");
        finish(command)
    };
    at("v1", NOTION).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    mounted(THERE, NOTION)?;
    same("this machine's engine", sh("docker ps -aq")?.as_str(), "")?;
    at("v1", NOTION).exits(0)?.says("gateway     unchanged")?;
    at("v2", "ntn_notion-canary-next").exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    mounted(THERE, "ntn_notion-canary-next")?;
    at("v4", "ntn_notion-canary-bad").exits(5)?;
    same(
        "who answers after the way back",
        answering(),
        "v2".to_owned(),
    )?;
    mounted(THERE, "ntn_notion-canary-next")?;
    let needles = [
        GOOD,
        NOTION,
        "ntn_notion-canary-next",
        &base64(NOTION)[..36],
    ];
    same("files with them", files_with(world, &needles)?.as_str(), "")?;
    then(world)
}

/// The same engine, by ssh as another machine's is reached.
fn over_ssh(world: &World) -> Outcome {
    remote::with_ssh(|| over(world, remote::BY_SSH, |_| Ok(())))
}
