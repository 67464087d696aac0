//! What there is of the gateway now.

use crate::deploy::docker::containers::Container;
use crate::deploy::gateway::container;
use crate::deploy::gateway::records::Records;
use crate::deploy::image::fallback::Running;

/// What is there now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Our gateway's container.
    pub container: Option<Container>,
    /// Whether it answers.
    pub healthy: bool,
    /// Whether somebody changed by hand how it is run.
    pub altered: bool,
}

impl Observed {
    /// Whether our own container holds the port.
    pub(crate) fn holds_port(&self, port: u16) -> bool {
        self.container.as_ref().is_some_and(|container| {
            let holds = container.running || container.is_paused();
            holds
                && container::published(container)
                    .iter()
                    .any(|(_, at)| *at == port)
        })
    }

    /// What the fallbacks for an image depend on.
    pub(crate) fn running(&self, records: &Records) -> Option<Running> {
        let container = self.container.as_ref()?;
        let release = records
            .current()
            .filter(|release| release.image == container.image);
        Some(Running {
            requested: release.map(|it| it.requested.clone()).unwrap_or_default(),
            pinned: release.map(|it| it.pinned.clone()).unwrap_or_default(),
            source: release.map(|it| it.source),
            version: release.map(|it| it.version.clone()).unwrap_or_default(),
            healthy: self.healthy,
        })
    }
}
