//! `op run`: a child whose environment has secrets in place of references.
//!
//! Every `op://` value of the inherited environment is resolved, and one bad one stops all.
//! Without any reference and any Environment there is no authentication and no masking. Values are
//! not altered.

use crate::call::Call;
use crate::credential::authenticate;
use crate::delivery::Reply;
use crate::failure::Failure;
use crate::mode::Mode;
use crate::reference::Reference;
use crate::template::{self, Segment};
use crate::variable::{self, Environment};
use crate::{budget, dotenv, environments, forge, mask, resolve};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

/// A variable of the child and what its value is made of.
type Planned = (OsString, Vec<Segment>);

/// Runs the child and ends as it ends.
pub fn run(call: &Call) -> Result<Reply, Failure> {
    let planned = plan(call)?;
    let segments = planned.iter().flat_map(|(_, segments)| segments);
    let references: Vec<&Reference> = segments.filter_map(Segment::reference).collect();
    let mut along = vec![];
    if !references.is_empty() || environments::asked(call) {
        let credential = authenticate(call)?;
        let cost = budget::references(call, references.iter().copied());
        budget::charge(call, cost)?;
        along = environments::variables(call, &credential)?;
    }
    let mut child = Command::new(&call.line.words[0]);
    child.args(&call.line.words[1..]);
    let mut secrets = if call.modes.has(Mode::Unresolved) {
        vec![]
    } else {
        fill(call, &planned, &mut child)?
    };
    // As documented: Environments, then env files, then the shell's environment.
    // ASSUMPTION: a reference in a variable of an Environment stays text.
    for (name, value) in along {
        secrets.push(value.clone().into_bytes());
        child.env(name, OsString::from_vec(resolve::bytes(call, value)?));
    }
    let masks = (!references.is_empty() || environments::asked(call))
        && !call.on("no-masking", "OP_RUN_NO_MASKING");
    if call.modes.spoil_answers() {
        let names: Vec<_> = planned.into_iter().map(|(name, _)| name).collect();
        return spoiled(call, &mut child, &names);
    }
    let status = if masks {
        masked(child, secrets)?
    } else {
        spawn(&mut child)?.wait().map_err(Failure::loud)?
    };
    // ASSUMPTION: a child that a signal ended gives what a shell would.
    let signal = status.signal().map(|signal| 128 + signal);
    Ok(Reply::exit(status.code().or(signal).unwrap_or(1)))
}

/// What the child prints is taken and forged, for [`crate::delivery`] to spoil further.
fn spoiled(call: &Call, child: &mut Command, names: &[OsString]) -> Result<Reply, Failure> {
    let output = spawn(child.stdout(Stdio::piped()))?.wait_with_output();
    let printed = output.map_err(Failure::loud)?.stdout;
    Ok(Reply::bytes(forge::entries(&call.modes, &printed, names)))
}

/// Gives the child its variables; returns the secrets among them.
fn fill(call: &Call, planned: &[Planned], child: &mut Command) -> Result<Vec<Vec<u8>>, Failure> {
    let mut secrets = Vec::new();
    for (name, segments) in planned {
        let mut value = String::new();
        for segment in segments {
            match segment {
                Segment::Plain(text) => value.push_str(text),
                Segment::Secret(reference) => {
                    let secret = resolve::secret(call, reference)?;
                    value.push_str(&secret);
                    secrets.push(secret.into_bytes());
                }
            }
        }
        child.env(name, OsString::from_vec(resolve::bytes(call, value)?));
    }
    Ok(secrets)
}

/// The variables that the child does not simply inherit.
fn plan(call: &Call) -> Result<Vec<Planned>, Failure> {
    let inherited: Environment = std::env::vars_os().collect();
    let mut defined = Environment::new();
    let mut planned = Vec::new();
    for file in call.line.flag_values("env-file") {
        for definition in dotenv::read(file)? {
            let name = OsString::from(&definition.name);
            let taken = inherited.iter().any(|(own, _)| *own == name);
            if taken && !call.modes.since(2, 30) {
                continue;
            }
            // Measured of 2.34.1: its own environment; as documented: earlier definitions too.
            let known = [&defined[..], &inherited].concat();
            let known = definition.expands.then_some(&known);
            let segments = template::parse(&definition.value, known).map_err(Failure::new)?;
            defined.push((name.clone(), as_written(&segments).into()));
            planned.retain(|(other, _): &Planned| *other != name);
            planned.push((name, segments));
        }
    }
    let environment = [&defined[..], &inherited].concat();
    for (name, value) in &inherited {
        let value = value.to_string_lossy();
        let replaced = planned.iter().any(|(other, _)| other == name);
        if !replaced && value.starts_with("op://") {
            // ASSUMPTION: an inherited value is one reference, not a template, which it is in a
            // mode of its own.
            let segments = if call.modes.has(Mode::TemplateVariables) {
                template::parse(&value, Some(&environment))
            } else {
                let text = variable::expand(&value, &environment);
                Reference::parse(&text).map(|reference| vec![Segment::Secret(reference)])
            };
            planned.push((name.clone(), segments.map_err(Failure::new)?));
        }
    }
    Ok(planned)
}

/// What later definitions see.
/// ASSUMPTION: a reference that they repeat by `$NAME` stays text there.
fn as_written(segments: &[Segment]) -> String {
    let text = |segment: &Segment| match segment {
        Segment::Plain(text) => text.clone(),
        Segment::Secret(reference) => reference.text.clone(),
    };
    segments.iter().map(text).collect()
}

/// Runs with pipes in the place of stdout and stderr.
fn masked(
    mut command: Command,
    secrets: Vec<Vec<u8>>,
) -> Result<std::process::ExitStatus, Failure> {
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let for_stderr = secrets.clone();
    let talk = std::thread::spawn(move || {
        if let Some(err) = err {
            mask::copy(err, std::io::stderr(), &for_stderr);
        }
    });
    if let Some(out) = out {
        mask::copy(out, std::io::stdout(), &secrets);
    }
    let _ = talk.join();
    child.wait().map_err(Failure::loud)
}

/// ASSUMPTION: the words of the Go runtime, and exit 1.
fn spawn(command: &mut Command) -> Result<Child, Failure> {
    command.spawn().map_err(|why| {
        let name = command.get_program().to_string_lossy();
        Failure::new(match why.raw_os_error() {
            _ if why.kind() == ErrorKind::InvalidInput => {
                "exec: environment variable contains NUL".to_owned()
            }
            Some(nix::libc::E2BIG) => format!("fork/exec {name}: argument list too long"),
            Some(nix::libc::EACCES) => format!("fork/exec {name}: permission denied"),
            _ if name.contains('/') => format!("fork/exec {name}: no such file or directory"),
            _ => format!("exec: \"{name}\": executable file not found in $PATH"),
        })
    })
}
