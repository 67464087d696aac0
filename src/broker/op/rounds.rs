//! Which command of `op` gives which value, and in how many rounds.
//!
//! One reference alone goes by `op read`, which prints it into our pipe. Several that the `op://`
//! syntax can carry go into one `op run`, which hands the values to a child that prints them; `op
//! inject` would be simpler, but it silently drops control characters. What one environment cannot
//! carry is asked for in halves. What the syntax cannot carry, and secrets marked `exact`, come from
//! `op item get --format json`, one process per item. When the batch fails because something in it
//! is missing, the same items are asked for one by one, which names everything that is missing at
//! once. Processes run side by side only where no prompt can appear.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::frame::{self, Frame};
use super::item;
use super::program::{NoAnswer, Program};
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::{self, Locked};
use crate::base::secret::Secret;
use crate::broker::provider::{Outcome, Request};
use crate::broker::reference::Reference;

/// Everything that is asked of `op` for some requests.
pub(super) struct Rounds<'a> {
    /// `op`.
    pub program: &'a Program,
    /// How many of its processes may run at the same time.
    pub at_once: usize,
    /// What is wanted.
    pub requests: &'a [Request<'a>],
}

/// What asking for several at once came to.
enum Asked {
    /// An outcome for each.
    Done(Vec<(usize, Outcome)>),
    /// These are larger than one environment carries.
    TooLarge(Vec<usize>),
}

impl Rounds<'_> {
    /// One outcome for each request, in their order.
    pub(super) async fn all(&self) -> Result<Vec<Outcome>> {
        let whole = |&index: &usize| {
            self.requests[index].reference.fits_syntax() && !self.requests[index].exact
        };
        let (batch, singles): (Vec<usize>, Vec<usize>) = (0..self.requests.len()).partition(whole);
        let mut found = if self.at_once > 1 {
            let (batch, singles) = tokio::try_join!(self.batch(&batch), self.items(&singles))?;
            [batch, singles].concat()
        } else {
            let batch = self.batch(&batch).await?;
            [batch, self.items(&singles).await?].concat()
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Asks for everything in one process. What is too large for one is asked for in halves.
    async fn batch(&self, batch: &[usize]) -> Result<Vec<(usize, Outcome)>> {
        let mut found = vec![];
        let mut parts = vec![batch.to_vec()];
        parts.retain(|part| !part.is_empty());
        while !parts.is_empty() {
            let asked: Vec<Asked> = stream::iter(parts)
                .map(|part| self.part(part))
                .buffered(self.at_once)
                .try_collect()
                .await?;
            parts = vec![];
            for one in asked {
                match one {
                    Asked::Done(outcomes) => found.extend(outcomes),
                    Asked::TooLarge(part) => {
                        let (some, others) = part.split_at(part.len() / 2);
                        parts.extend([some.to_vec(), others.to_vec()]);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Asks for one reference by `op read`, for several by `op run`; item by item, if something is
    /// missing.
    async fn part(&self, part: Vec<usize>) -> Result<Asked> {
        let first = self.requests[part[0]].reference;
        let outcomes = if part.iter().all(|&at| self.requests[at].reference == first) {
            match self.read(first).await? {
                Err(NoAnswer::Trouble(Trouble::Missing { part: "secret", .. })) => {
                    // A query that `op read` refuses, or a name: its item may have it all the same.
                    self.items(&part).await?
                }
                answer => {
                    let outcome = answer.map_err(NoAnswer::trouble);
                    part.into_iter().map(|at| (at, outcome.clone())).collect()
                }
            }
        } else {
            let frame = Frame::new(part.iter().map(|&at| self.requests[at].reference))?;
            let by_hand = ["read", &first.to_string()];
            let (words, variables) = (frame::COMMAND, frame.variables()?);
            match self.program.call(words, &variables, &by_hand).await? {
                Ok(answer) => values(&frame, answer, part)?,
                Err(NoAnswer::TooLarge) if by_item(self.requests, &part).len() > 1 => {
                    return Ok(Asked::TooLarge(part));
                }
                Err(_) => self.items(&part).await?,
            }
        };
        Ok(Asked::Done(outcomes))
    }

    /// The value of one reference, as it is stored: it passes through no other program.
    async fn read(&self, reference: &Reference) -> Result<std::result::Result<Secret, NoAnswer>> {
        let reference = reference.to_string();
        let words = ["read", "--no-newline", &reference];
        let by_hand = ["read", &reference];
        let answer = self.program.call(&words, &[], &by_hand).await?;
        if answer
            .as_ref()
            .is_ok_and(|value| **value == *reference.as_bytes())
        {
            return Err(Error::OpNonsense {
                what: "it holds a reference in the place of a value",
            });
        }
        Ok(answer.map(Secret::new))
    }

    /// Fetches each item once and takes all wanted fields from it.
    async fn items(&self, wanted: &[usize]) -> Result<Vec<(usize, Outcome)>> {
        let groups = by_item(self.requests, wanted);
        let answers: Vec<_> = stream::iter(&groups)
            .map(|group| self.item(group))
            .buffered(self.at_once)
            .try_collect()
            .await?;
        Ok(answers.concat())
    }

    async fn item(&self, group: &[usize]) -> Result<Vec<(usize, Outcome)>> {
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

/// The values in the answer to `frame`, without a copy of any.
fn values(frame: &Frame, answer: Locked, asked: Vec<usize>) -> Result<Vec<(usize, Outcome)>> {
    let ranges = frame.parse(&answer);
    locked_memory::burn_stack();
    let ranges = ranges?;
    let whole = Secret::new(answer);
    let slices = ranges.into_iter().map(|range| Ok(whole.slice(range)));
    Ok(asked.into_iter().zip(slices).collect())
}

/// The wanted requests, grouped by the item that holds them; `op` ignores case in names.
fn by_item(requests: &[Request<'_>], wanted: &[usize]) -> Vec<Vec<usize>> {
    let key = |index: usize| {
        let reference = requests[index].reference;
        (
            reference.vault.to_lowercase(),
            reference.item.to_lowercase(),
        )
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &index in wanted {
        match groups.iter_mut().find(|group| key(group[0]) == key(index)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}
