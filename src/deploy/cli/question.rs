//! A question to whoever is at the terminal, which a signal ends as it ends all other waiting.

use std::io;

use tokio::sync::oneshot;

use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::live_line::stderr;

/// Whether to go on. Where nobody can be asked, that is what we were started for.
pub(super) async fn agreed(cx: &Context, question: &str) -> Result<bool> {
    if !cx.reporter.asks(question) {
        return Ok(true);
    }
    let line = async {
        let line = typed_line().await;
        line.map_err(|why| Failure::system("read the answer", why))
    };
    let line = cx.host.unless_interrupted(line).await;
    if !line.as_ref().is_ok_and(|line| line.ends_with('\n')) {
        stderr("\n"); // what comes next is not to stand behind the question
    }
    line.map(|line| matches!(line.trim(), "y" | "Y" | "yes"))
}

/// What is typed, with the end of its line; empty where the input ends. Read by a thread of its own, which waits on
/// where nobody wants the answer any more: then the program is about to end.
async fn typed_line() -> io::Result<String> {
    let (answer, line) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        let _ = answer.send(read.map(|_| line));
    })?;
    line.await.unwrap_or_else(|why| Err(io::Error::other(why)))
}
