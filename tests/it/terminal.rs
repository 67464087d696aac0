//! A program on a terminal of its own: what it shows there.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};

use crate::sandbox::Run;

/// A terminal, and the program that runs on it.
pub struct Terminal {
    slave: OwnedFd,
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a program whose standard input, output and error are a terminal of this width.
    pub fn start(mut run: Run, columns: u16) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("a terminal");
        let end = || pty.slave.try_clone().expect("a descriptor");
        let terminal = pty.slave.as_raw_fd();
        let own = move || {
            nix::unistd::setsid()?;
            // SAFETY: ioctl(2) is async-signal-safe, and the descriptor is open.
            nix::errno::Errno::result(unsafe { libc::ioctl(terminal, libc::TIOCSCTTY, 0) })?;
            Ok(())
        };
        // SAFETY: only setsid(2) and ioctl(2) are called between fork and exec.
        unsafe { run.command().pre_exec(own) };
        let command = run.command();
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.env("TERM", "xterm").spawn().expect("it starts");
        // Our ends, or the reader would wait for ever.
        drop(run);
        let mut source = File::from(pty.master);
        let shown = Arc::new(Mutex::new(String::new()));
        let sink = shown.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end is an error, not an empty read.
            while let Ok(count @ 1..) = source.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                sink.lock().expect("unpoisoned").push_str(&text);
            }
        });
        Self {
            slave: pty.slave,
            child,
            shown,
            reader,
        }
    }

    /// Waits for the end; gives all that was shown, in lines, and how it ended.
    pub fn finish(mut self) -> (String, ExitStatus) {
        let status = self.child.wait().expect("it ends");
        drop(self.slave);
        self.reader.join().expect("it reads to the end");
        let shown = self.shown.lock().expect("unpoisoned").replace("\r\n", "\n");
        (shown, status)
    }
}
