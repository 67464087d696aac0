//! systemd is told how far we are, where it asks for that. Source: sd_notify(3).

use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

use crate::base::environment::Lookup;

/// Sends `state`, such as `READY=1`. Nobody to tell is no failure.
pub(super) fn notify(lookup: Lookup<'_>, state: &str) {
    let Some(address) = lookup("NOTIFY_SOCKET") else {
        return;
    };
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    let _ = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => send_abstract(&socket, name, state),
        None => socket.send_to(state.as_bytes(), &address),
    };
}

#[cfg(target_os = "linux")]
fn send_abstract(socket: &UnixDatagram, name: &[u8], state: &str) -> std::io::Result<usize> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    socket.send_to_addr(state.as_bytes(), &address)
}

#[cfg(not(target_os = "linux"))]
fn send_abstract(_: &UnixDatagram, _: &[u8], _: &str) -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}
