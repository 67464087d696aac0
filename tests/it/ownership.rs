//! Whose a file is, as the world is: private groups, access lists, chains of links. As root, since
//! other users are needed.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::sandbox::{CANARY, Done, Sandbox};

const USER: u32 = 4242;
const STRANGER: u32 = 4243;

/// A world of the user, who may enter it.
fn world() -> Option<Sandbox> {
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(std::env::var_os("CI"), None, "CI runs this as root");
        return None;
    }
    let sandbox = Sandbox::with_fields(&[("A", CANARY)]);
    let give = "find . -exec chown -h 4242:4242 {} +; chmod 755 .";
    let run = sandbox.run("sh".as_ref(), ["-c", give]);
    run.in_directory(&sandbox.path(".")).done().succeeds();
    Some(sandbox)
}

/// Runs `read A` as the user, with these lines in `/etc/passwd` and `/etc/group`.
fn read_as_user(sandbox: &Sandbox, passwd: &str, group: &str, variables: &str) -> Done {
    sandbox.file("passwd", &format!("root:x:0:0::/root:/bin/sh\n{passwd}"));
    sandbox.file("group", &format!("root:x:0:\n{group}"));
    let script = format!(
        "mount --bind ../passwd /etc/passwd && mount --bind ../group /etc/group && \
         exec setpriv --reuid 4242 --regid 4242 --clear-groups env {variables} {} --manifest oc-secrets.toml read A",
        env!("CARGO_BIN_EXE_oc-secrets")
    );
    let words = ["--mount", "sh", "-c", &script];
    sandbox.run("unshare".as_ref(), words).done()
}

const TOKEN: &str = "OP_SERVICE_ACCOUNT_TOKEN=ops_made_up";

#[test]
fn a_manifest_that_a_private_group_writes_is_ours_and_that_of_a_shared_group_is_not() {
    let Some(sandbox) = world() else { return };
    let manifest = sandbox.path("work/oc-secrets.toml");
    std::fs::set_permissions(&manifest, PermissionsExt::from_mode(0o664)).expect("chmod");
    let user = "me:x:4242:4242::/:/bin/sh\n";
    let alone = read_as_user(&sandbox, user, "me:x:4242:\n", TOKEN);
    assert_eq!(alone.succeeds(), format!("{CANARY}\n"));
    let path = manifest.display();
    let refusal = format!(
        "oc-secrets: error: {path}: can be written by others (mode 664)\n\
         hint: whoever writes it decides what is fetched; look at it, then: chmod go-w {path}\n"
    );
    let listed = read_as_user(&sandbox, user, "me:x:4242:you\n", TOKEN);
    listed.fails(2, &refusal);
    let by_primary_group = format!("{user}you:x:4243:4242::/:/bin/sh\n");
    read_as_user(&sandbox, &by_primary_group, "me:x:4242:\n", TOKEN).fails(2, &refusal);
    read_as_user(&sandbox, "", "", TOKEN).fails(2, &refusal);
}

/// Sets an access list as `setfacl` would, by the kernel's own form of it.
fn set_acl(path: &Path, user: u32, permissions: u16) {
    let script = "import os, struct, sys\n\
        user, permissions = int(sys.argv[2]), int(sys.argv[3])\n\
        none = 0xffffffff\n\
        entries = [(1, 4, none), (2, permissions, user), (4, 0, none), (16, permissions, none), (32, 0, none)]\n\
        acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)\n\
        os.setxattr(sys.argv[1], 'system.posix_acl_access', acl)\n";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .args([user.to_string(), permissions.to_string()])
        .status();
    assert!(
        done.expect("python3 runs").success(),
        "the file system has access lists"
    );
}

#[test]
fn the_credential_of_systemd_is_taken_where_its_access_list_names_us_alone() {
    let Some(sandbox) = world() else { return };
    std::fs::create_dir(sandbox.path("credentials")).expect("made");
    std::fs::set_permissions(
        sandbox.path("credentials"),
        PermissionsExt::from_mode(0o755),
    )
    .expect("chmod");
    sandbox.file("credentials/op-token", "ops_made_up\n");
    let token = sandbox.path("credentials/op-token");
    let variable = format!(
        "CREDENTIALS_DIRECTORY={}",
        sandbox.path("credentials").display()
    );
    let read = |user: u32| {
        std::fs::set_permissions(&token, PermissionsExt::from_mode(0o400)).expect("chmod");
        set_acl(&token, user, 4);
        assert_eq!(
            token.metadata().expect("there").permissions().mode() & 0o777,
            0o440
        );
        read_as_user(&sandbox, "", "", &variable)
    };
    assert_eq!(read(USER).succeeds(), format!("{CANARY}\n"));
    // The control: what is readable for somebody else is no secret. Our own entry is gone, so that
    // the file cannot even be opened; with both it is refused.
    assert!(!read(STRANGER).status.success());
    let mode = PermissionsExt::from_mode(0o444);
    std::fs::set_permissions(&token, mode).expect("chmod");
    let open = read_as_user(&sandbox, "", "", &variable);
    assert!(
        open.stderr.contains("it can be read or written by others"),
        "{}",
        open.stderr
    );
}

#[test]
fn a_manifest_that_an_access_list_lets_others_write_is_refused() {
    let Some(sandbox) = world() else { return };
    let manifest = sandbox.path("work/oc-secrets.toml");
    std::fs::set_permissions(&manifest, PermissionsExt::from_mode(0o600)).expect("chmod");
    let read = || read_as_user(&sandbox, "", "", TOKEN);
    set_acl(&manifest, USER, 6);
    assert_eq!(read().succeeds(), format!("{CANARY}\n"), "the control");
    set_acl(&manifest, STRANGER, 6);
    assert!(
        read().stderr.contains("can be written by others"),
        "{}",
        read().stderr
    );
}

#[test]
fn a_chain_of_links_is_checked_in_every_directory() {
    let Some(sandbox) = world() else { return };
    std::fs::create_dir(sandbox.path("common")).expect("made");
    std::fs::create_dir(sandbox.path("opt")).expect("made");
    std::fs::rename(sandbox.path("bin/op"), sandbox.path("opt/op")).expect("moved");
    symlink("../opt/op", sandbox.path("common/op")).expect("a link");
    symlink("../common/op", sandbox.path("bin/op")).expect("a link");
    let read = || read_as_user(&sandbox, "", "", TOKEN);
    assert_eq!(read().succeeds(), format!("{CANARY}\n"), "the control");
    std::fs::set_permissions(sandbox.path("common"), PermissionsExt::from_mode(0o777))
        .expect("chmod");
    let common = format!(
        "{} can be written by others",
        sandbox.path("common").display()
    );
    assert!(read().stderr.contains(&common), "{}", read().stderr);
    std::fs::set_permissions(sandbox.path("common"), PermissionsExt::from_mode(0o755))
        .expect("chmod");
    chown(sandbox.path("common"), Some(STRANGER), None).expect("chown");
    assert!(
        read().stderr.contains("belongs to another user"),
        "{}",
        read().stderr
    );
}
