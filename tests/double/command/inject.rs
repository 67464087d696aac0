//! `op inject`: a template in, the template with secrets out.
//!
//! All or nothing: the first bad reference fails the call. Control characters are dropped and
//! stdout gains a newline, so bytes do not survive as they were.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::mode::Mode;
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
    let mut frames = frames(call, &segments)?;
    forge(call, &mut frames);
    let text: String = frames
        .iter()
        .map(|frame| format!("{}{}", frame.before, frame.secret))
        .collect();
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

/// A secret and the plain text before it; the last frame has no secret.
#[derive(Clone, Debug, Default)]
struct Frame {
    before: String,
    secret: String,
}

fn frames(call: &Call, segments: &[Segment]) -> Result<Vec<Frame>, Failure> {
    let mut frames = Vec::new();
    let mut frame = Frame::default();
    for segment in segments {
        match segment {
            Segment::Plain(text) => frame.before.push_str(text),
            Segment::Secret(reference) => {
                frame.secret = resolve::secret(call, reference)?;
                frames.push(std::mem::take(&mut frame));
            }
        }
    }
    frames.push(frame);
    Ok(frames)
}

/// Forges the answer as the modes say; the last frame is what follows the last secret.
fn forge(call: &Call, frames: &mut Vec<Frame>) {
    let has = |mode| call.modes.has(mode);
    let forging = [Mode::Reorder, Mode::Duplicate].into_iter().any(has);
    if forging {
        end_lines_with_secrets(frames);
    }
    if has(Mode::Reorder) && frames.len() > 2 {
        frames.swap(0, 1);
    }
    if has(Mode::SwapValues) && frames.len() > 2 {
        let first = std::mem::take(&mut frames[0].secret);
        frames[0].secret = std::mem::replace(&mut frames[1].secret, first);
    }
    if has(Mode::Duplicate) && frames.len() > 1 {
        frames.insert(1, frames[0].clone());
    }
    if has(Mode::DropTail) {
        frames.truncate(frames.len().saturating_sub(2));
    }
}

/// Lets the line break after a secret go with the secret, so that moved frames stay whole lines.
fn end_lines_with_secrets(frames: &mut [Frame]) {
    for at in 1..frames.len() {
        if let Some(rest) = frames[at].before.strip_prefix('\n').map(str::to_owned) {
            frames[at].before = rest;
            frames[at - 1].secret.push('\n');
        }
    }
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
