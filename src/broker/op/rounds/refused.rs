//! What follows a batch that `op` refused because something in it is missing.

use super::{Rounds, by_item};
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory;
use crate::broker::op::presence::{ITEMS, Listing, Presence};
use crate::broker::provider::Outcome;

/// So many items are asked for by themselves: with a list and a second batch it would be no fewer.
const FEW: usize = 2;

/// How many calls the list and the batch after it would have cost.
const SPARE: usize = 2;

impl Rounds<'_> {
    /// After a refused batch, where one process runs after the other: leaves out what is not there
    /// and asks for the rest together. `lacking` names one of the batch's items without a field.
    pub(super) async fn refused(
        &self,
        mut rest: Vec<usize>,
        mut lacking: Option<usize>,
    ) -> Result<Vec<(usize, Outcome)>> {
        let (mut found, mut without) = (vec![], vec![]);
        let mut listed = false;
        while by_item(self.requests, &rest).len() > FEW {
            match lacking {
                Some(lacking) => {
                    let group = by_item(self.requests, &rest).swap_remove(lacking);
                    rest.retain(|index| !group.contains(index));
                    match group[..] {
                        [one] => without.push(one),
                        // Which of its fields is missing it tells by itself.
                        _ => found.extend(self.item(&group).await?),
                    }
                }
                None if listed => break,
                None => {
                    listed = true;
                    match self.without_absent(&rest, &mut found).await? {
                        Some(there) => rest = there,
                        None => break,
                    }
                }
            }
            if by_item(self.requests, &rest).len() <= 1 {
                break;
            }
            match self.together(&rest).await? {
                Ok(values) => {
                    found.extend(values);
                    rest.clear();
                    break;
                }
                Err(next) => lacking = next.1,
            }
        }
        found.extend(self.items(&rest).await?);
        found.extend(self.without_field(&without, listed).await?);
        Ok(found)
    }

    /// The outcomes of items that lack the one field which is wanted of them. By themselves they tell
    /// their labels, for which there is time as long as no list was asked for.
    async fn without_field(
        &self,
        lacking: &[usize],
        listed: bool,
    ) -> Result<Vec<(usize, Outcome)>> {
        let asked = if listed { 0 } else { lacking.len().min(SPARE) };
        let (asked, others) = lacking.split_at(asked);
        let missing = |&index: &usize| {
            let (part, near) = ("field", None);
            (index, Err(Trouble::Missing { part, near }))
        };
        let told = self.items(asked).await?;
        Ok(told.into_iter().chain(others.iter().map(missing)).collect())
    }

    /// What of `part` is listed; for the rest there is an outcome in `found` afterwards. `None`
    /// where there is no list.
    async fn without_absent(
        &self,
        part: &[usize],
        found: &mut Vec<(usize, Outcome)>,
    ) -> Result<Option<Vec<usize>>> {
        let answer = match self.program.call(ITEMS, &[], ITEMS).await {
            Ok(Ok(answer)) => answer,
            // Whoever may not list may still read.
            Ok(Err(_)) | Err(Error::OpUnknown { .. } | Error::Forbidden { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(listing) = Listing::parse(&answer) else {
            return Ok(None);
        };
        let (mut there, mut unclear, mut unlisted) = (vec![], vec![], vec![]);
        for &index in part {
            match listing.of(self.requests[index].reference) {
                Presence::There { .. } => there.push(index),
                Presence::Trouble(trouble) => found.push((index, Err(trouble))),
                Presence::NothingInVault => unlisted.push(index),
                Presence::Unclear => unclear.push(index),
            }
        }
        locked_memory::burn_stack();
        found.extend(self.unlisted(unlisted).await?);
        found.extend(self.items(&unclear).await?);
        Ok(Some(there))
    }

    /// What is in vaults of which nothing is listed: one question tells whether a vault is there,
    /// and so what is missing.
    async fn unlisted(&self, mut rest: Vec<usize>) -> Result<Vec<(usize, Outcome)>> {
        let mut found = vec![];
        while let Some(&first) = rest.first() {
            let vault = self.requests[first].reference.vault.to_lowercase();
            let (same, others): (Vec<usize>, Vec<usize>) = rest
                .into_iter()
                .partition(|&index| self.requests[index].reference.vault.to_lowercase() == vault);
            rest = others;
            let told = self.item(&[first]).await?;
            match told.into_iter().next() {
                Some((
                    _,
                    Err(
                        trouble @ Trouble::Missing {
                            part: "vault" | "item",
                            ..
                        },
                    ),
                )) => {
                    found.extend(same.into_iter().map(|at| (at, Err(trouble.clone()))));
                }
                _ => found.extend(self.items(&same).await?),
            }
        }
        Ok(found)
    }
}
