//! Values that are taken out of whole items, by one `op item get` each.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Rounds, by_item};
use crate::base::error::{Result, Trouble};
use crate::base::locked_memory::{self, Locked};
use crate::broker::op::item;
use crate::broker::op::program::NoAnswer;
use crate::broker::provider::Outcome;
use crate::broker::reference::Reference;

impl Rounds<'_> {
    /// Fetches each item once and takes all wanted fields from it.
    pub(super) async fn items(&self, wanted: &[usize]) -> Result<Vec<(usize, Outcome)>> {
        let groups = by_item(self.requests, wanted);
        let answers: Vec<_> = stream::iter(&groups)
            .map(|group| self.item(group))
            .buffered(self.at_once)
            .try_collect()
            .await?;
        Ok(answers.concat())
    }

    pub(super) async fn item(&self, group: &[usize]) -> Result<Vec<(usize, Outcome)>> {
        let Reference { vault, item, .. } = self.requests[group[0]].reference;
        if item == "-" {
            let why = "`op` takes an item named `-` for its stdin; name it by its id";
            let trouble = Trouble::Unusable { why };
            return Ok(group
                .iter()
                .map(|&index| (index, Err(trouble.clone())))
                .collect());
        }
        let vault = format!("--vault={vault}");
        let words = ["item", "get", &vault, "--format=json", "--", item];
        let answer = self.program.call(&words, &[], &words).await?;
        let mut outcomes = Vec::with_capacity(group.len());
        for &index in group {
            let outcome = match &answer {
                Ok(answer) => self.field(answer, self.requests[index].reference).await?,
                Err(why) => Err(why.clone().trouble()),
            };
            outcomes.push((index, outcome));
        }
        Ok(outcomes)
    }

    /// Takes one value out of an item. Files are not part of it: only `op read` gives those.
    async fn field(&self, answer: &Locked, reference: &Reference) -> Result<Outcome> {
        let item = item::parse(answer)?;
        let value = item.value(reference);
        locked_memory::burn_stack();
        let file = value.is_err() && item.has_file(reference) && reference.fits_syntax();
        if !file {
            return Ok(value);
        }
        Ok(self.read(reference).await?.map_err(NoAnswer::trouble))
    }
}
