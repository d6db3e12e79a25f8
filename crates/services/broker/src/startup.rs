//! Starting and stopping: one broker a home, its doors open only when everything behind them is ready.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use valetkey_api::{HomeError, Limits, Mode, Paths, bind, raise_descriptor_limit, serve};
use valetkey_audit::{Actor, Event, EventType};
use valetkey_model::Timestamp;
use valetkey_sandbox::seccomp::SERVICE;
use valetkey_sandbox::{SandboxError, ServicePlaces, confine_service};
use valetkey_store::{Ledger, Log, LogReader, StoreError};
use valetkey_sys::activation::Passed;
use valetkey_sys::clock::Clock;

use crate::appointed::Appointed;
use crate::attest::Attestor;
use crate::broker::{Broker, Parts};
use crate::diagnostics::Diagnostics;
use crate::doors::{AgentDoor, GuardDoor, OperatorDoor};
use crate::handover::{self, Successor};
use crate::identify::Admission;
use crate::keys::{Keys, KeysError};
use crate::listeners::{ListenError, Listeners};
use crate::notify::Notifier;
use crate::people::People;
use crate::policies::Policies;
use crate::privacy::Privacy;
use crate::record::Recorder;
use crate::remembered::Remembered;
use crate::review::Reviews;
use crate::witnessed::Witnesses;

/// Why the broker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The directories cannot be used.
    #[error("{0}")]
    Home(#[from] HomeError),
    /// Another broker serves this home.
    #[error("a broker for this home is running already")]
    Running,
    /// The command line says something else.
    #[error("unknown option `{0}`: it takes `--system` and `--replace`")]
    Usage(String),
    /// A listening socket cannot be used.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The broker that is to be replaced does not make way.
    #[error("the running broker does not hand its sockets over: {0}")]
    NotReplaced(io::Error),
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
    /// What the log may say of people cannot be told.
    #[error("cannot use the rules for what the log says of people: {0}")]
    Privacy(String),
    /// What decides cannot be loaded: the built-in policy, or what is installed.
    #[error("cannot load the policy that decides: {0}")]
    Policy(String),
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

/// How long peers that were told of the end have to hear it.
const FAREWELL: Duration = Duration::from_millis(100);
/// How long guards of open sessions have to report what was done last, over the connections that they have: they do so within a second.
const LAST_REPORTS: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// As one person, or for a group under a user id of its own.
    pub mode: Mode,
    /// Whether to take the place of a broker that runs.
    pub replace: bool,
}

impl Options {
    /// What the command line says, without the program's name.
    ///
    /// # Errors
    /// [`StartError::Usage`] for anything that it does not know.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, StartError> {
        let mut options = Self {
            mode: Mode::User,
            replace: false,
        };
        for word in words {
            match word.as_str() {
                "--system" => options.mode = Mode::System,
                "--replace" => options.replace = true,
                _ => return Err(StartError::Usage(word)),
            }
        }
        Ok(options)
    }
}

/// Why the broker ends.
#[derive(Debug)]
enum End {
    /// It was told to.
    Stopped,
    /// Another one takes its place.
    Replaced(Successor),
}

/// Runs the broker until it is told to stop.
///
/// Prints `ready` on standard output when its doors are open, then lets go of the terminal.
///
/// # Errors
/// When it cannot start; the error says what to do.
pub fn run(options: Options) -> Result<(), StartError> {
    // First, while nothing else of this process is open.
    let passed =
        valetkey_sys::activation::take().map_err(system("take the sockets that were passed"))?;
    let notifier = Notifier::from_env();
    let paths = Paths::of_broker(options.mode)?;
    paths.create()?;
    let diagnostics = Arc::new(Diagnostics::new(paths.diagnostics()));
    let result = start(options, &paths, passed, &notifier, &diagnostics);
    match &result {
        Ok(()) => diagnostics.info("ended"),
        // Two that are started at the same moment are no fault: one of them serves.
        Err(StartError::Running) => {}
        Err(error) => diagnostics.error(error),
    }
    result
}

