//! The accept loop: it never waits for a place, so that who comes with little is heard however many others are there.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::account::{Account, Process};
use super::connection::{Shared, busy, serve_connection};
use super::table::{Seated, Table};
use super::turns::Turns;
use super::{Handler, Limits, Peer};

/// Connections that are taken before others get the thread.
const ACCEPT_BATCH: u32 = 16;
/// Connections that the kernel holds until they are accepted. They come out in the order in which they came, so that a peer that connects all
/// the time delays others by as many; who finds it full waits in its own `connect`.
const BACKLOG: i32 = 64;
/// How long to wait when the system has no descriptor or memory for another connection: others end meanwhile.
const OUT_OF_RESOURCES_PAUSE: Duration = Duration::from_millis(10);

/// Serves a door until the process ends.
///
/// # Errors
/// When the listener cannot be used at all; a broken connection ends only itself.
pub async fn serve<H: Handler>(
    listener: StdListener,
    handler: Arc<H>,
    limits: Limits,
) -> io::Result<()> {
    rustix::net::listen(&listener, BACKLOG)?;
    let listener = UnixListener::from_std(listener)?;
    let limits = limits.within_descriptors();
    let table = Arc::new(Mutex::new(Table::new(limits)));
    let shared = Arc::new(Shared {
        handler,
        limits,
        turns: Arc::new(Turns::new()),
        body_bytes: Arc::default(),
    });
    let mut batch = 0_u32;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &table, &shared),
            Err(_) => tokio::time::sleep(OUT_OF_RESOURCES_PAUSE).await,
        }
        batch = batch.wrapping_add(1);
        if batch.is_multiple_of(ACCEPT_BATCH) {
            tokio::task::yield_now().await;
        }
    }
}

fn admit<H: Handler>(stream: UnixStream, table: &Arc<Mutex<Table>>, shared: &Arc<Shared<H>>) {
    // A peer that the kernel cannot name is not served.
    let Ok((process, peer)) = identify(&stream) else {
        return;
    };
    let seated = table
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .seat(process, || Account::new(process, peer));
    let Some(seated) = seated else {
        return turn_away(stream);
    };
    let at_table = AtTable {
        table: Arc::clone(table),
        turns: Arc::clone(&shared.turns),
        seated,
    };
    let shared = Arc::clone(shared);
    let _detached = tokio::spawn(async move {
        serve_connection(stream, shared, &at_table.seated).await;
    });
}

/// A connection's place, free again when it is dropped: a panic in a handler does not keep it.
struct AtTable {
    table: Arc<Mutex<Table>>,
    turns: Arc<Turns>,
    seated: Seated,
}

impl Drop for AtTable {
    fn drop(&mut self) {
        let process = self.seated.account.process;
        let was_last = self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .left(process, self.seated.id);
        if was_last {
            self.turns.forget(process);
        }
    }
}

fn identify(stream: &UnixStream) -> io::Result<(Process, Peer)> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)?;
    let peer = Peer {
        uid: credentials.uid.as_raw(),
        pid: credentials.pid.as_raw_nonzero().get().unsigned_abs(),
        pidfd: valetkey_sys::peer::pidfd(stream.as_fd()).ok(),
    };
    let inode = match &peer.pidfd {
        Some(pidfd) => rustix::fs::fstat(pidfd)?.st_ino,
        None => 0,
    };
    let process = Process {
        uid: peer.uid,
        pid: peer.pid,
        inode,
    };
    Ok((process, peer))
}

/// Says that there is no place, without waiting for anything: the socket's own buffer takes it, or the peer is told by the closed socket alone.
fn turn_away(stream: UnixStream) {
    let problem = busy("this process holds its share of the connections");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if let Ok(mut stream) = stream.into_std() {
        let _unheard = stream.write(answer.as_bytes());
    }
}
