//! The guard's hold on a cell: events come in, signals go out, and dropping it ends the cell.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use valetkey_sys::fork::Child;

use crate::cgroup::Group;
use crate::control::{self, Order, Report};
use crate::error::{AtStep, Fault, SandboxError, Step};
use crate::host_user::{self, HostUser};
use crate::launch::unexpected;
use crate::limits::{Held, Limits};
use crate::posture::Posture;

/// A cell that is built and confined, and in which nothing runs yet.
#[derive(Debug)]
pub struct Prepared(pub(crate) Cell);

/// A running cell. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Cell {
    /// The master of the cell's terminal, if a standard stream is one.
    pub pty_master: Option<OwnedFd>,
    /// The caller's ends of standard input, output and error, where they are pipes.
    pub pipes: [Option<OwnedFd>; 3],
    /// The socket that listens at `/run/valetkey/agent.sock` in the cell.
    pub agent_listener: OwnedFd,
    /// The socket that listens at [`NETWORK_PORT`](crate::NETWORK_PORT) of the cell's loopback interface.
    pub network_listener: OwnedFd,
    /// The socket that listens at `/run/valetkey/bus.sock` in the cell, if it has one.
    pub bus_listener: Option<OwnedFd>,
    /// The sockets that listen at the cell's [local ports](crate::CellSpec::local_ports), with their ports.
    pub local_listeners: Vec<(u16, OwnedFd)>,
    /// Where the agent reads what was refused; to be taken by whoever publishes it.
    pub denials: Option<Noticeboard>,
    /// What is enforced.
    pub posture: Posture,
    pub(crate) first: FirstProcess,
}

/// What happens in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The command is running.
    Started,
    /// The command could not be executed; [`Event::Exited`] with 126 or 127 follows.
    ExecFailed {
        /// The command as given.
        program: String,
        /// The kernel's reason.
        errno: i32,
    },
    /// The command was stopped by this signal; [`Cell::resume`] lets it go on.
    Stopped(i32),
    /// The command goes on.
    Continued,
    /// The command ended with this status, and the cell with it.
    Exited(i32),
    /// The command was ended by this signal, and the cell with it.
    Killed(i32),
    /// The cell is gone without having said how the command ended.
    Lost,
}

impl Prepared {
    /// What this cell enforces. Whoever requires more drops it here, before anything ran.
    #[must_use]
    pub fn posture(&self) -> &Posture {
        &self.0.posture
    }

    /// The master of the cell's terminal, to set its size and modes before the command sees it.
    #[must_use]
    pub fn pty_master(&self) -> Option<BorrowedFd<'_>> {
        self.0.pty_master.as_ref().map(AsFd::as_fd)
    }

    /// Starts the command. Whether it could be executed comes as the first [`Event`].
    ///
    /// # Errors
    ///
    /// The cell's first process is gone.
    pub fn start(self) -> Result<Cell, SandboxError> {
        self.0.first.tell(&Order::Start)?;
        Ok(self.0)
    }
}

impl Cell {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The cell failed to confine the command, which was then not executed, or its first process
    /// talks nonsense.
    pub fn wait_event(&self) -> Result<Event, SandboxError> {
        let Some((report, _)) =
            control::receive::<Report>(self.first.control.as_fd()).at(Step::Control, "")?
        else {
            return Ok(Event::Lost);
        };
        match report {
            Report::Started => Ok(Event::Started),
            Report::ExecFailed { program, errno } => Ok(Event::ExecFailed { program, errno }),
            Report::Stopped(signal) => Ok(Event::Stopped(signal)),
            Report::Continued => Ok(Event::Continued),
            Report::Exited(status) => Ok(Event::Exited(status)),
            Report::Killed(signal) => Ok(Event::Killed(signal)),
            other @ (Report::Foreseen(_)
            | Report::Mounted
            | Report::Ready(_)
            | Report::Failed(_)) => Err(unexpected(other)),
        }
    }

    /// The next event if there is one already.
    ///
    /// # Errors
    ///
    /// As [`Cell::wait_event`].
    pub fn try_event(&self) -> Result<Option<Event>, SandboxError> {
        let mut waiting = [PollFd::new(&self.first.control, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut waiting, Some(&now)).at(Step::Control, "")? == 0 {
            return Ok(None);
        }
        self.wait_event().map(Some)
    }

    /// Sends `signal` to the command's process group.
    ///
    /// # Errors
    ///
    /// The cell's first process is gone.
    pub fn signal(&self, signal: i32) -> Result<(), SandboxError> {
        self.first.tell(&Order::Signal(signal))
    }

    /// Lets a stopped command go on.
    ///
    /// # Errors
    ///
    /// The cell's first process is gone.
    pub fn resume(&self) -> Result<(), SandboxError> {
        self.signal(libc::SIGCONT)
    }

    /// The cell's first process: readable when every process of the cell has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.first.pidfd.as_fd()
    }

