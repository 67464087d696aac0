//! What we remember between runs: releases, images known to be bad, and a change in flight.
//!
//! One small file, `/var/lib/openclaw-deploy/records.json`, 0600, replaced atomically. A change
//! in flight is written down before the gateway is stopped, so that a run that was killed can
//! be finished or taken back by the next.

use serde::{Deserialize, Serialize};

use crate::deploy::error::{Failure, Result};
use crate::deploy::gateway::old_records;
use crate::deploy::gateway::spec::Spec;
use crate::deploy::host::{Access, Host};
use crate::deploy::image::ImageSource;
use crate::deploy::image::fallback::Acquired;
use crate::deploy::settings::{Deliver, RuntimeKind, Settings};

/// Root only: the fingerprint of `.env` is in it.
const ACCESS: Access = Access {
    mode: 0o600,
    owner: None,
};

/// How many releases are remembered at the most: the file of records is read whole.
const MOST: usize = 100;

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Records {
    /// Releases that answered, the newest last.
    pub releases: Vec<Release>,
    /// Ids of images that did not become healthy, and their names by digest.
    pub bad: Vec<String>,
    /// The same of images that a person has gone back from.
    pub left: Vec<String>,
    /// These are from a backup, and nothing was started since.
    pub restored: bool,
    /// Images that were not here before us, the newest last: ours to remove.
    pub brought: Vec<Brought>,
    /// A change that has begun and not ended.
    pub pending: Option<Pending>,
    /// States that a rollback took away, until the user lets them go: neither their snapshots nor the
    /// releases that wrote them are pruned.
    pub held: Vec<Held>,
    /// The mark of our volumes on a remote engine: another operator's records have another.
    pub mark: String,
}

/// An image that we pulled or built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Brought {
    /// `name@sha256:…` or an image id.
    pub pinned: String,
    /// The engine's id of the image.
    #[serde(default)]
    pub image: String,
    /// Where it came from.
    pub source: ImageSource,
}

/// A state that a rollback took away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The snapshot that has it.
    pub snapshot: String,
    /// The release that wrote it.
    pub release: u64,
}

/// A version that ran, and all that is needed to run it again without a registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Release {
    /// 1, 2, 3 …
    pub id: u64,
    /// The reference that was asked for.
    pub requested: String,
    /// `name@sha256:…` or an image id.
    pub pinned: String,
    /// The engine's id of the image.
    pub image: String,
    /// Where it came from.
    pub source: ImageSource,
    /// Its version label, or "".
    pub version: String,
    /// Its revision label, or "".
    pub revision: String,
    /// How it ran.
    #[serde(default, alias = "shape")]
    pub runtime: RuntimeKind,
    /// What it was made from, beside the image.
    #[serde(alias = "compose", deserialize_with = "old_records::spec")]
    pub spec: Spec,
    /// The names of the secrets of the swarm that it was given.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How it got its keys; not known of what earlier versions started.
    #[serde(default)]
    pub deliver: Option<Deliver>,
    /// Names that `.env` had and that it was not given from there: it asks the broker for them.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The fingerprint of `.env` as it was started with.
    pub env: String,
    /// Seconds since 1970.
    pub since: u64,
    /// From start to answer.
    pub seconds: f64,
    /// The state before it started: the way back from it.
    pub snapshot: Option<String>,
    /// The name of its own volumes on a remote engine; none where the state is in directories.
    #[serde(default, deserialize_with = "old_records::name")]
    pub state: Option<String>,
}

/// A change in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// What is being started.
    pub release: Release,
    /// The release that ran before, if any.
    pub from: Option<u64>,
    /// The snapshot of its state, once it is complete.
    pub snapshot: Option<String>,
    /// The snapshot that a rollback brings back.
    #[serde(default)]
    pub brings_back: Option<String>,
    /// The release that a rollback goes back to.
    #[serde(default)]
    pub goes_back_to: Option<u64>,
    /// It did not answer in its time, and what was before it is on its way back.
    #[serde(default)]
    pub given_up: bool,
    /// When the container that was there before had started, as the engine writes it.
    #[serde(default)]
    pub started_before: Option<String>,
}

impl Release {
    /// How it gets its keys.
    pub(crate) fn delivers(&self) -> Deliver {
        self.deliver.unwrap_or(match self.runtime {
            RuntimeKind::Compose => Deliver::Env,
            RuntimeKind::Swarm => Deliver::Swarm,
        })
    }
}

