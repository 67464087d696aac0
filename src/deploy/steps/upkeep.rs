//! Step 8. Being written.

use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// Step 8.
pub struct Upkeep;

impl Step for Upkeep {
    fn number(&self) -> u8 {
        8
    }

    fn name(&self) -> &'static str {
        "upkeep"
    }

    fn check(&self, _cx: &Context) -> Result<State> {
        Ok(State::Skip {
            reason: "not written yet".to_owned(),
        })
    }

    fn apply(&self, _cx: &Context) -> Result<String> {
        Ok(String::new())
    }

    fn verify(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }
}
