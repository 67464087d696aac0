//! 1Password Environments: `op run --environment ID`.

use crate::budget;
use crate::call::Call;
use crate::credential::Credential;
use crate::failure::Failure;
use crate::mode::Mode;

/// The variables of all that were asked for.
/// ASSUMPTION: where two have the same name, that of the later one holds, and each costs a request.
pub fn variables(call: &Call, credential: &Credential) -> Result<Vec<(String, String)>, Failure> {
    let mut all: Vec<(String, String)> = vec![];
    for id in call.line.flag_values("environment") {
        if credential.is_service() && call.modes.has(Mode::NoEnvironmentAccess) {
            // ASSUMPTION: the words; that such a token is refused is known.
            return Err(Failure::new(
                "(403) Forbidden: You aren't authorized to access this resource.",
            ));
        }
        let known = call.data.environments.iter().find(|known| known.id == id);
        // ASSUMPTION: the words, of which no recording is at hand.
        let known = known
            .ok_or_else(|| Failure::new(format!("could not read environment {id}: not found")))?;
        budget::charge(call, 1)?;
        for (name, value) in &known.variables {
            all.retain(|(other, _)| other != name);
            all.push((name.clone(), value.clone()));
        }
    }
    Ok(all)
}

/// Whether any is asked for, which needs authentication as a reference does.
pub fn asked(call: &Call) -> bool {
    call.line.flag("environment").is_some()
}
