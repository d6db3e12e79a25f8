//! The network door: from a cell there is one way out, and it lets exactly what was granted through.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use valetkey_tests::{Call, Home, host_program, skipped, until};

use super::needs_cells;

pub(super) const SOON: Duration = Duration::from_secs(10);

/// What a client in the cell is given: ways to speak to the proxy, byte for byte.
pub(super) const CLIENT: &str = r#"
import os, socket, sys, threading
proxy = ('127.0.0.1', int(os.environ['HTTP_PROXY'].rsplit(':', 1)[1]))
def talk(data, wait=5.0):
    s = socket.create_connection(proxy, timeout=wait)
    s.sendall(data)
    return s
def rest(s):
    got = b''
    try:
        while True:
            part = s.recv(65536)
            if not part: break
            got += part
    except (ConnectionResetError, socket.timeout): pass
    return got
def head(s):
    got = b''
    while b'\r\n\r\n' not in got:
        part = s.recv(1)
        if not part: break
        got += part
    return got.decode()
def connect(host):
    s = talk(f'CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode(), 30.0)
    return s, head(s)
def status(text):
    return text.split(' ')[1] if ' ' in text else 'none'
"#;

/// A server on this machine that answers each request once, and counts what comes to it.
pub(super) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let got = Arc::new(Mutex::new(Vec::new()));
        let (count, kept) = (Arc::clone(&connections), Arc::clone(&got));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                count.fetch_add(1, Ordering::SeqCst);
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while let Ok(read) = client.read(&mut chunk) {
                        if read == 0 {
                            return;
                        }
                        let mut kept = kept.lock().expect("the bytes");
                        kept.extend_from_slice(&chunk[..read]);
                        let answer: &[u8] = if chunk.starts_with(b"stream") {
                            &[b'x'; 1000]
                        } else if chunk[..read].ends_with(b"\r\n\r\n")
                            || chunk[..read].ends_with(b"body")
                        {
                            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
                        } else {
                            b"told"
                        };
                        drop(kept);
                        if client.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            connections,
            got,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn got(&self) -> String {
        String::from_utf8_lossy(&self.got.lock().expect("the bytes")).into_owned()
    }
}

/// A session in which a script may speak to the proxy; the grants are endpoints.
pub(super) fn session(home: &Home, grants: &[String], script: &str) -> Option<Call> {
    if host_program("python3").is_none() {
        skipped("network", "there is no python3 here");
        return None;
    }
    let work = home.path("work");
    home.make_dir(&work);
    home.write("work/client.py", format!("{CLIENT}\n{script}"));
    let mut options = vec!["--workspace".to_owned(), work.display().to_string()];
    for grant in grants {
        options.push("--grant".to_owned());
        options.push(grant.clone());
    }
    Some(home.run(&options, &["python3", "client.py"]).cwd(&work))
}

#[test]
fn without_a_grant_there_is_no_way_out() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "s, answer = connect('127.0.0.1:{port}')\nprint(status(answer))\nprint('requestable' in rest(s).decode())\n\
         print(status(rest(talk(b'GET http://127.0.0.1:{port}/ HTTP/1.1\\r\\n\\r\\n')).decode()))\n\
         print(rest(talk(bytes([5,1,0,5,1,0,1,127,0,0,1]) + ({port}).to_bytes(2, 'big'))).hex())\n\
         d = socket.socket(); d.settimeout(2)\n\
         try: d.connect(('127.0.0.1', {port})); print('out')\n\
         except OSError: print('refused')\n\
         u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         try: u.sendto(b'x', ('1.1.1.1', 53)); print('out')\n\
         except OSError: print('unreachable')\n\
         print(open('/run/valetkey/denials.json').read().count('tcp:127.0.0.1:{port}') >= 1)\n"
    );
    let Some(call) = session(&home, &[], &script) else {
        return;
    };
    let ended = call.done().ok();
    assert_eq!(
        ended.text(),
        "403\nTrue\n403\n050005020001000000000000\nrefused\nunreachable\nTrue\n",
        "{}",
        ended.errors()
    );
    assert_eq!(server.connections(), 0);
    let resource = format!("tcp:127.0.0.1:{port}");
    let decided = home.events("request.decided");
    let denied = decided
        .iter()
        .filter(|event| event["resource"] == resource.as_str() && event["decision"] == "denied");
    assert_eq!(denied.count(), 3);
    home.verify();
}

