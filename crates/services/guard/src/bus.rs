//! The bus door of a cell: calls to desktop services, each under a capability and recorded before it is made.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use valetkey_api::{Problem, ProblemKind};
use valetkey_model::{Action, ActionSet, BusResource, Constraints, Grant, Resource};
use valetkey_sandbox::CellSpec;
use valetkey_view::{Permit as _, Purpose, Use};

use crate::authority::limited;
use crate::desk::{Desk, Wanted};
use crate::holdings::Held;
use crate::operation;

/// What a call needs.
const CALL: ActionSet = ActionSet::of(&[Action::Call]);
/// The name of the operation in the log.
const CALLED: &str = "call";
/// Where programs in the cell find the bus.
const ADDRESS: (&str, &str) = (
    "DBUS_SESSION_BUS_ADDRESS",
    "unix:path=/run/valetkey/bus.sock",
);

/// Puts a bus into the cell, if anything of the session bus is granted at the start.
pub(crate) fn bring(cell: &mut CellSpec, grants: &[Grant]) {
    let is_bus = |grant: &Grant| matches!(grant.resource, Resource::Bus(_));
    if !grants.iter().any(is_bus) {
        return;
    }
    let (name, address) = ADDRESS;
    cell.env.retain(|(had, _)| had != name);
    cell.env.push((name.into(), address.into()));
    cell.session_bus = true;
}

/// The person's session bus, as their programs find it.
fn persons_bus() -> String {
    let named = std::env::var(ADDRESS.0)
        .ok()
        .filter(|named| !named.is_empty());
    named
        .or_else(|| {
            let mut path = std::env::var_os("XDG_RUNTIME_DIR")
                .unwrap_or_else(|| OsString::from("/nonexistent"));
            path.push("/bus");
            Some(format!("unix:path={}", path.into_string().ok()?))
        })
        .unwrap_or_default()
}

/// Answers for the calls of one session.
#[derive(Debug)]
pub(crate) struct BusDoor {
    desk: Arc<Desk>,
}

impl BusDoor {
    fn decide(
        &self,
        resource: &Resource,
        bytes: u64,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<(), Problem> {
        if !self.desk.link.is_up() {
            let why = "the broker does not answer: no call is made";
            return Err(Problem::new(ProblemKind::Unavailable, why));
        }
        let fits = |held: &Held| is_usable(held) && held.permits(resource, CALL);
        let held = match self.desk.holdings.find(fits) {
            Some(held) => held,
            None => self.ask(resource, still_wanted)?,
        };
        self.begin(&held, resource, bytes).inspect_err(|problem| {
            self.desk.refuse(resource.clone(), CALL, problem.clone());
        })
    }

    fn ask(
        &self,
        resource: &Resource,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<Held>, Problem> {
        let wanted = Wanted {
            resource: resource.clone(),
            actions: CALL,
            constraints: Constraints::default(),
            justification: None,
            file: None,
            change: None,
            may_ask: true,
        };
        let held = self.desk.ask_and_wait(wanted, still_wanted)?;
        if is_usable(&held) && held.permits(resource, CALL) {
            return Ok(held);
        }
        let why = "what was granted has a limit that a call cannot be held to";
        Err(Problem::new(ProblemKind::Constraint, why))
    }

    /// Takes the call from what may be made, and has it recorded before it is.
    fn begin(&self, held: &Arc<Held>, resource: &Resource, bytes: u64) -> Result<(), Problem> {
        self.desk.first_use(held, None)?;
        let usage = Use {
            purpose: Purpose::Open,
            touched: &[],
        };
        held.begin(&usage).map_err(limited)?;
        held.take_write(bytes).map_err(limited)?;
        if held.constraints().is_single_use() {
            if !held.spend() {
                let why = "the capability was good for a single use, which has been made";
                return Err(Problem::new(ProblemKind::Capability, why));
            }
            self.desk.use_up(held, CALLED)?;
        }
        let now = self.desk.holdings.now();
        let mut report = operation::done(now, resource.clone(), CALL, &held.id(), CALLED);
        report.bytes_written = bytes;
        self.desk.record(report)
    }
}

/// Whether every limit of a capability can be kept in a call: what is answered is not counted.
fn is_usable(held: &Held) -> bool {
    let limits = held.constraints();
    limits.media_types.is_none()
        && limits.max_files.is_none()
        && limits.max_rows.is_none()
        && limits.max_bytes.is_none()
}

impl valetkey_busdoor::Gate for BusDoor {
    fn call(
        &self,
        method: &BusResource,
        bytes: u64,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let resource = Resource::Bus(method.clone());
        self.decide(&resource, bytes, still_wanted)
            .map_err(|problem| format!("{}: {resource}", problem.detail))
    }

    fn knows(&self, service: &str) -> bool {
        let is_of = |held: &Held| {
            let capability = held.capability();
            held.is_live()
                && matches!(&capability.resource, Resource::Bus(method) if method.name() == service)
        };
        self.desk.holdings.find(is_of).is_some()
    }
}

/// Serves the cell's calls, on threads of their own.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn open(listener: &OwnedFd, desk: &Arc<Desk>) -> std::io::Result<()> {
    let listener = UnixListener::from(listener.try_clone()?);
    let gate: Arc<dyn valetkey_busdoor::Gate> = Arc::new(BusDoor {
        desk: Arc::clone(desk),
    });
    let addresses = persons_bus();
    std::thread::Builder::new()
        .name("bus-door".to_owned())
        .spawn(move || valetkey_busdoor::serve(&listener, &addresses, &gate))?;
    Ok(())
}
