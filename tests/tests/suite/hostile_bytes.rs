//! Bytes that are no request, or two, or too many: each is refused, the connection ends or goes on as HTTP says, and the broker with it.

use std::io::Read as _;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use valetkey_tests::{Guard, Home, Peer, Started, until};

const SOON: Duration = Duration::from_secs(20);

/// A broker with nothing else to do.
struct House {
    home: Home,
    broker: Started,
}

impl House {
    fn new() -> Self {
        let home = Home::new();
        home.write("work/a.txt", "a\n");
        let broker = home.start_broker();
        Self { home, broker }
    }

    fn peer(&self) -> Peer {
        Peer::connect(&self.home.door("guard")).expect("connect")
    }

    /// Statuses of all answers to these bytes; the peer has then nothing more to say.
    fn statuses(&self, bytes: &[u8]) -> Vec<u16> {
        let mut peer = self.peer();
        // Refused in the middle, the rest finds nobody.
        let _sent = peer.send(bytes);
        let _closed = peer.stream().shutdown(Shutdown::Write);
        let mut statuses = Vec::new();
        while let Some(answer) = peer.answer() {
            statuses.push(answer.status);
        }
        statuses
    }

    /// The status of the one answer to these bytes, before which their peer does not close.
    fn status(&self, bytes: &[u8]) -> Option<u16> {
        let mut peer = self.peer();
        let _sent = peer.send(bytes);
        Some(peer.answer()?.status)
    }

    /// The broker is as it was: it grants what policy grants, and has granted nothing else.
    fn ends_well(mut self, granted_before: usize) {
        assert!(self.broker.is_running());
        let served = || {
            self.peer()
                .get("/v1/x")
                .filter(|answer| answer.status == 404)
        };
        drop(until("connections have ended", SOON, served));
        let mut guard = Guard::open(&self.home);
        let capability = guard.ask(&json!({}));
        assert_eq!(guard.use_up(&capability).expect("an answer").status, 200);
        let minted = self.home.events("capability.minted").len();
        assert_eq!(minted, granted_before + 2, "the workspace and the file");
        self.home.verify();
        self.broker.signal(Signal::TERM);
    }
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn what_is_no_request_ends_the_connection() {
    let house = House::new();
    let long_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let long_line = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(40_000));
    let many_fields = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(100));
    let cases: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno field\r\n\r\n",
        b"GET / HTTP/1.1\r\nx : y\r\n\r\n",
        "{\"session\":\"ses-0\"}\n".as_bytes(),
        long_head.as_bytes(),
        long_line.as_bytes(),
        many_fields.as_bytes(),
    ];
    for bytes in cases {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let statuses = house.statuses(bytes);
        let refused = |status: &u16| matches!(status, 400 | 414 | 431 | 505);
        assert!(
            statuses.len() <= 1 && statuses.iter().all(refused),
            "{text:?}: {statuses:?}"
        );
    }
    house.ends_well(0);
}

#[test]
fn two_meanings_of_one_length_are_no_request() {
    let house = House::new();
    let smuggled = "GET /v1/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let two_lengths = format!(
        "POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    let lengths = [
        "content-length: 0, 5",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "content-length: 99999999999999999999999",
        "content-length: 5\r\ntransfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ];
    assert_eq!(house.status(two_lengths.as_bytes()), Some(400));
    assert_eq!(house.statuses(two_lengths.as_bytes()).len(), 1);
    for length in lengths {
        let bytes = format!("POST /v1/x HTTP/1.1\r\nhost: a\r\n{length}\r\n\r\n{smuggled}");
        let statuses = house.statuses(bytes.as_bytes());
        assert!(
            statuses.is_empty() || statuses == [400],
            "{length}: {statuses:?}"
        );
    }
    // Both: RFC 9112 lets a server go by the encoding, or refuse. The rest is never a second request.
    let both = format!(
        "POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{smuggled}"
    );
    assert!(house.statuses(both.as_bytes()).len() <= 1);
    house.ends_well(0);
}

#[test]
fn chunks_that_are_none_are_refused_and_long_ones_counted() {
    let house = House::new();
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let most = "fffffffffffffffff\r\nx";
    let endless_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(100_000));
    let too_long = format!(
        "{}0\r\n\r\n",
        format!("10000\r\n{}\r\n", " ".repeat(65536)).repeat(17)
    );
    let trailers = "2\r\n{}\r\n0\r\nx: y\r\n\r\n";
    for body in [
        "zz\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "5\r\nxx\r\n0\r\n\r\n",
        most,
        &endless_extension,
        &too_long,
        trailers,
    ] {
        let statuses = house.statuses(format!("{head}{body}").as_bytes());
        let shown = &body[..body.len().min(30)];
        assert!(
            statuses.is_empty() || statuses == [400],
            "{shown:?}: {statuses:?}"
        );
    }
    // A hundred thousand chunks of one byte each are a body like any other, and no open session.
    let bytes = format!("{head}{}0\r\n\r\n", "1\r\n \r\n".repeat(100_000));
    assert_eq!(house.status(bytes.as_bytes()), Some(400));
    house.ends_well(0);
}

