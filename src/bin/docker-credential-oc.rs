//! `docker-credential-oc`: what Docker asks for passwords.

fn main() -> std::process::ExitCode {
    oc_secrets::docker_credential_oc()
}