    /// Ends every process of the cell, and returns when they have.
    pub fn kill(self) {
        drop(self);
    }
}

/// Readable when an event waits.
impl AsFd for Cell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.first.control.as_fd()
    }
}

/// The directory of the cell that only the guard can write: the agent sees it read-only as
/// `/run/valetkey`.
#[derive(Debug)]
pub struct Noticeboard {
    directory: OwnedFd,
}

/// What the agent reads of refusals.
pub(crate) const DENIALS: &str = "denials.json";
/// The name under which the next version is written, next to the one that is read. Both are made with the cell: the guard's own user
/// may have no number on the file system of the cell, and so could make none there.
pub(crate) const NEXT_DENIALS: &str = ".denials.json.next";

impl Noticeboard {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self { directory }
    }

    /// Replaces `/run/valetkey/denials.json`. A reader sees the old text or the new, never a mixture.
    ///
    /// # Errors
    ///
    /// The file system in memory is full.
    pub fn publish(&self, json: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&self.directory, NEXT_DENIALS, flags, Mode::empty())?;
        io::Write::write_all(&mut std::fs::File::from(file), json)?;
        Ok(renameat_with(
            &self.directory,
            NEXT_DENIALS,
            &self.directory,
            DENIALS,
            RenameFlags::EXCHANGE,
        )?)
    }
}

/// Pid 1 of a cell: when this is dropped, it and with it the cell are killed and reaped, and the cell's control group is removed.
#[derive(Debug)]
pub(crate) struct FirstProcess {
    pid: Pid,
    pidfd: OwnedFd,
    control: OwnedFd,
    /// The one user that the cell is on the host, where it is none that has an account.
    throwaway: Option<u32>,
    group: Option<Group>,
}

impl FirstProcess {
    pub(crate) fn new(child: Child, control: OwnedFd) -> Self {
        Self {
            pid: child.pid,
            pidfd: child.pidfd,
            control,
            throwaway: None,
            group: None,
        }
    }

    /// Limits it, maps it and lets it begin.
    pub(crate) fn settle(&mut self, limits: &Limits, pipes: &[OwnedFd]) -> Result<(), Fault> {
        self.group = Some(Group::make(limits, self.pid)?);
        let throwaway = host_user::throwaway();
        // Root without the right to give ids has a cell of root's, which is less: the posture says so.
        self.throwaway = throwaway.filter(|id| host_user::map(self.pid, *id, pipes).is_ok());
        let order = Order::Settle(self.host_user());
        control::send(self.control.as_fd(), &order, &[]).at(Step::Control, "settle")
    }

    /// Whom its processes are on the host.
    pub(crate) fn host_user(&self) -> HostUser {
        match self.throwaway {
            Some(_) => HostUser::Throwaway,
            None if rustix::process::geteuid().is_root() => HostUser::Superuser,
            None => HostUser::Person,
        }
    }

    /// Whether it is whom it should be, as the host sees it.
    pub(crate) fn is_who_it_should_be(&self) -> bool {
        self.throwaway
            .is_none_or(|id| host_user::is_nobody_but(self.pid, id))
    }

    /// What it is held to.
    pub(crate) fn limits(&self) -> Held {
        self.group.as_ref().map(Group::held).unwrap_or_default()
    }

    pub(crate) fn tell(&self, order: &Order) -> Result<(), SandboxError> {
        control::send(self.control.as_fd(), order, &[])
            .at(Step::Control, "")
            .map_err(SandboxError::from)
    }

    pub(crate) fn hear(&self) -> Result<(Report, Vec<OwnedFd>), SandboxError> {
        Ok(self.hear_fault()?)
    }

    pub(crate) fn hear_fault(&self) -> Result<(Report, Vec<OwnedFd>), Fault> {
        control::receive(self.control.as_fd())
            .at(Step::Control, "")?
            .ok_or_else(|| Fault::new(Step::Control, "it ended without saying why"))
    }
}

impl Drop for FirstProcess {
    fn drop(&mut self) {
        // Both fail only if it has ended and was reaped already, which is what is wanted.
        let _killed = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _reaped = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        drop(self.group.take());
    }
}
