//! Going back because a person says so, and having again what that took away.

use crate::images::Images;
use crate::world::{STEPS, World, answering, hold, inspect, put, same, sh, text};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![
    a_rollback_says_what_goes_and_keeps_it_until_it_is_let_go,
    what_a_rollback_left_comes_again_only_where_it_is_asked_for,
    a_restored_state_has_the_image_that_it_belongs_to,
    a_directory_that_is_gone_comes_back_with_its_state,
    a_backup_comes_back_where_it_was_made_and_on_a_bare_host,
    a_gateway_that_the_records_do_not_know_is_not_restored_over,
];

const NOTES: &str = "/home/deploy/.openclaw/notes";
const ENV: &str = "/home/deploy/openclaw/.env";
const SNAPSHOTS: &str = "/var/lib/openclaw-deploy/snapshots";

fn a_rollback_says_what_goes_and_keeps_it_until_it_is_let_go(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("v2", &[]).exits(0)?;
    sh(&format!("echo since > {NOTES}"))?;
    let run = world.run(&["rollback"]);
    run.exits(0)?
        .says("release 1 (")?
        .says("comes back, with its state of ")?
        .says("what was written since goes: ")?
        .says("openclaw-deploy rollback --to 2")?;
    same("who answers", answering(), "v1".to_owned())?;
    hold(text(NOTES).is_empty(), "the state did not go back")?;
    let kept = run.out.split("kept as ").nth(1).unwrap_or_default();
    let kept = kept.lines().next().unwrap_or_default().to_owned();
    // Others come, more than may stay.
    for tag in ["v5", "v6"] {
        world.bootstrap(tag, &["--keep", "1"]).exits(0)?;
    }
    let there = |id: &str| sh(&format!("test -d {SNAPSHOTS}/{id}")).is_ok();
    hold(there(&kept), format!("{kept} was pruned"))?;
    world.run(&["rollback", "--to", "2"]).exits(0)?;
    same("who answers", answering(), "v2".to_owned())?;
    same("what was written", text(NOTES), "since\n".to_owned())?;
    // What this rollback took away is kept in its turn, until it is let go.
    let run = world.run(&["rollback", "--forget", &kept]);
    run.exits(1)?.says("no state is kept as")?;
    let held = run.err.split("kept: ").nth(1).unwrap_or_default().trim();
    hold(there(held), format!("{held} is not there"))?;
    world.run(&["rollback", "--forget", held]).exits(0)?;
    let again = world.run(&["rollback", "--forget", held]);
    again.exits(1)?.says("kept: none").map(drop)
}

fn what_a_rollback_left_comes_again_only_where_it_is_asked_for(world: &World) -> Outcome {
    Images::move_tag("left", "v1")?;
    world.bootstrap("left", &[]).exits(0)?;
    Images::move_tag("left", "v2")?;
    world.run(&["update"]).exits(0)?;
    same("the control", answering(), "v2".to_owned())?;
    world.run(&["rollback"]).exits(0)?;
    let run = world.run(&["update"]);
    run.exits(0)?
        .says("was rolled back from: release 3 stays")?;
    same("who answers", answering(), "v1".to_owned())?;
    world.run(&["status"]).says("(rolled back from, and not")?;
    // What an update is for otherwise reaches the one that stays.
    sh(&format!("echo MINE=here >> {ENV}"))?;
    world.run(&["update"]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    hold(
        inspect("{{.Config.Env}}")?.contains("MINE=here"),
        "it has not read .env again",
    )?;
    // A newer one under the same name, and the one that was left by the word of its owner.
    Images::move_tag("left", "v5")?;
    world.run(&["update"]).exits(0)?;
    same("the newer one", answering(), "v5".to_owned())?;
    Images::move_tag("left", "v2")?;
    world.run(&["update"]).exits(0)?;
    same("who answers", answering(), "v5".to_owned())?;
    world.run(&["update", "--retry"]).exits(0)?;
    same("with --retry", answering(), "v2".to_owned())?;
    world.run(&["rollback"]).exits(0)?;
    same("the one before", answering(), "v5".to_owned())?;
    world.bootstrap("left", &[]).exits(0)?;
    same("with --image", answering(), "v2".to_owned())
}

fn a_restored_state_has_the_image_that_it_belongs_to(world: &World) -> Outcome {
    sh("rm -rf /var/backups/openclaw")?;
    Images::move_tag("kept", "v1")?;
    world.bootstrap("kept", &[]).exits(0)?;
    let archive = world.run(&["backup"]);
    let archive = archive.exits(0)?.out.trim().to_owned();
    world.reset()?;
    Images::move_tag("kept", "v2")?;
    world.run(&["restore", &archive]).exits(0)?;
    let args = ["bootstrap", "--only", STEPS, "--upstream-image", ""];
    world.run(&args).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    // From then on its name is asked for again.
    world.run(&["update"]).exits(0)?;
    same("after an update", answering(), "v2".to_owned())
}

fn a_directory_that_is_gone_comes_back_with_its_state(world: &World) -> Outcome {
    world.bootstrap("v1", &[]).exits(0)?;
    world.bootstrap("v2", &[]).exits(0)?;
    sh("rm -r /home/deploy/.openclaw/workspace")?;
    world.run(&["rollback", "--yes"]).exits(0)?;
    same("who answers", answering(), "v1".to_owned())?;
    sh("test -d /home/deploy/.openclaw/workspace").map(drop)
}

fn a_backup_comes_back_where_it_was_made_and_on_a_bare_host(world: &World) -> Outcome {
    sh("rm -rf /var/backups/openclaw")?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("echo one > {NOTES}; chown 1000:1000 {NOTES}"))?;
    let token = sh("grep TOKEN /home/deploy/openclaw/.env")?;
    let archive = world.run(&["backup"]);
    let archive = archive.exits(0)?.out.trim().to_owned();
    same(
        "its mode",
        sh(&format!("stat -c %a {archive}"))?,
        "600".to_owned(),
    )?;
    world.bootstrap("v2", &[]).exits(0)?;
    sh(&format!("echo two > {NOTES}"))?;
    // One that is cut off changes nothing.
    sh(&format!("head -c 300 {archive} > /tmp/cut.tar.gz"))?;
    let cut = world.run(&["restore", "/tmp/cut.tar.gz"]);
    cut.exits(1)?.says("nothing was changed")?;
    same("what was written", text(NOTES), "two\n".to_owned())?;
    let run = world.run(&["restore"]);
    run.exits(0)?.says("and the gateway answers")?;
    same("who answers", answering(), "v2".to_owned())?;
    same("what was written", text(NOTES), "one\n".to_owned())?;
    let kept = run.out.split("kept as ").nth(1).unwrap_or_default();
    let kept = kept.lines().next().unwrap_or_default();
    let before = format!("{SNAPSHOTS}/{kept}/state/notes");
    same("what it took away", text(&before), "two\n".to_owned())?;
    world.run(&["rollback", "--forget", kept]).exits(0)?;
    sh(&format!("cp {archive} /tmp/moved.tar.gz"))?;
    sh(&format!(
        "mv {ENV} {ENV}.kept && ln -s /root/precious {ENV}"
    ))?;
    let linked = world.run(&["backup"]);
    linked
        .exits(1)?
        .says("such a backup could not be restored")?;
    same("who answers", answering(), "v2".to_owned())?;
    world.reset()?;
    sh("rm -rf /var/backups/openclaw")?;
    world
        .run(&["restore"])
        .exits(1)?
        .says("there is no backup")?;
    planted(world)?;
    let run = world.run(&["restore", "/tmp/moved.tar.gz"]);
    run.exits(0)?.says("openclaw-deploy bootstrap")?;
    let owner = sh(&format!("stat -c '%u' {NOTES}"))?;
    same("whose it is", owner, "1000".to_owned())?;
    let args = ["bootstrap", "--only", STEPS, "--upstream-image", ""];
    world.run(&args).exits(0)?;
    // The records tell which image that state belongs to.
    same("who answers", answering(), "v1".to_owned())?;
    same("what was written", text(NOTES), "one\n".to_owned())?;
    let now = sh("grep TOKEN /home/deploy/openclaw/.env")?;
    same("the gateway's token", now, token)
}

