//! `docker-credential-oc`: what Docker asks for passwords.

fn main() -> std::process::ExitCode {
    oc_secrets::helper::docker::main()
}
