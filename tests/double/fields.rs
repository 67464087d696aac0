//! `op item get --fields`: `label=name`, `label=Section.name`, `type=otp`, or a bare name.

use crate::failure::Failure;
use crate::vaults_json::{Field, Item, alike};

/// The fields asked for, in the order asked; those that fit one name, in the item's order.
///
/// ASSUMPTION: the order of the answer; several fields of one label all count.
pub fn select<'i>(item: &'i Item, asked: &str, advises: bool) -> Result<Vec<&'i Field>, Failure> {
    let mut selected = Vec::new();
    for selector in asked
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (name, fitting) = match selector.split_once('=') {
            Some(("type", kind)) => (kind, of_kind(item, kind)),
            Some(("label", name)) => (name, named(item, name)),
            _ => (selector, named(item, selector)),
        };
        if fitting.is_empty() {
            return Err(missing(item, name, advises));
        }
        selected.extend(fitting);
    }
    Ok(selected)
}

fn of_kind<'i>(item: &'i Item, kind: &str) -> Vec<&'i Field> {
    item.fields
        .iter()
        .filter(|field| alike(&field.kind, kind))
        .collect()
}

/// Fields of this label or id; failing that, the part before a dot is a section.
fn named<'i>(item: &'i Item, name: &str) -> Vec<&'i Field> {
    let direct: Vec<&Field> = item
        .fields
        .iter()
        .filter(|field| field.is_called(name))
        .collect();
    if !direct.is_empty() {
        return direct;
    }
    let splits = name
        .match_indices('.')
        .map(|(at, _)| (&name[..at], &name[at + 1..]));
    let within = |(section, label): (&str, &str)| {
        let fits = |field: &&Field| field.is_called(label) && item.places(field, section);
        item.fields.iter().filter(fits).collect::<Vec<_>>()
    };
    splits
        .map(within)
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn missing(item: &Item, name: &str, advises: bool) -> Failure {
    let advice = if advises {
        ". This may be because you are trying to access an autofill url, using the `--fields` \
         flag. In order to access urls, you can use `op item get ITEM --format json | jq .urls`"
    } else {
        ""
    };
    let title = &item.title;
    Failure::new(format!(
        "\"{name}\" isn't a field in the \"{title}\" item{advice}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_ids_sections_and_types_select() {
        let item: Item = serde_json::from_str(
            r#"{"id":"i","title":"T","sections":[{"id":"s","label":"Sec"}],"fields":[
                {"id":"a1","label":"a"},{"id":"b1","label":"b","section":"s","type":"OTP"},
                {"id":"b2","label":"b"},{"id":"d","label":"x.y"}]}"#,
        )
        .expect("parses");
        let ids = |asked| {
            let fields =
                select(&item, asked, false).map_err(|failure| failure.message().to_owned());
            fields.map(|fields| {
                fields
                    .iter()
                    .filter_map(|f| f.id.clone())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(ids("b1,label=A").as_deref(), Ok("b1 a1"));
        assert_eq!(ids("label=Sec.b").as_deref(), Ok("b1"));
        assert_eq!(ids("label=b").as_deref(), Ok("b1 b2"));
        assert_eq!(ids("type=otp").as_deref(), Ok("b1"));
        assert_eq!(ids("x.y").as_deref(), Ok("d"));
        assert_eq!(
            ids("nope"),
            Err("\"nope\" isn't a field in the \"T\" item".to_owned())
        );
    }
}
