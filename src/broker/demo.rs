//! A vault of made-up secrets, for users without `op` or an account.
//!
//! It answers as `op item get` would, through the same parser and the same pipeline.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::error::{Error, Result, Trouble};
use crate::broker::op::item;
use crate::broker::provider::{Outcome, Provider, Request};

const ITEMS: &str = include_str!("demo.json");

/// The embedded vault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demo;

#[derive(Deserialize)]
struct Titled<'a> {
    title: &'a str,
}

impl Provider for Demo {
    fn fetch(&self, requests: &[Request<'_>]) -> Result<Vec<Outcome>> {
        let damaged = |_| Error::OpNonsense {
            what: "the vault of the demo is damaged",
        };
        let items: Vec<&RawValue> = serde_json::from_str(ITEMS).map_err(damaged)?;
        requests
            .iter()
            .map(|request| {
                for item in &items {
                    let Titled { title } = serde_json::from_str(item.get()).map_err(damaged)?;
                    if title == request.reference.item {
                        return Ok(item::parse(item.get().as_bytes())?.value(request.reference));
                    }
                }
                Ok(Err(Trouble::Missing {
                    part: "item",
                    near: None,
                }))
            })
            .collect()
    }
}
