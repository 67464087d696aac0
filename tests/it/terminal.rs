//! A pseudo-terminal with a program on it that is typed at, as a person would.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::sandbox::Run;

/// The program, and all that it has written.
pub struct Terminal {
    keyboard: std::fs::File,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    /// Keeps the terminal open, so that a reader never meets its end before the program's.
    screen: Option<std::fs::File>,
}

impl Terminal {
    /// Starts it in a session of its own, whose terminal this is: 24 lines of so many columns.
    pub fn start(mut run: Run, columns: u16) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let ends = openpty(&size, None).expect("a pseudo-terminal");
        let ours = std::fs::File::from(ends.master);
        let theirs = std::fs::File::from(ends.slave);
        let stdio = || Stdio::from(theirs.try_clone().expect("a descriptor"));
        let command = run.command();
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        command.env("TERM", "xterm");
        let own = || {
            nix::unistd::setsid()?;
            // SAFETY: TIOCSCTTY takes a number; stdin is the terminal.
            nix::errno::Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) })?;
            Ok(())
        };
        // SAFETY: between fork and exec only setsid(2) and ioctl(2) are called.
        unsafe { command.pre_exec(own) };
        let child = command.spawn().expect("it starts");
        // The command's ends, or the reader would wait for ever.
        drop(run);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, all) = (ours.try_clone().expect("a descriptor"), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                all.lock().expect("whole").extend_from_slice(&bytes[..read]);
            }
        });
        Self {
            keyboard: ours,
            child,
            seen,
            reader: Some(reader),
            screen: Some(theirs),
        }
    }

    /// Types this.
    pub fn types(&mut self, text: &str) -> &mut Self {
        self.keyboard.write_all(text.as_bytes()).expect("typed");
        self
    }

    /// Waits until this has been written.
    #[track_caller]
    pub fn shows(&mut self, what: &str) -> &mut Self {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.text().contains(what) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what:?}: {}",
                self.text().escape_debug()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Forgets what has been written so far.
    pub fn forget(&mut self) -> &mut Self {
        self.seen.lock().expect("whole").clear();
        self
    }

    /// All that was written since.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("whole")).into_owned()
    }

    /// The terminal as the program has it.
    pub fn screen(&self) -> &std::fs::File {
        self.screen.as_ref().expect("it is open")
    }

    /// The number of the process.
    pub fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Gives the window another size.
    pub fn resize(&self, lines: u16, columns: u16) {
        use std::os::fd::AsRawFd as _;
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        // SAFETY: the descriptor is open, and TIOCSWINSZ reads a `Winsize`.
        let done = unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        assert_eq!(done, 0);
    }

    /// Waits until the program has ended, 20 seconds at the most.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                // What it wrote last may still be on its way.
                std::thread::sleep(Duration::from_millis(50));
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.text().escape_debug()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Terminal {
    /// Waits for the end; gives all that was shown, in lines, and how it ended.
    pub fn finish(mut self) -> (String, ExitStatus) {
        let status = self.ends();
        self.screen = None;
        let reader = self.reader.take().expect("it reads");
        reader.join().expect("it reads to the end");
        (self.text().replace("\r\n", "\n"), status)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
