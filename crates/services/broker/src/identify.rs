//! Who is at a door: the process as the kernel names it, and whether it may stand there.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use valetkey_api::{Peer, Problem, ProblemKind};

/// A process, named so that it cannot be mistaken for a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    uid: u32,
    pid: u32,
    /// The pidfd's inode: since Linux 6.9 unique to the process for as long as the machine runs.
    process: u64,
}

/// Identifies a peer that may use the guard door or the operator door: a live process of the broker's own user, in the broker's own
/// user and process namespaces. A process in a cell has the same user id but other namespaces, and is turned away.
pub(crate) fn identify(peer: &Peer) -> Result<PeerIdentity, Problem> {
    let refuse = |why: &str| {
        Problem::new(
            ProblemKind::Denied,
            format!("this door is not for this process: {why}"),
        )
    };
    if peer.uid != rustix::process::geteuid().as_raw() {
        return Err(refuse("it belongs to another user"));
    }
    let pidfd = peer
        .pidfd
        .as_ref()
        .ok_or_else(|| refuse("the kernel does not name it"))?;
    // What `/proc` tells of a process without the right to trace it, which the broker has given up.
    let theirs = Spaces::of(&peer.pid.to_string()).map_err(|_| refuse("it cannot be looked at"))?;
    let ours = Spaces::of("self").map_err(|_| refuse("the broker cannot look at itself"))?;
    if theirs != ours {
        return Err(refuse("it is in a namespace of its own, as in a cell"));
    }
    // Alive after the look: so it was this process that was looked at, not a later one with its number.
    if has_ended(pidfd) {
        return Err(refuse("it has ended"));
    }
    let process = rustix::fs::fstat(pidfd)
        .map_err(|_| refuse("the kernel does not name it"))?
        .st_ino;
    Ok(PeerIdentity {
        uid: peer.uid,
        pid: peer.pid,
        process,
    })
}

/// What tells processes of other user and process namespaces apart.
#[derive(Debug, PartialEq, Eq)]
struct Spaces {
    /// How user ids of its namespace map to those of its parent: every user namespace but the first has a map of its own.
    users: String,
    /// In how many process namespaces, from this one inwards, it has a number.
    depth: usize,
}

impl Spaces {
    fn of(process: &str) -> io::Result<Self> {
        let users = fs::read_to_string(format!("/proc/{process}/uid_map"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let numbers = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            users,
            depth: numbers.split_whitespace().count(),
        })
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut waited = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    !matches!(poll(&mut waited, Some(&now)), Ok(0))
}