#[test]
fn json_that_is_none_opens_nothing() {
    let house = House::new();
    let open = |purpose: &str| {
        format!(
            "{{\"agent\":\"a\",\"agent_digest\":null,\"purpose\":{purpose},\"workspace\":null,\"grants\":[],\"policy\":null}}"
        )
    };
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    let mut cases = vec![
        deep("[", 1_000_000),
        deep("{\"a\":", 200_000),
        open(&"[".repeat(100_000)).into_bytes(),
        open("1e999999999").into_bytes(),
        open(&"9".repeat(500_000)).into_bytes(),
        open("\"\\ud800\"").into_bytes(),
        open("null,\"purpose\":\"again\"").into_bytes(),
        open("null,\"unknown\":1").into_bytes(),
        [open("null").as_bytes(), b"{}"].concat(),
        b"null".to_vec(),
        Vec::new(),
    ];
    let mut not_utf8 = open("\"x\"").into_bytes();
    let at = not_utf8.iter().rposition(|byte| *byte == b'x').expect("x");
    not_utf8[at] = 0xff;
    cases.push(not_utf8);
    for body in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let status = house.status(&post("/v1/sessions", &body));
        assert_eq!(status, Some(400), "{shown}");
    }
    assert_eq!(house.home.status().expect("a broker")["sessions"], 0);
    house.ends_well(0);
}

#[test]
fn a_body_too_long_is_refused_before_it_is_sent() {
    let house = House::new();
    let mut peer = house.peer();
    peer.send(b"POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-length: 1048577\r\n\r\n")
        .expect("send");
    let answer = peer.answer().expect("an answer");
    assert_eq!(answer.status, 400);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(peer.ends());
    house.ends_well(0);
}

#[test]
fn what_was_sent_ahead_is_answered_in_order_and_once() {
    let house = House::new();
    let mut guard = Guard::open(&house.home);
    let capability = guard.ask(&json!({"single_use": true}));
    let body = json!({"session": guard.session, "operation": "ahead"}).to_string();
    let one = post(
        &format!("/v1/capabilities/{capability}/use"),
        body.as_bytes(),
    );
    guard.peer.send(&one.repeat(200)).expect("send");
    let statuses: Vec<u16> = (0..200)
        .map(|_| guard.peer.answer().expect("an answer").status)
        .collect();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 403));
    house.ends_well(2);
}

#[test]
fn waits_of_one_process_are_bounded_and_leave_the_rest_alone() {
    let house = House::new();
    let mut guard = Guard::open(&house.home);
    let session = &guard.session;
    let request = format!("GET /v1/sessions/{session}/news?wait=8 HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut waiting: Vec<Peer> = (0..80).map(|_| house.peer()).collect();
    for peer in &mut waiting {
        peer.send(request.as_bytes()).expect("send");
    }
    // Those over the share are told at once, the others when their wait is over.
    let answers: Vec<_> = waiting
        .iter_mut()
        .map(|peer| peer.answer().expect("an answer"))
        .collect();
    let (refused, heard): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 429);
    assert_eq!((refused.len(), heard.len()), (16, 64));
    for answer in refused {
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
        assert_eq!(answer.body["type"], "urn:valetkey:problem:busy");
    }
    let _capability = guard.ask(&json!({}));
    drop(waiting);
    house.ends_well(2);
}

#[test]
fn connections_over_the_share_of_a_process_are_told_so() {
    let house = House::new();
    // This process holds its share, and is told at the door; another is let in.
    let held: Vec<Peer> = (0..256).map(|_| house.peer()).collect();
    let mut next = house.peer();
    let answer = next.answer().expect("an answer before any request");
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(house.home.status().is_some());
    drop(held);
    house.ends_well(0);
}

#[test]
fn a_head_or_a_body_that_drips_ends_in_time_and_an_idle_connection_stays() {
    let house = House::new();
    let mut idle = house.peer();
    let (mut head, mut body) = (house.peer(), house.peer());
    head.send(b"GET /v1/x HTT").expect("send");
    body.send(b"POST /v1/sessions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        .expect("send");
    let begun = Instant::now();
    for peer in [&head, &body] {
        let time = Duration::from_secs(30);
        peer.stream().set_read_timeout(Some(time)).expect("set");
    }
    assert!(head.ends());
    let answer = body.answer().expect("an answer");
    assert_eq!(answer.status, 400);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(idle.get("/v1/x").expect("an answer").status, 404);
    house.ends_well(0);
}

#[test]
fn a_half_closed_peer_gets_its_answer_or_none_and_its_place_is_free_again() {
    let house = House::new();
    for _ in 0..300 {
        let mut peer = house.peer();
        peer.send(b"GET /v1/x HTTP/1.1\r\nhost: a\r\n\r\n")
            .expect("send");
        peer.stream().shutdown(Shutdown::Write).expect("close half");
        let mut rest = Vec::new();
        let _read = peer.stream().read_to_end(&mut rest);
    }
    house.ends_well(0);
}
