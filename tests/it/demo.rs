//! `oc-secrets demo`: for somebody with neither `op` nor an account.

use crate::sandbox::Sandbox;

#[test]
fn the_demo_shows_the_whole_pipeline_without_op() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("bin/op")).expect("removed");
    let run = sandbox.oc(["demo"]).without("OP_SERVICE_ACCOUNT_TOKEN");
    let text = run.done().succeeds();
    for part in [
        "made-up secrets",
        "GHCR_TOKEN                found",
        "\naleccool213 has ghp_MadeUpForTheDemoAndGoodForNothing0000\n",
        "\ntwo lines,\nboth of them made up\n",
        "\n{\"ServerURL\":\"ghcr.io\"\n\"Username\":\"x-access-token\"\n\"Secret\":\"ghp_MadeUpForTheDemoAndGoodForNothing0000\"}\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let wide = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
}

#[test]
fn the_demo_is_not_steered_by_manifests_that_lie_about() {
    let sandbox = Sandbox::new();
    sandbox.manifest("this is no TOML");
    sandbox.oc(["demo"]).done().succeeds();
}
