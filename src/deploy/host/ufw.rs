//! UFW's rules as `ufw show added` prints them, and what they mean for a port.
//!
//! The first rule that matches decides, as in UFW itself. A rule counts as opening a port only when it
//! lets everybody in. One that closes it counts wherever it applies, unless it names whom it shuts out:
//! that is how people, and fail2ban's `ufw` action, ban an address. Pure.

/// What the rules do with a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirewallPolicy<'a> {
    /// Allowed from anywhere.
    Allowed,
    /// The first rule that matches denies it.
    Denied(&'a str),
    /// No rule matches.
    NoRule,
}

/// One rule, as far as it concerns incoming TCP.
struct Rule<'a> {
    opens: bool,
    /// Only for some: a source or an interface is named.
    narrow: bool,
    /// Of one host or network only.
    from_some: bool,
    interface: Option<&'a str>,
    ports: Option<&'a str>,
}

/// What the rules of `ufw show added` do with TCP `port`.
pub(crate) fn policy(added: &str, port: u16) -> FirewallPolicy<'_> {
    for line in added.lines() {
        let Some(rule) = rule(line) else { continue };
        let meant = rule.ports.is_none_or(|ports| covers(ports, port));
        match (meant, rule.opens) {
            (true, false) if !rule.from_some => return FirewallPolicy::Denied(line.trim()),
            (true, true) if !rule.narrow => return FirewallPolicy::Allowed,
            _ => {}
        }
    }
    FirewallPolicy::NoRule
}

/// Whether everything is allowed in on `interface`.
pub(crate) fn allows_interface(added: &str, interface: &str) -> bool {
    added
        .lines()
        .filter_map(rule)
        .any(|rule| rule.opens && rule.ports.is_none() && rule.interface == Some(interface))
}

impl Rule<'_> {
    fn new(opens: bool) -> Self {
        Self {
            opens,
            narrow: false,
            from_some: false,
            interface: None,
            ports: None,
        }
    }
}

fn rule(line: &str) -> Option<Rule<'_>> {
    let text = line.trim().strip_prefix("ufw ")?;
    let text = text.split(" comment ").next()?;
    let mut words = text
        .split(' ')
        .filter(|word| !word.starts_with("log"))
        .peekable();
    let opens = match words.next()? {
        "allow" | "limit" => true,
        "deny" | "reject" => false,
        _ => return None,
    };
    let mut rule = Rule::new(opens);
    let mut destination = false;
    while let Some(word) = words.next() {
        match word {
            "out" => return None,
            "in" => {}
            "on" => rule.interface = words.next(),
            "from" => rule.from_some |= !anyone(words.next()?),
            "to" => {
                destination = true;
                rule.narrow |= !anyone(words.next()?);
            }
            "proto" if words.next()? != "tcp" => return None,
            "proto" => {}
            // A port after `from` is the source port.
            "port" | "app" if !destination => {
                words.next()?;
                rule.narrow = true;
            }
            "port" | "app" => rule.ports = words.next(),
            ports => rule.ports = Some(ports),
        }
    }
    rule.narrow |= rule.from_some || rule.interface.is_some();
    match rule.ports {
        Some(ports) if ports.ends_with("/udp") => None,
        _ => Some(rule),
    }
}

fn anyone(address: &str) -> bool {
    matches!(address, "any" | "0.0.0.0/0" | "::/0")
}

/// Whether `22`, `22/tcp`, `80,443`, `2200:2300` or the profile `OpenSSH` means `port`.
fn covers(ports: &str, port: u16) -> bool {
    if matches!(ports, "OpenSSH" | "SSH") {
        return port == 22;
    }
    let ports = ports.strip_suffix("/tcp").unwrap_or(ports);
    ports.split(',').any(|part| match part.split_once(':') {
        Some((first, last)) => matches!(
            (first.parse::<u16>(), last.parse::<u16>()),
            (Ok(first), Ok(last)) if (first..=last).contains(&port)
        ),
        None => part.parse() == Ok(port),
    })
}

