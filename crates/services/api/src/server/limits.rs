//! What one door takes from its peers, and how that fits into the descriptors that the process may have.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a process may want: both doors full, every connection of another process, and as many again on their way out.
const DESCRIPTORS_WANTED: u64 = 8192;
/// Descriptors that are kept for everything that is no connection: log, ledger, keys, sessions' guards, the runtime.
const DESCRIPTORS_KEPT: u64 = 320;
/// Descriptors that one place at a door may take: its socket and its process, there and on the way out, of two doors.
const DESCRIPTORS_A_PLACE: u64 = 6;
/// Places that a door has however few descriptors there are.
const PLACES_MIN: usize = 16;

/// What one door takes from its peers.
///
/// There is no number of requests a second: a peer that is alone may have the whole door. Of those that wait at one time, the process
/// that has used least goes first (see [`super::turns`]).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. Who comes when all are taken gets the place of the peer that holds most, or is told to come again.
    pub connections: usize,
    /// Connections at once of one process: a guard whose every waiting open asks at one time has 256.
    pub connections_of_process: usize,
    /// Connections at once that one process may have by taking the place of somebody who holds no more than that.
    pub connections_kept: usize,
    /// Waits for news or for an answer at once of one process: more than a session may have open questions.
    pub waits_of_process: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of a body that need no room of their own: every connection may have so many at any time.
    pub small_body_bytes: usize,
    /// Bytes of longer bodies at once of one process.
    pub body_bytes_of_process: usize,
    /// Bytes of longer bodies at once in all.
    pub body_bytes_of_all: usize,
    /// Bytes of a head: request line and header fields; no more of what was sent ahead is read either.
    pub head_bytes: usize,
    /// Header fields.
    pub head_fields: usize,
    /// How long a peer may take to send a head, from its first byte.
    pub head_time: Duration,
    /// How long a peer may take to send a body.
    pub body_time: Duration,
    /// How long a peer may take to read an answer, once there is no room to write more of it.
    pub read_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_of_process: 256,
            connections_kept: 16,
            waits_of_process: 64,
            body_bytes: 1 << 20,
            small_body_bytes: 4 * 1024,
            body_bytes_of_process: 2 << 20,
            body_bytes_of_all: 8 << 20,
            head_bytes: 16 * 1024,
            head_fields: 64,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            read_time: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Connections at once of one user: some places are always left to others.
    pub(super) fn connections_of_user(&self) -> usize {
        self.connections
            .saturating_sub(self.connections.checked_div(8).unwrap_or(0))
            .max(1)
    }

    /// The same with no more places than the process has descriptors for.
    pub(super) fn within_descriptors(mut self) -> Self {
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        self.connections = self.connections.min(places(most));
        self
    }
}

/// How many places a door may have in a process that may have `descriptors`.
fn places(descriptors: u64) -> usize {
    let places = descriptors
        .saturating_sub(DESCRIPTORS_KEPT)
        .checked_div(DESCRIPTORS_A_PLACE)
        .unwrap_or(0);
    usize::try_from(places)
        .unwrap_or(usize::MAX)
        .max(PLACES_MIN)
}

/// Raises this process's limit of open descriptors to what full doors need, as far as its hard limit goes. To be called before it gives
/// up the right to change its limits; with fewer descriptors the doors have fewer places.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let had = getrlimit(Resource::Nofile);
    let most = had.maximum.unwrap_or(u64::MAX).min(DESCRIPTORS_WANTED);
    if had.current.is_some_and(|current| current < most) {
        let wanted = Rlimit {
            current: Some(most),
            maximum: had.maximum,
        };
        setrlimit(Resource::Nofile, wanted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_has_no_more_places_than_there_are_descriptors() {
        assert_eq!(places(0), PLACES_MIN);
        assert_eq!(places(1024), 117);
        assert!(places(DESCRIPTORS_WANTED) >= Limits::default().connections);
    }

    #[test]
    fn one_user_leaves_some_places() {
        let limits = Limits::default();
        assert_eq!(limits.connections_of_user(), 896);
        let one = Limits {
            connections: 1,
            ..limits
        };
        assert_eq!(one.connections_of_user(), 1);
    }
}
