//! `openclaw-deploy`: from a bare VPS to a gateway that answers.

fn main() -> std::process::ExitCode {
    oc_secrets::openclaw_deploy()
}
