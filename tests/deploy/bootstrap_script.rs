//! The script that is piped over ssh, with the real programs behind it, up to a gateway that
//! answers. Only `op` is a stand-in. That it fetches and checks the programs, is read by nobody else and
//! does nothing by halves is in `tests/host/bootstrap.bats`.

use std::process::{Command, Stdio};

use crate::registry_proxy::Rule;
use crate::token::{Watch, forms, nowhere};
use crate::world::{
    GOOD, OP, PROGRAM, Ran, SECRETS, STEPS, World, answering, finish, hold, put, same, sh,
};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![the_shell_script_leads_to_a_gateway_that_answers,];

const SCRIPT: &str = include_str!("../../shell/oc-bootstrap.sh");
const PLACE: &str = "/srv/a b";

fn the_shell_script_leads_to_a_gateway_that_answers(world: &World) -> Outcome {
    world.proxy.rule(Rule::Tokens {
        token: GOOD.to_owned(),
        public: false,
    });
    sh("mount -t tmpfs -o mode=755 tmpfs /usr/local/bin && mount -t tmpfs -o mode=755 tmpfs /srv")?;
    let outcome = install().and_then(|()| runs(world));
    sh("umount /srv; umount /usr/local/bin; rm -f /mnt/double/*")?;
    outcome
}

/// What a host has after an earlier visit: the programs, `op`, and the service account's token.
fn install() -> Outcome {
    sh(&format!(
        "mkdir '{PLACE}' && ln -s {SECRETS} {PROGRAM} {OP} /usr/local/bin/ && umask 077 && echo ops_made_up > '{PLACE}/the token'"
    ))?;
    put(&format!("{PLACE}/oc bootstrap.sh"), SCRIPT)?;
    vault("GitHub GHCR Pull Token")
}

/// A vault with the token in an item of that title.
fn vault(title: &str) -> Outcome {
    let field = serde_json::json!({"id": "credential", "type": "CONCEALED", "label": "credential", "value": GOOD});
    let item = serde_json::json!({"id": "i".repeat(26), "title": title, "fields": [field]});
    let vault = serde_json::json!({"id": "v".repeat(26), "name": "OpenClaw", "items": [item]});
    put(
        "/mnt/double/vaults.json",
        &serde_json::json!({"vaults": [vault]}).to_string(),
    )
}

/// These words in a new session, and so without a terminal, with nothing in the environment but where the
/// service account's token lies, in a directory with a blank; the script is on stdin.
fn bare(words: &[&str], more: &[&str]) -> Result<Ran, String> {
    let script =
        std::fs::File::open(format!("{PLACE}/oc bootstrap.sh")).map_err(|why| why.to_string())?;
    let mut command = Command::new("/usr/bin/setsid");
    command
        .arg("--wait")
        .args(words)
        .args(more)
        .env_clear()
        .env("OC_SECRETS_TOKEN_FILE", format!("{PLACE}/the token"))
        .current_dir(PLACE)
        .stdin(Stdio::from(script));
    Ok(finish(command))
}

fn runs(world: &World) -> Outcome {
    // The control: such a run has no terminal.
    hold(
        bare(&["/bin/bash", "-c", ": < /dev/tty"], &[])?.code != 0,
        "there is a terminal",
    )?;
    let settings = format!("{PLACE}/my settings.toml");
    let image_of = |tag: &str| {
        format!(
            "image = \"{}\"
upstream_image = \"\"
",
            world.image(tag)
        )
    };
    put(&settings, &image_of("v1"))?;
    let args = ["--only", STEPS, "--config", "my settings.toml"];
    let watch = Watch::begin(forms(GOOD));
    let run = bare(&["/bin/bash", "-us", "--"], &args)?;
    let seen = watch.end();
    run.exits(0)?.says("4/9  gateway     changed")?;
    same("who answers", answering(), "v1".to_owned())?;
    // From `op` to the engine the token is in one environment, that of our program's first line.
    let ours = |it: &&String| !it.starts_with("openclaw-deploy bootstrap") && !it.starts_with(OP);
    let others: Vec<_> = seen.hits.iter().filter(ours).collect();
    hold(
        others.is_empty(),
        format!("a process had the token: {others:?}"),
    )?;
    nowhere(world, &forms(GOOD), &(run.out + &run.err))?;
    // As a file, in a strict shell that is not bash; and nothing is left to do.
    bare(&["/bin/sh", "-eu", "./oc bootstrap.sh"], &args)?
        .exits(0)?
        .says("4/9  gateway     unchanged")?;
    // The control: without its item there is no token, and nothing to pull with.
    vault("OpenCode Zen API Key")?;
    put(&settings, &image_of("v2"))?;
    bare(&["/bin/bash", "-us", "--"], &args)?
        .exits(4)?
        .says("auth-missing")
        .map(drop)
}
