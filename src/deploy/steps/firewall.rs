//! Step 6. Being written.

use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// Step 6.
pub struct Firewall;

impl Step for Firewall {
    fn number(&self) -> u8 {
        6
    }

    fn name(&self) -> &'static str {
        "firewall"
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