fn start(
    options: Options,
    paths: &Paths,
    passed: Vec<Passed>,
    notifier: &Notifier,
    diagnostics: &Arc<Diagnostics>,
) -> Result<(), StartError> {
    let taken = if options.replace {
        handover::take_over(paths).map_err(StartError::NotReplaced)?
    } else {
        None
    };
    let mut listeners = match taken {
        Some(taken) => Listeners::handed_over(options.mode, taken),
        None => Listeners::passed(options.mode, passed),
    };
    let _lock = lock(paths)?;
    // A session of its own: the terminal of whoever started it on demand does not stop it. It fails only where there is one already.
    let _already_leading = rustix::process::setsid();
    // What lies outside of its own directories is looked at while it still can be.
    let admission = Admission::of(options.mode);
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(system("open /dev/null"))?;
    // It looks at other processes, which a confined one may not; it is forked before there is a thread, a key or a door.
    let attestor = Arc::new(Attestor::start().map_err(system("start its attestor"))?);
    raise_descriptor_limit().map_err(system("raise its limit of open files"))?;
    confine(paths)?;
    let (broker, before) = prepare(paths, admission, Arc::clone(diagnostics))?;
    let broker = Arc::new(broker);
    crate::alarm::start(&broker, paths.log(), &paths.alerts(), before)
        .map_err(system("start its watch over the log"))?;
    crate::policies::start(&broker).map_err(system("start to compare policies"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Who has just come is looked for after every few steps of others, not after sixty: a flood would be ahead of it by as much.
        .event_interval(4)
        .global_queue_interval(4)
        .enable_all()
        .build()
        .map_err(system("start its threads"))?;
    let end = runtime.block_on(serve_doors(Served {
        paths,
        broker: &broker,
        attestor: &attestor,
        listeners: &mut listeners,
        notifier,
        null: &null,
    }))?;
    if !matches!(end, End::Replaced(_)) {
        listeners.remove();
        if listeners.can_be_handed_over() {
            drop(std::fs::remove_file(paths.handover_socket()));
        }
    }
    broker.recorder.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let End::Replaced(successor) = end {
        // The log is closed, and nothing is served any more: the rest of this process is to end.
        successor
            .hand_over(&listeners)
            .map_err(system("hand its sockets over"))?;
    }
    Ok(())
}

fn lock(paths: &Paths) -> Result<File, StartError> {
    // Private: whoever may open it may lock it, and so keep the broker from starting.
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(paths.run.join("broker.lock"))
        .map_err(system("make its lock file"))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(system("close its lock file to others"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Running),
        Err(error) => Err(system("lock its home")(error.into())),
    }
}

/// Gives up everything but the broker's own directories and Unix sockets. A peer's namespace is looked up in `/proc`.
///
/// A system broker looks up who its peers are in `/etc/passwd`, which is replaced whenever it changes: so the directory stays in sight, as far
/// as the broker's user may read there.
fn confine(paths: &Paths) -> Result<(), StartError> {
    let mut places = ServicePlaces {
        own: vec![paths.state.clone(), paths.run.clone()],
        seen: vec![PathBuf::from("/proc")],
    };
    if paths.mode == Mode::System {
        places.seen.push(PathBuf::from("/etc"));
        // Who may change policy stands there, beside or below the other.
        if paths.config.is_dir() {
            places.seen.push(paths.config.clone());
        }
    }
    confine_service(&SERVICE, &places).map_err(|error| StartError::NotConfined(Box::new(error)))
}

/// The broker, and how many events its log had before.
fn prepare(
    paths: &Paths,
    admission: Admission,
    diagnostics: Arc<Diagnostics>,
) -> Result<(Broker, u64), StartError> {
    let keys = Keys::load_or_create(&paths.state, &paths.log())?;
    let policies =
        Policies::load(&paths.state, &paths.config, paths.mode).map_err(StartError::Policy)?;
    let people = People::load(&paths.state, paths.mode).map_err(StartError::People)?;
    let appointed = Appointed::load(&paths.state).map_err(StartError::People)?;
    let remembered = Remembered::load(&paths.state, paths.mode, &diagnostics);
    let reviews = Reviews::load(&paths.state).map_err(StartError::People)?;
    let store = |path: PathBuf| {
        move |source| StartError::Store {
            path: path.clone(),
            source,
        }
    };
    let witnesses = Witnesses::load(&paths.state, keys.log.public());
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
    let privacy =
        Privacy::load(&paths.state, paths.mode, Arc::clone(&clock)).map_err(StartError::Privacy)?;
    let ticking = Arc::clone(&clock);
    let time = Arc::new(move || Timestamp::from_unix_ms(ticking.now_ms()));
    let (log, recovery) = Log::open(&paths.log(), keys.log, time).map_err(store(paths.log()))?;
    if !recovery.was_closed {
        diagnostics.error(
            "the last broker of this home did not end in good order; the log says what is missing",
        );
    }
    let ledger_path = paths.state.join("ledger");
    let now = Timestamp::from_unix_ms(clock.now_ms());
    let ledger = Ledger::open(&ledger_path, now).map_err(store(ledger_path.clone()))?;
    let broker = Broker::new(Parts {
        clock,
        recorder: Recorder::new(log, privacy),
        ledger,
        people,
        appointed,
        remembered,
        reviews,
        policies,
        witnesses,
        admission,
        diagnostics,
        protected: paths.all(),
        issuer: keys.issuer,
    });
    Ok((broker, recovery.events))
}

/// What the doors are served with.
struct Served<'a> {
    paths: &'a Paths,
    broker: &'a Arc<Broker>,
    attestor: &'a Arc<Attestor>,
    listeners: &'a mut Listeners,
    notifier: &'a Notifier,
    null: &'a File,
}

async fn serve_doors(served: Served<'_>) -> Result<End, StartError> {
    let Served {
        paths,
        broker,
        attestor,
        listeners,
        notifier,
        null,
    } = served;
    let live = broker.policies.live();
    let loaded = Event::new(EventType::PolicyLoaded, Actor::Broker)
        .policy(live.name(), Some(live.digest()))
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
    let agent = listeners.take_or_bind("agent", &paths.agent_socket())?;
    let guard = listeners.take_or_bind("guard", &paths.guard_socket())?;
    let operator = listeners.take_or_bind("operator", &paths.operator_socket())?;
    listeners.all_taken()?;
    let successor = await_successor(paths, broker, listeners)?;
    let mut ends = signal(SignalKind::terminate()).map_err(system("hear signals"))?;
    let mut interrupts = signal(SignalKind::interrupt()).map_err(system("hear signals"))?;
    // Whoever started us may be gone already.
    let _unheard = rustix::io::write(rustix::stdio::stdout(), b"ready\n");
    // So that whoever reads it sees its end.
    let _kept = rustix::stdio::dup2_stdout(null);
    notifier.ready();
    broker.diagnostics.info(format_args!(
        "started: version {}, process {}, {} mode, {} events in the log",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        paths.mode,
        broker.recorder.size()
    ));
    let limits = Limits::default();
    let agents = Arc::new(AgentDoor::new(Arc::clone(broker), Arc::clone(attestor)));
    let end = tokio::select! {
        end = serve(agent, agents, limits) => end.map(|()| End::Stopped).map_err(system("serve the agent door")),
        end = serve(guard, Arc::new(GuardDoor(Arc::clone(broker))), limits) => end.map(|()| End::Stopped).map_err(system("serve the guard door")),
        end = serve(operator, Arc::new(OperatorDoor(Arc::clone(broker))), limits) => end.map(|()| End::Stopped).map_err(system("serve the operator door")),
        successor = successor => Ok(End::Replaced(successor)),
        () = broker.stopping.notified() => Ok(End::Stopped),
        _ = ends.recv() => Ok(End::Stopped),
        _ = interrupts.recv() => Ok(End::Stopped),
    };
    notifier.stopping();
    let why = match &end {
        Ok(End::Replaced(_)) => "the broker was replaced by another",
        Ok(End::Stopped) | Err(_) => "the broker was stopped",
    };
    broker.diagnostics.info(why);
    if broker.begin_ending() {
        tokio::time::sleep(LAST_REPORTS).await;
    }
    broker.end_sessions(why).await;
    // Whoever waits for news hears of the end before the connection goes.
    tokio::time::sleep(FAREWELL).await;
    end
}

/// Waits for a broker that is to take this one's place; for ever, where a service manager holds the sockets and starts it.
fn await_successor(
    paths: &Paths,
    broker: &Arc<Broker>,
    listeners: &Listeners,
) -> Result<impl Future<Output = Successor> + use<>, StartError> {
    let socket = paths.handover_socket();
    let listener = if listeners.can_be_handed_over() {
        let bound = bind(&socket)
            .and_then(tokio::net::UnixListener::from_std)
            .map_err(system("open the handover socket"))?;
        Some(bound)
    } else {
        None
    };
    let broker = Arc::clone(broker);
    Ok(async move {
        match listener {
            Some(listener) => handover::await_successor(listener, broker).await,
            None => std::future::pending().await,
        }
    })
}
