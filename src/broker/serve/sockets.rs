//! Who listens where, from one manifest to the next.
//!
//! New sockets are made beside the old ones and take their places when all of them are there, so
//! that a manifest which cannot be served takes nothing away. A socket that fits stays as it is,
//! with those who wait at it.

use std::collections::BTreeMap;
use std::os::unix::net;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::listen::{self, Bound, CONTROL, Folder};
use super::state::State;
use super::{connection, control};
use crate::base::environment::ours;
use crate::base::error::{Error, Result};
use crate::broker::manifest::Manifest;

/// The sockets that are listened on.
pub(super) struct Sockets {
    /// Ours, unless systemd made them.
    folder: Option<PathBuf>,
    held: Option<Folder>,
    inherited: Vec<(String, net::UnixListener)>,
    open: BTreeMap<String, Open>,
}

/// One of them.
struct Open {
    /// Its place, where we made it.
    bound: Option<Bound>,
    uid: u32,
    accepting: AbortHandle,
}

impl Open {
    fn fits(&self, uid: u32) -> bool {
        self.uid == uid && self.bound.as_ref().is_some_and(Bound::is_there)
    }
}

/// What a manifest needs and is not there yet.
pub(super) struct Prepared {
    folder: Option<Folder>,
    stay: Vec<String>,
    new: Vec<New>,
}

struct New {
    name: String,
    uid: u32,
    bound: Option<Bound>,
    listener: UnixListener,
}

impl Sockets {
    pub(super) fn new(directory: Option<PathBuf>) -> Result<Self> {
        let inherited = listen::inherited(&ours)?;
        let folder = match inherited {
            Some(_) => None,
            None => Some(listen::folder(directory.as_deref(), &ours)?),
        };
        Ok(Self {
            folder,
            held: None,
            inherited: inherited.unwrap_or_default(),
            open: BTreeMap::new(),
        })
    }

    /// Makes what `manifest` needs, out of everybody's sight.
    pub(super) fn prepare(&mut self, manifest: &Manifest) -> Result<Prepared> {
        let mut prepared = Prepared {
            folder: None,
            stay: vec![],
            new: vec![],
        };
        let Some(path) = self.folder.clone() else {
            self.take_over(&mut prepared)?;
            return Ok(prepared);
        };
        let us = geteuid().as_raw();
        let clients = manifest.clients.iter();
        let clients = clients.map(|spec| (spec.name.as_str(), spec.uid.unwrap_or(us)));
        let folder = match self.held.take().filter(Folder::is_there) {
            Some(folder) => self.held.insert(folder),
            None => prepared.folder.insert(Folder::open(path)?),
        };
        for (name, uid) in clients.chain([(CONTROL, us)]) {
            if self.open.get(name).is_some_and(|open| open.fits(uid)) {
                prepared.stay.push(name.to_owned());
                continue;
            }
            let (bound, listener) = match name {
                CONTROL => folder.control()?,
                _ => folder.client(name, uid)?,
            };
            prepared.new.push(New {
                name: name.to_owned(),
                uid,
                bound: Some(bound),
                listener: UnixListener::from_std(listener).map_err(cannot_listen)?,
            });
        }
        Ok(prepared)
    }

    /// What systemd has made, at the first time; it stays whatever the manifest says.
    fn take_over(&self, prepared: &mut Prepared) -> Result<()> {
        for (name, listener) in &self.inherited {
            if self.open.contains_key(name) {
                prepared.stay.push(name.clone());
                continue;
            }
            let again = listener.try_clone().map_err(cannot_listen)?;
            prepared.new.push(New {
                name: name.clone(),
                uid: 0,
                bound: None,
                listener: UnixListener::from_std(again).map_err(cannot_listen)?,
            });
        }
        Ok(())
    }

    /// Replaces the sockets that no longer fit with the prepared ones. The old ones accept no new
    /// connections; open ones are still answered.
    pub(super) fn adopt(&mut self, prepared: Prepared, state: &Rc<State>) -> Result<()> {
        let mut new = prepared.new;
        for one in &mut new {
            if let Some(bound) = &mut one.bound {
                bound.place()?;
            }
        }
        self.held = prepared.folder.or(self.held.take());
        self.open.retain(|name, open| {
            let stays = prepared.stay.contains(name);
            if !stays {
                open.accepting.abort();
            }
            stays
        });
        for one in new {
            let accepting = accept(Rc::clone(state), one.name.clone(), one.listener);
            let open = Open {
                bound: one.bound,
                uid: one.uid,
                accepting: tokio::task::spawn_local(accepting).abort_handle(),
            };
            self.open.insert(one.name, open);
        }
        Ok(())
    }

    /// Says where systemd's sockets and the manifest differ.
    pub(super) fn compare(&self, state: &State) {
        if self.folder.is_some() {
            return;
        }
        for (name, _) in &self.inherited {
            if name != CONTROL && state.client(name).is_none() {
                state.log.warn(&format!(
                    "systemd has a socket for {name:?}, which is no client in the manifest"
                ));
            }
        }
        for name in state.clients.borrow().keys() {
            if !self.open.contains_key(name) {
                state.log.warn(&format!("client {name} has no socket: systemctl enable --now oc-secrets-client@{name}.socket"));
            }
        }
    }

    /// Accepts no new connections; open ones are still answered.
    pub(super) fn close(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            open.accepting.abort();
        }
    }
}

fn cannot_listen(why: std::io::Error) -> Error {
    Error::system("listen on a socket", why)
}

/// Lets in whoever comes, as long as there is room; the others wait outside, where they cost
/// nothing.
async fn accept(state: Rc<State>, name: String, listener: UnixListener) {
    let for_control = Arc::new(Semaphore::new(4));
    loop {
        let slots = state.client(&name).map(|client| Arc::clone(&client.slots));
        let room = slots.unwrap_or_else(|| Arc::clone(&for_control));
        let Ok(permit) = room.acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                state.log.warn(&format!("cannot let anybody in: {why}"));
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let serving = State::serving(&state);
        let (state, name) = (Rc::clone(&state), name.clone());
        tokio::task::spawn_local(async move {
            // Dropped last, after a panic too.
            let _held = (serving, permit);
            match state.client(&name) {
                Some(client) => connection::serve(state, client, stream).await,
                None if name == CONTROL => control::serve(state, stream).await,
                None => {}
            }
        });
    }
}
