//! What Docker's own implementation of a credential helper was seen to answer, request by request, and
//! our own rules.

use super::*;
use crate::base::error::{Problem, Trouble};
use crate::base::secret::Secret;
use std::cell::RefCell;

/// Answers for ghcr.io and Docker Hub.
#[derive(Default)]
struct Fake {
    secret: Option<&'static [u8]>,
    trouble: Option<fn() -> Error>,
    anonymous: bool,
    forgotten: std::rc::Rc<RefCell<Vec<String>>>,
}

impl Answers for Fake {
    fn credential(&self, asked: &HostQuery) -> Result<Option<Credential>> {
        let ours = ["ghcr.io", "docker.io"].contains(&asked.host.as_str()) && !asked.plain;
        match self.trouble {
            Some(trouble) if ours => Err(trouble()),
            _ => Ok(ours.then(|| Credential {
                username: "x-access-token".to_owned(),
                chosen: false,
                secret: Secret::copy_of(self.secret.unwrap_or(b"ghp_A")),
                fresh: true,
            })),
        }
    }

    fn forget(&self, asked: &HostQuery) -> bool {
        self.forgotten.borrow_mut().push(asked.host.to_string());
        asked.host.as_str() == "ghcr.io"
    }

    fn entries(&self) -> Vec<(String, String)> {
        ["https://index.docker.io/v1/", "ghcr.io"]
            .map(|host| (host.to_owned(), "x-access-token".to_owned()))
            .into()
    }

    fn anonymous_when_locked(&self) -> bool {
        self.anonymous
    }
}

/// Exit code, stdout, and how much is said on stderr.
fn ask_of(fake: Fake, words: &[&str], input: &[u8]) -> (i32, String, usize) {
    let reply = handle(words, input, || Ok(fake));
    let text = String::from_utf8(reply.stdout.to_vec()).expect("text");
    (i32::from(!reply.success), text, reply.messages.len())
}

fn ask(words: &[&str], input: impl AsRef<[u8]>) -> (i32, String, usize) {
    ask_of(Fake::default(), words, input.as_ref())
}

fn ok(text: &str) -> (i32, String, usize) {
    (0, text.to_owned(), 0)
}

fn refused(text: &str) -> (i32, String, usize) {
    (1, format!("{text}\n"), 0)
}

const ANSWER: &str =
    "{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"ghp_A\"}\n";

#[test]
fn get_known_answers_one_object_and_a_line_feed() {
    assert_eq!(ask(&["get"], "ghcr.io"), ok(ANSWER));
}

#[test]
fn get_joins_the_lines_and_trims_them() {
    for input in [
        "ghcr.io\n",
        "  ghcr.io \r\n\n",
        "ghcr\n.io",
        "\u{a0}ghcr.io\u{2003}",
    ] {
        assert_eq!(ask(&["get"], input), ok(ANSWER), "{input:?}");
    }
}

#[test]
fn get_echoes_the_server_as_it_was_asked_for() {
    for server in [
        "https://index.docker.io/v1/",
        "docker.io",
        "ghcr.io/",
        "https://ghcr.io:443",
        "GHCR.IO",
    ] {
        assert_eq!(
            ask(&["get"], server),
            ok(&ANSWER.replace("ghcr.io", server)),
            "{server}"
        );
    }
}

#[test]
fn get_unknown_is_not_found_however_odd() {
    let long = "x".repeat(65_535);
    for input in [
        "nosuch.example",
        "ghcr.io.evil.example",
        "evil/ghcr.io",
        "http://ghcr.io",
        "ghcr.io:8443",
        "ghcr.io.",
        "https://index.docker.io/v1/refresh-token",
        "https://index.docker.io/v1/access-token",
        "{}",
        "\0",
        "ghcr.io\0",
        "--help",
        "😀",
        "ghcr.io/owner/image",
        long.as_str(),
        "\u{feff}ghcr.io",
    ] {
        assert_eq!(ask(&["get"], input), refused(NOT_FOUND), "{input:?}");
    }
}

#[test]
fn get_and_erase_empty_name_no_server() {
    for input in ["", "\n", " \n\t\n", "\r\n"] {
        assert_eq!(
            ask(&["get"], input),
            refused("no credentials server URL"),
            "{input:?}"
        );
        assert_eq!(
            ask(&["erase"], input),
            refused("no credentials server URL"),
            "{input:?}"
        );
    }
}

#[test]
fn get_a_line_that_is_too_long_for_the_scanner() {
    for length in [65_536, 70_000, 1 << 20] {
        assert_eq!(
            ask(&["get"], "x".repeat(length)),
            refused("bufio.Scanner: token too long"),
            "{length}"
        );
    }
    // Many short lines are no long one.
    assert_eq!(ask(&["get"], "x\n".repeat(70_000)), refused(NOT_FOUND));
}

#[test]
fn bytes_that_are_no_text_are_not_found() {
    for input in [&b"\xff\xfe"[..], b"ghcr.io\xff", b"\xc3", b"ghcr\0.io"] {
        assert_eq!(ask(&["get"], input), refused(NOT_FOUND), "{input:?}");
        assert_eq!(ask(&["erase"], input), ok(""), "{input:?}");
    }
}