impl Records {
    /// Reads them.
    pub(crate) fn load(host: &Host, settings: &Settings) -> Result<Self> {
        let path = settings.records().join("records.json");
        let text = host.read(&path)?;
        let mut records: Self =
            serde_json::from_str(text.as_deref().unwrap_or("{}")).map_err(|why| {
                Failure::new(format!(
                    "{} is damaged (line {})",
                    path.display(),
                    why.line()
                ))
                .hint(format!(
                    "repair it; or begin anew, without the way back: mv {0} {0}.damaged",
                    path.display()
                ))
            })?;
        records.recall_brought();
        if records.mark.is_empty() {
            records.mark = super::env::random_hex()?;
            records.mark.truncate(16);
        }
        Ok(records)
    }

    /// Writes them.
    pub(crate) fn save(&self, host: &Host, settings: &Settings) -> Result<()> {
        let path = settings.records().join("records.json");
        let text = serde_json::to_string_pretty(self)
            .map_err(|why| Failure::system("write the records as JSON", why))?;
        host.write(path, text.as_bytes(), ACCESS).map(drop)
    }

    /// The release that should be running.
    pub(crate) fn current(&self) -> Option<&Release> {
        self.releases.last()
    }

    /// The reference that the current release was asked for as; none for a gateway that others started.
    pub(crate) fn asked_for(&self) -> Option<&str> {
        let current = self.current()?;
        let is_adopted = current.source == ImageSource::Local && current.pinned == current.image;
        (!is_adopted).then_some(current.requested.as_str())
    }

    /// The release with this id.
    pub(crate) fn release(&self, id: u64) -> Option<&Release> {
        self.releases.iter().find(|release| release.id == id)
    }

    /// The id for the next release.
    pub(crate) fn next_id(&self) -> u64 {
        self.releases
            .iter()
            .map(|release| release.id)
            .max()
            .unwrap_or(0)
            + 1
    }

    /// A release that answered becomes the current one; it is neither bad nor left any more.
    pub(crate) fn commit(&mut self, release: Release) {
        self.pending = None;
        self.restored = false;
        for images in [&mut self.bad, &mut self.left] {
            images.retain(|it| *it != release.image && *it != release.pinned);
        }
        self.releases.push(release);
    }

    /// Remembers the current image as left, where `target` is of a time before it: who goes back must not be taken
    /// forward again by a run that names no image.
    pub(crate) fn leave(&mut self, target: &Release) {
        let Some(current) = self.current() else {
            return;
        };
        let mut of_image = self.releases.iter().filter(|it| it.image == current.image);
        if of_image.all(|it| it.id > target.id) {
            let names = [current.image.clone(), current.pinned.clone()];
            names.iter().for_each(|it| remember(&mut self.left, it));
        }
    }

    /// The snapshot of what a rollback took away from this release.
    pub(crate) fn held_of(&self, release: u64) -> Option<&str> {
        let held = self.held.iter().rev();
        let mut such = held.filter(|it| it.release == release);
        such.next().map(|it| it.snapshot.as_str())
    }

    /// Lets go of the state in this snapshot.
    pub(crate) fn let_go(&mut self, snapshot: &str) -> bool {
        let before = self.held.len();
        self.held.retain(|it| it.snapshot != snapshot);
        self.held.len() < before
    }

    /// Holds the state that `release` takes the place of, until the user lets it go, where `state` comes back with it;
    /// that one needs it no more.
    pub(crate) fn hold(&mut self, release: &Release, state: Option<&str>) {
        let Some(state) = state else { return };
        self.let_go(state);
        let from = self.current().map(|it| it.id);
        if let (Some(release), Some(snapshot)) = (from, release.snapshot.clone()) {
            self.held.push(Held { snapshot, release });
        }
    }

    /// Remembers an image as bad.
    pub(crate) fn mark_bad(&mut self, image: &str) {
        remember(&mut self.bad, image);
    }

    /// Remembers an image as ours to remove.
    pub(crate) fn remember_brought(&mut self, got: &Acquired) {
        self.brought.retain(|it| it.pinned != got.pinned);
        self.brought.push(Brought {
            pinned: got.pinned.clone(),
            image: got.image.id.clone(),
            source: got.source,
        });
    }

    /// What older records tell of images that were brought: those of releases that say so.
    fn recall_brought(&mut self) {
        let brought =
            |it: &&Release| matches!(it.source, ImageSource::Pulled | ImageSource::LocalBuild);
        for release in self.releases.iter().filter(brought) {
            if !self.brought.iter().any(|it| it.pinned == release.pinned) {
                self.brought.push(Brought {
                    pinned: release.pinned.clone(),
                    image: release.image.clone(),
                    source: release.source,
                });
            }
        }
    }