#[test]
fn what_is_granted_goes_through_and_is_recorded() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "s, answer = connect('127.0.0.1:{port}')\nprint(status(answer))\ns.sendall(b'hello?'); print(s.recv(99)); s.close()\n\
         print(rest(talk(b'POST http://127.0.0.1:{port}/a HTTP/1.1\\r\\nContent-Length: 4\\r\\nX: y\\r\\n\\r\\nbody'))[-6:])\n\
         s = talk(bytes([5,1,0])); print(s.recv(2)); s.sendall(bytes([5,1,0,1,127,0,0,1]) + ({port}).to_bytes(2, 'big'))\n\
         print(s.recv(10)[1]); s.sendall(b'hello'); print(s.recv(99))\n"
    );
    let grant = format!("tcp:127.0.0.1:{port}=connect");
    let Some(call) = session(&home, &[grant], &script) else {
        return;
    };
    let ended = call.done().ok();
    assert_eq!(
        ended.text(),
        "200\nb'told'\nb'hello\\n'\nb'\\x05\\x00'\n0\nb'told'\n",
        "{}",
        ended.errors()
    );
    assert!(
        server
            .got()
            .contains("POST /a HTTP/1.1\r\nHost: 127.0.0.1:"),
        "{}",
        server.got()
    );
    let performed = home.events("operation.performed");
    let of = |what: &str| {
        performed
            .iter()
            .filter(|event| event["attributes"]["operation"] == what)
            .cloned()
            .collect::<Vec<_>>()
    };
    let (made, over) = (of("connect"), of("disconnect"));
    assert_eq!((made.len(), over.len()), (3, 3), "{performed:?}");
    assert!(
        over.iter()
            .all(|event| event["attributes"]["address"] == "127.0.0.1")
    );
    let bytes = |name: &str| over[0]["attributes"][name].as_u64();
    assert_eq!(
        (bytes("bytes_written"), bytes("bytes_read")),
        (Some(6), Some(4))
    );
    home.verify();
}

#[test]
fn a_granted_server_of_this_machine_stands_at_its_own_address() {
    needs_cells!();
    let home = Home::new();
    let (server, other) = (Server::start(), Server::start());
    let (port, not_granted) = (server.port(), other.port());
    let script = format!(
        "s = socket.create_connection(('127.0.0.1', {port}), timeout=9); s.sendall(b'hello?'); print(s.recv(99)); s.close()\n\
         try: socket.create_connection(('127.0.0.1', {not_granted}), timeout=9); print('out')\n\
         except OSError: print('refused')\n"
    );
    let grant = format!("tcp:127.0.0.1:{port}=connect");
    let Some(call) = session(&home, &[grant], &script) else {
        return;
    };
    let ended = call.done().ok();
    assert_eq!(ended.text(), "b'told'\nrefused\n", "{}", ended.errors());
    assert_eq!((server.connections(), other.connections()), (1, 0));
    let resource = format!("tcp:127.0.0.1:{port}");
    let performed = home.events("operation.performed");
    let made = performed.iter().filter(|event| {
        event["resource"] == resource.as_str() && event["attributes"]["operation"] == "connect"
    });
    assert_eq!(made.count(), 1, "{performed:?}");
    home.verify();
}

#[test]
fn a_name_that_leads_to_an_own_network_is_not_followed_there() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!("print(status(connect('localhost:{port}')[1]))\n");
    let by_name = format!("tcp:localhost:{port}=connect");
    let Some(call) = session(&home, std::slice::from_ref(&by_name), &script) else {
        return;
    };
    let ended = call.done().ok();
    assert_eq!(ended.text(), "403\n", "{}", ended.errors());
    assert_eq!(server.connections(), 0);
    // With its number given too, somebody meant it.
    let grants = [by_name, format!("tcp:127.0.0.1:{port}=connect")];
    let ended = session(&home, &grants, &script)
        .expect("python3")
        .done()
        .ok();
    assert_eq!(ended.text(), "200\n", "{}", ended.errors());
    assert_eq!(server.connections(), 1);
}

