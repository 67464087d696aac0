//! `oc-secrets`: hand 1Password secrets to a process.

fn main() -> std::process::ExitCode {
    oc_secrets::oc_secrets()
}
