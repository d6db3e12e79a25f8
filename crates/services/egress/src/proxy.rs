//! The proxy: takes clients, reads what they want, asks the gate, connects and passes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Endpoint;
use crate::gate::{Gate, Passage, Refusal, Unmade, Wanted};
use crate::http::{self, Asked, HEAD_MAX};
use crate::socks::{self, Reply};
use crate::tunnel::{self, Rules};

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 256;
/// How long a client may take to say what it wants.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a server may take to answer a connection.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// How long a name may take to be found.
const RESOLVE_TIME: Duration = Duration::from_secs(10);

/// Serves clients of the proxy until the listener fails.
pub async fn serve(listener: TcpListener, gate: Arc<dyn Gate>) {
    accept(listener, gate, None).await;
}

/// Serves clients that want to one endpoint and say nothing of it, until the listener fails.
pub async fn serve_for(listener: TcpListener, to: Endpoint, gate: Arc<dyn Gate>) {
    accept(listener, gate, Some(to)).await;
}

async fn accept(listener: TcpListener, gate: Arc<dyn Gate>, to: Option<Endpoint>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Who finds no place waits in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            Err(_) => return,
        };
        let (gate, to) = (Arc::clone(&gate), to.clone());
        tokio::spawn(async move {
            match to {
                Some(to) => tunnel_at_once(client, &gate, &to).await,
                None => attend(client, &gate).await,
            }
            drop(place);
        });
    }
}

/// Whether a failure to accept is of one client, or of a moment in which there are too few descriptors.
fn is_passing(error: &std::io::Error) -> bool {
    const TOO_MANY_OPEN: [i32; 2] = [23, 24];
    error.kind() == std::io::ErrorKind::ConnectionAborted
        || error
            .raw_os_error()
            .is_some_and(|code| TOO_MANY_OPEN.contains(&code))
}

async fn attend(mut client: TcpStream, gate: &Arc<dyn Gate>) {
    drop(client.set_nodelay(true));
    let mut first = [0];
    let peeked = tokio::time::timeout(HEAD_TIME, client.peek(&mut first)).await;
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    if first == [socks::VERSION] {
        let read = tokio::time::timeout(HEAD_TIME, socks::read(&mut client)).await;
        // Otherwise it was told no, or said nothing that reads.
        if let Ok(Some(to)) = read {
            tunnel_by_socks(client, gate, &to).await;
        }
        return;
    }
    let Some((asked, rest)) = read_head(&mut client).await else {
        return;
    };
    match asked {
        Asked::Tunnel(to) => tunnel_by_http(client, gate, &to, rest).await,
        Asked::Forward { to, head, body } => forward(client, gate, &to, (head, body), rest).await,
    }
}

/// The head of a request and what came behind it. One that does not read has been answered.
async fn read_head(client: &mut TcpStream) -> Option<(Asked, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    let read = async {
        loop {
            if let Some(end) = http::end_of_head(&bytes) {
                return Some(end);
            }
            if bytes.len() >= HEAD_MAX || client.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    };
    let end = tokio::time::timeout(HEAD_TIME, read).await.ok()?;
    let asked = match end.and_then(|end| bytes.split_at_checked(end)) {
        Some((head, rest)) => http::read(head).map(|asked| (asked, rest.to_vec())),
        None => Err("the head of the request does not end"),
    };
    match asked {
        Ok(asked) => Some(asked),
        Err(why) => {
            let refusal = Refusal {
                status: 400,
                media_type: "text/plain",
                body: format!("{why}\n"),
            };
            tell(client, &refusal).await;
            None
        }
    }
}

/// Answers a request with a refusal.
async fn tell(client: &mut TcpStream, refusal: &Refusal) {
    let reason = match refusal.status {
        400 => "Bad Request",
        403 => "Forbidden",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Refused",
    };
    let answer = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        refusal.status,
        refusal.media_type,
        refusal.body.len(),
        refusal.body
    );
    // A client that is gone does not read it.
    drop(client.write_all(answer.as_bytes()).await);
    drop(client.shutdown().await);
    // Bytes that nobody reads would make the kernel reset the connection before the answer is read.
    let drain = async {
        let mut sink = [0; 4096];
        while client.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    };
    drop(tokio::time::timeout(Duration::from_secs(1), drain).await);
}

/// Asks the gate and connects.
async fn connect(
    client: &TcpStream,
    gate: &Arc<dyn Gate>,
    to: &Endpoint,
) -> Result<(Arc<dyn Passage>, TcpStream), Refusal> {
    let passage = permitted(client, gate, to).await?;
    let server = match reach(gate, to).await {
        Ok(server) if passage.is_live() => Ok(server),
        Ok(_) => Err(Unmade::Ended),
        Err(why) => Err(why),
    };
    match server {
        Ok(server) => {
            drop(server.set_nodelay(true));
            Ok((passage, server))
        }
        Err(why) => Err(unmade(gate, to, why).await),
    }
}

