//! An engine's volumes, and the way into them.
//!
//! An engine reads and writes the files of a container that was never started, volumes included,
//! as a tar stream. So a helper is made from an image that is there anyway, with the volumes
//! mounted; it needs no shell and is never run. A copy goes from one helper to another through
//! our memory, as fast as the slower side takes it, and never to a file of ours.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::base::encode;
use crate::deploy::docker::pull_error::{PullError, classify};
use crate::deploy::docker::{Body, Engine, PATIENCE, whole};
use crate::deploy::error::{Cause, Failure, Result};

/// How often the progress of a copy is looked at.
const TICK: Duration = Duration::from_millis(250);

/// A volume in a helper: its name and where it is mounted.
pub(crate) type VolumeMount<'a> = (String, &'a str);

impl Engine {
    /// Makes a volume.
    pub(crate) async fn make_volume(&self, name: &str, label: (&str, &str)) -> Result<()> {
        let body = json!({"Name": name, "Labels": {label.0: label.1}});
        let reply = self.call(Method::POST, "/volumes/create", Some(&body), None);
        reply.await?.good("create the volume").map(drop)
    }

    /// Whether there is a volume of this name.
    pub(crate) async fn has_volume(&self, name: &str) -> Result<bool> {
        let path = format!("/volumes/{name}");
        let reply = self.call(Method::GET, &path, None, None).await?;
        match reply.status {
            404 => Ok(false),
            _ => reply.good("inspect the volume").map(|_| true),
        }
    }

    /// The names of all volumes with this label.
    pub(crate) async fn volumes_of(&self, label: (&str, &str)) -> Result<Vec<String>> {
        let filter = json!({"label": [format!("{}={}", label.0, label.1)]}).to_string();
        let path = format!("/volumes?filters={}", encode::query(&filter));
        let list = self.call(Method::GET, &path, None, None).await?;
        let list = list.good("list volumes")?;
        Ok(names(&list["Volumes"], "Name"))
    }

    /// Removes a volume. One that a container still has stays, and is no failure.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<()> {
        let path = format!("/volumes/{name}");
        let reply = self.call(Method::DELETE, &path, None, None).await?;
        match reply.status {
            404 | 409 => Ok(()),
            _ => reply.good("remove the volume").map(drop),
        }
    }

    /// Makes a container that is never started, with these volumes. Returns its id.
    pub(crate) async fn make_helper(
        &self,
        image: &str,
        label: &str,
        mounts: &[VolumeMount<'_>],
    ) -> Result<String> {
        let mounts: Vec<Value> = mounts
            .iter()
            .map(|(volume, inside)| {
                json!({"Type": "volume", "Source": volume, "Target": inside, "VolumeOptions": {"NoCopy": true}})
            })
            .collect();
        let body = json!({
            "Image": image, "Cmd": ["never-started"], "Labels": {label: ""},
            "HostConfig": {"Mounts": mounts, "NetworkMode": "none"},
        });
        let reply = self.call(Method::POST, "/containers/create", Some(&body), None);
        let made = reply.await?.good("create a container for the copy")?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Removes all containers with this label.
    pub(crate) async fn remove_helpers(&self, label: &str) -> Result<()> {
        let filter = json!({"label": [label]}).to_string();
        let path = format!("/containers/json?all=1&filters={}", encode::query(&filter));
        let list = self.call(Method::GET, &path, None, None).await?;
        for id in names(&list.good("list containers")?, "Id") {
            let path = format!("/containers/{id}?force=1&v=1");
            let reply = self.call(Method::DELETE, &path, None, None).await?;
            if reply.status != 404 {
                reply.good("remove the container of the copy")?;
            }
        }
        Ok(())
    }

    /// Whether there is a file at `path` in container `id`.
    pub(crate) async fn has_file(&self, id: &str, path: &str) -> Result<bool> {
        let path = archive(id, path);
        let reply = self.call(Method::HEAD, &path, None, None).await?;
        match reply.status {
            404 => Ok(false),
            _ => reply.good("look for a file in the container").map(|_| true),
        }
    }

    /// Unpacks `tar` in the directory `into` of container `id`.
    pub(crate) async fn put(&self, id: &str, into: &str, tar: Vec<u8>) -> Result<()> {
        self.unpack(id, into, whole(tar)).await
    }

    /// Copies `path` of container `from` into the directory `into` of container `to`; `each` is
    /// told the bytes so far. Returns them all.
    pub(crate) async fn copy(
        &self,
        (from, path): (&str, &str),
        (to, into): (&str, &str),
        each: impl FnMut(u64),
    ) -> Result<u64> {
        let request = Request::get(format!("{}{}", self.prefix, archive(from, path)))
            .header("host", "docker")
            .body(whole(Bytes::new()));
        let (connection, response) = self.exchange(request).await?;
        if !response.status().is_success() {
            let reply = self.read(connection, response).await?;
            return reply.good(&format!("read {path}")).map(|_| 0);
        }
        let seen = Arc::new(Mutex::new(TarStream::default()));
        let look = || *seen.lock().unwrap_or_else(PoisonError::into_inner);
        let note = Arc::clone(&seen);
        let body = response.into_body().map_frame(move |frame| {
            if let (Some(data), Ok(mut seen)) = (frame.data_ref(), note.lock()) {
                seen.take(data);
            }
            frame
        });
        let work = self.unpack(to, into, body.boxed_unsync());
        until_stalled(work, || look().bytes, each).await?;
        // An engine that fails while it reads ends its stream as if it were complete.
        let seen = look();
        if seen.is_whole() {
            return Ok(seen.bytes);
        }
        Err(
            Failure::new(format!("the engine did not read all of {path}"))
                .hint("see what the engine says: journalctl -u docker -n 50, on its machine")
                .cause(Cause::Snapshot),
        )
    }

    async fn unpack(&self, id: &str, into: &str, tar: Body) -> Result<()> {
        let request = Request::put(format!("{}{}", self.prefix, archive(id, into)))
            .header("host", "docker")
            .header("content-type", "application/x-tar")
            .body(tar);
        let (connection, response) = self.exchange(request).await?;
        let reply = self.read(connection, response).await?;
        if !reply.ok() && classify(reply.status, &reply.message(), false) == PullError::Disk {
            return Err(Failure::new(format!(
                "no space left on the engine's disk: {}",
                reply.message()
            ))
            .hint("free some space there: docker system df")
            .cause(Cause::Disk));
        }
        reply.good("write into the volume").map(drop)
    }
}

fn archive(id: &str, path: &str) -> String {
    format!("/containers/{id}/archive?path={}", encode::query(path))
}

/// Waits for a copy; `each` is told the bytes so far. Gives up when none come for too long.
async fn until_stalled(
    work: impl Future<Output = Result<()>>,
    so_far: impl Fn() -> u64,
    mut each: impl FnMut(u64),
) -> Result<()> {
    tokio::pin!(work);
    let mut last = (0, Instant::now());
    loop {
        if let Ok(end) = tokio::time::timeout(TICK, &mut work).await {
            return end;
        }
        let bytes = so_far();
        each(bytes);
        if bytes > last.0 {
            last = (bytes, Instant::now());
        } else if last.1.elapsed() > PATIENCE {
            return Err(stalled(bytes));
        }
    }
}

fn stalled(bytes: u64) -> Failure {
    Failure::new(format!(
        "the copy stalled for {} s after {bytes} bytes",
        PATIENCE.as_secs()
    ))
    .hint("look at the way to the engine and at its disk, then run the same command again")
    .cause(Cause::Snapshot)
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| item[key].as_str().map(str::to_owned))
        .collect()
}

