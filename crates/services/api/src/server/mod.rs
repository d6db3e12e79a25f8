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
    /// The body as a value; every structure in it is an object.
    ///
    /// # Errors
    /// A problem that says where the body is not of the documented form.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        let invalid = |why: String| Problem::new(ProblemKind::Invalid, why);
        // No message is a list. A reader that first looks for a tag would take one for a message, too.
        if self.body.trim_ascii_start().starts_with(b"[") {
            return Err(invalid("a message is no list".to_owned()));
        }
        valetkey_model::read_json(&self.body).map_err(|error| invalid(error.to_string()))
    }

    /// A number from the query, such as `wait=30`, or none where it is not there.
    ///
    /// # Errors
    /// A problem when it is no number that can be meant, or is there twice: what is not understood is not passed over.
    pub fn query_number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let mut named = self
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        let (first, second) = (named.next(), named.next());
        let Some(text) = first else {
            return Ok(None);
        };
        let number = Some(text)
            .filter(|text| second.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok());
        let wrong = || {
            let detail = format!("`{name}` is one whole number, in digits");
            Problem::new(ProblemKind::Invalid, detail)
        };
        number.map(Some).ok_or_else(wrong)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str, body: &str) -> Request {
        Request {
            peer: Arc::new(Peer {
                uid: 0,
                pid: 1,
                pidfd: None,
            }),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: query.to_owned(),
            body: body.to_owned().into(),
        }
    }

    fn number(query: &str) -> Result<Option<u64>, u16> {
        request(query, "")
            .query_number("wait")
            .map_err(|problem| problem.kind.status())
    }

    #[test]
    fn a_list_is_no_message_and_no_part_of_one() {
        use crate::{AgentNarrow, DocumentOperation};
        let narrow = |body: &str| request("", body).json::<AgentNarrow>();
        assert!(narrow("{}").is_ok());
        for body in [
            "[]",
            " \n[]",
            r#"{"constraints":[]}"#,
            r#"{"constraints":[5]}"#,
        ] {
            let refused = narrow(body).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::Invalid, "{body}");
        }
        let operation = r#"["sheet.append_rows","file:/a.xlsx","Sheet1",[]]"#;
        assert!(request("", operation).json::<DocumentOperation>().is_err());
    }

    #[test]
    fn a_number_in_the_query_is_one_or_a_problem() {
        for query in ["", "after=3", "waits=3", "after=x"] {
            assert_eq!(number(query), Ok(None), "{query}");
        }
        assert_eq!(number("wait=30"), Ok(Some(30)));
        assert_eq!(number("after=1&wait=0"), Ok(Some(0)));
        for query in [
            "wait",
            "wait=",
            "wait=x",
            "wait=-1",
            "wait=+1",
            "wait=1.0",
            "wait=%31",
            "wait=1&wait=1",
            "wait=18446744073709551616",
        ] {
            assert_eq!(number(query), Err(400), "{query}");
        }
    }
}
