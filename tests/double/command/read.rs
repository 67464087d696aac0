//! `op read`: one reference, printed with one newline, or none.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::reference::Reference;
use crate::{budget, outfile, resolve};

/// Prints the secret. A reference that is none fails before authentication, and bare.
pub fn read(call: &Call) -> Result<Reply, Failure> {
    let text = call.line.word().unwrap_or_default();
    let reference = Reference::parse(&text).map_err(Failure::new)?;
    outfile::check(call)?;
    let secret = secret(call, &reference).map_err(|failure| failure.while_reading(&text))?;
    let mut secret = resolve::bytes(call, secret)?;
    if !call.line.on("no-newline") {
        secret.push(b'\n');
    }
    match outfile::write(call, &secret)? {
        Some(reply) => Ok(reply),
        None => Ok(Reply::bytes(secret)),
    }
}

fn secret(call: &Call, reference: &Reference) -> Result<String, Failure> {
    authenticate(call)?;
    budget::charge(call, budget::reference(call, reference))?;
    resolve::secret(call, reference)
}
