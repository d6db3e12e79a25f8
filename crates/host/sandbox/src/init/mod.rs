//! Pid 1 of a cell: builds the cell around itself, gives up every privilege, runs the command, and
//! watches it until it or the guard ends.
//!
//! It runs in a copy of the guard's memory, with one thread, and never returns into the guard's code.

mod agent;
mod covered;
mod etc_tree;
mod mounts;
mod namespaces;
pub(crate) mod privilege;
mod supervise;
mod tree;

use std::os::fd::{AsFd, OwnedFd};

use crate::control::{self, Order, Report};
use crate::error::{AtStep, Fault, Step};
use crate::etc::Entry;
use crate::host_user::HostUser;
use crate::landlocked::Version;
use crate::spec::{CellSpec, NETWORK_PORT, Stdio};

/// Everything that pid 1 needs to know, collected before the fork.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a CellSpec,
    pub(crate) version: Version,
    /// The guard's ids, as the host knows them.
    pub(crate) host_uid: u32,
    pub(crate) host_gid: u32,
    pub(crate) etc: Vec<Entry>,
}

/// The descriptors that pid 1 starts with: all others are closed.
#[derive(Debug)]
pub(crate) struct Handed {
    control: Option<OwnedFd>,
    pipes: [Option<OwnedFd>; 3],
}

impl Handed {
    /// Sorts what was handed over: the control socket, then a pipe for each stream that is one.
    pub(crate) fn new(handed: Vec<OwnedFd>, stdio: &[Stdio; 3]) -> Self {
        let mut handed = handed.into_iter();
        let control = handed.next();
        let pipes = stdio.map(|kind| {
            if kind == Stdio::Pipe {
                handed.next()
            } else {
                None
            }
        });
        Self { control, pipes }
    }
}

/// The exit status when the guard went away before the command ran.
const EXIT_ABANDONED: u8 = 72;
/// The exit status when a step failed; the guard was told which.
const EXIT_FAILED: u8 = 73;

/// Runs pid 1 to its end; the answer is its exit status.
pub(crate) fn run(plan: &Plan<'_>, handed: Handed) -> u8 {
    let Handed {
        control: Some(control),
        pipes,
    } = handed
    else {
        return EXIT_FAILED;
    };
    match build_and_run(plan, &control, pipes) {
        Ok(status) => status,
        Err(fault) => {
            // If the guard is gone there is nobody left to tell.
            let _told = control::send(control.as_fd(), &Report::Failed(fault), &[]);
            EXIT_FAILED
        }
    }
}

fn build_and_run(
    plan: &Plan<'_>,
    control: &OwnedFd,
    pipes: [Option<OwnedFd>; 3],
) -> Result<u8, Fault> {
    mounts::null_streams()?;
    let Some((Order::Settle(host_user), _)) =
        control::receive(control.as_fd()).at(Step::Control, "order")?
    else {
        return Ok(EXIT_ABANDONED);
    };
    let umask = namespaces::settle(plan, host_user)?;
    // The guard opens its session with this, while everything is taken hold of and made here.
    let foretell = || {
        let foresight = namespaces::foresee(plan, host_user);
        control::send(control.as_fd(), &Report::Foreseen(foresight), &[])
            .at(Step::Control, "what is foreseen")
    };
    let becomes_another = host_user == HostUser::Throwaway;
    if !becomes_another {
        foretell()?;
    }
    let taken = mounts::take_from_host(plan)?;
    if becomes_another {
        namespaces::become_throwaway()?;
        foretell()?;
    }
    let sources = mounts::open_sources(plan, taken)?;
    control::send(
        control.as_fd(),
        &Report::Mounted,
        &sources.fuse_descriptors(),
    )
    .at(Step::Control, "fuse descriptors")?;
    let sources = sources.forget_fuse_devices();
    let Some(Order::Build { quiet }) = next_order(control, "Build")? else {
        return Ok(EXIT_ABANDONED);
    };

    let built = mounts::build(plan, sources.with_quiet(&quiet))?;
    let covers = covered::make()?;
    let namespaces_frozen = namespaces::freeze();
    let covered_proc = covers.attach()?;
    let posture = privilege::give_up(plan, host_user, namespaces_frozen, covered_proc)?;
    let ports = std::iter::once(&NETWORK_PORT).chain(&plan.spec.local_ports);
    let network = ports
        .map(|port| namespaces::listen_at(*port))
        .collect::<Result<Vec<_>, _>>()?;
    let mut given = vec![built.listener.as_fd(), built.notices.as_fd()];
    given.extend(network.iter().map(AsFd::as_fd));
    given.extend(built.bus_listener.as_ref().map(AsFd::as_fd));
    given.extend(
        built
            .terminal
            .as_ref()
            .map(|terminal| terminal.master.as_fd()),
    );
    control::send(control.as_fd(), &Report::Ready(Box::new(posture)), &given)
        .at(Step::Control, "ready")?;
    let terminal = built.terminal.map(|terminal| terminal.slave);
    drop((built.listener, built.bus_listener, built.notices, network));
    let Some(Order::Start) = next_order(control, "Start")? else {
        return Ok(EXIT_ABANDONED);
    };

    let streams = agent::open_streams(plan.spec, pipes, terminal.as_ref())?;
    let agent = agent::start(plan, streams, terminal, umask)?;
    supervise::watch(plan, control, agent)
}

/// Waits for the order that is due; nothing when the guard is gone.
fn next_order(control: &OwnedFd, due: &str) -> Result<Option<Order>, Fault> {
    let Some((order, _)) = control::receive::<Order>(control.as_fd()).at(Step::Control, "order")?
    else {
        return Ok(None);
    };
    match (&order, due) {
        (Order::Build { .. }, "Build") | (Order::Start, "Start") => Ok(Some(order)),
        _ => Err(Fault::new(
            Step::Control,
            format!("{order:?} where {due} was due"),
        )),
    }
}
