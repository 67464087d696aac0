//! Step 4. Being written.

use crate::deploy::exit::Result;
use crate::deploy::run::Context;
use crate::deploy::step::{State, Step};

/// Step 4.
#[derive(Default)]
pub struct Gateway {}

impl Step for Gateway {
    fn number(&self) -> u8 {
        4
    }

    fn name(&self) -> &'static str {
        "gateway"
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
