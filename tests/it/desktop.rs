//! A session as a desktop has one: a D-Bus of its own, and gnome-keyring in it.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::{Run, Sandbox, until};

/// A bus on which nobody can be started by name, so that nothing of this machine comes in.
const BUS: &str = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n\
     \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
     <busconfig><type>session</type><listen>unix:path=PATH</listen><auth>EXTERNAL</auth>\n\
     <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\n\
     <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n";

/// The session; its processes end with it.
pub struct Desktop<'a> {
    sandbox: &'a Sandbox,
    bus: Child,
    keyring: Option<Child>,
}

impl<'a> Desktop<'a> {
    /// With a bus alone.
    pub fn without_keyring(sandbox: &'a Sandbox) -> Self {
        let socket = sandbox.path("bus").display().to_string();
        sandbox.file("bus.conf", &BUS.replace("PATH", &socket));
        for folder in ["run", "data"] {
            std::fs::create_dir_all(sandbox.path(folder)).expect("a folder");
        }
        let bus = Command::new("/usr/bin/dbus-daemon")
            .arg("--nofork")
            .arg("--config-file")
            .arg(sandbox.path("bus.conf"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed: tests/packages");
        until("there is a bus", || sandbox.path("bus").exists());
        Self {
            sandbox,
            bus,
            keyring: None,
        }
    }

    /// With a keyring that is unlocked, and empty at first.
    pub fn new(sandbox: &'a Sandbox) -> Self {
        let mut desktop = Self::without_keyring(sandbox);
        desktop.keyring(true);
        desktop
    }

    /// Starts the keyring again, unlocked or not.
    pub fn keyring(&mut self, unlocked: bool) {
        end(self.keyring.take());
        let mut command = Command::new("/usr/bin/gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets"])
            .args(unlocked.then_some("--unlock"))
            .env_clear()
            .env("HOME", self.sandbox.path("home"))
            .env("XDG_RUNTIME_DIR", self.sandbox.path("run"))
            .env("XDG_DATA_HOME", self.sandbox.path("data"))
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = command.spawn();
        let mut child = started.expect("gnome-keyring-daemon is installed: tests/packages");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(b"its password").expect("given");
        drop(stdin);
        self.keyring = Some(child);
        until("the keyring is there", || self.is_served());
    }

    fn is_served(&self) -> bool {
        let words = [
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.NameHasOwner",
            "string:org.freedesktop.secrets",
        ];
        let asked = Command::new("/usr/bin/dbus-send")
            .arg(format!("--bus={}", self.address()))
            .args(words)
            .output();
        let answer = asked.expect("dbus-send is installed: tests/packages");
        String::from_utf8_lossy(&answer.stdout).contains("boolean true")
    }

    /// Where the bus is.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.sandbox.path("bus").display())
    }

    /// `run` within this session, with no other token than the keyring's.
    pub fn within(&self, run: Run) -> Run {
        run.without("OP_SERVICE_ACCOUNT_TOKEN")
            .env("XDG_RUNTIME_DIR", self.sandbox.path("run"))
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
    }

    /// The keyring answers nobody any more, and its clients wait.
    pub fn hang(&self) {
        let keyring = self.keyring.as_ref().expect("a keyring");
        let id = Pid::from_raw(keyring.id().cast_signed());
        kill(id, Signal::SIGSTOP).expect("it lives");
    }
}

impl Drop for Desktop<'_> {
    fn drop(&mut self) {
        end(self.keyring.take());
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}
