//! What one run costs: processes of `op`, and requests as far as 1Password says what they count.

use super::row::Row;
use crate::broker::id::is_like_an_id;
use crate::broker::op::{self, Mode};
use crate::broker::plan::{Plan, Wanted};
use crate::broker::provider::Request;
use crate::broker::session::Session;

/// The row, for a manifest of which anything is fetched.
pub(super) fn row(session: &Session, mode: Mode) -> Option<Row> {
    let plan = session.plan().ok()?;
    let text = text(&plan, mode)?;
    Some(Row::ok("cost", text))
}

fn text(plan: &Plan, mode: Mode) -> Option<String> {
    let asked: Vec<&Wanted> = plan.wanted.iter().filter(|one| !one.inherited).collect();
    let requests = asked.iter().map(|wanted| Request {
        reference: &wanted.reference,
        exact: wanted.exact,
    });
    let requests: Vec<Request<'_>> = requests.collect();
    let processes = op::processes(&requests, !plan.environments.is_empty());
    if processes == 0 {
        return None;
    }
    let what = match asked.len() {
        0 => "the Environments".to_owned(),
        1 => "1 secret".to_owned(),
        many => format!("{many} secrets"),
    };
    let mut text = match processes {
        1 => format!("a run is 1 `op` for {what}, where nothing is missing"),
        many => format!("a run is {many} `op` for {what}, where nothing is missing"),
    };
    if mode == Mode::ServiceAccount {
        text.push_str("; ");
        text.push_str(&requested(&asked, processes));
    }
    Some(text)
}

/// What a service account is charged. Of `op read` it is known, of `op run` not.
fn requested(asked: &[&Wanted], processes: usize) -> String {
    let by_name = |wanted: &&Wanted| {
        let reference = &wanted.reference;
        !is_like_an_id(&reference.vault) || !is_like_an_id(&reference.item)
    };
    match (asked, processes) {
        ([one], 1) if by_name(one) && !one.exact => {
            "3 requests by names, 1 by ids: oc-secrets pin".to_owned()
        }
        ([one], 1) if !one.exact => "1 request".to_owned(),
        _ => "how many requests that counts, 1Password does not say".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::manifest::{Origin, parse};
    use crate::broker::plan::{Selection, plan};

    fn told(secrets: &str) -> Option<String> {
        let manifest = parse(secrets, "", Origin::File("/m".into())).expect("a manifest");
        let plan = plan(&manifest, None, &Selection::default(), |_| false).expect("a plan");
        text(&plan, Mode::ServiceAccount)
    }

    #[test]
    fn processes_are_counted_and_requests_only_where_they_are_known() {
        let one = told("[secrets]\nA = 'op://V/I/f'").expect("a cost");
        assert!(one.starts_with("a run is 1 `op` for 1 secret"), "{one}");
        assert!(
            one.ends_with("3 requests by names, 1 by ids: oc-secrets pin"),
            "{one}"
        );
        let id = "a".repeat(26);
        let pinned = told(&format!("[secrets]\nA = 'op://{id}/{id}/f'")).expect("a cost");
        assert!(pinned.ends_with("; 1 request"), "{pinned}");
        let many = "[secrets]\nA = 'op://V/I/f'\nB = 'op://V/J/f'\n\
            C = { vault = 'V', item = 'a/b' }\nD = { vault = 'V', item = 'K', exact = true }";
        let many = told(many).expect("a cost");
        assert!(many.starts_with("a run is 3 `op` for 4 secrets"), "{many}");
        assert!(many.ends_with("1Password does not say"), "{many}");
        assert_eq!(told("[vars]\nV = '1'"), None);
    }
}
