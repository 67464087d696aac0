//! The names in a manifest that can be completed. The manifest is only read: nothing of it is passed
//! on, so that it need not have been allowed.

use std::path::Path;

use clap::Arg;

use crate::base::environment;
use crate::broker::manifest::{self, Manifest, Start};

/// What a manifest names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Secrets, each with where it is kept.
    pub secrets: Vec<(String, String)>,
    /// Profiles.
    pub profiles: Vec<(String, String)>,
    /// Registries.
    pub registries: Vec<(String, String)>,
    /// Hosts of git.
    pub hosts: Vec<(String, String)>,
}

impl Names {
    /// The names of the manifest that a command would use; none if it cannot be read.
    pub(super) fn of_manifest(asked: Option<&str>) -> Self {
        let start = std::env::current_dir().map(Start::WorkingDirectory);
        let start = start.unwrap_or(Start::Environment);
        let manifest = manifest::inspect(asked.map(Path::new), &start, &environment::ours);
        manifest
            .map(|manifest| Self::of(&manifest))
            .unwrap_or_default()
    }

    fn of(manifest: &Manifest) -> Self {
        let secrets = manifest.secrets.iter();
        let profiles = manifest.profiles.iter();
        let host = |spec: &manifest::HostSpec| (spec.host.to_string(), spec.secret.to_string());
        Self {
            secrets: secrets
                .map(|spec| (spec.name.to_string(), manifest.shown_source(spec)))
                .collect(),
            profiles: profiles
                .map(|(name, secrets)| (name.clone(), format!("{} secrets", secrets.len())))
                .collect(),
            registries: manifest.registries.iter().map(host).collect(),
            hosts: manifest.git.iter().map(host).collect(),
        }
    }

    /// What `argument` takes; `None` if it takes no name of a manifest.
    pub(super) fn wanted_by(&self, argument: &Arg) -> Option<&[(String, String)]> {
        match argument.get_id().as_str() {
            "only" | "require" | "what" | "name" => Some(&self.secrets),
            "profile" => Some(&self.profiles),
            "registry" | "hosts" => Some(&self.registries),
            "host" => Some(&self.hosts),
            _ => None,
        }
    }
}
