//! An engine's images, and what a registry says of one.

use hyper::Method;
use serde_json::Value;

use super::auth::Auth;
use crate::base::encode;
use crate::base::units::moment;
use crate::deploy::docker::{Engine, Reply, text, texts};
use crate::deploy::error::Result;
use crate::deploy::image_reference::ImageRef;

/// An image that the engine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// `sha256:…` of its configuration (or manifest, with the containerd store).
    pub id: String,
    /// `name@sha256:…` of every registry that it came from.
    pub digests: Vec<String>,
    /// `name:tag`.
    pub tags: Vec<String>,
    /// `linux/amd64`.
    pub platform: String,
    /// Its default command.
    pub command: Vec<String>,
    /// Whether it has neither command nor entry point.
    pub is_inert: bool,
    /// Whether it brings a health check.
    pub has_health_check: bool,
    /// `org.opencontainers.image.version`, or "".
    pub version: String,
    /// `org.opencontainers.image.revision`, or "".
    pub revision: String,
    /// When it was built, in seconds since 1970; images that can be rebuilt bit for bit may not say.
    pub built: Option<u64>,
}

/// What a registry says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// The digest of the manifest or index.
    pub digest: String,
    /// `linux/amd64` and so on; empty where it does not say.
    pub platforms: Vec<String>,
}

impl Engine {
    /// What the registry has for `image`, asked by the engine.
    pub(crate) async fn distribution(
        &self,
        image: &ImageRef,
        auth: Option<&Auth>,
    ) -> Result<std::result::Result<Distribution, Reply>> {
        let path = format!("/distribution/{}/json", with_selector(image));
        let reply = self.call(Method::GET, &path, None, auth).await?;
        if !reply.ok() {
            return Ok(Err(reply));
        }
        let json = reply.json();
        let platforms = json["Platforms"].as_array().into_iter().flatten();
        Ok(Ok(Distribution {
            digest: text(&json["Descriptor"]["digest"]),
            platforms: platforms
                .map(|it| format!("{}/{}", text(&it["os"]), text(&it["architecture"])))
                .filter(|it| !it.starts_with('/') && !it.starts_with("unknown/"))
                .collect(),
        }))
    }

    /// Pulls `image`; `each` is given every line of progress.
    pub(crate) async fn pull(
        &self,
        image: &ImageRef,
        auth: Option<&Auth>,
        each: impl FnMut(&Value),
    ) -> Result<Reply> {
        let path = format!(
            "/images/create?fromImage={}&tag={}",
            encode::query(image.name()),
            encode::query(image.selector())
        );
        self.lines(&path, auth, each).await
    }

    /// The image `name` (reference or id), if the engine has it.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<Image>> {
        let path = format!("/images/{name}/json");
        let reply = self.call(Method::GET, &path, None, None).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        let json = reply.good("inspect the image")?;
        let config = &json["Config"];
        let label = |name: &str| text(&config["Labels"][name]);
        Ok(Some(Image {
            id: text(&json["Id"]),
            digests: texts(&json["RepoDigests"]),
            tags: texts(&json["RepoTags"]),
            platform: format!("{}/{}", text(&json["Os"]), text(&json["Architecture"])),
            command: texts(&config["Cmd"]),
            is_inert: texts(&config["Cmd"]).is_empty() && texts(&config["Entrypoint"]).is_empty(),
            has_health_check: !config["Healthcheck"]["Test"].is_null(),
            version: label("org.opencontainers.image.version"),
            revision: label("org.opencontainers.image.revision"),
            built: moment(&text(&json["Created"])).filter(|&built| built > 0),
        }))
    }

    /// Gives the image `id` the tag `repo:tag`.
    pub(crate) async fn tag(&self, id: &str, repo: &str, tag: &str) -> Result<()> {
        let path = format!(
            "/images/{id}/tag?repo={}&tag={}",
            encode::query(repo),
            encode::query(tag)
        );
        let reply = self.call(Method::POST, &path, None, None).await?;
        reply.good("tag the image").map(drop)
    }

    /// Takes the reference `name` away; the image goes when nothing names or uses it. Returns
    /// whether the reference is gone: one that a container uses stays.
    pub(crate) async fn untag(&self, name: &str) -> Result<bool> {
        let path = format!("/images/{name}");
        let reply = self.call(Method::DELETE, &path, None, None).await?;
        match reply.status {
            404 => Ok(true),
            409 => Ok(false),
            _ => reply.good("remove the image").map(|_| true),
        }
    }
}

fn with_selector(image: &ImageRef) -> String {
    let mark = if image.digest().is_some() { '@' } else { ':' };
    format!("{}{mark}{}", image.name(), image.selector())
}
