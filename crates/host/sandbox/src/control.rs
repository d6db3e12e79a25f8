//! The messages between the guard and pid 1 of its cell, over a `SOCK_SEQPACKET` pair.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::host_user::HostUser;
use crate::posture::{Foresight, Posture};

/// No message is longer; the longest is a [`Posture`].
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What the guard tells pid 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The cell is limited and, where the guard said who it is on the host, mapped: begin.
    Settle(HostUser),
    /// The view is being served: build the tree on it, with those of the quiet mounts that are served too.
    Build {
        /// One for each quiet mount of the description: whether it is put in its place.
        quiet: Vec<bool>,
    },
    /// Execute the command.
    Start,
    /// Send this signal to the command's process group.
    Signal(i32),
}

/// What pid 1 tells the guard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Says what the cell will enforce.
    Foreseen(Foresight),
    /// Comes with the FUSE descriptors: the view's, then the quiet ones.
    Mounted,
    /// Comes with the agent's listener, the notice directory, the network's listener, one for each local port and, if there are such,
    /// the bus's listener and the pty's master.
    Ready(Box<Posture>),
    /// The command was executed.
    Started,
    /// The command could not be executed; its exit status follows.
    ExecFailed {
        /// What was to be executed.
        program: String,
        /// Why not.
        errno: i32,
    },
    /// The command was stopped by a signal.
    Stopped(i32),
    /// The command goes on.
    Continued,
    /// The command ended with a status.
    Exited(i32),
    /// The command was ended by a signal.
    Killed(i32),
    /// A step failed; pid 1 ends.
    Failed(Fault),
}

pub(crate) fn send<M: Serialize>(
    socket: BorrowedFd<'_>,
    message: &M,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    valetkey_sys::pass::send(socket, &bytes, descriptors)
}

/// Receives one message; `None` when the other end is gone.
pub(crate) fn receive<M: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let (bytes, descriptors) = match valetkey_sys::pass::receive(socket, MESSAGE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        answer => answer?,
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
}