    /// Images that we pulled or built, and of which neither a release is made nor `last`.
    pub(crate) fn unneeded(&self, last: Option<&Release>) -> Vec<String> {
        // By its id: a gateway that was adopted is remembered by that alone.
        let is_needed = |it: &&Brought| {
            let mut releases = self.releases.iter().chain(last);
            releases.any(|release| release.pinned == it.pinned || release.image == it.image)
        };
        let unneeded = self.brought.iter().filter(|it| !is_needed(it));
        unneeded.map(|it| it.pinned.clone()).collect()
    }

    /// Forgets all but `keep` snapshots, and returns those. The first to stay are the ways back
    /// to another image: a release of the same image (its `.env` or a secret changed) must not
    /// push them out.
    pub(crate) fn keep_snapshots(&mut self, keep: usize) -> Vec<String> {
        let mut seen: Vec<&str> = Vec::new();
        let (mut ways, mut others) = (Vec::new(), Vec::new());
        let mut after: Option<&Release> = None;
        for release in self.releases.iter().rev() {
            let last_of_its_image = !seen.contains(&release.image.as_str());
            seen.push(&release.image);
            if let Some(id) = after.and_then(|it| it.snapshot.clone()) {
                let list = if last_of_its_image {
                    &mut ways
                } else {
                    &mut others
                };
                list.push(id);
            }
            after = Some(release);
        }
        others.extend(after.and_then(|it| it.snapshot.clone()));
        ways.extend(others);
        let held = self.held.iter().map(|it| it.snapshot.clone());
        let held: Vec<_> = held.collect();
        ways.retain(|id| !held.contains(id));
        ways.truncate(keep.max(1));
        ways.extend(held);
        for release in &mut self.releases {
            release.snapshot.take_if(|it| !ways.contains(it));
        }
        ways
    }

    /// Forgets all but the newest releases of `keep` images, and the oldest of very many. Returns
    /// those whose image is forgotten.
    pub(crate) fn prune(&mut self, keep: usize) -> Vec<Release> {
        let mut images = Vec::new();
        for release in self.releases.iter().rev() {
            if !images.contains(&release.image) {
                images.push(release.image.clone());
            }
        }
        images.truncate(keep.max(1));
        let held = self.held.iter().filter_map(|it| self.release(it.release));
        images.extend(held.map(|release| release.image.clone()));
        let (kept, gone) = std::mem::take(&mut self.releases)
            .into_iter()
            .partition(|release| images.contains(&release.image));
        self.releases = kept;
        let excess = self.releases.len().saturating_sub(MOST);
        self.releases.drain(..excess);
        gone
    }
}