#[test]
fn list_is_a_map_without_a_secret() {
    let map =
        "{\"ghcr.io\":\"x-access-token\",\"https://index.docker.io/v1/\":\"x-access-token\"}\n";
    for input in ["", "unused", "{}"] {
        assert_eq!(ask(&["list"], input), ok(map));
    }
}

#[test]
fn list_of_nothing_is_an_empty_map() {
    assert_eq!(&*docker::entries(vec![]), b"{}\n");
}

#[test]
fn store_of_what_we_would_answer_succeeds() {
    for server in ["ghcr.io", "https://ghcr.io/", "https://index.docker.io/v1/"] {
        let login = format!(
            "{{\"ServerURL\":\"{server}\",\"Username\":\"x-access-token\",\"Secret\":\"ghp_A\"}}\n"
        );
        assert_eq!(ask(&["store"], login), ok(""), "{server}");
    }
}

#[test]
fn store_of_anything_else_is_refused_with_a_reason() {
    for (server, username, secret, why) in [
        (
            "ghcr.io",
            "x-access-token",
            "ghp_B",
            "1Password holds another secret for this registry",
        ),
        (
            "ghcr.io",
            "x-access-token",
            "",
            "1Password holds another secret for this registry",
        ),
        (
            "ghcr.io",
            "somebody",
            "ghp_A",
            "the manifest gives another user name",
        ),
        (
            "quay.io",
            "x-access-token",
            "ghp_A",
            "the manifest has no such registry",
        ),
        (
            "http://ghcr.io",
            "x-access-token",
            "ghp_A",
            "the manifest has no such registry",
        ),
        (
            "ghcr.io@evil.example",
            "x-access-token",
            "ghp_A",
            "the manifest has no such registry",
        ),
    ] {
        let login = format!(
            "{{\"ServerURL\":\"{server}\",\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}"
        );
        let line = format!("nothing can be stored here: {why}\n");
        assert_eq!(
            ask(&["store"], login),
            (1, line, 1),
            "{server} {username} {secret}"
        );
    }
}

#[test]
fn store_without_server_or_user_name() {
    assert_eq!(ask(&["store"], "{}"), refused("no credentials server URL"));
    assert_eq!(
        ask(&["store"], "null"),
        refused("no credentials server URL")
    );
    assert_eq!(
        ask(&["store"], "{\"ServerURL\":\"h\"}"),
        refused("no credentials username")
    );
    assert_eq!(ask(&["store"], ""), refused("EOF"));
    assert_eq!(
        ask(&["store"], "hello"),
        refused("invalid character 'h' looking for beginning of value")
    );
}

#[test]
fn erase_succeeds_forgets_and_says_what_it_did_not_do() {
    let fake = Fake::default();
    let forgotten = std::rc::Rc::clone(&fake.forgotten);
    assert_eq!(
        ask_of(fake, &["erase"], b"ghcr.io\n"),
        (0, String::new(), 1)
    );
    assert_eq!(*forgotten.borrow(), ["ghcr.io"]);
    assert_eq!(ask(&["erase"], "unknown.example"), ok(""));
    assert_eq!(
        ask(&["erase"], "https://index.docker.io/v1/refresh-token"),
        ok("")
    );
    let broken = handle(&["erase"], b"ghcr.io", || Err::<Fake, _>(Error::Network));
    assert_eq!(
        (broken.success, broken.stdout.len(), broken.messages.len()),
        (true, 0, 1)
    );
}

#[test]
fn version_has_our_own_name() {
    let version = concat!(
        "docker-credential-oc (oc-secrets) v",
        env!("CARGO_PKG_VERSION"),
        "\n"
    );
    for word in ["version", "--version", "-v"] {
        assert_eq!(ask(&[word], ""), ok(version));
    }
}

#[test]
fn help_and_wrong_usage() {
    let usage = "Usage: docker-credential-oc <store|get|erase|list|version>\n";
    for word in ["--help", "-h"] {
        assert_eq!(ask(&[word], ""), ok(usage));
    }
    for words in [
        &[][..],
        &["get", "ghcr.io"],
        &["--help", "get"],
        &["a", "b", "c"],
    ] {
        assert_eq!(ask(words, ""), (1, usage.to_owned(), 0), "{words:?}");
    }
}

#[test]
fn unknown_action() {
    for action in ["foo", "GET", "", "Version", "help"] {
        assert_eq!(
            ask(&[action], ""),
            refused(&format!("docker-credential-oc: unknown action: {action}"))
        );
    }
}

