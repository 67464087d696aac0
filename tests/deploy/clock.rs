//! A clock that is a year off, of the host and of the registry's certificate.
//!
//! The engine, which is what checks certificates, is given a wrong clock without touching the machine's:
//! the kernel's `clock_gettime`, which lies in its own memory (the vDSO), is written over with one that
//! adds a year. Go calls nothing else for the time; a preloaded library would not be asked, and a time
//! namespace has no clock of the calendar.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};

use crate::world::{GOOD, Ran, World, finish, hold, put, sh, wait_for};
use crate::{Check, Outcome, checks};

/// The checks of this file.
pub const CHECKS: &[Check] = checks![a_clock_that_is_a_year_off_is_named,];

const YEAR: i64 = 365 * 24 * 3600;
const REGISTRY: &str = "registry.test:5443";

fn a_clock_that_is_a_year_off_is_named(world: &World) -> Outcome {
    authority(world)?;
    let outcome = certificates(world).and_then(|()| engine(world));
    world.stop_engine();
    world.start_engine()?;
    outcome
}

/// The clock is right, and the certificate is of another year.
fn certificates(world: &World) -> Outcome {
    for (begin, end) in [("+1 year", "+2 years"), ("-2 years", "-1 year")] {
        off(&at_registry(world, begin, end)?)?;
    }
    // The control: with a certificate of today, the same registry serves.
    at_registry(world, "-1 day", "+1 day")?.exits(0)?;
    world.reset()
}

/// The certificate is right, and the engine's clock is not.
fn engine(world: &World) -> Outcome {
    for seconds in [YEAR, -YEAR] {
        world.stop_engine();
        world.start_engine()?;
        let pid = sh("cat /run/docker.pid")?;
        fake(&pid, seconds)?;
        let told = sh("date -u -d \"$(docker info --format '{{.SystemTime}}')\" +%s")?;
        let told: i64 = told.parse().map_err(|_| format!("no time: {told}"))?;
        let now: i64 = sh("date +%s")?.parse().map_err(|_| "no date".to_owned())?;
        hold(
            (told - now - seconds).abs() < 60,
            format!("the engine's clock is {} s off", told - now),
        )?;
        off(&at_registry(world, "-1 day", "+1 day")?)?;
    }
    Ok(())
}

/// What is said: the clock and the command that looks at it, and nothing of tokens.
fn off(run: &Ran) -> Outcome {
    run.exits(4)?
        .says("error: cannot pull ")?
        .says(": clock:")?
        .says("hint: check this host's clock: timedatectl")?
        .never_says("auth:")
        .map(drop)
}

/// An authority that the engine trusts for this registry.
fn authority(world: &World) -> Outcome {
    let place = world.scratch.join("tls");
    let place = place.display();
    sh(&format!(
        "mkdir -p {place}/new && cd {place} && touch index && echo unique_subject=no > index.attr && echo 01 > serial && \
         printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=new\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n[e]\\nsubjectAltName=DNS:registry.test\\n[req]\\ndistinguished_name=d\\n[d]\\n' > ca.cnf && \
         openssl req -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj /CN=test-ca 2>/dev/null && \
         printf '[e]\\nbasicConstraints=critical,CA:TRUE\\n' > authority.cnf && \
         openssl ca -batch -selfsign -config ca.cnf -extfile authority.cnf -extensions e -cert ca.csr -keyfile ca.key -in ca.csr -out ca.crt -notext -startdate 20150101000000Z -enddate 20490101000000Z 2>/dev/null && \
         openssl req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=registry.test 2>/dev/null && \
         mkdir -p /etc/docker/certs.d/{REGISTRY} && cp ca.crt /etc/docker/certs.d/{REGISTRY}/"
    ))
    .map(drop)
}

/// Bootstraps from our registry, through TLS with a certificate that is valid between these times.
fn at_registry(world: &World, begin: &str, end: &str) -> Result<Ran, String> {
    let place = world.scratch.join("tls").display().to_string();
    sh(&format!(
        "cd {place} && openssl ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in s.csr -out s.crt -extensions e \
         -startdate $(date -u -d '{begin}' +%Y%m%d%H%M%SZ) -enddate $(date -u -d '{end}' +%Y%m%d%H%M%SZ) 2>/dev/null"
    ))?;
    let mut server = serve(world, &place)?;
    let up = wait_for(10, || std::net::TcpStream::connect("10.9.9.9:5443").is_ok());
    let image = format!("{REGISTRY}/me/openclaw:v1");
    let run = finish(world.bootstrapping(Some(GOOD), &image, &[]));
    let _ = server.kill();
    let _ = server.wait();
    hold(up, "the registry with TLS does not answer").map(|()| run)
}

