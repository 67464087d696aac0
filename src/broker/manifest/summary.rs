//! What a manifest passes on, and what of it is new: shown by `oc-secrets allow` before it asks.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Manifest;
use super::allowed::Record;
use crate::broker::id::EnvironmentId;

/// How a line differs from when the manifest was last allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Unchanged, or the manifest was never allowed.
    None,
    /// It is new.
    New,
    /// It has another reference or value.
    Changed,
    /// It is gone.
    Gone,
}

/// One variable or setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SummaryLine {
    /// The variable, or the setting.
    pub name: String,
    /// The reference, the value, or what the setting does.
    pub what: String,
    /// How it differs.
    pub change: Change,
}

/// Things of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// What they are.
    pub title: String,
    /// One line each.
    pub lines: Vec<SummaryLine>,
}

/// All that `manifest` hands out; `before` is what was allowed last.
pub(crate) fn of(manifest: &Manifest, before: Option<&Record>) -> Vec<Group> {
    let mut groups = secrets(manifest, before);
    groups.push(Group {
        title: "from 1Password Environments".to_owned(),
        lines: environments(manifest, before),
    });
    groups.push(Group {
        title: "plain values".to_owned(),
        lines: plain(manifest, before),
    });
    groups.push(Group {
        title: "settings".to_owned(),
        lines: settings(manifest, before),
    });
    groups.push(Group {
        title: "no longer".to_owned(),
        lines: gone(manifest, before),
    });
    groups.retain(|group| !group.lines.is_empty());
    groups
}

/// A group for each vault, in the order in which the vaults are met.
fn secrets(manifest: &Manifest, before: Option<&Record>) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![];
    let mut places: HashMap<String, usize> = HashMap::new();
    for spec in &manifest.secrets {
        let title = match manifest.vault_of(spec) {
            Some(vault) => format!("from the vault {}", shown(vault)),
            None => "from the default vault".to_owned(),
        };
        let source = manifest.shown_source(spec);
        let place = manifest.place(spec);
        let line = SummaryLine {
            name: spec.name.to_string(),
            change: change(before, |record| {
                record
                    .source(spec.name.as_str())
                    .map(|known| known == place)
            }),
            what: shown(&source).into_owned(),
        };
        let group = *places.entry(title.clone()).or_insert(groups.len());
        if group == groups.len() {
            let lines = vec![];
            groups.push(Group { title, lines });
        }
        groups[group].lines.push(line);
    }
    groups
}

fn environments(manifest: &Manifest, before: Option<&Record>) -> Vec<SummaryLine> {
    let line = |id: &EnvironmentId| SummaryLine {
        name: id.to_string(),
        what: "all variables that it has, then and later".to_owned(),
        change: change(before, |record| record.had_environment(id.as_str())),
    };
    manifest.environments.iter().map(line).collect()
}

fn plain(manifest: &Manifest, before: Option<&Record>) -> Vec<SummaryLine> {
    let line = |(name, value): (String, &str)| SummaryLine {
        change: change(before, |record| record.had_plain(&name, value)),
        what: shown(value).into_owned(),
        name,
    };
    manifest.plain_values().map(line).collect()
}

fn settings(manifest: &Manifest, before: Option<&Record>) -> Vec<SummaryLine> {
    let line = |(key, what): (String, String)| SummaryLine {
        change: change(before, |record| record.had_setting(&key, &what)),
        name: key.split(' ').next().unwrap_or_default().to_owned(),
        what: shown(&what).into_owned(),
    };
    manifest.shown_settings().into_iter().map(line).collect()
}

fn gone(manifest: &Manifest, before: Option<&Record>) -> Vec<SummaryLine> {
    let secrets = manifest.secrets.iter().map(|spec| spec.name.to_string());
    let plain = manifest.plain_values().map(|(name, _)| name);
    let environments = manifest.environments.iter().map(EnvironmentId::to_string);
    let settings = manifest.shown_settings().into_iter().map(|(key, _)| key);
    let all = secrets.chain(plain).chain(environments).chain(settings);
    let there: HashSet<String> = all.collect();
    let names = before.into_iter().flat_map(Record::names);
    names
        .filter(|name| !there.contains(*name))
        .map(|name| SummaryLine {
            name: shown(name).into_owned(),
            what: String::new(),
            change: Change::Gone,
        })
        .collect()
}

/// `same` tells whether the record has it unchanged; `None` where it does not have it at all.
fn change(before: Option<&Record>, same: impl FnOnce(&Record) -> Option<bool>) -> Change {
    match before.map(same) {
        None | Some(Some(true)) => Change::None,
        Some(Some(false)) => Change::Changed,
        Some(None) => Change::New,
    }
}

/// `text` with control characters, invisible characters and direction marks escaped.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let unsafe_to_show = |c: char| c.is_control() || is_format(c);
    if !text.contains(unsafe_to_show) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match unsafe_to_show(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Invisible characters that change how others are shown.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}
