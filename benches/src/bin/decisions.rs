//! Decisions a second through the guard door: asked over the socket, decided by policy, durable in the log before the answer.
//!
//! `cargo run --release -p valetkey-benches --bin decisions`
//!
//! Every client thread has a connection and a session of its own, as a guard has; a session is left before it holds 4096 live
//! capabilities, which is the most that the broker allows one.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use valetkey_api::{
    Ask, Client, CloseSession, OpenSession, OperationReport, Report, RequestState, SessionOpened,
};
use valetkey_benches::measure::{Times, rate, ratio, show, timed};
use valetkey_benches::product::Product;
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, inputs, machine, opa};
use valetkey_model::{AgentId, Constraints, Resource, SessionId, Timestamp};
use valetkey_policy::{PolicySet, starter};

/// Turns of every case.
const ROUNDS: usize = 3;
/// Client threads, and how many requests each sends in one round.
const CLIENTS: [(usize, usize); 3] = [(1, 1500), (8, 500), (64, 100)];
/// How often the bounds are measured.
const ALONE: usize = 1000;
/// As long as an event in the log.
const EVENT_BYTES: usize = 700;

/// Files that are asked for again and again.
const AGAIN: usize = 16;

/// Numbers the files that are asked for once: no two requests of a run are for the same.
static NEXT: AtomicUsize = AtomicUsize::new(AGAIN);

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file in the workspace that nobody asked for before: decided and minted, two events.
    Allowed,
    /// One of a few files in the workspace: the decision is known, and minted and recorded as any.
    AllowedAgain,
    /// A file elsewhere that nobody asked for before: decided, one event.
    Denied,
    /// One of a few files elsewhere.
    DeniedAgain,
    /// No question at all: a report of one operation, durable. What is left is the door and the log.
    Reported,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Allowed,
        Self::AllowedAgain,
        Self::Denied,
        Self::DeniedAgain,
        Self::Reported,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed: decided, recorded, minted",
            Self::AllowedAgain => "allowed again: known, recorded, minted",
            Self::Denied => "denied: decided, recorded",
            Self::DeniedAgain => "denied again: known, recorded",
            Self::Reported => "an operation recorded, nothing decided",
        }
    }
}

fn main() -> Result<(), Failure> {
    let product = Product::find()?;
    product.start_broker()?;
    let workspace = product.scratch().join("work");
    std::fs::create_dir(&workspace)?;
    println!("## decisions\n\n{}\n", machine::line());

    let mut found = vec![Series::default(); CLIENTS.len() * Kind::ALL.len()];
    for _ in 0..ROUNDS {
        let mut own = found.iter_mut();
        for kind in Kind::ALL {
            for (clients, requests) in CLIENTS {
                let series = own.next().ok_or("a case is missing")?;
                round(&product, &workspace, kind, clients, requests, series)?;
            }
        }
    }
    let mut table = Table::new(&["", "clients", "a second", "p50", "p99"]);
    let mut own = found.iter();
    for kind in Kind::ALL {
        for ((clients, requests), series) in CLIENTS.iter().zip(&mut own) {
            table.row([
                kind.name().to_owned(),
                clients.to_string(),
                rate(clients * requests, series.whole.median()),
                show(series.each.median()),
                show(series.each.at(990)),
            ]);
        }
    }
    println!("{ROUNDS} rounds, turn and turn about; the rate is that of the middle one\n\n{table}");
    bounds(&product, &workspace)?;
    beside_opa(&workspace)
}

/// What was measured of one case.
#[derive(Clone, Default)]
struct Series {
    /// How long each round took.
    whole: Times,
    /// How long each request took.
    each: Times,
}

fn round(
    product: &Product,
    workspace: &Path,
    kind: Kind,
    clients: usize,
    requests: usize,
    series: &mut Series,
) -> Result<(), Failure> {
    let all_ready = Arc::new(Barrier::new(clients + 1));
    let mut threads = Vec::new();
    for number in 0..clients {
        let mut guard = Guard::open(product, workspace)?;
        let (all_ready, workspace) = (Arc::clone(&all_ready), workspace.to_path_buf());
        threads.push(thread::spawn(move || -> Result<Times, Failure> {
            all_ready.wait();
            let first = number * requests;
            let times = (first..first + requests)
                .map(|number| Ok(timed(|| guard.send(kind, &workspace, number))?.1))
                .collect::<Result<Times, Failure>>();
            // Whether it went well or not: the others wait. Closed only then, so that closing is not in the figure.
            all_ready.wait();
            guard.close()?;
            times
        }));
    }
    all_ready.wait();
    let start = Instant::now();
    all_ready.wait();
    series.whole.add(start.elapsed());
    for thread in threads {
        let times = thread.join().map_err(|_| "a client panicked")??;
        series.each.extend(times);
    }
    Ok(())
}

/// A session and its connection, as a guard has them.
struct Guard {
    client: Client,
    session: SessionId,
}

impl Guard {
    fn open(product: &Product, workspace: &Path) -> Result<Self, Failure> {
        let mut client = Client::connect(&product.paths().guard_socket())?;
        // A hung broker is an error, not a wait without end at the barrier.
        client.set_timeout(Some(Duration::from_secs(30)))?;
        let opened: SessionOpened = client.post(
            "/v1/sessions",
            &OpenSession {
                agent: AgentId::sanitised("bench"),
                agent_digest: None,
                enforcement: None,
                purpose: Some("to be measured".to_owned()),
                workspace: Some(Resource::tree(workspace)?),
                grants: Vec::new(),
                policy: None,
            },
        )?;
        Ok(Self {
            client,
            session: opened.session,
        })
    }

