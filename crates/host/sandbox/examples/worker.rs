//! Confines itself as a worker and then tries something: what the tests of `confine_worker` drive.
#![expect(
    clippy::print_stderr,
    reason = "a program of its own tells its errors so"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};

use valetkey_sandbox::{WorkerLimits, confine_worker, seccomp};

fn main() -> ExitCode {
    let action = std::env::args().nth(1).unwrap_or_default();
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let limits = WorkerLimits {
        memory_bytes: 256 << 20,
        cpu_seconds: 2,
        file_bytes: 1 << 20,
    };
    let keep = [input.as_fd(), output.as_fd()];
    if action != "unconfined"
        && let Err(error) = confine_worker(&seccomp::WORKER, limits, &keep)
    {
        eprintln!("worker: {error}");
        return ExitCode::from(5);
    }
    let action = std::env::args().nth(2).unwrap_or(action);
    let done = match action.as_str() {
        "compute" => {
            let mut text = String::new();
            let read = input.lock().read_to_string(&mut text);
            let table: std::collections::HashMap<_, _> = text.chars().map(|c| (c, 1)).collect();
            read.is_ok() && write!(output.lock(), "{} letters", table.len()).is_ok()
        }
        "stat" => std::fs::metadata("/etc/passwd").is_ok(),
        "open" => std::fs::File::open("/etc/passwd").is_ok(),
        "connect" => TcpStream::connect("127.0.0.1:9").is_ok(),
        "spawn" => Command::new("/bin/true").status().is_ok(),
        "thread" => std::thread::Builder::new().spawn(|| ()).is_ok(),
        "memory" => Vec::<u8>::new().try_reserve_exact(1 << 30).is_ok(),
        "spin" => loop {
            std::hint::spin_loop();
        },
        _ => false,
    };
    ExitCode::from(u8::from(!done))
}
