//! The guard's side of building a cell: fork pid 1, take its FUSE descriptors, let it build.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::UnshareFlags;
use valetkey_sys::fork::{Inherit, fork};

use crate::cell::{Cell, FirstProcess, Noticeboard, Prepared};
use crate::control::{Order, Report};
use crate::error::{AtStep, Fault, SandboxError, Step};
use crate::etc;
use crate::init::{self, Handed};
use crate::landlocked::Version;
use crate::posture::{Foresight, Posture};
use crate::spec::{CellSpec, Root, Stdio};

/// Descriptors below this one are standard streams and are never handed over as such.
const FIRST_FREE: i32 = 3;

/// The namespaces that every cell has to itself.
pub(crate) fn namespaces() -> UnshareFlags {
    UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP
}

impl Cell {
    /// Creates the cell's first process and its FUSE mounts.
    ///
    /// The process must have one thread only, and should not hold any secret yet.
    ///
    /// # Errors
    ///
    /// Says what this machine refuses and how to mend it. Nothing is left behind.
    pub fn launch(spec: &CellSpec) -> Result<Launching, SandboxError> {
        Self::begin(spec)?.mounted()
    }

    /// Creates the cell's first process, which goes on by itself to its mounts: the first half of [`Cell::launch`].
    ///
    /// # Errors
    ///
    /// As [`Cell::launch`].
    pub fn begin(spec: &CellSpec) -> Result<Beginning, SandboxError> {
        Ok(begin(spec)?)
    }
}

/// A cell whose first process makes its file systems.
#[derive(Debug)]
pub struct Beginning {
    /// What the cell will enforce: whoever requires more drops it here, before anybody was told of it.
    pub foresight: Foresight,
    first: FirstProcess,
    pipes: [Option<OwnedFd>; 3],
    root: Root,
    quiet_mounts: usize,
    terminal: bool,
    session_bus: bool,
    local_ports: Vec<u16>,
}

impl Beginning {
    /// Waits for the FUSE mounts.
    ///
    /// # Errors
    ///
    /// Says which step failed. The cell is gone.
    pub fn mounted(self) -> Result<Launching, SandboxError> {
        let (report, descriptors) = self.first.hear_fault()?;
        let Report::Mounted = report else {
            return Err(unexpected(report));
        };
        let mut descriptors = descriptors.into_iter();
        let view_fuse = match self.root {
            Root::Fuse => descriptors.next(),
            Root::Tmpfs => None,
        };
        let quiet_fuse: Vec<Option<OwnedFd>> = descriptors.map(Some).collect();
        if (self.root == Root::Fuse && view_fuse.is_none()) || quiet_fuse.len() != self.quiet_mounts
        {
            return Err(Fault::new(Step::Control, "a FUSE descriptor is missing").into());
        }
        Ok(Launching {
            foresight: self.foresight,
            view_fuse,
            quiet_fuse,
            first: self.first,
            pipes: self.pipes,
            terminal: self.terminal,
            session_bus: self.session_bus,
            local_ports: self.local_ports,
        })
    }
}

/// A cell whose first process waits for its file system to be served.
#[derive(Debug)]
pub struct Launching {
    /// What the cell will enforce.
    pub foresight: Foresight,
    /// The descriptor on which the view is served; `None` with [`Root::Tmpfs`].
    pub view_fuse: Option<OwnedFd>,
    /// The descriptors of the quiet mounts, in the order of the description. Whatever is left here is not mounted.
    pub quiet_fuse: Vec<Option<OwnedFd>>,
    first: FirstProcess,
    pipes: [Option<OwnedFd>; 3],
    terminal: bool,
    session_bus: bool,
    local_ports: Vec<u16>,
}

impl Launching {
    /// Lets the first process build the tree on the file system, which must be served by now, enter
    /// it, and give up every privilege. The command does not run yet.
    ///
    /// # Errors
    ///
    /// Says which step failed. The cell is gone.
    pub fn prepare(self) -> Result<Prepared, SandboxError> {
        let quiet = self.quiet_fuse.iter().map(Option::is_none).collect();
        self.first.tell(&Order::Build { quiet })?;
        let (report, descriptors) = self.first.hear()?;
        let Report::Ready(mut posture) = report else {
            return Err(unexpected(report));
        };
        posture.limits = self.first.limits();
        if !self.first.is_who_it_should_be() || !posture.keeps(&self.foresight) {
            let weaker = "the cell became weaker than was foreseen";
            return Err(Fault::new(Step::DropPrivilege, weaker).into());
        }
        Ok(self.ready(*posture, descriptors)?)
    }

