//! The control directory: what the tests put in, and what the stand-in leaves there.
//!
//! In: `vaults.json`, `mode`. Out: `calls.jsonl`, `requests`, `prompts`, `overlaps`, `sessions`,
//! `daemons`, `failed-once`. Counters change under a lock, since calls may overlap.

use crate::failure::Failure;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// `<directory of the executable>/../double`.
#[derive(Debug)]
pub struct Control {
    directory: PathBuf,
}

impl Control {
    /// Finds it; a stand-in without one is of no use and says so.
    pub fn beside_the_executable() -> Result<Self, Failure> {
        let executable = std::env::current_exe().map_err(Failure::loud)?;
        let home = executable.parent().and_then(Path::parent);
        let directory = home.unwrap_or(Path::new("/")).join("double");
        if !directory.is_dir() {
            let shown = directory.display();
            return Err(Failure::loud(format!("no control directory at {shown}")));
        }
        Ok(Self { directory })
    }

    /// The text of a file; empty when there is none.
    pub fn text(&self, name: &str) -> Result<String, Failure> {
        match std::fs::read_to_string(self.directory.join(name)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Failure::loud(format!("{name}: {error}"))),
        }
    }

    /// Replaces a file's text.
    pub fn put(&self, name: &str, text: &str) -> Result<(), Failure> {
        std::fs::write(self.directory.join(name), text)
            .map_err(|error| Failure::loud(format!("{name}: {error}")))
    }

    /// Appends one line with one write.
    pub fn append(&self, name: &str, line: &str) -> Result<(), Failure> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.directory.join(name))
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|error| Failure::loud(format!("{name}: {error}")))
    }

    /// Makes a file that must not be there yet; says whether this call made it.
    pub fn claim(&self, name: &str) -> bool {
        File::create_new(self.directory.join(name)).is_ok()
    }

    /// Does something while no other call changes the files.
    pub fn locked<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let file = File::create(self.directory.join("lock")).map_err(Failure::loud)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive);
        let _held = lock.map_err(|(_, error)| Failure::loud(error))?;
        work()
    }

    /// A counter's value.
    pub fn count(&self, name: &str) -> Result<u64, Failure> {
        Ok(self.text(name)?.trim().parse().unwrap_or(0))
    }

    /// Adds to a counter; to be called within [`Control::locked`].
    pub fn add(&self, name: &str, amount: u64) -> Result<(), Failure> {
        let total = self.count(name)? + amount;
        self.put(name, &format!("{total}\n"))
    }
}
