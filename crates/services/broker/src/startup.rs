//! Starting and stopping: one broker a home, its doors open only when everything behind them is ready.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use valetkey_api::{HomeError, Limits, Paths, bind, raise_descriptor_limit, serve};
use valetkey_audit::{Actor, Event, EventType};
use valetkey_model::{Timestamp, UserFacts};
use valetkey_sandbox::seccomp::SERVICE;
use valetkey_sandbox::{SandboxError, ServicePlaces, confine_service};
use valetkey_store::{Ledger, Log, LogReader, StoreError};
use valetkey_sys::clock::Clock;

use crate::attest::Attestor;
use crate::broker::{Broker, Parts};
use crate::doors::{AgentDoor, GuardDoor, OperatorDoor};
use crate::keys::{Keys, KeysError};
use crate::people::People;
use crate::record::Recorder;
use crate::rules::Rules;

/// Why the broker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The directories cannot be used.
    #[error("{0}")]
    Home(#[from] HomeError),
    /// Another broker serves this home.
    #[error("a broker for this home is running already")]
    Running,
    /// Keys, log or ledger cannot be used.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// The log or the ledger cannot be used.
    #[error("cannot use the log in {}: {source}", path.display())]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The approvers' file cannot be used.
    #[error("cannot use the approvers: {0}")]
    People(String),
    /// The built-in policy does not compile.
    #[error("the built-in policy does not load: {0}")]
    Policy(#[from] valetkey_policy::PolicyError),
    /// The kernel does not let it give up its rights. It does not run with them.
    #[error("the broker cannot confine itself: {0}")]
    NotConfined(Box<SandboxError>),
    /// The system refuses something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Runs the broker until it is told to stop.
///
/// Prints `ready` on standard output when its doors are open, then lets go of the terminal.
///
/// # Errors
/// When it cannot start; the error says what to do.
pub fn run() -> Result<(), StartError> {
    let paths = Paths::from_env()?;
    paths.create()?;
    let _lock = lock(&paths)?;
    // A session of its own: the terminal of whoever started it on demand does not stop it. It fails only where there is one already.
    let _already_leading = rustix::process::setsid();
    // What lies outside of its own directories is looked at while it still can be.
    let user = user_facts();
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(system("open /dev/null"))?;
    // It looks at other processes, which a confined one may not; it is forked before there is a thread, a key or a door.
    let attestor = Arc::new(Attestor::start().map_err(system("start its attestor"))?);
    raise_descriptor_limit().map_err(system("raise its limit of open files"))?;
    confine(&paths)?;
    let broker = Arc::new(prepare(&paths, user)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Who has just come is looked for after every few steps of others, not after sixty: a flood would be ahead of it by as much.
        .event_interval(4)
        .global_queue_interval(4)
        .enable_all()
        .build()
        .map_err(system("start its threads"))?;
    runtime.block_on(serve_doors(&paths, &broker, &attestor, &null))?;
    for socket in [
        paths.agent_socket(),
        paths.guard_socket(),
        paths.operator_socket(),
    ] {
        // A socket that stays behind is replaced by the next broker.
        drop(std::fs::remove_file(socket));
    }
    broker.recorder.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

fn lock(paths: &Paths) -> Result<File, StartError> {
    let file = File::create(paths.run.join("broker.lock")).map_err(system("make its lock file"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Running),
        Err(error) => Err(system("lock its home")(error.into())),
    }
}

/// Gives up everything but the broker's own directories and Unix sockets. A peer's namespace is looked up in `/proc`.
fn confine(paths: &Paths) -> Result<(), StartError> {
    let places = ServicePlaces {
        own: vec![paths.state.clone(), paths.run.clone()],
        seen: vec![PathBuf::from("/proc")],
    };
    confine_service(&SERVICE, &places).map_err(|error| StartError::NotConfined(Box::new(error)))
}

fn prepare(paths: &Paths, user: UserFacts) -> Result<Broker, StartError> {
    let keys = Keys::load_or_create(&paths.state)?;
    let built_in = Arc::new(Rules::built_in()?);
    let people = People::load(&paths.state).map_err(StartError::People)?;
    let store = |path: PathBuf| {
        move |source| StartError::Store {
            path: path.clone(),
            source,
        }
    };
    let public = keys.log.public().to_string();
    valetkey_store::write_atomically(
        &paths.log_public_key(),
        format!("{public}\n").as_bytes(),
        0o644,
    )
    .map_err(store(paths.log_public_key()))?;
    let store = |path: PathBuf| {
        move |source| StartError::Store {
            path: path.clone(),
            source,
        }
    };
    // What the log's last event says has been: the clock starts no earlier.
    let known = LogReader::open(&paths.log())
        .and_then(|log| log.tail(1))
        .unwrap_or_default();
    let floor = known
        .last()
        .map_or(0, |entry| entry.record.timestamp.unix_ms());
    let clock = Arc::new(Clock::start(floor));
    let ticking = Arc::clone(&clock);
    let time = Arc::new(move || Timestamp::from_unix_ms(ticking.now_ms()));
    let (log, _recovery) = Log::open(&paths.log(), keys.log, time).map_err(store(paths.log()))?;
    let ledger_path = paths.state.join("ledger");
    let now = Timestamp::from_unix_ms(clock.now_ms());
    let ledger = Ledger::open(&ledger_path, now).map_err(store(ledger_path.clone()))?;
    Ok(Broker::new(Parts {
        clock,
        recorder: Recorder::new(log),
        ledger,
        people,
        built_in,
        user,
        protected: paths.all(),
        issuer: keys.issuer,
    }))
}

async fn serve_doors(
    paths: &Paths,
    broker: &Arc<Broker>,
    attestor: &Arc<Attestor>,
    null: &File,
) -> Result<(), StartError> {
    let loaded = Event::new(EventType::PolicyLoaded, Actor::Broker)
        .policy(broker.built_in.name(), Some(broker.built_in.digest()))
        .attribute("version", env!("CARGO_PKG_VERSION"));
    broker
        .recorder
        .note(vec![loaded])
        .await
        .map_err(|problem| StartError::System {
            what: "record its start",
            source: io::Error::other(problem.detail),
        })?;
    attestor
        .serve(broker)
        .map_err(system("hear its attestor"))?;
    let agent = bind(&paths.agent_socket()).map_err(system("open the agent door"))?;
    let guard = bind(&paths.guard_socket()).map_err(system("open the guard door"))?;
    let operator = bind(&paths.operator_socket()).map_err(system("open the operator door"))?;
    let mut ends = signal(SignalKind::terminate()).map_err(system("hear signals"))?;
    let mut interrupts = signal(SignalKind::interrupt()).map_err(system("hear signals"))?;
    // Whoever started us may be gone already.
    let _unheard = rustix::io::write(rustix::stdio::stdout(), b"ready\n");
    // So that whoever reads it sees its end.
    let _kept = rustix::stdio::dup2_stdout(null);
    let limits = Limits::default();
    let agents = Arc::new(AgentDoor::new(Arc::clone(broker), Arc::clone(attestor)));
    tokio::select! {
        end = serve(agent, agents, limits) => end.map_err(system("serve the agent door")),
        end = serve(guard, Arc::new(GuardDoor(Arc::clone(broker))), limits) => end.map_err(system("serve the guard door")),
        end = serve(operator, Arc::new(OperatorDoor(Arc::clone(broker))), limits) => end.map_err(system("serve the operator door")),
        () = broker.stopping.notified() => { tokio::time::sleep(Duration::from_millis(20)).await; Ok(()) }
        _ = ends.recv() => Ok(()),
        _ = interrupts.recv() => Ok(()),
    }
}

/// The person whom this broker serves: the owner of its process.
fn user_facts() -> UserFacts {
    let uid = rustix::process::geteuid().as_raw();
    let account = valetkey_sys::account::by_uid(uid);
    // The person who starts a broker says by HOME where their home is, as for every other program.
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
        .unwrap_or(account.home);
    let groups = rustix::process::getgroups().unwrap_or_default();
    UserFacts {
        uid,
        name: account.name,
        home: home.to_string_lossy().into_owned(),
        home_resource: None,
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    }
}