fn serve(world: &World, place: &str) -> Result<Child, String> {
    let config = format!("{place}/registry.yml");
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"10.9.9.9:5443\", tls: {{certificate: {place}/s.crt, key: {place}/s.key}}}}\n",
        world.scratch.join("registry").display()
    );
    put(&config, &text)?;
    Command::new("docker-registry")
        .args(["serve", &config])
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|why| why.to_string())
}

/// Puts the calendar of process `pid`, and of no other, `seconds` ahead.
fn fake(pid: &str, seconds: i64) -> Outcome {
    let base = auxiliary(pid, 33)?;
    let fail = |why: std::io::Error| format!("the memory of {pid}: {why}");
    let mut memory = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .map_err(fail)?;
    let mut library = vec![0; 4096];
    memory.seek(SeekFrom::Start(base)).map_err(fail)?;
    memory.read_exact(&mut library).map_err(fail)?;
    let at = base + symbol(&library, b"__vdso_clock_gettime").ok_or("no clock in the vDSO")?;
    sh(&format!("kill -STOP {pid}"))?;
    let written = memory
        .seek(SeekFrom::Start(at))
        .and_then(|_| memory.write_all(&shifted(seconds)));
    sh(&format!("kill -CONT {pid}"))?;
    written.map_err(fail)
}

/// A value that the kernel gave the process at its start.
fn auxiliary(pid: &str, kind: u64) -> Result<u64, String> {
    let bytes = std::fs::read(format!("/proc/{pid}/auxv")).map_err(|why| why.to_string())?;
    let word = |at: usize| number(&bytes, at, 8);
    let found = (0..bytes.len())
        .step_by(16)
        .find(|at| word(*at) == Some(kind));
    found
        .and_then(|at| word(at + 8))
        .ok_or_else(|| "no vDSO".to_owned())
}

/// `size` bytes of `from` as a number.
fn number(from: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..size].copy_from_slice(from.get(at..at + size)?);
    Some(u64::from_le_bytes(word))
}

/// Where `name` begins in a small shared library.
fn symbol(library: &[u8], name: &[u8]) -> Option<u64> {
    let (table, count) = (
        number(library, 32, 8)? as usize,
        number(library, 56, 2)? as usize,
    );
    let headers = (0..count).map(|nth| table + nth * 56);
    let dynamic = headers
        .into_iter()
        .find(|at| number(library, *at, 4) == Some(2))?;
    let start = number(library, dynamic + 8, 8)? as usize;
    let entry = |kind: u64| {
        let mut entries = (start..library.len()).step_by(16);
        let at = entries.find(|at| number(library, *at, 8) == Some(kind))?;
        number(library, at + 8, 8)
    };
    let (names, symbols) = (entry(5)? as usize, entry(6)? as usize);
    (0..64).find_map(|nth| {
        let at = symbols + nth * 24;
        let there = library.get(names + number(library, at, 4)? as usize..)?;
        (there.starts_with(name) && there.get(name.len()) == Some(&0))
            .then(|| number(library, at + 8, 8))?
    })
}

/// `clock_gettime` in machine code: the system call, and for the calendar so many seconds more.
#[cfg(target_arch = "x86_64")]
fn shifted(seconds: i64) -> Vec<u8> {
    let mut add = vec![0x48, 0xb9]; // mov rcx, seconds
    add.extend(seconds.to_le_bytes());
    add.extend([0x48, 0x01, 0x0e]); // add [rsi], rcx
    let skip = add.len() as u8;
    let mut code = vec![0xb8, 228, 0, 0, 0, 0x0f, 0x05]; // mov eax, 228; syscall
    code.extend([0x85, 0xff, 0x75, skip + 4]); // test edi, edi; jnz: another clock
    code.extend([0x85, 0xc0, 0x75, skip]); // test eax, eax; jnz: an error
    code.extend(add);
    code.push(0xc3); // ret
    code
}

/// Not known for this processor: an empty code changes nothing, and the check fails.
#[cfg(not(target_arch = "x86_64"))]
fn shifted(_: i64) -> Vec<u8> {
    Vec::new()
}
