//! Whether a group has no member but us. Users of Ubuntu and Fedora have such a group each, and a
//! umask by which what they make is written by it.
//!
//! The files are read, and not the C library asked, which in a static program would not know of a
//! directory service. Where there is one, who is a member cannot be known, and others count.

use nix::unistd::geteuid;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SWITCH: &str = "/etc/nsswitch.conf";

/// Sources of users and groups that name no member beside those of the files.
const LOCAL: &[&str] = &["files", "compat", "systemd", "altfiles", "extrausers"];

/// Whether the effective user alone is a member of the group.
pub(super) fn is_ours_alone(gid: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path);
    let (Ok(users), Ok(groups)) = (read(PASSWD), read(GROUP)) else {
        return false;
    };
    let switch = read(SWITCH).unwrap_or_default();
    is_local(&switch) && is_alone(&users, &groups, geteuid().as_raw(), gid)
}

/// Whether the files are all that there is.
fn is_local(switch: &str) -> bool {
    let lines = switch.lines().filter_map(|line| line.split_once(':'));
    let mut sources = lines
        .filter(|(name, _)| matches!(name.trim(), "passwd" | "group" | "initgroups"))
        .flat_map(|(_, sources)| {
            sources
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
        })
        .filter(|source| !source.starts_with('['));
    sources.all(|source| LOCAL.contains(&source))
}

/// The group is the primary one of the user, of no other user, and lists nobody else.
fn is_alone(users: &str, groups: &str, uid: u32, gid: u32) -> bool {
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let users: Vec<_> = users
        .lines()
        .map(fields)
        .filter(|it| it.len() > 3)
        .collect();
    let own: Vec<_> = users.iter().filter(|it| it[2] == uid).collect();
    if !own.iter().any(|it| it[3] == gid) || users.iter().any(|it| it[3] == gid && it[2] != uid) {
        return false;
    }
    let groups: Vec<_> = groups
        .lines()
        .map(fields)
        .filter(|it| it.len() > 3)
        .collect();
    let mut these = groups.iter().filter(|it| it[2] == gid).peekable();
    these.peek().is_some()
        && these.all(|group| {
            let members = group[3].split(',').filter(|member| !member.is_empty());
            let mut members = members.map(str::trim);
            members.all(|member| own.iter().any(|user| user[0] == member))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nyou:x:1001:100::/home/you:/bin/sh\n";

    #[test]
    fn a_private_group_is_ours_until_it_has_another_member() {
        let alone = |groups: &str, gid| is_alone(USERS, groups, 1000, gid);
        assert!(alone("me:x:1000:\n", 1000));
        assert!(alone("me:x:1000:me\n", 1000));
        assert!(!alone("me:x:1000:you\n", 1000), "by the list");
        assert!(!alone("me:x:1000:me,you\n", 1000));
        assert!(!alone("users:x:100:\n", 100), "not the user's own");
        assert!(!alone("other:x:1:\n", 1000), "a group that is not known");
        let shared = USERS.replace(":1001:100:", ":1001:1000:");
        let by_primary_group = is_alone(&shared, "me:x:1000:\n", 1000, 1000);
        assert!(!by_primary_group, "by primary group");
    }

    #[test]
    fn a_directory_service_can_have_members_that_we_do_not_see() {
        assert!(is_local(""));
        assert!(is_local(
            "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd # x\n"
        ));
        assert!(is_local("hosts: files dns\npasswd: files\n"));
        assert!(!is_local("passwd: files sss\ngroup: files\n"));
        assert!(!is_local("group: files ldap\n"));
    }
}
