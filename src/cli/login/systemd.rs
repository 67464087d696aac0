//! An encrypted credential for a service of systemd, made by `systemd-creds`. The token goes there by a
//! pipe; what comes back only this host can read.

use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::base::environment::ours;
use crate::base::error::{Error, Exit, Result};
use crate::base::file_ownership;
use crate::base::process_group::ProcessGroup;
use crate::base::program;
use crate::base::secret::Secret;
use crate::base::ui::Ui;
use crate::broker::serve::listen::{self, CONTROL};
use crate::broker::session::Session;
use crate::broker::socket;

/// Where systemd and openclaw-deploy look for the broker's.
const DIRECTORY: &str = "/etc/credstore.encrypted";

/// The unit of the packages, which loads the credential already.
const BROKER: &str = "oc-secrets.service";

/// The name by which a service asks for it.
const NAME: &str = "op-token";

/// How long `systemd-creds` may take: a TPM is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a running broker may take for it.
const HANDING: Duration = Duration::from_secs(5);

/// What there is without `systemd-creds`.
const INSTEAD: &str = "keep the token in a file of the service's user, mode 600, that OC_SECRETS_TOKEN_FILE names; on a desktop: oc-secrets login";

/// A credential that can be made here.
pub(super) struct SystemdCredential {
    unit: String,
    path: PathBuf,
    program: PathBuf,
}

impl SystemdCredential {
    /// For `unit`.
    ///
    /// # Errors
    /// Where it is no name of a service, or no credential can be made.
    pub(super) fn of(unit: &str, session: &Session) -> Result<Self> {
        let stem = unit.strip_suffix(".service").unwrap_or_default();
        let is_of_names = |c: char| c.is_ascii_alphanumeric() || ":-_.@\\".contains(c);
        if stem.is_empty() || stem.starts_with('.') || !stem.chars().all(is_of_names) {
            return Err(Error::usage(
                format!("`{unit}` is no name of a service"),
                "such as: oc-secrets login --systemd oc-secrets.service",
            ));
        }
        let program = systemd_creds(session)?;
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::usage(
                "only root can encrypt a credential for a service",
                format!("sudo oc-secrets login --systemd {unit}"),
            ));
        }
        let file = match unit == BROKER {
            true => NAME.to_owned(),
            false => format!("{NAME}-{stem}"),
        };
        Ok(Self {
            unit: unit.to_owned(),
            path: Path::new(DIRECTORY).join(file),
            program,
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The drop-in of the unit.
    pub(super) fn lines(&self) -> String {
        format!(
            "[Service]\nLoadCredentialEncrypted={NAME}:{}\n",
            self.path.display()
        )
    }

    /// Hands the token to the broker, if it is for that one and it runs; says what is left to do. The
    /// exit code is the failure's where the broker goes on by the old one.
    pub(super) fn hand_over(&self, token: &Secret, ui: Ui) -> Result<Exit> {
        let unit = &self.unit;
        if unit != BROKER {
            ui.note(&format!(
                "add this by: systemctl edit {unit}; then: systemctl restart {unit}"
            ));
            return Ok(Exit::Done);
        }
        let mut exit = Exit::Done;
        let control = listen::folder(None, &ours)?.join(CONTROL);
        if control.exists() {
            match socket::sign_in(&control, token, HANDING) {
                Ok(()) => ui.note("the broker that runs here asks by it from now on"),
                // One that has ended reads the file when it starts again.
                Err(Error::Broker { .. }) => {}
                Err(why) => {
                    exit = why.exit();
                    ui.warn(&format!(
                        "the broker that runs here does not take it: {why}; then: systemctl restart {unit}"
                    ));
                }
            }
        }
        ui.note(&format!(
            "{unit} of the packages loads it; in a unit of your own:"
        ));
        Ok(exit)
    }

    /// Encrypts `token`. The file appears whole, or not at all.
    pub(super) fn write(&self, token: &Secret) -> Result<()> {
        let encrypted = self.encrypted(token)?;
        let failed = |why: std::io::Error| {
            let why = format!("{}: {why}", self.path.display());
            Error::system("write the credential", why)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(DIRECTORY)
            .map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(DIRECTORY).map_err(failed)?;
        file.write_all(&encrypted).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path)
            .map(drop)
            .map_err(|why| failed(why.error))
    }

    fn encrypted(&self, token: &Secret) -> Result<Vec<u8>> {
        let failed = |why: std::io::Error| self.failed(&why.to_string());
        let path = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];
        let mut command = program::command(&self.program, path);
        let name = format!("--name={NAME}");
        command
            .args(["encrypt", &name, "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut group, mut child) = ProcessGroup::start(&mut command).map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It fits into a pipe. Where nobody reads it, the exit code says so.
            let _ = stdin.write_all(token.expose());
        }
        // What it writes fits into its pipes as well.
        if !group.ends_within(PATIENCE) {
            return Err(self.failed("it did not end in time"));
        }
        let status = group.reap().map_err(failed)?;
        let (mut encrypted, mut said) = (vec![], String::new());
        if let Some(stdout) = child.stdout.take() {
            stdout
                .take(LARGEST)
                .read_to_end(&mut encrypted)
                .map_err(failed)?;
        }
        if let Some(stderr) = child.stderr.take() {
            // Only words for people.
            let _ = stderr.take(LARGEST).read_to_string(&mut said);
        }
        match status.success() && !encrypted.is_empty() {
            true => Ok(encrypted),
            false => Err(self.failed(said.lines().last().unwrap_or("it gives no reason"))),
        }
    }

    fn failed(&self, why: &str) -> Error {
        let program = self.program.display();
        Error::usage(
            format!("{program} cannot encrypt the token: {why}"),
            INSTEAD,
        )
    }
}

/// The most that `systemd-creds` can have to say, in bytes.
const LARGEST: u64 = 256 * 1024;

/// `systemd-creds`, where nobody else can have put it.
fn systemd_creds(session: &Session) -> Result<PathBuf> {
    let path = session.variable("PATH").unwrap_or_default();
    let absolute = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    let found = absolute
        .map(|entry| entry.join("systemd-creds"))
        .find(|file| file.is_file());
    let Some(found) = found else {
        let what = "systemd-creds was not found, which systemd has since version 250";
        return Err(Error::usage(what, INSTEAD));
    };
    file_ownership::path(&found)
        .map_err(|why| Error::usage(format!("cannot use {}: {why}", found.display()), INSTEAD))
}
