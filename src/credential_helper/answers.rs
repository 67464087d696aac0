//! Where a helper's answers come from: the manifest says which secret is the password of a host.
//!
//! A password is taken from our own environment, from the cache, or from `op`, in this order.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::base::error::{Error, Result};
use crate::base::secret::Secret;
use crate::base::ui::Ui;
use crate::broker::cache::Caller;
use crate::broker::manifest::HostSpec;
use crate::broker::registry::HostQuery;
use crate::broker::session::{Session, SessionSettings};
use crate::credential_helper::client_config::disabled_hosts;

/// A user name and its secret.
pub(crate) struct Credential {
    /// The user name.
    pub username: String,
    /// Whether the manifest gives that user name, so that no other is answered for.
    pub chosen: bool,
    /// The password.
    pub secret: Secret,
    /// Whether it was not cached, so that a warning about it is not repeated with every call.
    pub fresh: bool,
}

/// Where a helper's answers come from.
pub(crate) trait Answers {
    /// The credential for `asked`; `None` if it is not a host of ours.
    ///
    /// # Errors
    /// When we should answer but cannot.
    fn credential(&self, asked: &HostQuery) -> Result<Option<Credential>>;

    /// Deletes the cached secret for `asked`; returns whether it is a host of ours.
    fn forget(&self, asked: &HostQuery) -> bool;

    /// Host and user name of all our hosts.
    fn entries(&self) -> Vec<(String, String)>;

    /// Whether a client is to go on without credentials when nobody is signed in.
    fn anonymous_when_locked(&self) -> bool;
}

/// A session, and the hosts that one protocol may ask about.
pub(super) struct ManifestAnswers {
    session: Session,
    hosts: Vec<HostSpec>,
}

impl ManifestAnswers {
    /// For Docker's helper: `[registries]`, without what `oc-secrets docker off` has named.
    pub(super) fn for_docker(ui: Ui) -> Result<Self> {
        Self::new(ui, |session| {
            let disabled = disabled_hosts::read(&session.lookup());
            let hosts = session.manifest.registries.iter();
            hosts
                .filter(|spec| !disabled.contains(&spec.host))
                .cloned()
                .collect()
        })
    }

    /// For git's helper: `[git]`.
    pub(super) fn for_git(ui: Ui) -> Result<Self> {
        Self::new(ui, |session| session.manifest.git.clone())
    }

    fn new(ui: Ui, hosts: impl FnOnce(&Session) -> Vec<HostSpec>) -> Result<Self> {
        let session = Session::open(Caller::Helper, SessionSettings::default(), ui)?;
        let hosts = hosts(&session);
        Ok(Self {
            session: session.before_op(give_up_with_the_client),
            hosts,
        })
    }

    fn host(&self, asked: &HostQuery) -> Option<&HostSpec> {
        self.hosts.iter().find(|spec| spec.serves(asked))
    }
}

impl Answers for ManifestAnswers {
    fn credential(&self, asked: &HostQuery) -> Result<Option<Credential>> {
        let Some(host) = self.host(asked) else {
            return Ok(None);
        };
        let plan = self.session.plan_only(&host.secret)?;
        let resolved = self
            .session
            .resolve(&plan)
            .map_err(|error| of_host(host, error))?;
        if self.session.asked_op() {
            self.session.warn_if_swappable();
        }
        Ok(resolved.into_iter().next().map(|password| Credential {
            username: host.username().to_owned(),
            chosen: host.username.is_some(),
            secret: password.value,
            fresh: password.inherited || self.session.asked_op(),
        }))
    }

    fn forget(&self, asked: &HostQuery) -> bool {
        let Some(host) = self.host(asked) else {
            return false;
        };
        if let Ok(plan) = self.session.plan_only(&host.secret) {
            self.session.forget(&plan);
        }
        true
    }

    fn entries(&self) -> Vec<(String, String)> {
        let entry = |spec: &HostSpec| {
            (
                spec.host.docker_key().to_owned(),
                spec.username().to_owned(),
            )
        };
        self.hosts.iter().map(entry).collect()
    }

    fn anonymous_when_locked(&self) -> bool {
        self.session
            .variable("OC_DOCKER_ON_LOCKED")
            .is_some_and(|value| value == "notfound")
    }
}

/// The error for an unresolved secret that is the password of `spec`.
fn of_host(spec: &HostSpec, error: Error) -> Error {
    match error {
        Error::Unresolved { problems } => match problems.into_iter().next() {
            Some(problem) => Error::Password {
                host: spec.host.to_string(),
                secret: Some(format!("{} ({})", problem.name, problem.reference)),
                trouble: problem.trouble,
                look: problem.look,
            },
            None => Error::Unresolved { problems: vec![] },
        },
        other => other,
    }
}

/// Ends this process, and with it `op` and its prompt, once the client has closed our stdout.
/// Started only before `op` is; the thread ends with the process.
fn give_up_with_the_client() {
    let _ = std::thread::Builder::new().spawn(|| {
        let stdout = std::io::stdout();
        loop {
            // No events are requested, so this returns only when the reader is gone.
            match poll(
                &mut [PollFd::new(stdout.as_fd(), PollFlags::empty())],
                PollTimeout::NONE,
            ) {
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
        let _ = kill(Pid::this(), Signal::SIGTERM);
    });
}
