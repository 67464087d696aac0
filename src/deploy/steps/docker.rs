//! Step 1. Being written.

use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// Step 1.
pub struct Docker;

impl Step for Docker {
    fn number(&self) -> u8 {
        1
    }

    fn name(&self) -> &'static str {
        "docker"
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