#[test]
fn tls_to_another_name_than_the_one_that_was_given_is_cut() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "def v(n, b): return len(b).to_bytes(n, 'big') + b\n\
         def hello(name):\n\
         \x20   sni = b'\\0\\0' + v(2, v(2, b'\\0' + v(2, name)))\n\
         \x20   body = b'\\3\\3' + bytes(32) + v(1, b'') + v(2, b'\\x13\\1') + v(1, b'\\0') + v(2, sni)\n\
         \x20   return b'\\x16\\3\\1' + v(2, b'\\1' + v(3, body))\n\
         for name in [b'localhost', b'evil.example']:\n\
         \x20   s, answer = connect('localhost:{port}')\n\
         \x20   h = hello(name); s.sendall(h[:7]); s.sendall(h[7:])\n\
         \x20   print(status(answer), s.recv(99))\n\
         s, _ = connect('localhost:{port}'); s.sendall(b'\\x16\\3\\1\\0\\0'); print(rest(s))\n"
    );
    let grants = [
        format!("tcp:localhost:{port}=connect"),
        format!("tcp:127.0.0.1:{port}=connect"),
    ];
    let Some(call) = session(&home, &grants, &script) else {
        return;
    };
    let ended = call.done().ok();
    assert_eq!(
        ended.text(),
        "200 b'told'\n200 b''\nb''\n",
        "{}",
        ended.errors()
    );
    assert!(server.got().contains("localhost"));
    assert!(
        !server.got().contains("evil.example"),
        "nothing of it went out"
    );
    let over = home.events("operation.performed");
    let mut names: Vec<_> = over
        .iter()
        .filter_map(|event| event["attributes"]["server_name"].as_str())
        .collect();
    // Each is told of as it ends, and ends are not in order.
    names.sort_unstable();
    assert_eq!(names, ["evil.example", "localhost"]);
}

#[test]
fn requests_that_can_be_read_in_two_ways_reach_nobody() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "here = b'127.0.0.1:{port}'\n\
         odd = [b'CONNECT ' + here + b'\\0.evil.example:80 HTTP/1.1\\r\\n\\r\\n', b'CONNECT x@' + here + b' HTTP/1.1\\r\\n\\r\\n',\n\
         \x20   b'CONNECT 127.1:{port} HTTP/1.1\\r\\n\\r\\n', b'CONNECT 0x7f000001:{port} HTTP/1.1\\r\\n\\r\\n', b'CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1\\r\\n\\r\\n',\n\
         \x20   b'CONNECT ' + here + b' HTTP/1.1\\r\\nHost: evil.example:80\\r\\n\\r\\n', b'GET / HTTP/1.1\\r\\nHost: ' + here + b'\\r\\n\\r\\n',\n\
         \x20   b'GET http://' + here + b'/ HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n',\n\
         \x20   b'GET http://' + here + b'/ HTTP/1.1\\r\\nContent-Length: 0\\r\\nContent-Length: 9\\r\\n\\r\\n',\n\
         \x20   b'GET http://' + here + b'/ HTTP/1.1\\nHost: ' + here + b'\\n\\n\\r\\n\\r\\n',\n\
         \x20   b'GET http://' + here + b'/ HTTP/1.1\\r\\nUpgrade: websocket\\r\\nConnection: upgrade\\r\\n\\r\\n',\n\
         \x20   b'GET http://' + here + b' /x HTTP/1.1\\r\\n\\r\\n', b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n', b'A' * 40000,\n\
         \x20   bytes([4,1,0,80,127,0,0,1,0]), bytes([5,1,0,5,2,0,1,127,0,0,1]) + ({port}).to_bytes(2, 'big'), bytes([5,1,0,5,1,0,3,0,0,80])]\n\
         for one in odd:\n\
         \x20   got = rest(talk(one))\n\
         \x20   if not (got[:12] in (b'HTTP/1.1 400', b'HTTP/1.1 403') or (got[:2] == bytes([5,0]) and got[3:4] not in (b'', b'\\0')) or got == b''): print(one[:60], got)\n\
         first = b'GET http://' + here + b'/one HTTP/1.1\\r\\n\\r\\n'\n\
         print(rest(talk(first + b'GET http://' + here + b'/two HTTP/1.1\\r\\n\\r\\n'))[-6:])\n"
    );
    let grant = format!("tcp:127.0.0.1:{port}=connect");
    let Some(call) = session(&home, &[grant], &script) else {
        return;
    };
    let ended = call.within(Duration::from_secs(60)).done().ok();
    assert_eq!(ended.text(), "b'hello\\n'\n", "{}", ended.errors());
    assert_eq!(server.connections(), 1, "{}", server.got());
    assert!(
        !server.got().contains("/two"),
        "one request for one connection"
    );
}

