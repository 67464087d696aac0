//! `git-credential-oc`: git's credential helper protocol over the same lookup.
//!
//! Questions and answers are `key=value` lines. What is not ours is met with silence and success,
//! so that git goes on to its next helper; `store` is ignored, and an unknown action too, as the
//! protocol asks. `erase` is git's word that a password was rejected: the kept copy is dropped.

use std::process::ExitCode;

use crate::base::error::{Error, Result};
use crate::broker::registry::HostQuery;
use crate::broker::sink::git;
use crate::credential_helper::answers::{Answers, ManifestAnswers};
use crate::credential_helper::program;
use crate::credential_helper::reply::{Message, Reply};

const NAME: &str = "git-credential-oc";
const USAGE: &str = "Usage: git-credential-oc <get|store|erase>";

/// The whole program.
pub fn main() -> ExitCode {
    let answer =
        |words: &[&str], input: &[u8], ui| handle(words, input, || ManifestAnswers::for_git(ui));
    program::run(NAME, answer, failure)
}

/// One action: `words` are the arguments, `input` all of stdin.
pub(crate) fn handle<A: Answers>(
    words: &[&str],
    input: &[u8],
    answers: impl FnOnce() -> Result<A>,
) -> Reply {
    match words {
        ["get"] => get(input, answers),
        ["erase"] => erase(input, answers),
        ["--help" | "-h"] => Reply {
            success: true,
            ..Reply::refusal(USAGE)
        },
        [] => failure(Error::usage("no action", USAGE)),
        _ => Reply::success(),
    }
}

fn get<A: Answers>(input: &[u8], answers: impl FnOnce() -> Result<A>) -> Reply {
    let Some(question) = Question::parse(input) else {
        return Reply::success();
    };
    let answers = match answers() {
        Ok(answers) => answers,
        Err(error) => return failure(error),
    };
    let credential = match answers.credential(&question.asked) {
        Ok(Some(credential)) => credential,
        Ok(None) => return Reply::success(),
        Err(error) => return failure(error),
    };
    let username = match question.username {
        Some(wanted) if wanted == credential.username || !credential.chosen => wanted,
        Some(_) => return Reply::success(),
        None => &credential.username,
    };
    match git::answer(question.host, username, &credential.secret) {
        Ok(answer) => Reply::answer(answer),
        Err(error) => {
            answers.forget(&question.asked);
            failure(error)
        }
    }
}

fn erase<A: Answers>(input: &[u8], answers: impl FnOnce() -> Result<A>) -> Reply {
    let Some(question) = Question::parse(input) else {
        return Reply::success();
    };
    match answers() {
        Ok(answers) => {
            answers.forget(&question.asked);
            Reply::success()
        }
        Err(error) => failure(error),
    }
}

/// Git shows our stderr, and then asks its next helper or the user.
fn failure(error: Error) -> Reply {
    Reply {
        success: false,
        ..Reply::success()
    }
    .with(Message::Error(error))
}

