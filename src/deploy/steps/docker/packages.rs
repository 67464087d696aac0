//! Which packages bring Docker and Compose v2 on this distribution.

use crate::deploy::error::Result;
use crate::deploy::host::apt;
use crate::deploy::host::{Host, Program};

/// Names of the package with Compose v2, in the order of preference.
const COMPOSE: [&str; 3] = ["docker-compose-v2", PLUGIN, "docker-compose"];
pub(super) const PLUGIN: &str = "docker-compose-plugin";

/// A dry run asks too, and writes nothing: apt would leave its cache behind where there is none.
const KEEP_NO_CACHE: [&str; 4] = [
    "-o",
    "Dir::Cache::pkgcache=",
    "-o",
    "Dir::Cache::srcpkgcache=",
];

/// `apt-cache policy`: what the sources of this host offer.
pub(super) struct Offers(String);

impl Offers {
    pub(super) fn of(host: &Host) -> Result<Self> {
        let ask = Program::new("apt-cache").args(KEEP_NO_CACHE);
        let ask = ask.args(["policy", "docker.io", "docker-cli"]);
        host.must(&ask.args(COMPOSE)).map(Self)
    }

    /// The same, after an update where this host has no package lists yet.
    pub(super) fn up_to_date(host: &Host) -> Result<Self> {
        let offers = Self::of(host)?;
        if offers.are_known() {
            return Ok(offers);
        }
        apt::update(host)?;
        Self::of(host)
    }

    pub(super) fn are_known(&self) -> bool {
        self.version("docker.io").is_some()
    }

    /// The engine, and AppArmor's tools, which it only recommends but without which it confines no
    /// container. Debian 13 and later have the client in a package of its own.
    pub(super) fn docker(&self) -> Vec<&'static str> {
        let mut packages = vec!["docker.io", "apparmor"];
        packages.extend(self.version("docker-cli").map(|_| "docker-cli"));
        packages
    }

    /// The package with Compose v2.
    pub(super) fn compose(&self) -> Option<&'static str> {
        COMPOSE
            .into_iter()
            .find(|name| self.version(name).is_some_and(is_v2))
    }

    /// The version of a package that apt would install.
    fn version(&self, package: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find(|line| line.strip_suffix(':') == Some(package))?;
        let found = lines
            .take_while(|line| line.starts_with(' '))
            .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
        (found != "(none)").then_some(found)
    }
}

/// `2.26.1-4`, `5:2.29`; not `1.29.2-3`.
fn is_v2(version: &str) -> bool {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let major = version.split(['.', '-', '+']).next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_compose_is_told_from_the_new() {
        assert!(is_v2("2.26.1-4") && is_v2("2.24.6+ds1-0ubuntu1~24.04.1") && is_v2("5:2.29.7-1"));
        assert!(!is_v2("1.29.2-3") && !is_v2("") && !is_v2("x"));
    }

    /// As apt prints it: a block for each package that it knows.
    fn offers(packages: &[(&str, &str)]) -> Offers {
        let block = |(name, version): &(&str, &str)| {
            format!(
                "{name}:\n  Installed: (none)\n  Candidate: {version}\n  Version table:\n     {version} 500\n"
            )
        };
        Offers(packages.iter().map(block).collect())
    }

    #[test]
    fn each_distribution_names_its_packages_in_its_own_way() {
        let bookworm = offers(&[
            ("docker.io", "20.10.24+dfsg1-1+deb12u1"),
            ("docker-compose", "1.29.2-3"),
        ]);
        assert_eq!(bookworm.docker(), ["docker.io", "apparmor"]);
        assert_eq!(bookworm.compose(), None);
        let trixie = offers(&[
            ("docker.io", "26.1.5+dfsg1-9"),
            ("docker-cli", "26.1.5+dfsg1-9"),
            ("docker-compose", "2.26.1-4"),
        ]);
        assert_eq!(trixie.docker(), ["docker.io", "apparmor", "docker-cli"]);
        assert_eq!(trixie.compose(), Some("docker-compose"));
        let noble = offers(&[
            ("docker.io", "26.1.3-0ubuntu1~24.04.1"),
            ("docker-compose", "1.29.2-6ubuntu1"),
            ("docker-compose-v2", "2.24.6+ds1-0ubuntu1~24.04.1"),
        ]);
        assert_eq!(noble.docker(), ["docker.io", "apparmor"]);
        assert_eq!(noble.compose(), Some("docker-compose-v2"));
    }

    #[test]
    fn what_docker_itself_offers_serves_where_its_repository_is_there_already() {
        let theirs = offers(&[
            ("docker.io", "20.10.24"),
            (PLUGIN, "5.0.1-1~debian.12~bookworm"),
        ]);
        assert_eq!(theirs.compose(), Some(PLUGIN));
    }

    #[test]
    fn what_apt_does_not_know_or_would_not_install_is_not_offered() {
        assert!(!Offers(String::new()).are_known());
        assert!(!offers(&[("docker.io", "(none)")]).are_known());
        // Docker's repository is there, and our pins hide everything of it but Compose 2.
        let pinned = offers(&[("docker.io", "20.10.24"), (PLUGIN, "(none)")]);
        assert_eq!(pinned.compose(), None);
        // A package's own block ends where the next begins.
        let half = Offers("docker.io:\ndocker-cli:\n  Candidate: 26.1.5\n".to_owned());
        assert_eq!(half.version("docker.io"), None);
    }
}
