//! `op inject`: a template in, the template with secrets out.
//!
//! All or nothing: the first bad reference fails the call. Control characters are dropped and
//! stdout gains a newline, so bytes do not survive as they were.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::template::{self, Segment};
use crate::{budget, outfile, resolve, stdin};

/// Authentication is demanded even for a template without a reference.
pub fn inject(call: &Call) -> Result<Reply, Failure> {
    let text = template(call)?;
    outfile::check(call)?;
    let environment = std::env::vars_os().collect();
    let segments = template::parse(&text, Some(&environment)).map_err(Failure::new)?;
    authenticate(call)?;
    let references = segments.iter().filter_map(Segment::reference);
    budget::charge(call, budget::references(call, references))?;
    let text = filled(call, &segments)?;
    let text = without_control_characters(&text);
    match outfile::write(call, text.as_bytes())? {
        Some(reply) => Ok(reply),
        None => Ok(Reply::bytes(text + "\n")),
    }
}

/// stdin counts only when it is a pipe: no file, no socket, no `/dev/null`.
fn template(call: &Call) -> Result<String, Failure> {
    match call.line.flag("in-file") {
        Some(path) => {
            // ASSUMPTION: the words.
            let missing = |_| Failure::new(format!("open {path}: no such file or directory"));
            let bytes = std::fs::read(path).map_err(missing)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        None if stdin::kind() == "fifo" => Ok(stdin::all()),
        None => Err(Failure::new("expected data on stdin but none found")),
    }
}

fn filled(call: &Call, segments: &[Segment]) -> Result<String, Failure> {
    let text = |segment: &Segment| match segment {
        Segment::Plain(text) => Ok(text.clone()),
        Segment::Secret(reference) => resolve::secret(call, reference),
    };
    segments.iter().map(text).collect()
}

/// Keeps `\t \n \v \f \r` of the control characters.
fn without_control_characters(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\0'..='\x08' | '\x0e'..='\x1f' | '\x7f'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_dropped() {
        let text = "a\0\x01\x08\t\n\x0b\x0c\r\x0e\x1b\x1f \x7fé";
        assert_eq!(without_control_characters(text), "a\t\n\x0b\x0c\r é");
    }
}
