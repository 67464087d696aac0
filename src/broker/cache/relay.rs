//! How the answers of one process are handed to another, which waits for them or asks a broker.

use super::entry::Entry;
use crate::base::error::Result;
use crate::base::locked_memory::Locked;
use crate::base::secret::Secret;
use crate::broker::provider::Outcome;

/// Every outcome, each preceded by its length, or the one failure.
pub(crate) fn relay(answers: &Result<Vec<Outcome>>) -> Locked {
    let mut bytes = Locked::with_capacity(4096);
    match answers {
        Err(error) => Entry::push_fatal(&mut bytes, error),
        Ok(outcomes) => {
            bytes.push(b"*");
            // One for all: a mapping for each would cost more than all the rest.
            let mut one = Locked::with_capacity(4096);
            for outcome in outcomes {
                one.forget_front(one.len());
                Entry::push_outcome(&mut one, outcome);
                bytes.push(&(one.len() as u64).to_le_bytes());
                bytes.push(&one);
            }
        }
    }
    bytes
}

/// Parses what [`relay`] wrote in another process; `None` for anything else.
pub(crate) fn relayed(answer: &Secret, count: usize) -> Result<Option<Vec<Outcome>>> {
    if answer.expose().first() != Some(&b'*') {
        return match Entry::parse(answer) {
            Some(Entry::Fatal(error)) => Err(error),
            _ => Ok(None),
        };
    }
    let mut outcomes = vec![];
    let mut at = 1;
    while let Some(length) = answer.expose().get(at..at + 8) {
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        let start = at + 8;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| start.checked_add(length));
        match end
            .filter(|&end| end <= answer.len())
            .map(|end| (end, answer.slice(start..end)))
        {
            Some((end, one)) => {
                let Some(Entry::One(outcome)) = Entry::parse(&one) else {
                    return Ok(None);
                };
                outcomes.push(outcome);
                at = end;
            }
            None => return Ok(None),
        }
    }
    Ok((outcomes.len() == count && at == answer.len()).then_some(outcomes))
}
