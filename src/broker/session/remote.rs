//! A session whose secrets come from a broker: which names there are, and who is asked for them.

use std::path::Path;
use std::time::Duration;

use crate::base::env_name::EnvName;
use crate::base::error::{Error, Problem, Result};
use crate::broker::manifest::{self, Location, Manifest, Origin, SecretSpec};
use crate::broker::plan::{self, Plan, Wanted};
use crate::broker::provider::Provider;
use crate::broker::reference::Reference;
use crate::broker::socket::{self, Socket};

/// The variable with the path of a broker's socket.
pub(super) const SOCKET: &str = "OC_SECRETS_SOCKET";

/// A manifest with the names that the broker at `path` has for us, and the hosts of the built-in one
/// whose passwords are among them.
pub(super) fn manifest(path: &Path, timeout: Option<Duration>) -> Result<Manifest> {
    let names = socket::names(path, timeout.unwrap_or(plan::DEFAULT_TIMEOUT))?;
    let registries = manifest::builtin().registries.into_iter();
    let registries = registries.filter(|spec| names.contains(&spec.secret));
    Ok(Manifest {
        registries: registries.collect(),
        secrets: names.iter().map(spec).collect(),
        ..Manifest::empty(Origin::Broker(path.to_owned()))
    })
}

/// Where it is kept is the broker's business, and nobody is shown this reference: [`Session::broker`] says whose it is.
///
/// [`Session::broker`]: super::Session::broker
fn spec(name: &EnvName) -> SecretSpec {
    SecretSpec {
        name: name.clone(),
        location: Location::Reference(Reference {
            vault: "broker".to_owned(),
            item: name.to_string(),
            section: None,
            field: "value".to_owned(),
            query: None,
        }),
        required: true,
        default: None,
        exact: false,
    }
}

/// What is missing at the broker at `path`, without what `op` on another machine, or nobody, knows.
pub(super) fn without_references(path: &Path, error: Error) -> Error {
    let Error::Unresolved { problems } = error else {
        return error;
    };
    let of_broker = |problem| Problem {
        reference: format!("the broker {}", path.display()),
        look: None,
        waivable: false,
        ..problem
    };
    Error::Unresolved {
        problems: problems.into_iter().map(of_broker).collect(),
    }
}

/// The broker, which knows the secrets of a plan by their names.
pub(super) fn provider<'p>(path: &Path, plan: &Plan) -> Result<Box<dyn Provider + 'p>> {
    let asked: Vec<&Wanted> = plan.wanted.iter().filter(|it| !it.inherited).collect();
    if asked.iter().any(|wanted| wanted.unnamed) {
        return Err(Error::usage(
            "a broker is asked by names, and not by references",
            "`oc-secrets ls` shows the names that it has for you",
        ));
    }
    let names = asked.iter().map(|wanted| wanted.name.clone()).collect();
    Ok(Box::new(Socket::new(path, names, plan.timeout)))
}
