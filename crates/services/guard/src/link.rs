//! The guard's side of the broker: calls, a broker started on demand, and whether it still answers.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use valetkey_api::{Client, ClientError, Mode, Paths};

/// How long a call may take that does not wait for a person.
const CALL_TIME: Duration = Duration::from_secs(10);
/// Idle connections that are kept.
const IDLE_MAX: usize = 8;
/// How often and how far apart a broker is tried that another process is just starting.
const START_TRIES: u32 = 250;
const START_PAUSE: Duration = Duration::from_millis(20);

/// What the broker may have written to its standard error, such as the words of a panic, before that file is begun anew.
const STDERR_BYTES_MAX: u64 = 64 * 1024;

/// The broker cannot be reached or started.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The program is not where it should be.
    #[error("cannot find `valetkeyd` beside this program at {}: build or install it (`cargo build --release`)", path.display())]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It did not start.
    #[error("the broker did not start: {reason}")]
    NotStarted {
        /// What it said.
        reason: String,
    },
    /// The system's broker does not answer, and is not this program's to start.
    #[error("the system's broker is not reachable: {0}")]
    System(ClientError),
    /// It does not answer.
    #[error("{0}")]
    Client(#[from] ClientError),
}

/// Connects to a door of the broker, starting one if none answers. The system's broker is not started here: its manager does that.
///
/// # Errors
/// When none answers and none can be started.
pub fn connect_or_start(socket: &Path, paths: &Paths) -> Result<Client, LinkError> {
    match (Client::connect(socket), paths.mode) {
        (Ok(client), _) => return Ok(client),
        (Err(error), Mode::System) => return Err(LinkError::System(error)),
        (Err(_), Mode::User) => {}
    }
    paths.create().map_err(|error| LinkError::NotStarted {
        reason: error.to_string(),
    })?;
    for _ in 0..START_TRIES {
        // One that is ending, or that another process has just begun, still holds the home: then it is tried again.
        start(paths, &[])?;
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(_) => std::thread::sleep(START_PAUSE),
        }
    }
    Ok(Client::connect(socket)?)
}

/// Starts a broker that takes the place of the one that runs: it takes over the sockets, so that no peer finds a door closed, and the old one
/// brings its work to an end. Where none runs, one is started.
///
/// # Errors
/// When the new broker does not start, or the old one does not make way; its own words.
pub fn replace(paths: &Paths) -> Result<(), LinkError> {
    start(paths, &["--replace"])
}

fn start(paths: &Paths, options: &[&str]) -> Result<(), LinkError> {
    let program = sibling("valetkeyd");
    if !program.exists() {
        return Err(LinkError::NoProgram { path: program });
    }
    let failed = |error: std::io::Error| LinkError::NotStarted {
        reason: error.to_string(),
    };
    let stderr = stderr_file(paths).map_err(failed)?;
    let mut child = Command::new(&program)
        .args(options)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        // Its own group: a ^C at this terminal is not for it.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output)
            .read_line(&mut line)
            .map_err(failed)?;
    }
    match line.trim() {
        "ready" => Ok(()),
        // Another one has this home; it may be starting, or ending.
        line if line.contains("running already") => Ok(()),
        "" => Err(LinkError::NotStarted {
            reason: "it ended without a word".to_owned(),
        }),
        line => Err(LinkError::NotStarted {
            reason: line.trim_start_matches("error: ").to_owned(),
        }),
    }
}

/// Where a broker's standard error goes: beside its diagnostics, which it writes itself. Nothing is there but what it says before they are open,
/// or with its last breath.
fn stderr_file(paths: &Paths) -> std::io::Result<std::fs::File> {
    let directory = paths.diagnostics();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)?;
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(directory.join("stderr.log"))?;
    if file.metadata()?.len() > STDERR_BYTES_MAX {
        file.set_len(0)?;
    }
    Ok(file)
}

/// A program that is installed beside this one.
#[must_use]
pub fn sibling(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new("/usr/bin")).join(name)
}

/// Calls at the guard door, from any thread.
#[derive(Debug)]
pub(crate) struct Link {
    socket: PathBuf,
    idle: Mutex<Vec<Client>>,
    up: AtomicBool,
}

impl Link {
    /// A link that begins with one connection.
    pub(crate) fn new(socket: PathBuf, first: Client) -> Self {
        Self {
            socket,
            idle: Mutex::new(vec![first]),
            up: AtomicBool::new(true),
        }
    }

    /// Whether the broker answered last time. While it does not, nothing can be recorded and so nothing new is opened.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Says that the broker answers and knows this session.
    pub(crate) fn set_up(&self) {
        self.up.store(true, Ordering::Release);
    }

    /// Says that the broker no longer knows this session, or is gone.
    pub(crate) fn set_down(&self) {
        self.up.store(false, Ordering::Release);
    }

    /// Sends a value and reads the answer.
    pub(crate) fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        target: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.with(CALL_TIME, |client| client.post(target, body))
    }

    /// Asks for a value; the broker may take `wait` to answer.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        target: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        self.with(CALL_TIME.saturating_add(wait), |client| client.get(target))
    }

    fn with<T>(
        &self,
        time: Duration,
        call: impl FnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut client = match idle {
            Some(client) => client,
            None => Client::connect(&self.socket).inspect_err(|_| self.set_down())?,
        };
        client.set_timeout(Some(time))?;
        let result = call(&mut client);
        match &result {
            Ok(_) | Err(ClientError::Problem(_)) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE_MAX {
                    idle.push(client);
                }
            }
            // What state the connection is in is not known: it is not used again, and the session is held to be cut off.
            Err(ClientError::Broken(_) | ClientError::Unreachable { .. }) => self.set_down(),
        }
        result
    }
}
