//! The names under which the gateway is known to the engine, to Compose and to Swarm.

/// The Compose project, and the Swarm stack.
pub(crate) const PROJECT: &str = "openclaw";
/// The gateway's service in the Compose project.
pub(crate) const COMPOSE_SERVICE: &str = "openclaw-gateway";
/// The gateway's service in Swarm.
pub(crate) const SWARM_SERVICE: &str = "openclaw_gateway";
/// Where the engine has the network that Compose makes for the project.
pub(crate) const COMPOSE_NETWORK: &str = "/networks/openclaw_default";
/// The gateway's port inside its container.
pub(crate) const INSIDE: u16 = 18789;
/// How long, in seconds, a gateway may take to end.
pub(crate) const GRACE: u32 = 30;

/// The label with the port on which a service was told to listen.
pub(crate) const PORT: &str = "openclaw-deploy.port";
/// The label with the fingerprint of what a container was made from.
pub(crate) const RENDER: &str = "openclaw-deploy.render";
/// The label that names the volumes of a container's state.
pub(crate) const STATE: &str = "openclaw-deploy.state";
/// The label that says where the image came from.
pub(crate) const SOURCE: &str = "openclaw-deploy.source";
