//! The images of the checks: the tiny gateway in its modes, as multi-platform indexes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::world::{hold, put, sh};

/// What was published.
pub struct Images {
    digests: Vec<(String, String)>,
}

/// What an engine calls the manifest that it pushes: the newer ones push OCI's.
const KINDS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";

/// Tag, mode, version, megabytes of random data in three layers.
const ALL: [(&str, &str, &str, usize); 14] = [
    ("slow", "slow", "slow", 0),
    ("v1", "good", "v1", 0),
    ("v2", "good", "v2", 0),
    ("v3", "never", "v3", 0),
    ("v4", "exit78", "v4", 0),
    ("v5", "good", "v5", 0),
    ("v6", "good", "v6", 0),
    ("html", "html", "html", 0),
    ("old", "old", "old", 0),
    ("refused", "refused", "refused", 0),
    ("refused2", "refused", "refused2", 0),
    ("channel", "channel", "channel", 0),
    ("big", "good", "big", 30),
    ("2026.9.6", "good", "2026.9.6", 0),
];

impl Images {
    /// Builds and pushes all of them; the gateway in them is compiled.
    pub fn publish(scratch: &Path) -> Result<Self, String> {
        let place = scratch.join("images");
        let mut digests = Vec::new();
        for (tag, mode, version, megabytes) in ALL {
            build(&place, tag, mode, version, megabytes)?;
            digests.push((
                tag.to_owned(),
                push_index(&place, tag, &format!("{tag}-amd64"), "amd64")?,
            ));
        }
        push_index(&place, "arm", "v1-amd64", "arm64")?;
        sh(
            "curl -sf -H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' http://127.0.0.1:5000/v2/me/openclaw/manifests/v1 -o /tmp/same.json && \
            curl -sf -X PUT -H 'Content-Type: application/vnd.docker.distribution.manifest.list.v2+json' --data-binary @/tmp/same.json http://127.0.0.1:5000/v2/me/openclaw/manifests/same; rm /tmp/same.json",
        )?;
        Ok(Self { digests })
    }

    /// The digest of `tag`.
    pub fn digest(&self, tag: &str) -> &str {
        let found = self.digests.iter().find(|(there, _)| there == tag);
        found.map_or("none", |(_, digest)| digest)
    }

    /// The digests of the layers of `tag`, the lowest first.
    pub fn layers(&self, tag: &str) -> Result<Vec<String>, String> {
        let found = sh(&format!(
            "curl -sf -H 'Accept: {KINDS}' http://127.0.0.1:5000/v2/me/openclaw/manifests/{tag}-amd64 | \
             tr -d ' \\n' | sed 's/.*\"layers\"://' | grep -o 'sha256:[0-9a-f]*'"
        ))?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// Makes `tag` mean what `to` means.
    pub fn move_tag(tag: &str, to: &str) -> Result<(), String> {
        let list = "application/vnd.docker.distribution.manifest.list.v2+json";
        let base = "http://127.0.0.1:5000/v2/me/openclaw/manifests";
        sh(&format!("f=$(mktemp); curl -sf -H 'Accept: {list}' {base}/{to} -o $f && curl -sf -X PUT -H 'Content-Type: {list}' --data-binary @$f {base}/{tag}; rc=$?; rm $f; exit $rc")).map(drop)
    }
}

/// Compiles the tiny gateway, unless `tests/deploy/engine` has done so where there is a compiler. It is what an image
/// calls `node`.
pub fn compile(scratch: &Path) -> Outcome {
    let place = scratch.join("images");
    fs::create_dir_all(&place).map_err(|why| why.to_string())?;
    if let Some(compiled) = std::env::var_os("OC_TINY_GATEWAY") {
        let copied = fs::copy(compiled, place.join("node"));
        return copied.map(drop).map_err(|why| why.to_string());
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/gateway.rs");
    let built = Command::new("rustc")
        .args(["--edition", "2024", "-O", source, "-o"])
        .arg(place.join("node"))
        .args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"])
        .status();
    hold(
        built.is_ok_and(|status| status.success()),
        "the tiny gateway cannot be built",
    )
}

fn build(
    place: &Path,
    tag: &str,
    mode: &str,
    version: &str,
    megabytes: usize,
) -> Result<(), String> {
    let mut text = format!(
        "FROM scratch\nCOPY node /usr/local/bin/node\nENV PATH=/usr/local/bin GATEWAY_MODE={mode} GATEWAY_VERSION={version}\n\
         LABEL org.opencontainers.image.version={version}\nHEALTHCHECK --interval=3m CMD [\"/usr/local/bin/node\",\"probe\"]\n\
         USER 1000:1000\nCMD [\"node\",\"openclaw.mjs\",\"gateway\",\"--allow-unconfigured\"]\n"
    );
    for layer in 0..if megabytes > 0 { 3 } else { 0 } {
        let name = format!("random{layer}");
        sh(&format!(
            "head -c {megabytes}M /dev/urandom > {}",
            place.join(&name).display()
        ))?;
        text.push_str(&format!("COPY {name} /data/{name}\n"));
    }
    put(&place.join("Dockerfile").to_string_lossy(), &text)?;
    let name = format!("127.0.0.1:5000/me/openclaw:{tag}-amd64");
    let place = place.display();
    sh(&format!("DOCKER_BUILDKIT=0 docker build -q -t {name} {place} && docker push -q {name} && rm -f {place}/random*")).map(drop)
}

/// Publishes under `tag` the good gateway with other lines at the end of its Dockerfile.
pub fn variant(scratch: &Path, tag: &str, lines: &str) -> Outcome {
    let name = "127.0.0.1:5000/me/openclaw";
    sh(&format!(
        "docker pull -q {name}:v5-amd64 && printf 'FROM {name}:v5-amd64\\n{lines}\\n' | DOCKER_BUILDKIT=0 docker build -q -t {name}:{tag}-amd64 - && docker push -q {name}:{tag}-amd64"
    ))?;
    push_index(
        &scratch.join("images"),
        tag,
        &format!("{tag}-amd64"),
        "amd64",
    )
    .map(drop)
}

/// Wraps the manifest of `of` in an index with this platform. Returns the index's digest.
pub fn push_index(place: &Path, tag: &str, of: &str, architecture: &str) -> Result<String, String> {
    let base = "http://127.0.0.1:5000/v2/me/openclaw/manifests";
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let file = place.join("manifest.json").display().to_string();
    let header = sh(&format!(
        "curl -sf -D - -o {file} -H 'Accept: {KINDS}' {base}/{of} | tr -d '\\r'"
    ))?;
    let field = |name: &str| {
        let of_it = |line: &str| line.strip_prefix(name).map(str::to_owned);
        header
            .lines()
            .find_map(of_it)
            .ok_or(format!("{of}: no {name}in {header:?}"))
    };
    let (digest, kind) = (field("Docker-Content-Digest: ")?, field("Content-Type: ")?);
    let size = fs::metadata(&file).map_err(|why| why.to_string())?.len();
    put(
        &file,
        &format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{list}\",\"manifests\":[{{\"mediaType\":\"{kind}\",\"size\":{size},\"digest\":\"{digest}\",\"platform\":{{\"architecture\":\"{architecture}\",\"os\":\"linux\"}}}}]}}"
        ),
    )?;
    sh(&format!(
        "curl -sf -D - -o /dev/null -X PUT -H 'Content-Type: {list}' --data-binary @{file} {base}/{tag} | tr -d '\\r' | sed -n 's/^Docker-Content-Digest: //p'"
    ))
}