/// What has passed of a tar stream.
#[derive(Clone, Copy, Debug, Default)]
struct TarStream {
    bytes: u64,
    zeros: u64,
}

impl TarStream {
    fn take(&mut self, data: &[u8]) {
        let zeros = data.iter().rev().take_while(|byte| **byte == 0).count() as u64;
        let all = data.len() as u64;
        self.zeros = if zeros == all {
            self.zeros + all
        } else {
            zeros
        };
        self.bytes += all;
    }

    /// A tar ends with two blocks of zeros; one that was cut does not.
    fn is_whole(self) -> bool {
        self.bytes.is_multiple_of(512) && self.zeros >= 1024
    }
}

/// A tar of directories (`name/`) and small files that belong to `owner`.
pub(crate) fn tar(owner: (u32, u32), entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, mode, content) in entries {
        let mut block = [0_u8; 512];
        let kind = if name.ends_with('/') { b'5' } else { b'0' };
        for (at, text) in [
            (0, (*name).to_owned()),
            (100, format!("{mode:07o}")),
            (108, format!("{:07o}", owner.0)),
            (116, format!("{:07o}", owner.1)),
            (124, format!("{:011o}", content.len())),
            (136, format!("{:011o}", crate::base::units::now())),
            (148, " ".repeat(8)),
            (257, "ustar\u{0}00".to_owned()),
        ] {
            block[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\u{0} ").as_bytes());
        tar.extend_from_slice(&block);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_cut_is_not_whole() {
        let tar = tar((1000, 1000), &[("a/", 0o700, b""), ("a/b", 0o600, b"text")]);
        let seen = |parts: &[&[u8]]| {
            let mut seen = TarStream::default();
            parts.iter().for_each(|part| seen.take(part));
            seen.is_whole()
        };
        assert!(seen(&[&tar]));
        assert!(seen(&[&tar[..700], &tar[700..1600], &tar[1600..]]));
        for end in [512, 1024, 1536, 2048, tar.len() - 1] {
            assert!(!seen(&[&tar[..end]]), "cut at {end}");
        }
    }

    #[test]
    fn a_tar_is_what_tar_reads() {
        use std::io::Write;
        let list = std::process::Command::new("tar")
            .args(["-tv", "--numeric-owner"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut list = list.expect("tar is here");
        let tar = tar((1000, 7), &[("a/", 0o700, b""), ("a/b", 0o640, b"text")]);
        let mut pipe = list.stdin.take().expect("a pipe");
        pipe.write_all(&tar).expect("it reads");
        drop(pipe);
        let output = list.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("drwx------ 1000/7"), "{text}");
        assert!(
            lines[1].starts_with("-rw-r----- 1000/7") && lines[1].contains(" 4 "),
            "{text}"
        );
    }
}
