//! The network door of a cell: connections out of it, each under a capability, recorded before it is made and when it is over.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use valetkey_api::{Problem, ProblemKind};
use valetkey_egress::{Endpoint, Gate, Passage, Refusal, Traffic, Unmade, Wanted as Waits};
use valetkey_model::{Action, ActionSet, Constraints, Resource};
use valetkey_sandbox::{LOCAL_PORTS_MAX, can_listen_at};
use valetkey_view::{Permit as _, Purpose, Use};

use crate::authority::limited;
use crate::connections::OpenConnection;
use crate::desk::{Desk, Wanted};
use crate::holdings::Held;
use crate::operation;

/// What a connection needs.
const CONNECT: ActionSet = ActionSet::of(&[Action::Connect]);
/// The names of the operations in the log.
const CONNECTED: &str = "connect";
const DISCONNECTED: &str = "disconnect";
/// Threads that wait for the broker, for people and for names.
const WAITING_MAX: usize = 64;

/// Answers for the connections of one session.
#[derive(Debug)]
struct NetworkDoor {
    desk: Arc<Desk>,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    desk: Arc<Desk>,
    held: Arc<Held>,
    to: Endpoint,
    wants_tls: bool,
    /// It is open until its end is recorded.
    _open: OpenConnection,
}

impl NetworkDoor {
    fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// A live capability under which the endpoint may be connected to, and whether it gives TLS alone.
    fn held(&self, to: &Endpoint) -> Option<(Arc<Held>, bool)> {
        let holdings = &self.desk.holdings;
        let plain = |held: &Held| is_usable(held) && held.permits(to.resource(), CONNECT);
        if let Some(held) = holdings.find(plain) {
            return Some((held, false));
        }
        // Within TLS nothing of the path can be seen: only a capability for all of the host is of use.
        let port = if to.port() == 443 {
            String::new()
        } else {
            format!(":{}", to.port())
        };
        let whole: Resource = format!("https://{}{port}/**", to.host()).parse().ok()?;
        let web = |held: &Held| is_usable(held) && held.permits(&whole, CONNECT);
        holdings.find(web).map(|held| (held, true))
    }

    fn decide(&self, to: &Endpoint, waits: &Waits) -> Result<Connection, Problem> {
        if !self.desk.link.is_up() {
            let why = "the broker does not answer: no connection is made";
            return Err(Problem::new(ProblemKind::Unavailable, why));
        }
        let (held, wants_tls) = match self.held(to) {
            Some(found) => found,
            None => (self.ask(to, waits)?, false),
        };
        let connection = Connection {
            desk: Arc::clone(&self.desk),
            held,
            to: to.clone(),
            wants_tls,
            _open: self.desk.connections.begin(),
        };
        connection.begin().inspect_err(|problem| {
            let resource = to.resource().clone();
            self.desk.refuse(resource, CONNECT, problem.clone());
        })?;
        Ok(connection)
    }

    fn ask(&self, to: &Endpoint, waits: &Waits) -> Result<Arc<Held>, Problem> {
        let wanted = Wanted {
            resource: to.resource().clone(),
            actions: CONNECT,
            constraints: Constraints::default(),
            justification: None,
            file: None,
            change: None,
            may_ask: true,
        };
        let held = self.desk.ask_and_wait(wanted, || waits.still())?;
        if is_usable(&held) && held.permits(to.resource(), CONNECT) {
            return Ok(held);
        }
        let why = "what was granted has a limit that a connection cannot be held to";
        Err(Problem::new(ProblemKind::Constraint, why))
    }
}

/// Whether every limit of a capability can be kept in a connection. One that cannot makes it useless here.
fn is_usable(held: &Held) -> bool {
    let limits = held.constraints();
    limits.media_types.is_none() && limits.max_files.is_none() && limits.max_rows.is_none()
}

impl Connection {
    /// Takes the connection from what may be made, and has it recorded before it is.
    fn begin(&self) -> Result<(), Problem> {
        let held = &self.held;
        self.desk.first_use(held, None)?;
        let usage = Use {
            purpose: Purpose::Open,
            touched: &[],
        };
        held.begin(&usage).map_err(limited)?;
        if held.constraints().is_single_use() {
            if !held.spend() {
                let why = "the capability was good for a single use, which has been made";
                return Err(Problem::new(ProblemKind::Capability, why));
            }
            self.desk.use_up(held, CONNECTED)?;
        }
        self.desk.record(operation::done(
            self.desk.holdings.now(),
            self.to.resource().clone(),
            CONNECT,
            &held.id(),
            CONNECTED,
        ))
    }
}

impl Gate for NetworkDoor {
    fn open(&self, to: &Endpoint, waits: &Waits) -> Result<Arc<dyn Passage>, Refusal> {
        match self.decide(to, waits) {
            Ok(connection) => Ok(Arc::new(connection)),
            Err(problem) => Err(refusal(&problem)),
        }
    }

    fn gives_address(&self, at: &Endpoint) -> bool {
        self.held(at).is_some()
    }

    fn unmade(&self, to: &Endpoint, why: Unmade) -> Refusal {
        let problem = problem_of(to, why);
        let resource = to.resource().clone();
        let report = operation::refused(
            self.desk.holdings.now(),
            resource.clone(),
            CONNECT,
            None,
            CONNECTED,
            &problem,
        );
        // It is not made, whether or not that could be recorded.
        drop(self.desk.record(report));
        self.desk.refuse(resource, CONNECT, problem.clone());
        refusal(&problem)
    }
}

