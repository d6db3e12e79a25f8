//! Bytes in both directions, for as long as the right to it lives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::gate::{Passage, Traffic};
use crate::hello::{Beginning, beginning};
use crate::{Endpoint, is_public};

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// How often the right is looked at: revocation reaches an open connection within this time.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// How long a client that began to speak TLS may take for its hello.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// How a tunnel is to be held.
pub(crate) struct Rules<'a> {
    pub(crate) to: &'a Endpoint,
    pub(crate) passage: &'a dyn Passage,
    /// Bytes that the client may send; all it likes where there is no number.
    pub(crate) body: Option<u64>,
}

/// Passes bytes on until both ends are done, or the right ends.
pub(crate) async fn run(
    rules: &Rules<'_>,
    client: TcpStream,
    server: TcpStream,
    first: Vec<u8>,
) -> Option<Traffic> {
    let address = server.peer_addr().ok()?.ip();
    let begun = Instant::now();
    let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut server_name = None;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let sending = async {
        let first = match rules.body {
            Some(_) => first,
            None => inspect(rules, &mut from_client, first, &mut server_name).await?,
        };
        send_up(rules, first, &mut from_client, &mut to_server, &up).await
    };
    let receiving = receive(rules, &mut from_server, &mut to_client, &down);
    let revoked = async {
        while rules.passage.is_live() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err::<(), _>("the right to it ended")
    };
    let is_one_request = rules.body.is_some();
    let both = async {
        tokio::pin!(sending, receiving);
        if !is_one_request {
            return tokio::try_join!(sending, receiving).map(|_| ());
        }
        // The answer is the end of it; a client that is gone before does not wait for one.
        tokio::select! {
            received = &mut receiving => received,
            sent = &mut sending => {
                sent?;
                receiving.await
            }
        }
    };
    let ended = tokio::select! {
        ended = both => ended,
        ended = revoked => ended,
    };
    Some(Traffic {
        address,
        server_name,
        up: up.load(Ordering::Relaxed),
        down: down.load(Ordering::Relaxed),
        took: begun.elapsed(),
        cut: ended.err(),
    })
}

/// Reads what a client begins with, before any of it goes on. TLS to another name than the one that was given would be another connection.
async fn inspect(
    rules: &Rules<'_>,
    client: &mut (impl AsyncRead + Unpin),
    mut first: Vec<u8>,
    server_name: &mut Option<String>,
) -> Result<Vec<u8>, &'static str> {
    let read = async {
        loop {
            match beginning(&first) {
                Beginning::Unfinished => {
                    if client.read_buf(&mut first).await.unwrap_or(0) == 0 {
                        // It ends, or has nothing to say.
                        return if first.is_empty() {
                            Ok(None)
                        } else {
                            Err(BROKEN)
                        };
                    }
                }
                Beginning::Broken => return Err(BROKEN),
                found @ (Beginning::Other | Beginning::Hello(_)) => return Ok(Some(found)),
            }
        }
    };
    // A client that waits for the server to speak first may take its time; one that has begun may not.
    let found = if rules.passage.wants_tls() {
        tokio::time::timeout(HELLO_TIME, read)
            .await
            .map_err(|_| BROKEN)?
    } else {
        read.await
    };
    match found? {
        Some(Beginning::Hello(name)) => {
            let is_name = rules.to.address().is_none();
            server_name.clone_from(&name);
            match name {
                Some(name) if is_name && name != rules.to.host() => Err(OTHER_NAME),
                None if rules.passage.wants_tls() && is_name => Err(OTHER_NAME),
                Some(_) | None => Ok(first),
            }
        }
        _ if rules.passage.wants_tls() => Err("what was given is TLS, and this is not"),
        _ => Ok(first),
    }
}

const BROKEN: &str = "the TLS hello does not read";
const OTHER_NAME: &str = "the TLS hello asks for another name than the one that was given";

async fn send_up(
    rules: &Rules<'_>,
    first: Vec<u8>,
    client: &mut (impl AsyncRead + Unpin),
    server: &mut (impl AsyncWrite + Unpin),
    up: &AtomicU64,
) -> Result<(), &'static str> {
    let mut left = rules.body.unwrap_or(u64::MAX);
    let mut chunk = first;
    loop {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX).min(left);
        chunk.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if !chunk.is_empty() {
            if !rules.passage.is_live() || !rules.passage.take_up(length) {
                return Err(LIMIT);
            }
            if server.write_all(&chunk).await.is_err() {
                return Ok(());
            }
            up.fetch_add(length, Ordering::Relaxed);
            left = left.saturating_sub(length);
        }
        chunk.clear();
        chunk.reserve(CHUNK);
        // One request goes up, and nothing that comes after it.
        if client.read_buf(&mut chunk).await.unwrap_or(0) == 0 {
            drop(server.shutdown().await);
            return Ok(());
        }
    }
}

async fn receive(
    rules: &Rules<'_>,
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    down: &AtomicU64,
) -> Result<(), &'static str> {
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        if server.read_buf(&mut chunk).await.unwrap_or(0) == 0 {
            drop(client.shutdown().await);
            return Ok(());
        }
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if !rules.passage.is_live() || !rules.passage.take_down(length) {
            return Err(LIMIT);
        }
        if client.write_all(&chunk).await.is_err() {
            return Ok(());
        }
        down.fetch_add(length, Ordering::Relaxed);
    }
}

const LIMIT: &str = "a limit was reached, or the right to it ended";

/// The addresses of an endpoint that may be connected to: public ones, and others that were given by their number.
pub(crate) fn reachable(
    to: &Endpoint,
    found: impl Iterator<Item = std::net::SocketAddr>,
    gives: impl Fn(&Endpoint) -> bool,
) -> Vec<std::net::SocketAddr> {
    found
        .filter(|found| {
            let ip = found.ip();
            // An address that was asked for by its number was decided on by its number.
            to.address() == Some(ip) || is_public(ip) || to.at(ip).is_some_and(|at| gives(&at))
        })
        .collect()
}
