//! Processes in namespaces of their own, each with a [`World`], to which the tests are handed.
//!
//! A world is asked over a socket: the name of a test in one line, its outcome as a length in one
//! line and as many bytes, none for a test that passed. It ends when the socket closes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::world::World;
use crate::{Check, Outcome, bench};

/// The variable that names the socket to one of these processes.
pub const SOCKET: &str = "OC_DEPLOY_SOCKET";

/// Those that no test has at the moment. A test without one starts another.
#[derive(Default)]
pub struct Worlds(Mutex<Vec<Process>>);

/// One of them, from outside.
struct Process {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl Worlds {
    /// Runs one test in a world that has no other to run.
    pub fn run(&self, name: &str) -> Outcome {
        let free = self.free().pop();
        let mut process = free.map_or_else(Process::start, Ok)?;
        let outcome = process.ask(name);
        match outcome {
            Ok(answer) => {
                self.free().push(process);
                answer
            }
            Err(why) => {
                process.end();
                Err(format!("its world has ended: {why}"))
            }
        }
    }

    /// Ends all of them.
    pub fn end(&self) {
        self.free().drain(..).for_each(Process::end);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Starts one and waits until it is ready.
    fn start() -> Result<Self, String> {
        let directory = tempfile::tempdir_in("/var/tmp").map_err(|why| why.to_string())?;
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).map_err(|why| why.to_string())?;
        let mut child = enter(&[(SOCKET, &path.to_string_lossy())])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|why| format!("cannot enter namespaces (run as root): {why}"))?;
        listener
            .set_nonblocking(true)
            .map_err(|why| why.to_string())?;
        let socket = loop {
            if let Ok((socket, _)) = listener.accept() {
                break socket;
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("cannot enter namespaces (run as root): {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        socket
            .set_nonblocking(false)
            .map_err(|why| why.to_string())?;
        let socket = BufReader::new(socket);
        let mut process = Self { child, socket };
        match process.answer() {
            Ok(Ok(())) => Ok(process),
            Ok(Err(why)) | Err(why) => {
                process.end();
                Err(format!("cannot set up: {why}"))
            }
        }
    }

    fn ask(&mut self, name: &str) -> Result<Outcome, String> {
        writeln!(self.socket.get_mut(), "{name}").map_err(|why| why.to_string())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Outcome, String> {
        let mut line = String::new();
        self.socket
            .read_line(&mut line)
            .map_err(|why| why.to_string())?;
        let length = line.trim().parse().map_err(|_| "no answer".to_owned())?;
        let mut text = vec![0; length];
        self.socket
            .read_exact(&mut text)
            .map_err(|why| why.to_string())?;
        Ok(match length {
            0 => Ok(()),
            _ => Err(String::from_utf8_lossy(&text).into_owned()),
        })
    }

    fn end(mut self) {
        drop(self.socket);
        let _ = self.child.wait();
    }
}

/// This program again, in namespaces of its own.
fn enter(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(std::env::current_exe().unwrap_or_default())
        .envs(environment.iter().copied());
    command
}

/// Inside: sets up a world and runs what is asked for, until nobody asks any more.
pub fn serve(socket: &Path, checks: &[Check]) -> ExitCode {
    let Ok(mut socket) = UnixStream::connect(socket) else {
        return ExitCode::FAILURE;
    };
    let world = World::begin();
    let ready = world.as_ref().map(drop).map_err(String::clone);
    if answer(&mut socket, &ready).is_err() || ready.is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(world) = world else {
        return ExitCode::FAILURE;
    };
    let Ok(asked) = socket.try_clone() else {
        return ExitCode::FAILURE;
    };
    for name in BufReader::new(asked).lines().map_while(Result::ok) {
        let outcome = run(&world, checks, &name);
        if answer(&mut socket, &outcome).is_err() {
            break;
        }
    }
    world.end();
    ExitCode::SUCCESS
}

fn run(world: &World, checks: &[Check], name: &str) -> Outcome {
    let check = checks.iter().find(|check| check.name == name);
    let check = check.ok_or_else(|| format!("there is no {name}"))?;
    let run = || world.reset().and_then(|()| (check.run)(world));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it panicked".to_owned()))
}

fn answer(socket: &mut UnixStream, outcome: &Outcome) -> std::io::Result<()> {
    let text = outcome.as_ref().err().map_or("", |why| match why.as_str() {
        "" => "without a reason",
        why => why,
    });
    write!(socket, "{}\n{text}", text.len())
}

/// The benchmark, in a world of its own.
pub fn bench(runs: &str) -> ExitCode {
    if std::env::var_os("OC_DEPLOY_INSIDE").is_none() {
        let status = enter(&[("OC_DEPLOY_INSIDE", "1")]).status();
        return match status.is_ok_and(|it| it.success()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    let measured = World::begin().and_then(|world| {
        let outcome = bench::run(&world, runs.parse().unwrap_or(7));
        world.end();
        outcome
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("not measured: {why}");
            ExitCode::FAILURE
        }
    }
}
