//! Which vault, and which of its items: asked on a terminal, by number or by a part of the title.

use super::super::ask;
use crate::base::error::Result;
use crate::base::ui::clean;
use crate::broker::op::Op;
use crate::broker::op::list::{self, ListedItem, Vault};

/// How many titles are shown at once.
const SHOWN: usize = 30;

/// One of the vaults that the user can see; `None` where the user wants to end.
pub(super) fn vault(op: &Op) -> Result<Option<Vault>> {
    let vaults = list::vaults(&op.ask(list::VAULTS)?)?;
    let (only, several) = match &vaults[..] {
        [] => return Ok(None),
        [only] => (Some(only), &[][..]),
        several => (None, several),
    };
    if let Some(only) = only {
        ask::show(&format!("The only vault is {}.\n", clean(&only.name)));
        return Ok(Some(only.clone()));
    }
    let names: Vec<&str> = several.iter().map(|vault| vault.name.as_str()).collect();
    ask::show(&format!("Vaults\n{}", numbered(&names, |_| true)));
    loop {
        let Some(answer) = ask::line("Which vault? (number or name) ")? else {
            return Ok(None);
        };
        let by_number = answer
            .parse()
            .ok()
            .and_then(|number: usize| several.get(number.wrapping_sub(1)));
        let by_name = || several.iter().find(|vault| same(&vault.name, &answer));
        if let Some(vault) = by_number.or_else(by_name) {
            return Ok(Some(vault.clone()));
        }
        ask::show("None of these.\n");
    }
}

/// All items of `vault`, by name or id.
pub(super) fn all_items(op: &Op, vault: &str) -> Result<Vec<ListedItem>> {
    let vault = format!("--vault={vault}");
    let answer = op.ask(&["item", "list", &vault, "--format=json"])?;
    let mut items = list::items(&answer)?;
    items.sort_by_key(|item| item.title.to_lowercase());
    Ok(items)
}

/// Those of `items` that the user wants; `None` where the user wants to end.
pub(super) fn items(items: &[ListedItem]) -> Result<Option<Vec<ListedItem>>> {
    if items.is_empty() {
        ask::show("There is no item in it yet.\n");
        return Ok(Some(vec![]));
    }
    let titles: Vec<&str> = items.iter().map(|item| item.title.as_str()).collect();
    ask::show(&format!("Items\n{}", numbered(&titles, |_| true)));
    loop {
        let question = "Which of them? (1,3-5; all; a part of a title to search; Enter for none) ";
        let Some(answer) = ask::line(question)? else {
            return Ok(None);
        };
        if let Some(chosen) = numbers(&answer, items.len()) {
            return Ok(Some(
                chosen.into_iter().map(|at| items[at].clone()).collect(),
            ));
        }
        let part = answer.to_lowercase();
        let matches = |title: &str| title.to_lowercase().contains(&part);
        match numbered(&titles, matches) {
            none if none.is_empty() => ask::show("No title holds that.\n"),
            some => ask::show(&some),
        }
    }
}

/// The names that match, each with its number among all.
fn numbered(names: &[&str], matches: impl Fn(&str) -> bool) -> String {
    let width = names.len().to_string().len();
    let matching = names.iter().enumerate().filter(|(_, name)| matches(name));
    let mut text: String = matching
        .clone()
        .take(SHOWN)
        .map(|(at, name)| format!("  {:width$}  {}\n", at + 1, clean(name).replace('\n', " ")))
        .collect();
    let more = matching.count().saturating_sub(SHOWN);
    if more > 0 {
        text.push_str(&format!("  … and {more} more\n"));
    }
    text
}

/// What `1,3-5` or `all` means, of `count`; `None` for anything else, which is then searched for.
fn numbers(answer: &str, count: usize) -> Option<Vec<usize>> {
    if answer.is_empty() {
        return Some(vec![]);
    }
    if answer.eq_ignore_ascii_case("all") {
        return Some((0..count).collect());
    }
    let mut chosen = vec![];
    for part in answer.split([',', ' ']).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first == 0 || last > count || first > last {
            return None;
        }
        for at in first - 1..last {
            if !chosen.contains(&at) {
                chosen.push(at);
            }
        }
    }
    Some(chosen)
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_understood_and_all_else_is_searched_for() {
        assert_eq!(numbers("1,3-4 3", 5), Some(vec![0, 2, 3]));
        assert_eq!(numbers("all", 2), Some(vec![0, 1]));
        assert_eq!(numbers("", 2), Some(vec![]));
        for other in ["0", "3", "2-1", "git", "1,x", "-"] {
            assert_eq!(numbers(other, 2), None, "{other}");
        }
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let names: Vec<String> = (0..40).map(|number| format!("item {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = numbered(&names, |_| true);
        assert!(text.starts_with("   1  item 0\n"), "{text}");
        assert!(text.ends_with("  30  item 29\n  … and 10 more\n"), "{text}");
        assert_eq!(
            numbered(&names, |name| name.ends_with("39")),
            "  40  item 39\n"
        );
    }
}
