//! Tries what a worker that has been taken over would try, after the confinement that the worker
//! uses; or without it, to show that the attempt is a real one.
//!
//! ```text
//! confined_attempts ATTEMPT [unconfined]
//! ```
//!
//! Ends with status 0 if the attempt succeeded, and with 1 if the kernel answered with an error; the
//! kernel may also end it. Status 2 is a wrong call; 3 means that the confinement could not be had.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, confined) = match arguments.as_slice() {
        [what] => (what.as_str(), true),
        [what, word] if word == "unconfined" => (what.as_str(), false),
        _ => return ExitCode::from(2),
    };
    let stdout = io::stdout();
    if confined && valetkey_sheet::worker::confine(&[stdout.as_fd()]).is_err() {
        return ExitCode::from(3);
    }
    match attempt(what) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}

fn attempt(what: &str) -> Option<io::Result<()>> {
    Some(match what {
        "open" => File::open("/etc/passwd").map(drop),
        "reopen" => File::open("/proc/self/fd/1").map(drop),
        "create" => create(),
        "look" => fs::metadata("/etc/passwd").map(drop),
        "list" => fs::read_dir("/").map(drop),
        "tcp" => TcpListener::bind(("127.0.0.1", 0)).map(drop),
        "udp" => UdpSocket::bind(("127.0.0.1", 0)).map(drop),
        "unix" => UnixStream::pair().map(drop),
        "start" => Command::new("/bin/true").status().map(drop),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(drop),
        "duplicate" => io::stdout().as_fd().try_clone_to_owned().map(drop),
        "signal" => {
            rustix::process::test_kill_process(rustix::process::getpid()).map_err(Into::into)
        }
        "compute" => compute(),
        _ => return None,
    })
}

fn create() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("valetkey-attempt-{}", std::process::id()));
    File::create_new(&path)?;
    fs::remove_file(path)
}

/// What an honest worker does: take memory, much of it, and answer.
fn compute() -> io::Result<()> {
    let mut sums = Vec::new();
    for size in [1 << 10, 1 << 16, 1 << 22, 1 << 26] {
        let bytes = vec![1_u8; size];
        sums.push(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    }
    writeln!(io::stdout().lock(), "{sums:?}")
}
