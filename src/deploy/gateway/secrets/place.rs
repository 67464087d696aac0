//! What the gateway is called as a client of the broker, and where it meets it.

/// The client that the gateway is in the broker's manifest.
pub(super) const CLIENT: &str = "gateway";
/// Its folder on the host.
pub(crate) const FOLDER: &str = "/run/oc-secrets/clients/gateway";
/// The folder in the container.
pub(crate) const MOUNTED: &str = "/run/oc-secrets";
/// The socket in it, in the container.
pub(crate) const SOCKET: &str = "/run/oc-secrets/socket";
