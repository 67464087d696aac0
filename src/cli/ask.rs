//! Questions to a person. They go to stderr, answers come line by line from the terminal as it is,
//! so that Ctrl-C at any moment leaves it as it was.

use std::io::{BufRead, IsTerminal, Write};

use crate::base::error::{Error, Result};

/// Whether somebody is there who could answer.
pub(super) fn somebody() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The answer to `question`, trimmed; `None` where the input ends.
pub(super) fn line(question: &str) -> Result<Option<String>> {
    let mut stderr = std::io::stderr();
    let _ = stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush());
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.map_err(|why| Error::system("read the answer", why))? {
        0 => {
            let _ = stderr.write_all(b"\n");
            Ok(None)
        }
        _ => Ok(Some(answer.trim().to_owned())),
    }
}

/// Shows a text beside the questions.
pub(super) fn show(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
