//! Who answers for connections, and what it is told of them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::Endpoint;

/// Decides on connections. Its calls may block: on the record, and on people.
pub trait Gate: Send + Sync + fmt::Debug + 'static {
    /// Whether a connection may be made, and under what. `wanted` says whether the client still waits for it.
    ///
    /// # Errors
    /// Why not, as the client is told.
    fn open(&self, to: &Endpoint, wanted: &Wanted) -> Result<Arc<dyn Passage>, Refusal>;

    /// Whether an address that is not public was given by its number, so that a name may lead there.
    fn gives_address(&self, at: &Endpoint) -> bool;

    /// A connection that was opened is not made after all.
    fn unmade(&self, to: &Endpoint, why: Unmade) -> Refusal;
}

/// The right to one connection, for as long as it lives.
pub trait Passage: Send + Sync + fmt::Debug {
    /// Whether it still stands. Asked all the time.
    fn is_live(&self) -> bool;

    /// Takes bytes that go to the server from what may be sent; whether they may.
    fn take_up(&self, bytes: u64) -> bool;

    /// Takes bytes that come from the server from what may be received; whether they may.
    fn take_down(&self, bytes: u64) -> bool;

    /// Whether what goes through must be TLS to the host that was given.
    fn wants_tls(&self) -> bool;

    /// It is over.
    fn ended(&self, traffic: &Traffic);
}

/// Why a connection that may be made is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// The name leads to addresses that are not public, and were not given by their numbers.
    NotPublic,
    /// The name was not found.
    NotFound,
    /// No server answers.
    Unreachable,
    /// The right to it ended meanwhile.
    Ended,
    /// What was given is TLS, and this is not.
    Plain,
}

/// Whether a client still waits.
#[derive(Clone, Debug)]
pub struct Wanted(pub(crate) Arc<AtomicBool>);

impl Wanted {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether it does.
    #[must_use]
    pub fn still(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn no_more(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A refusal, in the words that the client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of an HTTP answer.
    pub status: u16,
    /// The media type of the body.
    pub media_type: &'static str,
    /// Its body.
    pub body: String,
}

/// What went through a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The address that was connected to.
    pub address: IpAddr,
    /// The name in the client's TLS hello.
    pub server_name: Option<String>,
    /// Bytes to the server.
    pub up: u64,
    /// Bytes from it.
    pub down: u64,
    /// How long it lived.
    pub took: Duration,
    /// Why it was ended from here; nothing where client or server ended it.
    pub cut: Option<&'static str>,
}
