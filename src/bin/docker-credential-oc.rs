//! `docker-credential-oc`: what Docker asks for passwords.

fn main() -> std::process::ExitCode {
    oc_secrets::credential_helper::docker::main()
}