#[test]
fn trouble_is_an_error_and_never_not_found() {
    let troubles: [fn() -> Error; 5] = [
        || Error::PromptRefused { ignored: false },
        || Error::SignedOut { session: false },
        || Error::OpTimeout {
            after: std::time::Duration::from_secs(25),
        },
        || Error::Network,
        || Error::Unresolved {
            problems: vec![Problem {
                name: NOT_FOUND.to_owned(),
                reference: "op://v/i/f".to_owned(),
                trouble: Trouble::Missing {
                    part: "item",
                    near: None,
                },
                look: None,
                waivable: false,
            }],
        },
    ];
    for trouble in troubles {
        for action in ["get", "store"] {
            let input = match action {
                "get" => "ghcr.io",
                _ => "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":\"s\"}",
            };
            let fake = Fake {
                trouble: Some(trouble),
                ..Fake::default()
            };
            let (exit, line, said) = ask_of(fake, &[action], input.as_bytes());
            assert_eq!((exit, said), (1, 1));
            assert!(
                line.ends_with('\n') && line.matches('\n').count() == 1,
                "{line}"
            );
            assert!(!line.contains(NOT_FOUND) && line.len() > 5, "{line}");
        }
        let fake = Fake {
            trouble: Some(trouble),
            ..Fake::default()
        };
        assert_eq!(
            ask_of(fake, &["get"], b"unknown.example"),
            refused(NOT_FOUND)
        );
    }
}

#[test]
fn d1_a_locked_vault_may_be_made_to_mean_anonymous() {
    let locked = || Error::PromptRefused { ignored: true };
    let fake = Fake {
        trouble: Some(locked),
        anonymous: true,
        ..Fake::default()
    };
    assert_eq!(
        ask_of(fake, &["get"], b"ghcr.io"),
        (1, format!("{NOT_FOUND}\n"), 1)
    );
    let fake = Fake {
        trouble: Some(|| Error::Network),
        anonymous: true,
        ..Fake::default()
    };
    assert_eq!(
        ask_of(fake, &["get"], b"ghcr.io").1,
        "1Password cannot be reached\n"
    );
}

#[test]
fn a_fine_grained_token_is_warned_of_for_ghcr_alone() {
    let fake = || Fake {
        secret: Some(b"github_pat_x"),
        ..Fake::default()
    };
    assert_eq!(ask_of(fake(), &["get"], b"ghcr.io").2, 1);
    assert_eq!(ask_of(fake(), &["get"], b"docker.io").2, 0);
    let reply = handle(&["get"], b"ghcr.io", || Ok(fake()));
    let [Message::Warning(text)] = &reply.messages[..] else {
        panic!("no warning")
    };
    assert!(!text.contains("github_pat_x"), "{text}");
}

#[test]
fn a_secret_that_no_registry_takes_is_an_error() {
    for secret in [&b"ghp_A\n"[..], b"ghp A", b"\xff", b"ghp_\x7f"] {
        let fake = Fake {
            secret: Some(secret),
            ..Fake::default()
        };
        let (exit, line, said) = ask_of(fake, &["get"], b"ghcr.io");
        assert_eq!((exit, said), (1, 1));
        assert!(
            line.starts_with("the password for ghcr.io cannot be used: it holds "),
            "{line}"
        );
    }
}

#[test]
fn a_difficult_secret_survives_json() {
    const SECRET: &str = "a\"b\\c<d>&é😀'";
    let fake = Fake {
        secret: Some(SECRET.as_bytes()),
        ..Fake::default()
    };
    let reply = handle(&["get"], b"ghcr.io", || Ok(fake));
    let read: serde_json::Value = serde_json::from_slice(&reply.stdout).expect("JSON");
    assert_eq!(read["Secret"], SECRET);
}

#[test]
fn a_manifest_that_cannot_be_used_keeps_nobody_from_the_version() {
    let broken = || Err::<Fake, _>(Error::usage("w", "h"));
    assert!(handle(&["version"], b"", broken).success);
    assert!(handle(&["-h"], b"", broken).success);
    assert_eq!(&*handle(&["get"], b"ghcr.io", broken).stdout, b"w\n");
    assert_eq!(&*handle(&["list"], b"", broken).stdout, b"w\n");
    // What can be no host of anybody's needs no manifest either.
    assert_eq!(
        &*handle(&["get"], b"a b", broken).stdout,
        format!("{NOT_FOUND}\n").as_bytes()
    );
}

#[test]
fn any_input_at_all_is_met_with_at_most_one_line() {
    let seeds = [
        &b"ghcr.io"[..],
        b"https://index.docker.io/v1/",
        b"{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"ghp_A\"}",
        b"[::1]:5000\r\n",
    ];
    // A small generator of its own, so that a failure comes again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap_or(0)
    };
    for _ in 0..20_000 {
        let mut input = seeds[random(seeds.len())].to_vec();
        for _ in 0..random(4) {
            let at = random(input.len());
            match random(3) {
                0 => input[at] = u8::try_from(random(256)).unwrap_or(0),
                1 => drop(input.remove(at)),
                _ => input.insert(at, b"\"\\{}/:@.\n \0"[random(11)]),
            }
        }
        for action in ["get", "store", "erase"] {
            let reply = handle(&[action], &input, || Ok(Fake::default()));
            let text = std::str::from_utf8(&reply.stdout).expect("text");
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{action} {input:?}"
            );
            assert!(text.matches('\n').count() <= 1, "{action} {input:?}");
            assert!(
                !text.contains("ghp_A") || reply.success,
                "{action} {input:?}"
            );
        }
    }
}
