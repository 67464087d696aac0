//! What a gateway is made from, beside its image: decided once, kept with its release, and rendered
//! when it is used, for Compose or for Swarm.

use serde::{Deserialize, Serialize};

/// What a gateway is made from, beside its image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The image's own command.
    pub command: Vec<String>,
    /// The port on loopback at which the gateway is reached.
    pub port: u16,
    /// Whether the image has a health check of its own.
    pub health_check: bool,
    /// Its directories, as the engine sees them; none where the state is in volumes.
    pub mounts: Vec<Mount>,
}

/// A directory that the gateway is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// On the host.
    pub source: String,
    /// In the container.
    pub target: String,
}

impl Spec {
    /// The image's own command, told to listen where it can be reached: on `lan` behind a published
    /// port, which does not reach the loopback inside of a container; on `loopback` in the host's
    /// network.
    pub(crate) fn command(&self, bind: &str, port: u16) -> Vec<String> {
        let mut command = self.command.clone();
        let has = |word: &str| command.iter().any(|it| it == word);
        if has("gateway") && !has("--bind") {
            command.extend(listen(bind, port));
        }
        command
    }

    /// The words before `gateway`, which are OpenClaw's command line.
    pub(crate) fn openclaw(&self) -> Option<&[String]> {
        let gateway = self.command.iter().position(|it| it == "gateway")?;
        (gateway > 0).then(|| &self.command[..gateway])
    }
}

/// The arguments that [`Spec::command`] adds.
pub(super) fn listen(bind: &str, port: u16) -> [String; 4] {
    ["--bind", bind, "--port", &port.to_string()].map(str::to_owned)
}