fn problem_of(to: &Endpoint, why: Unmade) -> Problem {
    match why {
        Unmade::NotPublic => Problem::new(
            ProblemKind::Denied,
            "the name leads to an address that is not on the public internet",
        )
        .hinted(true, "ask for `tcp:ADDRESS:PORT` with the address itself"),
        Unmade::Plain => Problem::new(
            ProblemKind::Denied,
            "https was granted for this host, and this is not TLS",
        )
        .hinted(true, format!("use https, or ask for `{}`", to.resource())),
        Unmade::Ended => Problem::new(ProblemKind::Capability, "the capability ended"),
        Unmade::NotFound => Problem::new(ProblemKind::NotFound, "the name was not found"),
        Unmade::Unreachable => Problem::new(ProblemKind::Unavailable, "the server does not answer"),
    }
}

fn refusal(problem: &Problem) -> Refusal {
    let status = match problem.kind {
        ProblemKind::NotFound => 502,
        ProblemKind::Unavailable => 503,
        ProblemKind::Denied
        | ProblemKind::Expired
        | ProblemKind::Capability
        | ProblemKind::Constraint
        | ProblemKind::Invalid
        | ProblemKind::Method
        | ProblemKind::Busy => 403,
    };
    Refusal {
        status,
        media_type: "application/problem+json",
        body: serde_json::to_string(problem).unwrap_or_default(),
    }
}

impl Passage for Connection {
    fn is_live(&self) -> bool {
        self.held.is_live() && self.desk.link.is_up()
    }

    fn take_up(&self, bytes: u64) -> bool {
        self.held.take_write(bytes).is_ok()
    }

    fn take_down(&self, bytes: u64) -> bool {
        match self.held.take_read(bytes) {
            Ok(given) if given == bytes => true,
            Ok(given) => {
                self.held.return_read(given);
                false
            }
            Err(_) => false,
        }
    }

    fn wants_tls(&self) -> bool {
        self.wants_tls
    }

    fn ended(&self, traffic: &Traffic) {
        let mut report = operation::done(
            self.desk.holdings.now(),
            self.to.resource().clone(),
            CONNECT,
            &self.held.id(),
            DISCONNECTED,
        );
        report.bytes_read = traffic.down;
        report.bytes_written = traffic.up;
        report.duration_us = u64::try_from(traffic.took.as_micros()).unwrap_or(u64::MAX);
        report.address = Some(traffic.address.to_string());
        report.server_name.clone_from(&traffic.server_name);
        report.reason = traffic.cut.map(str::to_owned);
        if let Some(why) = traffic.cut {
            let problem = Problem::new(ProblemKind::Denied, why);
            self.desk
                .refuse(self.to.resource().clone(), CONNECT, problem);
        }
        // The connection itself stands in the log already.
        drop(self.desk.record(report));
    }
}

/// The ports of this machine's loopback interface that were granted by its number. The cell listens at them too, so that programs find
/// there what they would find outside: few use a proxy for a server of their own machine.
pub(crate) fn local_ports<'a>(granted: impl Iterator<Item = &'a Resource>) -> Vec<u16> {
    let mut ports: Vec<u16> = granted
        .filter_map(|resource| {
            let text = resource.to_string();
            let port = text.strip_prefix("tcp:127.0.0.1:")?;
            port.parse().ok()
        })
        .filter(|port| can_listen_at(*port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    // Beyond that many the proxy is the way to them.
    ports.truncate(LOCAL_PORTS_MAX);
    ports
}

/// Serves the cell's connections, on a thread of their own.
///
/// # Errors
/// When the thread or its runtime cannot be started.
pub(crate) fn open(
    listener: &OwnedFd,
    local: &[(u16, OwnedFd)],
    desk: &Arc<Desk>,
) -> std::io::Result<()> {
    let door = NetworkDoor::new(Arc::clone(desk));
    // Two descriptors for each connection, beside those of the view. The cell keeps the limit that it began with.
    valetkey_api::raise_descriptor_limit()?;
    let proxy = served(listener)?;
    let local = local
        .iter()
        .filter_map(|(port, listener)| Some((Endpoint::new("127.0.0.1", *port)?, listener)))
        .map(|(to, listener)| Ok((to, served(listener)?)))
        .collect::<std::io::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITING_MAX)
        .build()?;
    std::thread::Builder::new()
        .name("network-door".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let gate: Arc<dyn Gate> = Arc::new(door);
                // They end with the session; without a listener there is no way out.
                for (to, listener) in local {
                    if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                        tokio::spawn(valetkey_egress::serve_for(listener, to, Arc::clone(&gate)));
                    }
                }
                if let Ok(listener) = tokio::net::TcpListener::from_std(proxy) {
                    valetkey_egress::serve(listener, gate).await;
                }
            });
        })?;
    Ok(())
}

fn served(listener: &OwnedFd) -> std::io::Result<TcpListener> {
    let listener = TcpListener::from(listener.try_clone()?);
    listener.set_nonblocking(true)?;
    Ok(listener)
}
