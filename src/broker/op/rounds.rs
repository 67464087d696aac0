//! Which command of `op` gives which value, and in how many rounds.
//!
//! One reference alone goes by `op read`, which prints it into our pipe. Several that the `op://`
//! syntax can carry go into one `op run`, which hands the values to a child that prints them; `op
//! inject` would be simpler, but it silently drops control characters. What one environment cannot
//! carry is asked for in halves. What the syntax cannot carry, and secrets marked `exact`, come from
//! `op item get --format json`, one process per item. When the batch fails because something in it
//! is missing, the same items are asked for one by one, which names everything that is missing at
//! once. Processes run side by side only where no prompt can appear; where they stand in a queue, a
//! list of all items says what to leave out of a second batch (see `presence`).

mod refused;
mod items;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::environments::{self, EnvironmentsRequest};
use super::frame::Frame;
use super::program::{NoAnswer, OpProgram};
use crate::base::error::{Error, Result, Trouble};
use crate::base::locked_memory::{self, Locked};
use crate::base::secret::Secret;
use crate::broker::provider::{ArrivedVariable, Outcome, Request};
use crate::broker::reference::Reference;

/// Everything that is asked of `op` for some requests.
pub(super) struct Rounds<'a> {
    /// `op`.
    pub program: &'a OpProgram,
    /// How many of its processes may run at the same time.
    pub at_once: usize,
    /// What is wanted.
    pub requests: &'a [Request<'a>],
    /// What comes along.
    pub environments: EnvironmentsRequest<'a>,
}

/// How many processes it takes where nothing is missing and all fits into one environment.
pub(crate) fn processes(requests: &[Request<'_>], environments: bool) -> usize {
    let (batch, singles): (Vec<usize>, Vec<usize>) =
        (0..requests.len()).partition(|&at| goes_along(&requests[at]));
    let together = environments || !batch.is_empty();
    usize::from(together) + by_item(requests, &singles).len()
}

/// Whether `op run` can carry it as it is.
fn goes_along(request: &Request<'_>) -> bool {
    request.reference.fits_syntax() && !request.exact
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
        let whole = |&index: &usize| goes_along(&self.requests[index]);
        let (batch, singles): (Vec<usize>, Vec<usize>) = (0..self.requests.len()).partition(whole);
        let mut found = if self.at_once > 1 {
            let (batch, singles) = tokio::try_join!(self.first(&batch), self.items(&singles))?;
            [batch, singles].concat()
        } else {
            let batch = self.first(&batch).await?;
            [batch, self.items(&singles).await?].concat()
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Asks for `batch`, and for the Environments in the same process where that goes.
    async fn first(&self, batch: &[usize]) -> Result<Vec<(usize, Outcome)>> {
        if !self.environments.outstanding() {
            return self.batch(batch).await;
        }
        if batch.is_empty() {
            self.environments_alone().await?;
            return Ok(vec![]);
        }
        let asked = self.together(batch).await;
        if environments::may_be_theirs(&asked) {
            // By themselves they tell whose failure it is.
            self.environments_alone().await?;
        }
        match asked? {
            Ok(values) => Ok(values),
            Err((NoAnswer::Trouble(_), lacking)) if self.at_once == 1 => {
                let found = self.refused(batch.to_vec(), lacking).await?;
                self.environments_alone().await?;
                Ok(found)
            }
            Err((NoAnswer::Trouble(_), _)) => {
                let both = tokio::try_join!(self.items(batch), self.environments_alone());
                Ok(both?.0)
            }
            Err(_) => {
                self.environments_alone().await?;
                self.batch(batch).await
            }
        }
    }

    /// Asks for the Environments by themselves, unless they are there.
    async fn environments_alone(&self) -> Result<()> {
        if !self.environments.outstanding() {
            return Ok(());
        }
        match self.together(&[]).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((why, _))) => Err(self.environments.refused(why)),
            Err(error) => Err(self.environments.failed(error)),
        }
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
            match self.together(&part).await? {
                Ok(values) => values,
                Err((NoAnswer::TooLarge, _)) if by_item(self.requests, &part).len() > 1 => {
                    return Ok(Asked::TooLarge(part));
                }
                Err((NoAnswer::Trouble(_), lacking)) if self.at_once == 1 => {
                    self.refused(part, lacking).await?
                }
                Err(_) => self.items(&part).await?,
            }
        };
        Ok(Asked::Done(outcomes))
    }

    /// Asks for all of `part` by one `op run`, with the Environments if they have not come yet.
    /// Otherwise returns why there is no answer and, if `op` says so, which item of [`by_item`] lacks
    /// a field.
    async fn together(
        &self,
        part: &[usize],
    ) -> Result<std::result::Result<Vec<(usize, Outcome)>, (NoAnswer, Option<usize>)>> {
        let frame = Frame::new(part.iter().map(|&at| self.requests[at].reference))?;
        let along = self.environments.outstanding();
        let frame = if along { frame.with_others() } else { frame };
        let command = self.environments.command();
        let by_hand = match part.first() {
            Some(&first) if !along => {
                vec![
                    "read".to_owned(),
                    self.requests[first].reference.to_string(),
                ]
            }
            _ => self.environments.by_hand(),
        };
        let path = |group: &Vec<usize>| {
            let Reference { vault, item, .. } = self.requests[group[0]].reference;
            format!("{vault}/{item}")
        };
        let items: Vec<String> = by_item(self.requests, part).iter().map(path).collect();
        let variables = frame.variables()?;
        let (command, by_hand) = (texts(&command), texts(&by_hand));
        let called = self
            .program
            .call_for(&command, &variables, &by_hand, &items);
        Ok(match called.await? {
            (Ok(answer), _) => Ok(self.values(&frame, answer, part)?),
            (Err(why), lacking) => Err((why, lacking)),
        })
    }

    /// The values in the answer to `frame`, without a copy of any; those of Environments are kept.
    fn values(
        &self,
        frame: &Frame,
        answer: Locked,
        asked: &[usize],
    ) -> Result<Vec<(usize, Outcome)>> {
        let parsed = frame.parse_all(&answer, &self.program.environment.entries());
        locked_memory::burn_stack();
        let (ranges, others) = parsed?;
        let whole = Secret::new(answer);
        if frame.has_others() {
            let variable = |(name, range)| ArrivedVariable {
                name,
                value: whole.slice(range),
            };
            self.environments
                .keep(others.into_iter().map(variable).collect());
        }
        let slices = ranges.into_iter().map(|range| Ok(whole.slice(range)));
        Ok(asked.iter().copied().zip(slices).collect())
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
}

fn texts(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
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
