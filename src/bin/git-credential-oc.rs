//! `git-credential-oc`: what git asks for passwords.

fn main() -> std::process::ExitCode {
    oc_secrets::credential_helper::git::main()
}
