//! `valetkey witness serve`: answers `add-checkpoint`, one consistent history a log.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use valetkey_audit::{ADD_CHECKPOINT_MAX_BYTES, AddCheckpoint, LogPublicKey, Refusal, WitnessKey};

use super::http::{self, Stream};
use super::{Memory, read_key};
use crate::args::WitnessServeArgs;
use crate::commands::audit::read_log_key;
use crate::fail::{Fail, Status};
use crate::out;

/// Connections at one time: a log asks rarely, and each waits ten seconds at most.
const CONNECTIONS_MAX: usize = 32;

/// The only call.
const PATH: &str = "/add-checkpoint";

/// One witness.
struct Witness {
    key: WitnessKey,
    logs: Vec<LogPublicKey>,
    memory: Mutex<Memory>,
}

/// Serves until it is killed: whatever it said is on the disk before it said it.
pub(super) fn serve(args: &WitnessServeArgs) -> Result<(), Fail> {
    let key = read_key(&args.key)?;
    let mut memory = Memory::open(&args.state, key.public())?;
    let mut logs: Vec<LogPublicKey> = Vec::new();
    for text in &args.logs {
        let log = read_log_key(text)?;
        if logs.iter().any(|known| known.name() == log.name()) {
            let why = format!("the log `{}` is given twice", log.name());
            return Err(Fail::new(Status::Usage, why));
        }
        memory.recall(log.name())?;
        logs.push(log);
    }
    let witness = Witness {
        key,
        logs,
        memory: Mutex::new(memory),
    };
    match args.listen.strip_prefix("unix:") {
        Some(path) => {
            let listener = bind(Path::new(path))?;
            out::line(&format!("ready unix:{path}"));
            accept(&witness, || listener.accept().map(|(stream, _)| stream))
        }
        None => {
            let address: SocketAddr = args.listen.parse().map_err(|_| {
                Fail::new(
                    Status::Usage,
                    "it listens at `unix:PATH` or at an address and port",
                )
            })?;
            if !address.ip().is_loopback() {
                return Err(Fail::new(Status::Usage, "it listens on this machine alone")
                    .hinted("put a web server that speaks TLS before it"));
            }
            let listener = TcpListener::bind(address).map_err(cannot_listen)?;
            let own = listener.local_addr().map_err(cannot_listen)?;
            out::line(&format!("ready http://{own}"));
            accept(&witness, || listener.accept().map(|(stream, _)| stream))
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn cannot_listen(error: std::io::Error) -> Fail {
    Fail::new(Status::Failed, format!("cannot listen: {error}"))
}

/// A socket that every user of the machine may ask at: what is asked carries its own signature. One that a witness left behind is replaced.
fn bind(path: &Path) -> Result<UnixListener, Fail> {
    let left_behind = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && UnixStream::connect(path).is_err();
    if left_behind {
        fs::remove_file(path).map_err(cannot_listen)?;
    }
    let listener = UnixListener::bind(path).map_err(cannot_listen)?;
    fs::set_permissions(PathBuf::from(path), fs::Permissions::from_mode(0o666))
        .map_err(cannot_listen)?;
    Ok(listener)
}

fn accept<S: Stream + Send + 'static>(
    witness: &Witness,
    next: impl Fn() -> std::io::Result<S>,
) -> Result<(), Fail> {
    let open = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            let mut stream = next().map_err(cannot_listen)?;
            if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
                // Whoever is turned away asks again; that it is told why is a courtesy.
                drop(http::answer(
                    &mut stream,
                    503,
                    "text/plain",
                    "too many connections\n",
                ));
                open.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let open = &open;
            scope.spawn(move || {
                // Nobody is left to tell if the answer cannot be sent.
                drop(witness.converse(&mut stream));
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    })
}

impl Witness {
    fn converse(&self, stream: &mut dyn Stream) -> std::io::Result<()> {
        let Ok(request) = http::read(stream, ADD_CHECKPOINT_MAX_BYTES, false) else {
            return http::answer(
                stream,
                400,
                "text/plain",
                "not a request that is read here\n",
            );
        };
        let mut words = request.first.split(' ');
        let (method, path) = (words.next(), words.next());
        if path != Some(PATH) {
            return http::answer(stream, 404, "text/plain", "there is only /add-checkpoint\n");
        }
        if method != Some("POST") {
            return http::answer(stream, 405, "text/plain", "it is posted\n");
        }
        match AddCheckpoint::parse(&request.body).and_then(|asked| self.cosign(&asked)) {
            Ok(Ok(line)) => http::answer(stream, 200, "text/plain; charset=utf-8", &line),
            Ok(Err(_)) => http::answer(stream, 500, "text/plain", "it cannot be remembered\n"),
            Err(Refusal::OldSize(size)) => {
                http::answer(stream, 409, "text/x.tlog.size", &format!("{size}\n"))
            }
            Err(refusal) => http::answer(
                stream,
                refusal.status(),
                "text/plain",
                &format!("{refusal}\n"),
            ),
        }
    }

    /// The cosignature, or why there is none. The look at what was last and the writing of what is now are one step.
    fn cosign(&self, asked: &AddCheckpoint) -> Result<Result<String, Fail>, Refusal> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = asked.judge(&self.logs, |log| memory.last(log.name()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let line = self
            .key
            .cosign(&checkpoint, now.map_or(0, |now| now.as_secs()));
        let kept = memory.keep(&checkpoint, &format!("{}{line}", asked.note));
        Ok(kept.map(|()| line))
    }
}
