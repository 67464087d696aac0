//! The pull itself: through the engine, with progress, bounded retries and our own deadline.
//!
//! HTTP 200 is not success: the stream can end in an `errorDetail`. Only an image that the
//! engine then shows under its digest, for this machine's platform, counts.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::resolve::{ResolvedImage, readable, refused};
use super::retry::{retry, too_slow};
use super::{Attempt, PullFailure};
use crate::base::units::size;
use crate::deploy::context::Context;
use crate::deploy::docker::Engine;
use crate::deploy::docker::auth::Auth;
use crate::deploy::docker::images::Image;
use crate::deploy::docker::pull_error::{PullError, classify};
use crate::deploy::error::Result;
use crate::deploy::host::disk::free;
use crate::deploy::host::load::Load;
use crate::deploy::image_reference::ImageRef;
use crate::deploy::step::Reach;

/// An image that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct PulledImage {
    /// The image.
    pub image: Image,
    /// What came over the wire.
    pub bytes: u64,
    /// How long it took, all tries together.
    pub seconds: f64,
    /// How many tries.
    pub tries: u32,
    /// CPU and memory that the machine used meanwhile; nothing of an engine that is elsewhere.
    pub load: Value,
}

/// Pulls `image` (by digest), trying again as its [`PullError`] allows. The time that it took to resolve
/// it counts.
pub(crate) async fn pull(
    cx: &Context,
    engine: &Engine,
    image: &ImageRef,
    resolved: &ResolvedImage,
) -> Result<Attempt<PulledImage>> {
    let auth = resolved.auth.as_ref();
    let start = Instant::now();
    let deadline = start + cx.settings.pull_timeout.saturating_sub(resolved.asked);
    let load = load(cx);
    let pulled = retry(cx, deadline, async |left| {
        let mut meter = Meter::default();
        let work = once(cx, engine, image, auth, &mut meter);
        Ok(match tokio::time::timeout(left, work).await {
            Ok(image) => image?.map(|image| (image, meter.bytes())),
            Err(_) => Err(too_slow(cx)),
        })
    });
    let pulled = pulled.await;
    let mut used = json!({});
    if let Some(load) = load {
        load.end(&mut used);
    }
    Ok(pulled?.map(|((image, bytes), tries)| PulledImage {
        image,
        bytes,
        seconds: start.elapsed().as_secs_f64(),
        tries,
        load: used,
    }))
}

/// The load of the engine's machine. Another's cannot be seen from here, and ours says nothing of the pull then.
fn load(cx: &Context) -> Option<Load> {
    Reach::ThisHost.applies(&cx.settings).then(Load::begin)
}

async fn once(
    cx: &Context,
    engine: &Engine,
    image: &ImageRef,
    auth: Option<&Auth>,
    meter: &mut Meter,
) -> Result<Attempt<Image>> {
    let mut said = None;
    let reply = engine.pull(image, auth, |line| {
        if let Some(text) = line["errorDetail"]["message"]
            .as_str()
            .or(line["error"].as_str())
        {
            said = Some(text.to_owned());
        }
        meter.take(line);
        cx.reporter.progress(|| meter.line());
    });
    let reply = reply.await?;
    if reply.status != 200 {
        return Ok(Err(refused(cx, &reply, auth.is_some())));
    }
    if let Some(text) = said {
        let error = classify(200, &text, auth.is_some());
        let mut text = readable(cx, error, &text);
        if error == PullError::Disk {
            text.push_str(&space(engine, meter));
        }
        return Ok(Err(PullFailure { error, text }));
    }
    arrived(engine, image).await
}

/// The image that was pulled, if it is there and can run here.
async fn arrived(engine: &Engine, image: &ImageRef) -> Result<Attempt<Image>> {
    let fail = |error, text| Ok(Err(PullFailure { error, text }));
    let Some(arrived) = engine.image(&image.to_string()).await? else {
        let text = "the pull ended without an error, but the image was not found".to_owned();
        return fail(PullError::Integrity, text);
    };
    if arrived.platform != engine.platform {
        let text = format!(
            "{image} is for {}, this machine is {}",
            arrived.platform, engine.platform
        );
        return fail(PullError::Platform, text);
    }
    Ok(Ok(arrived))
}

/// How much space a pull needed and has. The engine has removed by then what had arrived.
fn space(engine: &Engine, meter: &Meter) -> String {
    let need = format!(
        "; its layers are {} packed and grow when unpacked",
        size(meter.total())
    );
    match engine.data_root.as_deref().map(|root| (free(root), root)) {
        Some((Ok(free), root)) => format!("{need}, {} free at {}", size(free), root.display()),
        Some((Err(_), _)) | None => need,
    }
}

/// Bytes of every layer.
#[derive(Debug, Default)]
struct Meter {
    layers: BTreeMap<String, (u64, u64)>,
    unpacking: bool,
}

impl Meter {
    fn take(&mut self, line: &Value) {
        let (Some(id), Some(status)) = (line["id"].as_str(), line["status"].as_str()) else {
            return;
        };
        let detail = &line["progressDetail"];
        match status {
            "Downloading" => {
                let layer = self.layers.entry(id.to_owned()).or_default();
                layer.0 = layer.0.max(detail["current"].as_u64().unwrap_or(0));
                layer.1 = layer.1.max(detail["total"].as_u64().unwrap_or(0));
            }
            "Download complete" => {
                let layer = self.layers.entry(id.to_owned()).or_default();
                layer.0 = layer.0.max(layer.1);
            }
            "Extracting" => self.unpacking = true,
            _ => {}
        }
    }

    fn bytes(&self) -> u64 {
        self.layers.values().map(|(now, _)| now).sum()
    }

    fn total(&self) -> u64 {
        self.layers.values().map(|(_, all)| all).sum()
    }

    fn line(&self) -> String {
        let total = self.total();
        let now = self.bytes();
        if total == 0 {
            return "pulling …".to_owned();
        }
        let share = (now * 20 / total.max(1)).min(20) as usize;
        let verb = if self.unpacking && now >= total {
            "unpacking"
        } else {
            "pulling"
        };
        format!(
            "{verb} [{}{}] {} of {}",
            "=".repeat(share),
            " ".repeat(20 - share),
            size(now),
            size(total)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::settings::EngineAddress;
    use serde_json::json;

    #[test]
    fn the_load_of_this_machine_is_none_of_a_remote_engine() {
        let root = tempfile::tempdir().expect("a directory");
        let mut cx = Context::below(root.path());
        cx.settings.engine = EngineAddress::Client(vec!["--host=ssh://there".to_owned()]);
        assert!(load(&cx).is_none());
        cx.settings.engine = EngineAddress::Socket(root.path().join("socket"));
        assert!(load(&cx).is_some(), "the control");
    }

    #[test]
    fn progress_counts_the_bytes_of_all_layers() {
        let mut meter = Meter::default();
        let line = |id, status, now: u64, all: u64| json!({"id": id, "status": status, "progressDetail": {"current": now, "total": all}});
        meter.take(&line("a", "Downloading", 1_000_000, 4_000_000));
        meter.take(&line("b", "Downloading", 3_000_000, 4_000_000));
        assert_eq!(
            meter.line(),
            "pulling [==========          ] 4.0 MB of 8.0 MB"
        );
        meter.take(&line("a", "Download complete", 0, 0));
        meter.take(&line("b", "Download complete", 0, 0));
        meter.take(&line("a", "Extracting", 1, 4_000_000));
        assert_eq!(meter.bytes(), 8_000_000);
        assert!(meter.line().starts_with("unpacking [===="));
    }
}
