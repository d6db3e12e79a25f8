//! A bounded HTTP/1.1 server on a Unix socket: one peer per connection, identified by the kernel.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::{Problem, ProblemKind};

/// The header in which a peer names its request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest such name.
const REQUEST_NAME_BYTES_MAX: usize = 128;

/// What one door takes from its peers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of a head: request line and header fields.
    pub head_bytes: usize,
    /// How long a peer may take to send a head.
    pub head_time: Duration,
    /// How long a peer may take to send a body.
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            body_bytes: 1 << 20,
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
        }
    }
}

/// Who is at the other end, as the kernel says.
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
        }
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

/// Serves a door until the process ends.
///
/// # Errors
/// When the listener cannot be used at all; a broken connection ends only itself.
pub async fn serve<H: Handler>(
    listener: StdListener,
    handler: Arc<H>,
    limits: Limits,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let handler = Arc::clone(&handler);
                tokio::spawn(async move {
                    serve_connection(stream, handler, limits).await;
                    drop(place);
                });
            }
            // Out of descriptors or memory: others may finish meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection<H: Handler>(stream: UnixStream, handler: Arc<H>, limits: Limits) {
    // A peer that the kernel cannot name is not served.
    let Ok(peer) = identify(&stream) else { return };
    let peer = Arc::new(peer);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (handler, peer) = (Arc::clone(&handler), Arc::clone(&peer));
        async move {
            let named = request_name(&request);
            let mut response = respond(answer(request, handler, peer, limits).await);
            if let Some(name) = named {
                response.headers_mut().insert(X_REQUEST_ID, name);
            }
            Ok::<_, Infallible>(response)
        }
    });
    // The connection ends here whatever happened to it; its peer is told by the closed socket.
    drop(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head_bytes)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// The name that a peer gave its request, to be given back (AuthZEN 1.0, section 10.1.3). A long one is not.
fn request_name(request: &hyper::Request<Incoming>) -> Option<HeaderValue> {
    request
        .headers()
        .get(X_REQUEST_ID)
        .filter(|name| name.len() <= REQUEST_NAME_BYTES_MAX)
        .cloned()
}

fn identify(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Peer {
        uid: credentials.uid.as_raw(),
        pid: credentials.pid.as_raw_nonzero().get().unsigned_abs(),
        pidfd: valetkey_sys::peer::pidfd(stream.as_fd()).ok(),
    })
}

async fn answer<H: Handler>(
    request: hyper::Request<Incoming>,
    handler: Arc<H>,
    peer: Arc<Peer>,
    limits: Limits,
) -> Reply {
    let (head, body) = request.into_parts();
    let whole = tokio::time::timeout(
        limits.body_time,
        Limited::new(body, limits.body_bytes).collect(),
    )
    .await;
    let body = match whole {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            let detail = format!(
                "the body is not whole or is longer than {} bytes",
                limits.body_bytes
            );
            return Problem::new(ProblemKind::Invalid, detail).into();
        }
        Err(_) => return Problem::new(ProblemKind::Invalid, "the body took too long").into(),
    };
    let request = Request {
        peer,
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        body,
    };
    handler.handle(request).await
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some(allow) = reply.allow {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}
