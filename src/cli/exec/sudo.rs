//! What sudo is told on its command line about the variables of its caller. Only for a warning: what it
//! does is decided by its own policy.

/// Letters whose value may be the next word.
const VALUED: &str = "aCcDghpRrTtUu";

/// The same, written out.
const VALUED_LONG: &[&str] = &[
    "auth-type",
    "close-from",
    "login-class",
    "chdir",
    "group",
    "host",
    "prompt",
    "chroot",
    "role",
    "command-timeout",
    "type",
    "other-user",
    "user",
];

/// Whether sudo with these words is to keep variables, all or some.
pub(super) fn keeps_variables(words: &[impl AsRef<str>]) -> bool {
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        let takes_next = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(""), _) => return false,
            (Some(long), _) if long.starts_with("preserve-env") => return true,
            (Some(long), _) => VALUED_LONG.contains(&long),
            (None, Some(letters)) => {
                let valued = letters.find(|letter| VALUED.contains(letter));
                if letters[..valued.unwrap_or(letters.len())].contains('E') {
                    return true;
                }
                valued.is_some_and(|at| at + 1 == letters.len())
            }
            // A variable for the command, behind which options go on.
            (None, None) if word.contains('=') => false,
            (None, None) => return false,
        };
        if takes_next {
            words.next();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_from_their_values_and_from_the_command() {
        let keeps = |line: &str| keeps_variables(&line.split(' ').collect::<Vec<_>>());
        for line in [
            "-E true",
            "-nE true",
            "--preserve-env true",
            "-u bob --preserve-env=A true",
            "--user bob -E true",
            "--user=bob -ubob -n A=1 -E true",
        ] {
            assert!(keeps(line), "{line}");
        }
        for line in [
            "true -E",
            "-n true --preserve-env=A",
            "-u -E true",
            "-uE true",
            "-nuE true",
            "--user -E true",
            "-- -E",
            "-n",
        ] {
            assert!(!keeps(line), "{line}");
        }
    }
}
