//! One call: what was asked, under which modes, of which account, and what it has cost.

use crate::command_line::{CommandLine, truth};
use crate::control::Control;
use crate::failure::Failure;
use crate::grammar::Command;
use crate::mode::{Mode, Modes};
use crate::vaults_json::VaultsJson;
use std::cell::Cell;

/// Everything a command needs.
#[derive(Debug)]
pub struct Call<'c> {
    pub control: &'c Control,
    pub modes: Modes,
    pub data: VaultsJson,
    pub line: CommandLine,
    /// Requests so far.
    pub cost: Cell<u64>,
}

impl<'c> Call<'c> {
    /// Reads the control directory and the command line.
    pub fn begin(control: &'c Control) -> Result<Self, Failure> {
        let mut modes = Modes::parse(&control.text("mode")?)?;
        let line = CommandLine::parse(std::env::args_os().skip(1), &modes)?;
        if let Some(once) = modes.fail_once.take()
            && line.command.authenticates()
            && control.claim("failed-once")
        {
            modes.add(&once)?;
        }
        let mut data = match line.command {
            Command::Version | Command::Help => VaultsJson::default(),
            _ => VaultsJson::read(control)?,
        };
        if modes.has(Mode::Placeholder) {
            data.conceal();
        }
        Ok(Self {
            control,
            modes,
            data,
            line,
            cost: Cell::new(0),
        })
    }

    /// Whether JSON is wanted, by flag or by environment.
    pub fn json(&self) -> bool {
        let environment = variable("OP_FORMAT");
        self.line.flag("format").or(environment.as_deref()) == Some("json")
    }

    /// Whether a switch is on, by flag or by environment.
    pub fn on(&self, flag: &str, name: &str) -> bool {
        self.line.on(flag) || variable(name).is_some_and(|value| truth(&value) == Some(true))
    }

    /// Whether `op` may keep a cache, and so a daemon.
    pub fn caches(&self) -> bool {
        let environment = variable("OP_CACHE");
        let asked = self.line.flag("cache").or(environment.as_deref());
        asked.and_then(truth) != Some(false)
    }

    /// The account asked for, by flag or by environment.
    pub fn account_filter(&self) -> Option<String> {
        let flag = self.line.flag("account").map(str::to_owned);
        flag.or_else(|| variable("OP_ACCOUNT"))
    }
}

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}