/// What git asks about.
struct Question<'a> {
    asked: HostQuery,
    host: &'a str,
    username: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// Reads the lines up to the end or an empty one; `None` for what is not about a web host.
    fn parse(input: &'a [u8]) -> Option<Self> {
        let (mut protocol, mut host, mut username) = (None, None, None);
        for line in input
            .split(|&byte| byte == b'\n')
            .take_while(|line| !line.is_empty())
        {
            // A password, or whatever is no text, is of no interest.
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            match line.split_once('=') {
                Some(("protocol", value)) => protocol = Some(value),
                Some(("host", value)) => host = Some(value),
                Some(("username", value)) if !value.is_empty() => username = Some(value),
                _ => {}
            }
        }
        let (protocol, host) = (protocol?, host?);
        let plain = host
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if !plain || !["http", "https"].contains(&protocol) {
            return None;
        }
        let asked = HostQuery::parse(&format!("{protocol}://{host}"))?;
        Some(Self {
            asked,
            host,
            username,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::credential_helper::answers::Credential;
    use std::cell::Cell;

    /// Answers for github.com.
    struct Fake<'a> {
        secret: &'a str,
        chosen: bool,
        forgotten: &'a Cell<u32>,
    }

    impl Answers for Fake<'_> {
        fn credential(&self, asked: &HostQuery) -> Result<Option<Credential>> {
            let ours = asked.host.as_str() == "github.com" && !asked.plain;
            Ok(ours.then(|| Credential {
                username: "x-access-token".to_owned(),
                chosen: self.chosen,
                secret: Secret::copy_of(self.secret.as_bytes()),
                fresh: true,
            }))
        }

        fn forget(&self, asked: &HostQuery) -> bool {
            let ours = asked.host.as_str() == "github.com";
            self.forgotten.set(self.forgotten.get() + u32::from(ours));
            ours
        }

        fn entries(&self) -> Vec<(String, String)> {
            vec![]
        }

        fn anonymous_when_locked(&self) -> bool {
            false
        }
    }

    fn ask(words: &[&str], input: &str, secret: &str, chosen: bool) -> (bool, String, u32, usize) {
        let forgotten = Cell::new(0);
        let reply = handle(words, input.as_bytes(), || {
            Ok(Fake {
                secret,
                chosen,
                forgotten: &forgotten,
            })
        });
        let text = String::from_utf8(reply.stdout.to_vec()).expect("text");
        (reply.success, text, forgotten.get(), reply.messages.len())
    }

    const QUESTION: &str = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=github.com\nwwwauth[]=Basic realm=\"GitHub\"\n";

    #[test]
    fn git_is_answered_in_its_own_lines() {
        let answer = "username=x-access-token\npassword=ghp_x\n";
        assert_eq!(
            ask(&["get"], QUESTION, "ghp_x", false),
            (true, answer.to_owned(), 0, 0)
        );
        let with_path = "protocol=https\nhost=github.com\npath=o/r.git\n\nhost=evil.example\n";
        assert_eq!(
            ask(&["get"], with_path, "ghp_x", false),
            (true, answer.to_owned(), 0, 0)
        );
    }

    #[test]
    fn a_user_name_that_git_knows_is_kept_unless_the_manifest_gives_another() {
        let question = "protocol=https\nhost=github.com\nusername=alec\n";
        let answer = "username=alec\npassword=ghp_x\n";
        assert_eq!(
            ask(&["get"], question, "ghp_x", false),
            (true, answer.to_owned(), 0, 0)
        );
        assert_eq!(
            ask(&["get"], question, "ghp_x", true),
            (true, String::new(), 0, 0)
        );
    }

    #[test]
    fn what_is_not_ours_is_met_with_silence() {
        for input in [
            "",
            "\n",
            "protocol=https\n",
            "host=github.com\n",
            "protocol=http\nhost=github.com\n",
            "protocol=https\nhost=github.com.evil.example\n",
            "protocol=https\nhost=evil.example/github.com\n",
            "protocol=https\nhost=x@github.com\n",
            "protocol=ssh\nhost=github.com\n",
            "protocol=https\nhost=github.com/\n",
            "protocol=cert\nhost=github.com\n",
            "\nprotocol=https\nhost=github.com\n",
            "protocol=https\nhost= github.com\n",
            "\u{feff}garbage",
        ] {
            assert_eq!(
                ask(&["get"], input, "ghp_x", false),
                (true, String::new(), 0, 0),
                "{input:?}"
            );
        }
        for action in ["store", "capability", "foo", ""] {
            assert_eq!(
                ask(&[action], QUESTION, "ghp_x", false),
                (true, String::new(), 0, 0),
                "{action}"
            );
        }
    }

    #[test]
    fn erase_drops_the_kept_copy() {
        let rejected = format!("{QUESTION}username=x-access-token\npassword=ghp_x\n");
        assert_eq!(
            ask(&["erase"], &rejected, "ghp_x", false),
            (true, String::new(), 1, 0)
        );
        assert_eq!(
            ask(
                &["erase"],
                "protocol=https\nhost=evil.example\n",
                "ghp_x",
                false
            )
            .2,
            0
        );
    }

    #[test]
    fn a_secret_with_a_line_break_or_nul_is_refused() {
        for secret in ["ghp_x\nhost=evil.example", "ghp_x\n", "a\0b", "a\rb"] {
            let (success, text, forgotten, messages) = ask(&["get"], QUESTION, secret, false);
            let seen = (success, text.as_str(), forgotten, messages);
            assert_eq!(seen, (false, "", 1, 1), "{secret:?}");
        }
    }
}
