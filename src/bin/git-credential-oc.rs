//! `git-credential-oc`: what git asks for passwords.

fn main() -> std::process::ExitCode {
    oc_secrets::git_credential_oc()
}