fn a_gateway_that_the_records_do_not_know_is_not_restored_over(world: &World) -> Outcome {
    let records = "/var/lib/openclaw-deploy/records.json";
    sh("rm -rf /var/backups/openclaw")?;
    world.bootstrap("v1", &[]).exits(0)?;
    sh(&format!("echo one > {NOTES}; chown 1000:1000 {NOTES}"))?;
    world.run(&["backup"]).exits(0)?;
    sh(&format!(
        "echo two > {NOTES}; mv {records} {records}.damaged"
    ))?;
    let before = inspect("{{.Id}} {{.State.StartedAt}}")?;
    let refused = world.run(&["restore"]);
    refused
        .exits(1)?
        .says("a gateway runs here that the records do not know; nothing was changed")?
        .says("openclaw-deploy bootstrap && openclaw-deploy restore /var/backups/openclaw/")?;
    let after = inspect("{{.Id}} {{.State.StartedAt}}")?;
    same("the gateway", after, before)?;
    same("what was written", text(NOTES), "two\n".to_owned())?;
    // As the hint says.
    world.bootstrap("v1", &[]).exits(0)?;
    world
        .run(&["restore"])
        .exits(0)?
        .says("the gateway answers")?;
    same("who answers", answering(), "v1".to_owned())?;
    same("what was written", text(NOTES), "one\n".to_owned())
}

/// Archives whose `.env` the deploy user had exchanged: nothing of them comes back, and nothing that root
/// alone may read is given away. Without that file they are good.
fn planted(world: &World) -> Outcome {
    put("/root/precious-text", "CANARY=rootonly\n")?;
    for plant in ["ln -s /root/precious-text", "mkfifo"] {
        sh(&format!(
            "rm -rf /tmp/odd && mkdir /tmp/odd && tar -xzf /tmp/moved.tar.gz -C /tmp/odd && cd /tmp/odd && rm .{ENV} && {plant} .{ENV} && tar -czf /tmp/odd.tar.gz home var"
        ))?;
        let run = world.run(&["restore", "/tmp/odd.tar.gz"]);
        run.exits(1)?
            .says("/tmp/odd.tar.gz cannot be restored: in it /home/deploy/openclaw/.env is not a file")?
            .says("nothing was changed")?;
        let there = sh(&format!(
            "ls {NOTES} {ENV} /var/lib/openclaw-deploy/records.json 2>/dev/null; ls -A {SNAPSHOTS}"
        ));
        same("what came back", there?.as_str(), "")?;
        let hint = run.err.split("without that file: ").nth(1);
        let hint = hint.and_then(|it| it.split(" && ").next());
        sh(hint.ok_or("there is no hint")?)?;
    }
    world.run(&["restore", "/tmp/without.tar.gz"]).exits(0)?;
    same("the state", text(NOTES), "one\n".to_owned())?;
    hold(text(ENV).is_empty(), "there is an .env")?;
    sh("rm -rf /tmp/odd /tmp/odd.tar.gz /tmp/without.tar.gz /root/precious-text")?;
    world.reset()
}
