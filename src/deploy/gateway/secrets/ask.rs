//! What the broker has for the gateway, asked as systemd asks for `LoadCredential=`, which root may.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::place::FOLDER;
use crate::base::env_name::EnvName;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::system;

/// `op` may take its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A value for each of `names` that has one. All are asked for at once, so that the broker needs one `op`.
pub(super) fn values(cx: &Context, names: &[EnvName]) -> Result<Vec<Option<Secret>>> {
    let path = cx.host.path(Path::new(FOLDER).join("socket"));
    let answers: io::Result<Vec<_>> = thread::scope(|scope| {
        let asked: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(|| value(&path, name)))
            .collect();
        let answers = asked.into_iter().map(|it| it.join());
        answers
            .map(|it| it.unwrap_or_else(|_| Err(ErrorKind::Other.into())))
            .collect()
    });
    answers.map_err(|why| {
        Failure::system("ask the broker", why)
            .hint("see why: systemctl status oc-secrets.socket oc-secrets-client@gateway.socket oc-secrets")
    })
}

/// An answer without a byte is none.
fn value(path: &Path, name: &EnvName) -> io::Result<Option<Secret>> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|_| ErrorKind::Other)?;
    let us = format!(
        "{}/unit/openclaw-deploy/{name}",
        crate::base::encode::hex(&random)
    );
    let mut stream: UnixStream = system::connect_as(us.as_bytes(), path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut heard = Locked::with_capacity(4096);
    loop {
        heard.reserve(4096);
        match stream.read(heard.spare()) {
            Ok(0) => break,
            Ok(bytes) => heard.advance(bytes),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok((!heard.is_empty()).then(|| Secret::new(heard)))
}
