//! As much HTTP/1.1 as `tlog-witness` needs: one request and one answer a connection, every part of them bounded.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Most bytes of a head.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// How long either side waits for the other, in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a witness is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and port, and the path before `/add-checkpoint`.
    Tcp(String, String),
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let rest = text.strip_prefix("http://").ok_or(
            "neither `unix:PATH` nor `http://HOST:PORT`: for a witness elsewhere, make a tunnel to it",
        )?;
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("not an address");
        }
        let host = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let prefix = prefix.trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Self::Tcp(host, format!("{slash}{prefix}")))
    }
}

/// A connection with a deadline.
pub(super) trait Stream: Read + Write {
    /// Bounds the next wait.
    fn patience(&self, left: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

impl Stream for TcpStream {
    fn patience(&self, left: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(left))?;
        self.set_write_timeout(Some(left))
    }
}

/// A first line, and the body after it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) first: String,
    pub(super) body: Vec<u8>,
}

/// Reads a message whose body is at most this long. Where a length is not told, the body ends with the connection if `to_the_end`.
pub(super) fn read(
    stream: &mut dyn Stream,
    body_max: usize,
    to_the_end: bool,
) -> io::Result<Message> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let end = Instant::now().checked_add(PATIENCE);
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > HEAD_MAX_BYTES || !more(stream, end, &mut bytes)? {
            return Err(bad("not an HTTP message"));
        }
    };
    let mut body = bytes.split_off(head.saturating_add(4));
    let head = String::from_utf8(bytes).map_err(|_| bad("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let mut length = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(bad("a body in pieces is not read"));
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value: usize = value.trim().parse().map_err(|_| bad("no length"))?;
            if length.replace(value).is_some() {
                return Err(bad("two lengths"));
            }
        }
    }
    let wanted = match (length, to_the_end) {
        (Some(length), _) => length,
        (None, true) => usize::MAX,
        (None, false) => 0,
    };
    while body.len() < wanted {
        if body.len() > body_max || (length.is_some() && wanted > body_max) {
            return Err(bad("the body is too long"));
        }
        if !more(stream, end, &mut body)? {
            if length.is_some() {
                return Err(bad("the body is not whole"));
            }
            break;
        }
    }
    body.truncate(wanted);
    Ok(Message { first, body })
}

fn more(stream: &mut dyn Stream, end: Option<Instant>, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let left = end.map_or(PATIENCE, |end| {
        end.saturating_duration_since(Instant::now())
    });
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.patience(left)?;
    let mut part = [0; 4096];
    let count = stream.read(&mut part)?;
    bytes.extend_from_slice(part.get(..count).unwrap_or_default());
    Ok(count > 0)
}

/// Posts a body to `add-checkpoint` of a witness; the status and the body of its answer.
pub(crate) fn post(
    address: &Address,
    body: &[u8],
    answer_max: usize,
) -> io::Result<(u16, Vec<u8>)> {
    let (mut stream, host, prefix): (Box<dyn Stream>, &str, &str) = match address {
        Address::Unix(path) => (Box::new(UnixStream::connect(path)?), "witness", ""),
        Address::Tcp(host, prefix) => {
            let addresses: Vec<SocketAddr> = host.to_socket_addrs()?.collect();
            let first = addresses.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
            (
                Box::new(TcpStream::connect_timeout(first, PATIENCE)?),
                host,
                prefix,
            )
        }
    };
    let head = format!(
        "POST {prefix}/add-checkpoint HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.patience(PATIENCE)?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let answer = read(&mut *stream, answer_max, true)?;
    let status = answer
        .first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))?;
    Ok((status, answer.body))
}

/// Answers, and ends the connection.
pub(super) fn answer(
    stream: &mut dyn Stream,
    status: u16,
    kind: &str,
    body: &str,
) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        422 => "Unprocessable Entity",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    };
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.patience(PATIENCE)?;
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read when these bytes come, and then the end.
    fn heard(bytes: &[u8]) -> io::Result<Message> {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        there.write_all(bytes).unwrap();
        drop(there);
        read(&mut here, 64, false)
    }

    #[test]
    fn a_request_is_read_whole_or_not_at_all() {
        let good =
            heard(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcd").unwrap();
        assert_eq!(
            (good.first.as_str(), &good.body[..]),
            ("POST /add-checkpoint HTTP/1.1", &b"abc"[..])
        );
        for bad in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 65\r\n\r\nabc".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_owned(),
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc".to_owned(),
            "x".repeat(HEAD_MAX_BYTES * 2),
            String::new(),
        ] {
            assert!(heard(bad.as_bytes()).is_err(), "{bad:.60}");
        }
    }

    #[test]
    fn addresses_have_two_forms() {
        let tcp = |host: &str, prefix: &str| Ok(Address::Tcp(host.to_owned(), prefix.to_owned()));
        assert_eq!("http://127.0.0.1:7380".parse(), tcp("127.0.0.1:7380", ""));
        assert_eq!("http://w.test/a/b/".parse(), tcp("w.test:80", "/a/b"));
        assert_eq!(
            "unix:/run/w".parse(),
            Ok(Address::Unix(PathBuf::from("/run/w")))
        );
        for bad in [
            "https://w.test",
            "http:///x",
            "http://a b",
            "w.test",
            "http://w\r\nX: y",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
