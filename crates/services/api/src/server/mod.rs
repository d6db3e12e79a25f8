//! A bounded HTTP/1.1 server on a Unix socket: one peer per connection, identified by the kernel, and no peer in the way of another.
//!
//! What a peer can take of a door is bounded for each process, each user and in all: connections ([`table`]), bytes of bodies and waits
//! ([`account`]), time on the processor ([`turns`]), and how long it may take to send or to read ([`stream`]).

mod accept;
mod account;
mod connection;
mod limits;
mod phase;
mod stream;
mod table;
mod turns;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;

pub use accept::serve;
pub use limits::{Limits, raise_descriptor_limit};

use crate::{Problem, ProblemKind};

/// Who is at the other end, as the kernel says. All connections of one process share one.
#[derive(Debug)]
pub struct Peer {
    /// The user id.
    pub uid: u32,
    /// The process id; a number that can be used again, so `pidfd` is what to hold.
    pub pid: u32,
    /// The process itself, where the kernel gives it.
    pub pidfd: Option<OwnedFd>,
}

/// One request, with its body whole.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub peer: Arc<Peer>,
    /// `GET` or `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// The body as a value.
    ///
    /// # Errors
    /// A problem that says where the body is not of the documented form.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::new(ProblemKind::Invalid, error.to_string()))
    }

    /// A number from the query, such as `wait=30`.
    #[must_use]
    pub fn query_number(&self, name: &str) -> Option<u64> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse().ok())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    content_type: &'static str,
    allow: Option<&'static str>,
    body: Vec<u8>,
    /// Whether the connection ends with it.
    closes: bool,
}

impl Reply {
    /// A value, with status 200.
    #[must_use]
    pub fn json<T: Serialize>(value: &T) -> Self {
        Self::json_as("application/json", value)
    }

    /// A value of a media type that is written as JSON, with status 200.
    #[must_use]
    pub fn json_as<T: Serialize>(content_type: &'static str, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self {
                status: 200,
                content_type,
                allow: None,
                body,
                closes: false,
            },
            Err(error) => Problem::new(ProblemKind::Unavailable, error.to_string()).into(),
        }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Self {
            status: problem.kind.status(),
            content_type: "application/problem+json",
            allow: problem.allow,
            body: serde_json::to_vec(&problem).unwrap_or_default(),
            closes: false,
        }
    }
}

impl Reply {
    /// The same as the last of its connection: what is left of the request is not read.
    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}

/// What a door does with a request.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request.
    fn handle(self: Arc<Self>, request: Request) -> Pin<Box<dyn Future<Output = Reply> + Send>>;
}

/// Binds a socket that only this user may connect to, in place of one that a dead process left.
///
/// The caller holds the lock that says that no other broker lives.
///
/// # Errors
/// When the socket cannot be made.
pub fn bind(path: &Path) -> io::Result<StdListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = StdListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