    /// [`Launching::prepare`] and [`Prepared::start`] in one.
    ///
    /// # Errors
    ///
    /// As of both.
    pub fn finish(self) -> Result<Cell, SandboxError> {
        self.prepare()?.start()
    }

    fn ready(self, posture: Posture, descriptors: Vec<OwnedFd>) -> Result<Prepared, Fault> {
        let mut descriptors = descriptors.into_iter();
        let mut next = |what: &str| {
            descriptors
                .next()
                .ok_or_else(|| Fault::new(Step::Control, format!("{what} is missing")))
        };
        let agent_listener = next("the agent's listener")?;
        let denials = Noticeboard::new(next("the notice directory")?);
        let network_listener = next("the network's listener")?;
        let local_listeners = self
            .local_ports
            .iter()
            .map(|port| Ok((*port, next("the listener of a local port")?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        let bus_listener = if self.session_bus {
            Some(next("the bus's listener")?)
        } else {
            None
        };
        let pty_master = if self.terminal {
            Some(next("the terminal")?)
        } else {
            None
        };
        Ok(Prepared(Cell {
            pty_master,
            pipes: self.pipes,
            agent_listener,
            network_listener,
            local_listeners,
            bus_listener,
            denials: Some(denials),
            posture,
            first: self.first,
        }))
    }
}

/// Turns a message that has no place here into the error that it most likely is.
pub(crate) fn unexpected(report: Report) -> SandboxError {
    unexpected_fault(report).into()
}

fn unexpected_fault(report: Report) -> Fault {
    if let Report::Failed(fault) = report {
        return fault;
    }
    Fault::new(Step::Control, format!("unexpected message {report:?}"))
}

fn begin(spec: &CellSpec) -> Result<Beginning, Fault> {
    spec.check()?;
    let version = Version::current()?;
    let (near, far) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .at(Step::Control, "socket pair")?;
    let mut handed = vec![above_standard_streams(far.as_fd())?];
    drop(far);
    let mut pipes = [None, None, None];
    // The command's own ends, so that they can be made its user's.
    let mut theirs = Vec::new();
    for (index, slot) in pipes.iter_mut().enumerate() {
        if spec.stdio.get(index) == Some(&Stdio::Pipe) {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).at(Step::Control, "pipe")?;
            let (ours, end) = if index == 0 {
                (writer, reader)
            } else {
                (reader, writer)
            };
            *slot = Some(ours);
            handed.push(above_standard_streams(end.as_fd())?);
            theirs.push(end);
        }
    }
    let plan = init::Plan {
        spec,
        version,
        host_uid: rustix::process::geteuid().as_raw(),
        host_gid: rustix::process::getegid().as_raw(),
        etc: etc::collect(spec),
    };
    let child = fork(namespaces(), Inherit::HandedOver, handed, |handed| {
        init::run(&plan, Handed::new(handed, &plan.spec.stdio))
    })
    .at(Step::CreateNamespaces, "")?;
    let mut first = FirstProcess::new(child, near);
    first.settle(&spec.limits, &theirs)?;
    drop(theirs);
    let (report, _none) = first.hear_fault()?;
    let Report::Foreseen(mut foresight) = report else {
        return Err(unexpected_fault(report));
    };
    foresight.limits = first.limits();
    Ok(Beginning {
        foresight,
        first,
        pipes,
        root: spec.root,
        quiet_mounts: spec.quiet_mounts.len(),
        terminal: spec.wants_terminal(),
        session_bus: spec.session_bus,
        local_ports: spec.local_ports.clone(),
    })
}

/// A duplicate of a descriptor that cannot be mistaken for a standard stream in the child.
fn above_standard_streams(descriptor: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    fcntl_dupfd_cloexec(descriptor, FIRST_FREE).at(Step::Control, "descriptor")
}