#[test]
fn limits_and_revocation_reach_open_connections() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let script = format!(
        "s, answer = connect('127.0.0.1:{port}')\n\
         print(status(answer), flush=True)\n\
         while True:\n\
         \x20   try:\n\
         \x20       s.sendall(b'stream')\n\
         \x20       if not s.recv(2000): break\n\
         \x20   except OSError: break\n\
         print('over', status(connect('127.0.0.1:{port}')[1]))\n"
    );
    let endpoint = format!("tcp:127.0.0.1:{port}");
    let Some(call) = session(&home, &[format!("{endpoint}=connect")], &script) else {
        return;
    };
    let mut running = call.start();
    running.wait_for("200", SOON);
    until("traffic", SOON, || {
        (server.got().len() > 1000).then_some(())
    });
    let begun = Instant::now();
    let _revoked = home
        .valetkey(["caps", "revoke", "--resource", &endpoint])
        .done()
        .ok();
    running.wait_for("over", SOON);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let ended = running.finish(SOON).ok();
    assert_eq!(ended.text(), "200\nover 403\n");

    // Of 2,500 bytes two answers of a thousand arrive.
    let limited = [format!("{endpoint}=connect,max_bytes=2500")];
    let counting = script.replace(
        "if not s.recv(2000): break",
        "got = s.recv(2000)\n        if not got: break\n        print(len(got))",
    );
    let ended = session(&home, &limited, &counting)
        .expect("python3")
        .done()
        .ok();
    assert_eq!(
        ended.text(),
        "200\n1000\n1000\nover 200\n",
        "{}",
        ended.errors()
    );
    let once = [format!("{endpoint}=connect,single_use=true")];
    let twice = format!("for _ in 1, 2: print(status(connect('127.0.0.1:{port}')[1]))\n");
    let ended = session(&home, &once, &twice).expect("python3").done().ok();
    assert_eq!(ended.text(), "200\n403\n", "{}", ended.errors());
}

#[test]
fn a_person_can_be_asked_about_a_connection() {
    needs_cells!();
    let home = Home::new();
    let server = Server::start();
    let port = server.port();
    let policy = home.outside("policy");
    std::fs::create_dir_all(&policy).expect("make");
    std::fs::write(
        policy.join("network.rego"),
        "package valetkey\n\ndecision := {\"effect\": \"ask\", \"policy_id\": \"network\", \"reasons\": [\"the network is asked about\"], \
         \"approval\": {\"quorum\": [{\"role\": \"owner\", \"count\": 1}], \"expires_seconds\": 60}} if input.resource.scheme == \"tcp\"\n\n\
         decision := {\"effect\": \"allow\", \"policy_id\": \"network\"} if input.resource.in_workspace\n",
    )
    .expect("write");
    let script = format!("print(status(connect('127.0.0.1:{port}')[1]))\n");
    let Some(call) = session(&home, &[], &script) else {
        return;
    };
    drop(call);
    let work = home.path("work");
    let running = home
        .valetkey(["run", "--policy"])
        .arg(&policy)
        .arg("--workspace")
        .arg(&work)
        .args(["--", "python3", "client.py"])
        .cwd(&work)
        .start();
    let question = home.wait_for_question(&format!("127.0.0.1:{port}"));
    assert_eq!(server.connections(), 0);
    let _approved = home.approve(&question);
    let ended = running.finish(SOON).ok();
    assert_eq!(ended.text(), "200\n");
    assert_eq!(server.connections(), 1);
}
