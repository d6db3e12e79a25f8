//! One connection: requests read whole and within bounds, handled in turn, answered.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;

use super::account::{Account, Count, Held};
use super::phase::Phase;
use super::stream::Timed;
use super::table::{Place, Seated};
use super::turns::Turns;
use super::{Handler, Limits, Reply, Request};
use crate::{Problem, ProblemKind};

/// The header in which a peer names its request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest such name.
const REQUEST_NAME_BYTES_MAX: usize = 128;

/// What all connections of a door share.
#[derive(Debug)]
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) turns: Arc<Turns>,
    /// Bytes of longer bodies, of all processes.
    pub(super) body_bytes: Arc<Count>,
}

/// Serves a connection until its peer closes it, breaks a bound, or its place is given to another.
pub(super) async fn serve_connection<H: Handler>(
    stream: UnixStream,
    shared: Arc<Shared<H>>,
    seated: &Seated,
) {
    let limits = shared.limits;
    let (place, account) = (&seated.place, &seated.account);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (shared, place, account) =
            (Arc::clone(&shared), Arc::clone(place), Arc::clone(account));
        async move {
            let named = request_name(&request);
            let reply = answer(request, &shared, &account, &place).await;
            place.doing.set(Phase::Writing);
            let mut response = respond(reply);
            if let Some(name) = named {
                let _none = response.headers_mut().insert(X_REQUEST_ID, name);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // The stream keeps the time: idle connections may stay as long as there is room.
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.head_fields)
        .serve_connection(
            TokioIo::new(Timed::new(stream, Arc::clone(place), &limits)),
            service,
        );
    // Reading, parsing and handling are all of its process's time.
    let connection = shared.turns.in_turn(account.process, async {
        let mut connection = pin!(connection);
        poll_fn(|context| {
            place.doing.begin_poll();
            connection.as_mut().poll(context)
        })
        .await
    });
    tokio::select! {
        // The connection ends here whatever happened to it; its peer is told by the closed socket.
        _ended = connection => {}
        () = place.leave.notified() => {}
    }
}

/// The name that a peer gave its request, to be given back (AuthZEN 1.0, section 10.1.3). A long one is not.
fn request_name(request: &hyper::Request<Incoming>) -> Option<HeaderValue> {
    request
        .headers()
        .get(X_REQUEST_ID)
        .filter(|name| name.len() <= REQUEST_NAME_BYTES_MAX)
        .cloned()
}

async fn answer<H: Handler>(
    request: hyper::Request<Incoming>,
    shared: &Arc<Shared<H>>,
    account: &Arc<Account>,
    place: &Place,
) -> Reply {
    // Of requests that were sent ahead, one a turn.
    poll_fn(|context| {
        if place.doing.begin_request() {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    place.doing.set(Phase::Body);
    let (head, body) = request.into_parts();
    let limits = &shared.limits;
    let whole = tokio::time::timeout(limits.body_time, read_body(body, shared, account)).await;
    let (body, _room) = match whole {
        Ok(Ok(read)) => read,
        Ok(Err(problem)) => return Reply::from(problem).closing(),
        Err(_) => {
            let late = Problem::new(ProblemKind::Invalid, "the body took too long");
            return Reply::from(late).closing();
        }
    };
    let request = Request {
        peer: Arc::clone(&account.peer),
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        body,
    };
    // A wait that cannot be read takes a place until the door has refused it.
    let _wait = if !matches!(request.query_number("wait"), Ok(None | Some(0))) {
        match Held::of(&account.waits, 1, limits.waits_of_process) {
            None => return busy("this process waits for too many answers").into(),
            held => held,
        }
    } else {
        None
    };
    place.doing.set(Phase::Handling);
    Arc::clone(&shared.handler).handle(request).await
}

/// The whole body and the room that is held for it, until the answer is there.
async fn read_body<H>(
    mut body: Incoming,
    shared: &Shared<H>,
    account: &Account,
) -> Result<(Bytes, Vec<Held>), Problem> {
    let limits = &shared.limits;
    let too_long = || {
        let detail = format!("the body is longer than {} bytes", limits.body_bytes);
        Problem::new(ProblemKind::Invalid, detail)
    };
    let promised = body.size_hint().lower();
    if promised > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
        return Err(too_long());
    }
    let mut whole = Vec::new();
    let (mut room, mut held) = (limits.small_body_bytes, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(ProblemKind::Invalid, "the body is not whole"))?
            .into_data()
            .map_err(|_| Problem::new(ProblemKind::Invalid, "trailers are not taken"))?;
        let length = whole.len().saturating_add(frame.len());
        if length > limits.body_bytes {
            return Err(too_long());
        }
        if length > room {
            // As much again, so that the buffer is moved a few times at most; both the old and the new are there meanwhile.
            let more = length.max(room.saturating_mul(2)).min(limits.body_bytes);
            let own = (&account.body_bytes, limits.body_bytes_of_process);
            let all = (&shared.body_bytes, limits.body_bytes_of_all);
            let taken = Held::of_both(own, all, more.saturating_sub(room))
                .ok_or_else(|| busy("too much of other bodies is on its way"))?;
            held.push(taken);
            whole.reserve_exact(more.saturating_sub(whole.len()));
            room = more;
        }
        whole.extend_from_slice(&frame);
    }
    Ok((Bytes::from(whole), held))
}

/// A problem that is over when this process, or others, have done with something.
pub(super) fn busy(detail: &str) -> Problem {
    Problem::new(ProblemKind::Busy, detail).hinted(false, "wait a moment and send it again")
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let _none = headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some(allow) = reply.allow {
        let _none = headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if reply.status == ProblemKind::Busy.status() {
        let _none = headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if reply.closes {
        let _none = headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
