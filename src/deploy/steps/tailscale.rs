//! Step 5. Being written.

use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// Step 5.
pub struct Tailscale;

impl Step for Tailscale {
    fn number(&self) -> u8 {
        5
    }

    fn name(&self) -> &'static str {
        "tailscale"
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
