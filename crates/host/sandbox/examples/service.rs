//! Confines itself like the broker and then tries one thing: `service DIR ACTION`, or `service DIR ACTION unconfined`.
//! Exit status 0 if the thing could be done, 1 if not.
#![forbid(unsafe_code)]

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use valetkey_sandbox::seccomp::SERVICE;
use valetkey_sandbox::{ServicePlaces, confine_service};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, action, rest @ ..] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    let dir = PathBuf::from(dir);
    if rest.is_empty() {
        let places = ServicePlaces {
            own: vec![dir.clone()],
            seen: vec![PathBuf::from("/proc")],
        };
        if confine_service(&SERVICE, &places).is_err() {
            return ExitCode::from(3);
        }
    }
    if attempt(action, &dir) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn attempt(action: &str, dir: &Path) -> bool {
    match action {
        "own-file" => {
            std::fs::write(dir.join("a"), "a").is_ok() && std::fs::read(dir.join("a")).is_ok()
        }
        "own-socket" => UnixListener::bind(dir.join("s")).is_ok(),
        "thread" => std::thread::Builder::new()
            .spawn(|| 1)
            .is_ok_and(|thread| thread.join().is_ok()),
        "proc" => std::fs::read("/proc/self/status").is_ok(),
        "other-read" => std::fs::read("/etc/passwd").is_ok(),
        "other-write" => std::fs::write(dir.with_extension("outside"), "a").is_ok(),
        "run" => Command::new("/bin/true").status().is_ok(),
        "listen" => TcpListener::bind("127.0.0.1:0").is_ok(),
        "connect" => TcpStream::connect("127.0.0.1:9")
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused),
        "udp" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        _ => false,
    }
}
