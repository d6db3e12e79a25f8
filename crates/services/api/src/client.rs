//! A blocking HTTP/1.1 client over a Unix socket, for programs that have nothing else to do while they wait.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::Problem;

/// The largest answer that is read.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// The largest head of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Header fields in an answer.
const MAX_HEADERS: usize = 32;

/// Why a call failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("the broker is not reachable at {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke, or the answer is not HTTP.
    #[error("the broker's answer broke off: {0}")]
    Broken(io::Error),
    /// The answer is a problem.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// A raw answer.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// One connection to a door, kept open between calls.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nobody answers.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Unreachable {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// A second connection to the same door.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn another(&self) -> Result<Self, ClientError> {
        Self::connect(&self.path)
    }

    /// Bounds every later wait for an answer.
    ///
    /// # Errors
    /// When the system refuses the time-out.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    /// Asks for a value.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when the answer is one, [`ClientError::Broken`] when there is none.
    pub fn get<T: DeserializeOwned>(&mut self, target: &str) -> Result<T, ClientError> {
        let response = self.call("GET", target, &[])?;
        read_answer(&response)
    }

    /// Sends a value and reads the answer.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<B: Serialize, T: DeserializeOwned>(
        &mut self,
        target: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(io::Error::other)?;
        let response = self.call("POST", target, &body)?;
        read_answer(&response)
    }

    /// One exchange.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection breaks or the answer is not HTTP.
    pub fn call(
        &mut self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Response, ClientError> {
        let mut message = format!(
            "{method} {target} HTTP/1.1\r\nhost: valetkey\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend_from_slice(body);
        if self.was_closed() {
            // The server may end an idle connection when it needs the room. Nothing of this request was sent on it.
            *self = self.again()?;
        }
        let sent = self.stream.write_all(&message);
        let (status, head, length) = match (sent, self.read_head()) {
            // Whoever is turned away at the door is told so, even if the door was closed before the request was out.
            (_, Ok(head)) => head,
            (Err(error), Err(_)) => return Err(error.into()),
            (Ok(()), Err(error)) => return Err(error),
        };
        let end = head
            .checked_add(length)
            .filter(|_| length <= MAX_BODY_BYTES)
            .ok_or_else(|| malformed("too long"))?;
        while self.buffer.len() < end {
            self.fill()?;
        }
        let body = self.buffer.get(head..end).unwrap_or_default().to_vec();
        self.buffer.drain(..end);
        Ok(Response { status, body })
    }

    /// Whether the other end has closed the connection, as far as can be told without waiting.
    fn was_closed(&self) -> bool {
        let mut byte = [0];
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.stream, &mut byte, look) {
            // The answer that turns this connection away is there before its end is, and is read.
            Ok((_, 0)) => self.buffer.is_empty(),
            Ok(_) | Err(Errno::WOULDBLOCK | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    /// A new connection to the same door, with the same time-out.
    fn again(&self) -> Result<Self, ClientError> {
        let next = self.another()?;
        next.set_timeout(self.stream.read_timeout()?)?;
        Ok(next)
    }

    /// Reads until the head is whole; returns status, head length and body length.
    fn read_head(&mut self) -> Result<(u16, usize, usize), ClientError> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(&self.buffer) {
                Ok(httparse::Status::Complete(head)) => {
                    let status = response.code.ok_or_else(|| malformed("no status"))?;
                    let length = response
                        .headers
                        .iter()
                        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                        .and_then(|header| std::str::from_utf8(header.value).ok())
                        .and_then(|text| text.parse().ok())
                        .ok_or_else(|| malformed("no length"))?;
                    return Ok((status, head, length));
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < MAX_HEAD_BYTES => {
                    self.fill()?
                }
                Ok(httparse::Status::Partial) | Err(_) => return Err(malformed("not HTTP").into()),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer
            .extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(())
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_answer<T: DeserializeOwned>(response: &Response) -> Result<T, ClientError> {
    if (200..300).contains(&response.status) {
        return serde_json::from_slice(&response.body)
            .map_err(|error| io::Error::other(error).into());
    }
    match serde_json::from_slice::<Problem>(&response.body) {
        Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
        Err(_) => Err(malformed("an error without a problem detail").into()),
    }
}