/// Remembers an image among the last of its like.
fn remember(images: &mut Vec<String>, image: &str) {
    if !images.iter().any(|it| it == image) {
        images.push(image.to_owned());
    }
    let surplus = images.len().saturating_sub(40);
    images.drain(..surplus);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn release(id: u64, image: &str) -> Release {
        Release {
            id,
            requested: "r/x:1".to_owned(),
            pinned: format!("r/x@{image}"),
            image: image.to_owned(),
            source: ImageSource::Pulled,
            version: String::new(),
            revision: String::new(),
            runtime: RuntimeKind::Compose,
            spec: Spec::default(),
            secrets: Vec::new(),
            deliver: None,
            left_out: Vec::new(),
            env: String::new(),
            since: 0,
            seconds: 0.0,
            snapshot: None,
            state: None,
        }
    }

    #[test]
    fn the_newest_images_stay() {
        let mut records = Records::default();
        for (id, image) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            records.commit(release(id, image));
        }
        let gone = records.prune(2);
        let ids = |list: &[Release]| list.iter().map(|it| it.id).collect::<Vec<_>>();
        assert_eq!(ids(&gone), [2], "b is the oldest image, a came again");
        assert_eq!(ids(&records.releases), [1, 3, 4]);
        assert_eq!(records.next_id(), 5);
    }

    #[test]
    fn who_goes_back_leaves_an_image_and_who_goes_forward_again_does_not() {
        let mut records = Records::default();
        let go = |records: &mut Records, id: u64, to: &Release| {
            records.leave(to);
            records.commit(Release { id, ..to.clone() });
        };
        let (a, b) = (release(1, "a"), release(2, "b"));
        records.commit(a.clone());
        records.commit(b.clone());
        go(&mut records, 3, &a);
        assert_eq!(records.left, ["b", "r/x@b"]);
        go(&mut records, 4, &b);
        assert!(records.left.is_empty(), "{:?}", records.left);
        // The same image with another `.env` is nothing that is left.
        go(&mut records, 5, &b);
        assert!(records.left.is_empty(), "{:?}", records.left);
    }

    #[test]
    fn only_what_we_brought_and_nothing_needs_is_unneeded() {
        let mut records = Records::default();
        for image in ["good", "bad", "worse"] {
            records.brought.push(Brought {
                pinned: format!("r/x@{image}"),
                image: image.to_owned(),
                source: ImageSource::Pulled,
            });
        }
        records.commit(release(1, "good"));
        records.commit(release(2, "foreign"));
        assert_eq!(records.unneeded(None), ["r/x@bad", "r/x@worse"]);
        let last = release(3, "worse");
        assert_eq!(records.unneeded(Some(&last)), ["r/x@bad"]);
        // One that somebody started by hand, and that we go back to by its id.
        let adopted = Release {
            pinned: "bad".to_owned(),
            ..release(4, "bad")
        };
        records.commit(adopted);
        assert_eq!(records.unneeded(None), ["r/x@worse"]);
    }

    #[test]
    fn older_records_know_what_was_brought_by_their_releases() {
        let mut records = Records::default();
        records.commit(release(1, "a"));
        let local = Release {
            source: ImageSource::Local,
            ..release(2, "b")
        };
        records.commit(local);
        records.recall_brought();
        records.recall_brought();
        let brought: Vec<_> = records.brought.iter().map(|it| it.image.as_str()).collect();
        assert_eq!(brought, ["a"]);
    }

    #[test]
    fn what_a_rollback_took_away_stays_until_it_is_let_go() {
        let mut records = Records::default();
        for (id, image) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "d"), (6, "e")] {
            let snapshot = Some(format!("s{id}"));
            let release = Release {
                snapshot,
                ..release(id, image)
            };
            records.commit(release);
        }
        records.held.push(Held {
            snapshot: "s3".to_owned(),
            release: 2,
        });
        assert_eq!(records.clone().keep_snapshots(1), ["s6", "s3"]);
        let kept = |mut records: Records| {
            records.prune(1);
            let ids = records.releases.iter().map(|it| it.id);
            ids.collect::<Vec<_>>()
        };
        assert_eq!(kept(records.clone()), [2, 6]);
        assert_eq!((records.held_of(2), records.held_of(3)), (Some("s3"), None));
        assert!(records.let_go("s3") && !records.let_go("s3"));
        assert_eq!(kept(records.clone()), [6]);
        assert_eq!(records.keep_snapshots(1), ["s6"]);
    }

    #[test]
    fn a_release_of_the_same_image_pushes_no_way_back_out() {
        let mut records = Records::default();
        for (id, image) in [(1, "a"), (2, "b"), (3, "b"), (4, "b"), (5, "b")] {
            let snapshot = Some(format!("s{id}"));
            let release = Release {
                snapshot,
                ..release(id, image)
            };
            records.commit(release);
        }
        assert_eq!(
            records.keep_snapshots(3),
            ["s2", "s5", "s4"],
            "s2 is the state of a"
        );
        let left: Vec<_> = records
            .releases
            .iter()
            .map(|it| it.snapshot.is_some())
            .collect();
        assert_eq!(
            left,
            [false, true, false, true, true],
            "no release names what is gone"
        );
        assert_eq!(records.keep_snapshots(1), ["s2"]);
    }

    #[test]
    fn of_releases_of_other_images_the_newest_snapshots_stay() {
        let mut records = Records::default();
        for (id, image) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
            let snapshot = Some(format!("s{id}"));
            let release = Release {
                snapshot,
                ..release(id, image)
            };
            records.commit(release);
        }
        assert_eq!(records.keep_snapshots(2), ["s4", "s3"]);
    }

    #[test]
    fn the_file_of_records_has_an_end() {
        let mut records = Records {
            releases: (0..300).map(|id| release(id, "a")).collect(),
            ..Records::default()
        };
        assert_eq!(records.prune(3), [], "its image is still there");
        let ids: Vec<_> = records.releases.iter().map(|it| it.id).collect();
        assert_eq!(ids, (200..300).collect::<Vec<_>>());
    }

    #[test]
    fn what_answers_is_no_longer_bad() {
        let mut records = Records::default();
        records.mark_bad("a");
        records.mark_bad("a");
        assert_eq!(records.bad, ["a"]);
        records.commit(release(1, "a"));
        assert!(records.bad.is_empty());
    }
}