    fn send(&mut self, kind: Kind, workspace: &Path, number: usize) -> Result<(), Failure> {
        let directory = match kind {
            Kind::Denied | Kind::DeniedAgain => Path::new("/srv/elsewhere"),
            Kind::Allowed | Kind::AllowedAgain | Kind::Reported => workspace,
        };
        let number = match kind {
            Kind::Allowed | Kind::Denied => NEXT.fetch_add(1, Ordering::Relaxed),
            Kind::AllowedAgain | Kind::DeniedAgain | Kind::Reported => number % AGAIN,
        };
        let resource = Resource::file(&directory.join(format!("file{number}.txt")))?;
        if kind == Kind::Reported {
            return self.report(resource);
        }
        let state: RequestState = self.client.post(
            "/v1/requests",
            &Ask {
                session: self.session.clone(),
                resource,
                actions: "read".parse()?,
                constraints: Constraints::default(),
                justification: None,
                file: None,
                change: None,
                may_ask: false,
            },
        )?;
        match (kind, state) {
            (Kind::Allowed | Kind::AllowedAgain, RequestState::Granted { .. })
            | (Kind::Denied | Kind::DeniedAgain, RequestState::Refused { .. }) => Ok(()),
            (_, other) => Err(format!("the broker answered {other:?}").into()),
        }
    }

    fn report(&mut self, resource: Resource) -> Result<(), Failure> {
        let operation = OperationReport {
            time: Timestamp::from_unix_ms(0),
            resource,
            actions: "read".parse()?,
            done: true,
            capability_id: None,
            operation: "open".to_owned(),
            reason: None,
            duration_us: 0,
            bytes_read: 0,
            bytes_written: 0,
            rows: 0,
            count: 1,
            file_hash: None,
            address: None,
            server_name: None,
        };
        let target = format!("/v1/sessions/{}/operations", self.session);
        let report = Report {
            operations: vec![operation],
            durable: true,
        };
        Ok(self.client.post(&target, &report)?)
    }

    fn close(mut self) -> Result<(), Failure> {
        let target = format!("/v1/sessions/{}/close", self.session);
        Ok(self
            .client
            .post(&target, &CloseSession { exit_status: 0 })?)
    }
}

/// What the figures cannot be better than: each part of a decision alone, in one thread.
fn bounds(product: &Product, workspace: &Path) -> Result<(), Failure> {
    let policy = PolicySet::new(&starter("base")?)?;
    let mut table = Table::new(&["alone, one thread", "p50", "p99", "a second"]);
    let mut row = |name: &str, times: &Times| {
        table.row([
            name.to_owned(),
            show(times.median()),
            show(times.at(990)),
            rate(1, times.median()),
        ]);
    };
    for (name, directory) in [
        ("policy: allowed", workspace),
        ("policy: denied", Path::new("/srv/elsewhere")),
    ] {
        let input = inputs::read(&directory.join("file.txt"), workspace)?;
        let mut times = Times::default();
        for _ in 0..ALONE {
            let start = Instant::now();
            std::hint::black_box(policy.decide(std::hint::black_box(&input)));
            times.add(start.elapsed());
        }
        row(name, &times);
    }
    row("write and `fdatasync` of one event", &synced(product)?);
    row("a round trip to the broker", &round_trips(product)?);
    println!("{table}");
    Ok(())
}

fn synced(product: &Product) -> Result<Times, Failure> {
    let mut file = File::create(product.scratch().join("synced"))?;
    let event = vec![0x61; EVENT_BYTES];
    let mut times = Times::default();
    for _ in 0..ALONE {
        let start = Instant::now();
        file.write_all(&event)?;
        file.sync_data()?;
        times.add(start.elapsed());
    }
    Ok(times)
}

/// Something that the broker answers without policy and log: the keys of nobody.
fn round_trips(product: &Product) -> Result<Times, Failure> {
    let mut client = Client::connect(&product.paths().guard_socket())?;
    let mut times = Times::default();
    for _ in 0..ALONE {
        times.add(timed(|| client.call("GET", "/v1/nothing", &[]))?.1);
    }
    Ok(times)
}

/// Policy alone, by our engine and by OPA as a library: the same bundles and inputs, in one thread each, one after the other.
fn beside_opa(workspace: &Path) -> Result<(), Failure> {
    let inputs = inputs::all(workspace)?;
    let Some(opa) = opa::beside(&inputs, ROUNDS)? else {
        return Ok(());
    };
    let policy = PolicySet::new(&starter("base")?)?;
    let mut ours = Times::default();
    for _ in 0..ROUNDS {
        for input in &inputs {
            let start = Instant::now();
            std::hint::black_box(policy.decide(std::hint::black_box(input)));
            ours.add(start.elapsed());
        }
    }
    let mut table = Table::new(&["base and guardrails", "p50", "p99", "× valetkey"]);
    for (name, times) in [("valetkey", &ours), ("OPA as a library", &opa.times)] {
        table.row([
            name.to_owned(),
            show(times.median()),
            show(times.at(990)),
            ratio(times.median(), ours.median()),
        ]);
    }
    println!("{} inputs, {ROUNDS} rounds\n\n{table}", inputs.len());
    if !opa.otherwise.is_empty() {
        let list = opa.otherwise.join("\n");
        return Err(format!("OPA decides otherwise:\n{list}").into());
    }
    println!("Each of both decided the same for every input.\n");
    Ok(())
}