/// Whether `ufw status verbose` says that it is on and denies incoming traffic by default.
pub(crate) fn denies_incoming(verbose: &str) -> bool {
    let has = |start: &str| verbose.lines().any(|line| line.trim().starts_with(start));
    has("Status: active") && (has("Default: deny (incoming)") || has("Default: reject (incoming)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDED: &str = "Added user rules (see 'ufw status' for running firewall):\n\
        ufw limit 22/tcp comment 'all of it, to port 25'\n\
        ufw allow in on tailscale0\n\
        ufw allow from 10.0.0.0/8 to any port 2022 proto tcp\n\
        ufw deny 2200:2300/tcp\n\
        ufw deny 25\n\
        ufw allow 2250\n\
        ufw allow 53/udp\n\
        ufw allow 80,443/tcp\n\
        ufw deny out 8080\n";

    #[test]
    fn the_first_rule_that_matches_decides() {
        assert_eq!(policy(ADDED, 22), FirewallPolicy::Allowed);
        assert_eq!(policy(ADDED, 443), FirewallPolicy::Allowed);
        assert_eq!(policy(ADDED, 25), FirewallPolicy::Denied("ufw deny 25"));
        assert_eq!(
            policy(ADDED, 2250),
            FirewallPolicy::Denied("ufw deny 2200:2300/tcp")
        );
        assert_eq!(
            policy(ADDED, 2022),
            FirewallPolicy::NoRule,
            "open to some is not open"
        );
        assert_eq!(policy(ADDED, 53), FirewallPolicy::NoRule);
        assert_eq!(policy(ADDED, 8080), FirewallPolicy::NoRule);
        assert_eq!(
            policy("Added user rules:\n(None)\n", 22),
            FirewallPolicy::NoRule
        );
    }

    #[test]
    fn profiles_everything_and_half_rules() {
        assert_eq!(policy("ufw allow OpenSSH", 22), FirewallPolicy::Allowed);
        assert_eq!(policy("ufw allow OpenSSH", 2222), FirewallPolicy::NoRule);
        assert_eq!(
            policy("ufw allow from any to any app OpenSSH", 22),
            FirewallPolicy::Allowed
        );
        assert_eq!(
            policy("ufw allow from any port 22", 22),
            FirewallPolicy::NoRule
        );
        assert_eq!(
            policy("ufw deny in on eth0 to any port 22 proto tcp", 22),
            FirewallPolicy::Denied("ufw deny in on eth0 to any port 22 proto tcp")
        );
        assert_eq!(policy("ufw allow log 22/tcp", 22), FirewallPolicy::Allowed);
        assert_eq!(policy("ufw route allow 22/tcp", 22), FirewallPolicy::NoRule);
    }

    #[test]
    fn a_ban_of_an_address_closes_no_port() {
        for ban in [
            "ufw deny from 203.0.113.5",
            "ufw reject from 203.0.113.0/24 to any port 22 proto tcp",
            "ufw deny from 2001:db8::5 to any comment 'by Fail2Ban after 5 attempts'",
        ] {
            let added = format!("{ban}\nufw allow OpenSSH");
            assert_eq!(policy(&added, 22), FirewallPolicy::Allowed, "{ban}");
            assert_eq!(policy(ban, 22), FirewallPolicy::NoRule, "{ban}");
        }
        for all in [
            "ufw deny from any",
            "ufw deny from 0.0.0.0/0",
            "ufw reject from ::/0",
        ] {
            let added = format!("{all}\nufw allow OpenSSH");
            assert_eq!(policy(&added, 22), FirewallPolicy::Denied(all));
        }
    }

    #[test]
    fn an_interface_is_trusted_only_as_a_whole() {
        assert!(allows_interface(ADDED, "tailscale0"));
        assert!(!allows_interface(ADDED, "eth0"));
        assert!(!allows_interface(
            "ufw allow in on tailscale0 to any port 22 proto tcp",
            "tailscale0"
        ));
    }

    #[test]
    fn a_firewall_guards_when_it_is_on_and_denies() {
        let verbose = "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n";
        assert!(denies_incoming(verbose));
        assert!(!denies_incoming("Status: inactive\n"));
        assert!(!denies_incoming(&verbose.replace("deny", "allow")));
        assert!(
            denies_incoming(&verbose.replace("allow", "deny")),
            "what goes out is not our affair"
        );
    }
}
