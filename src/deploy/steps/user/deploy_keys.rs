//! The SSH keys of the deploy user: its own, and those of whoever administers this host already.

use crate::deploy::context::Context;
use crate::deploy::error::Result;
use crate::deploy::host::account::{Account, KeyLogin};
use crate::deploy::host::keys;
use crate::deploy::host::{Access, Host, Program};

/// The keys of the deploy user, and those that it should have.
pub(super) struct DeployKeys {
    account: Option<Account>,
    /// The file as it is, byte for byte.
    file: Vec<u8>,
    /// The same as text.
    text: String,
    /// Lines to add.
    missing: Vec<String>,
    /// Whether sshd ignores the file because others can write to it.
    exposed: bool,
    name: String,
}

impl DeployKeys {
    pub(super) fn observe(cx: &Context) -> Result<Self> {
        let host = &cx.host;
        let name = cx.settings.user.clone();
        let account = Account::find(host, &name)?;
        let file = match &account {
            Some(account) => host.read_of(account.uid, account.keys())?,
            None => None,
        };
        let file = file.unwrap_or_default();
        let text = String::from_utf8_lossy(&file).into_owned();
        let mut missing: Vec<String> = Vec::new();
        for source in sources(cx)? {
            let held = format!("{text}\n{}", missing.join("\n"));
            let lines = keys::missing(&source, &held);
            missing.extend(lines.into_iter().map(str::to_owned));
        }
        let exposed = account.as_ref().is_some_and(|account| {
            !text.is_empty() && KeyLogin::of(host, account) == KeyLogin::Unsafe
        });
        Ok(Self {
            account,
            file,
            text,
            missing,
            exposed,
            name,
        })
    }

    pub(super) fn plan(&self) -> Vec<String> {
        let mut what = Vec::new();
        match self.missing.len() {
            0 => {}
            1 => what.push(format!("add 1 SSH key for {}", self.name)),
            count => what.push(format!("add {count} SSH keys for {}", self.name)),
        }
        if self.exposed {
            what.push(format!(
                "take the SSH keys of {} out of others' reach",
                self.name
            ));
        }
        what
    }

    pub(super) fn write(&self, host: &Host) -> Result<()> {
        let Some(account) = self.account.as_ref().filter(|_| !self.plan().is_empty()) else {
            return Ok(());
        };
        let owner = Some((account.uid, account.gid));
        let directory = format!("{}/.ssh", account.home);
        host.directory(directory, Access { mode: 0o700, owner })?;
        let mut file = self.file.clone();
        for line in &self.missing {
            if !file.is_empty() && !file.ends_with(b"\n") {
                file.push(b'\n');
            }
            file.extend_from_slice(line.as_bytes());
            file.push(b'\n');
        }
        host.write(account.keys(), &file, Access { mode: 0o600, owner })?;
        let close = Program::new("chmod").args(["go-w", account.home.as_str()]);
        host.must(&close).map(drop)
    }

    pub(super) fn note(&self) -> String {
        let usable = keys::keys(&self.text).filter(keys::Key::usable).count() + self.missing.len();
        match usable {
            0 => format!(
                "{} has no SSH key yet, so SSH will not be hardened",
                self.name
            ),
            1 => "1 SSH key".to_owned(),
            count => format!("{count} SSH keys"),
        }
    }
}

/// The keys of root, and of whoever called us through sudo.
fn sources(cx: &Context) -> Result<Vec<String>> {
    let caller = cx.sudo_user.as_deref();
    let mut sources = Vec::new();
    for account in Account::all(&cx.host)? {
        if account.name == "root" || Some(account.name.as_str()) == caller {
            let keys = cx.host.read_of(account.uid, account.keys())?;
            sources.extend(keys.map(|it| String::from_utf8_lossy(&it).into_owned()));
        }
    }
    Ok(sources)
}