async fn unmade(gate: &Arc<dyn Gate>, to: &Endpoint, why: Unmade) -> Refusal {
    let (gate, to) = (Arc::clone(gate), to.clone());
    // To record may block.
    let told = tokio::task::spawn_blocking(move || gate.unmade(&to, why));
    told.await.unwrap_or_else(|_| unavailable())
}

async fn permitted(
    client: &TcpStream,
    gate: &Arc<dyn Gate>,
    to: &Endpoint,
) -> Result<Arc<dyn Passage>, Refusal> {
    let wanted = Wanted::new();
    let asking = {
        let (gate, to, wanted) = (Arc::clone(gate), to.clone(), wanted.clone());
        tokio::task::spawn_blocking(move || gate.open(&to, &wanted))
    };
    tokio::pin!(asking);
    let gone = async {
        let mut byte = [0];
        // It either says more, which can wait, or is gone.
        if client.peek(&mut byte).await.is_ok_and(|read| read > 0) {
            std::future::pending::<()>().await;
        }
    };
    let answered = tokio::select! {
        answered = &mut asking => answered,
        () = gone => {
            wanted.no_more();
            asking.await
        }
    };
    answered.unwrap_or_else(|_| Err(unavailable()))
}

fn unavailable() -> Refusal {
    Refusal {
        status: 503,
        media_type: "text/plain",
        body: "the connection could not be decided on\n".to_owned(),
    }
}

/// Finds the host's addresses once, and connects to one that may be reached.
async fn reach(gate: &Arc<dyn Gate>, to: &Endpoint) -> Result<TcpStream, Unmade> {
    let found: Vec<_> = match to.address() {
        Some(address) => vec![(address, to.port()).into()],
        None => {
            let looked = tokio::net::lookup_host((to.host(), to.port()));
            let found = tokio::time::timeout(RESOLVE_TIME, looked).await;
            found
                .map_err(|_| Unmade::NotFound)?
                .map_err(|_| Unmade::NotFound)?
                .collect()
        }
    };
    let reachable = tunnel::reachable(to, found.into_iter(), |at| gate.gives_address(at));
    if reachable.is_empty() {
        return Err(Unmade::NotPublic);
    }
    for address in reachable {
        let connecting = TcpStream::connect(address);
        if let Ok(Ok(server)) = tokio::time::timeout(CONNECT_TIME, connecting).await {
            return Ok(server);
        }
    }
    Err(Unmade::Unreachable)
}

async fn tunnel_by_http(mut client: TcpStream, gate: &Arc<dyn Gate>, to: &Endpoint, rest: Vec<u8>) {
    match connect(&client, gate, to).await {
        Ok((passage, server)) => {
            let made = b"HTTP/1.1 200 Connection established\r\n\r\n";
            if client.write_all(made).await.is_ok() {
                pass(to, passage, None, (client, server), rest).await;
            }
        }
        Err(refusal) => tell(&mut client, &refusal).await,
    }
}

/// Who came to an endpoint's own port is told nothing of a refusal: the connection ends, as one that nobody serves.
async fn tunnel_at_once(client: TcpStream, gate: &Arc<dyn Gate>, to: &Endpoint) {
    drop(client.set_nodelay(true));
    if let Ok((passage, server)) = connect(&client, gate, to).await {
        pass(to, passage, None, (client, server), Vec::new()).await;
    }
}

async fn tunnel_by_socks(mut client: TcpStream, gate: &Arc<dyn Gate>, to: &Endpoint) {
    match connect(&client, gate, to).await {
        Ok((passage, server)) => {
            socks::answer(&mut client, Reply::Made).await;
            pass(to, passage, None, (client, server), Vec::new()).await;
        }
        Err(refusal) => {
            let reply = if refusal.status == 403 {
                Reply::NotAllowed
            } else {
                Reply::Unreachable
            };
            socks::answer(&mut client, reply).await;
        }
    }
}

async fn forward(
    mut client: TcpStream,
    gate: &Arc<dyn Gate>,
    to: &Endpoint,
    (head, body): (Vec<u8>, u64),
    rest: Vec<u8>,
) {
    match connect(&client, gate, to).await {
        Ok((passage, _)) if passage.wants_tls() => {
            let refusal = unmade(gate, to, Unmade::Plain).await;
            tell(&mut client, &refusal).await;
        }
        Ok((passage, server)) => {
            let whole = u64::try_from(head.len()).unwrap_or(u64::MAX);
            let sent = [head, rest].concat();
            let body = Some(whole.saturating_add(body));
            pass(to, passage, body, (client, server), sent).await;
        }
        Err(refusal) => tell(&mut client, &refusal).await,
    }
}

async fn pass(
    to: &Endpoint,
    passage: Arc<dyn Passage>,
    body: Option<u64>,
    (client, server): (TcpStream, TcpStream),
    first: Vec<u8>,
) {
    let rules = Rules {
        to,
        passage: passage.as_ref(),
        body,
    };
    if let Some(traffic) = tunnel::run(&rules, client, server, first).await {
        // The report may block.
        drop(tokio::task::spawn_blocking(move || passage.ended(&traffic)));
    }
}
