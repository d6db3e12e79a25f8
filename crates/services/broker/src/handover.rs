//! A broker in place of another: the new process takes the listening sockets over by descriptor, so that no peer finds a door closed.
//!
//! The new broker connects to `handover.sock`. The old one looks at it as at any peer, takes no new session, ends those it has, makes durable
//! what was under way, sends the sockets, and ends. The new one waits for that end, and only then touches what the old one owned. Between
//! the two, peers wait in the sockets' queues.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixListener;
use valetkey_api::{Paths, Peer};
use valetkey_sys::activation::Passed;
use valetkey_sys::{pass, peer};

use crate::broker::Broker;
use crate::identify::identify_own;
use crate::listeners::Listeners;

/// What the old broker says first, with the version of what follows.
const GREETING: &str = "valetkey-handover 1";
/// Bytes of what it says.
const MESSAGE_BYTES_MAX: usize = 1024;
/// How long the new broker waits for the old one to bring its work to an end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a failed accept is waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes the sockets over from the broker that has this home. Nothing, when there is none.
///
/// # Errors
/// When there is one, and it does not hand them over or does not end.
pub(crate) fn take_over(paths: &Paths) -> io::Result<Option<Vec<Passed>>> {
    let old = match UnixStream::connect(paths.handover_socket()) {
        Ok(old) => old,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // The socket lies in a directory that is the broker's alone; all the same, nothing is taken from another user.
    let credentials = peer::credentials(&old)?;
    if credentials.uid != rustix::process::geteuid() {
        return Err(io::Error::other("the broker there belongs to another user"));
    }
    let process = peer::pidfd(old.as_fd())?;
    old.set_read_timeout(Some(PATIENCE))?;
    let (message, descriptors) = pass::receive(old.as_fd(), MESSAGE_BYTES_MAX)?;
    let message = String::from_utf8_lossy(&message).into_owned();
    let mut lines = message.lines();
    if lines.next() != Some(GREETING) {
        let why = lines.next().unwrap_or("it ended without a word");
        return Err(io::Error::other(why.to_owned()));
    }
    let names: Vec<&str> = lines.collect();
    if names.len() != descriptors.len() {
        return Err(io::Error::other("it did not hand over what it said"));
    }
    let wait = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    let mut ended = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    if poll(&mut ended, Some(&wait))? == 0 {
        return Err(io::Error::other("it did not end"));
    }
    let passed = names
        .into_iter()
        .zip(descriptors)
        .map(|(name, descriptor)| Passed {
            name: name.to_owned(),
            descriptor,
        })
        .collect();
    Ok(Some(passed))
}

/// Waits for a broker that is to take this one's place.
pub(crate) async fn await_successor(listener: UnixListener, broker: Arc<Broker>) -> Successor {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(peer) = peer_of(&stream) else {
            continue;
        };
        match identify_own(&peer) {
            Ok(_) => {}
            Err(problem) => {
                broker.diagnostics.refused_peer(&problem.detail);
                continue;
            }
        }
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        // From here on it is spoken to from one thread that does nothing else.
        if stream.set_nonblocking(false).is_ok() {
            return Successor(stream);
        }
    }
}

fn peer_of(stream: &tokio::net::UnixStream) -> Option<Peer> {
    let credentials = peer::credentials(stream).ok()?;
    Some(Peer {
        uid: credentials.uid.as_raw(),
        pid: credentials.pid.as_raw_nonzero().get().unsigned_abs(),
        pidfd: Some(peer::pidfd(stream.as_fd()).ok()?),
    })
}

/// The broker that comes after, waiting for the sockets.
#[derive(Debug)]
pub(crate) struct Successor(UnixStream);

impl Successor {
    /// Hands the sockets over. This process serves nothing afterwards and must end.
    ///
    /// # Errors
    /// When the successor has gone. The sockets close with this process then, as after any stop.
    pub(crate) fn hand_over(self, listeners: &Listeners) -> io::Result<()> {
        let mut message = GREETING.to_owned();
        let mut descriptors = Vec::new();
        for served in listeners.served() {
            message.push('\n');
            message.push_str(served.name);
            descriptors.push(served.listener.as_fd());
        }
        pass::send(self.0.as_fd(), message.as_bytes(), &descriptors)
    }
}
