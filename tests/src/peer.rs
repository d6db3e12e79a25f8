//! A plain peer of a door: HTTP/1.1 over a Unix socket, byte by byte where a test wants it so.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::home::Home;

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
    had: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and header fields.
    pub head: String,
    /// The body, null if it is no JSON.
    pub body: Value,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(door: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(door)?;
        stream.set_read_timeout(Some(TIME))?;
        stream.set_write_timeout(Some(TIME))?;
        Ok(Self {
            stream,
            had: Vec::new(),
        })
    }

    /// The stream, for what is no request.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other end is closed.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer; nothing when the connection ends before one is whole.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some((answer, end)) = parse(&self.had) {
                self.had.drain(..end);
                return Some(answer);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.had.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Whether the connection ends, whatever comes before.
    pub fn ends(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// One exchange with a body of bytes.
    pub fn post_bytes(&mut self, path: &str, body: &[u8]) -> Option<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let whole = [head.as_bytes(), body].concat();
        // Whoever is turned away is told so even if not everything was sent.
        let _sent = self.send(&whole);
        self.answer()
    }

    /// One exchange.
    pub fn post(&mut self, path: &str, body: &Value) -> Option<Answer> {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    /// One exchange without a body.
    pub fn get(&mut self, path: &str) -> Option<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let _sent = self.send(head.as_bytes());
        self.answer()
    }
}

fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().expect("a length"));
    let body = bytes.get(head_end..head_end + length)?;
    let status = head.split(' ').nth(1)?.parse().expect("a status");
    let answer = Answer {
        status,
        body: serde_json::from_slice(body).unwrap_or_default(),
        head,
    };
    Some((answer, head_end + length))
}

/// A guard as the broker knows one: this process, with a session over a workspace.
#[derive(Debug)]
pub struct Guard {
    /// Its connection.
    pub peer: Peer,
    /// Its session.
    pub session: String,
    door: PathBuf,
    workspace: PathBuf,
}

impl Guard {
    /// Opens a session with `HOME/work` as the workspace.
    ///
    /// # Panics
    /// When the broker refuses.
    #[must_use]
    pub fn open(home: &Home) -> Self {
        let workspace = home.path("work");
        home.make_dir(&workspace);
        let door = home.door("guard");
        let mut peer = Peer::connect(&door).expect("connect");
        let open = json!({
            "agent": "modest", "agent_digest": null, "purpose": null, "policy": null, "grants": [],
            "workspace": format!("file:{}/**", workspace.display()),
        });
        let opened = peer.post("/v1/sessions", &open).expect("an answer");
        assert_eq!(opened.status, 200, "{:?}", opened.body);
        let session = opened.body["session"].as_str().expect("an id").to_owned();
        Self {
            peer,
            session,
            door,
            workspace,
        }
    }

    /// The same guard on another connection.
    ///
    /// # Panics
    /// When the door takes none.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            peer: Peer::connect(&self.door).expect("connect"),
            session: self.session.clone(),
            door: self.door.clone(),
            workspace: self.workspace.clone(),
        }
    }

    /// Asks for reading a file of the workspace; gives the capability's id.
    ///
    /// # Panics
    /// When it is not granted.
    #[track_caller]
    pub fn ask(&mut self, constraints: &Value) -> String {
        let granted = self.try_ask(constraints).expect("an answer");
        let id = &granted.body["granted"]["capability"]["capability_id"];
        let id = id.as_str().unwrap_or_else(|| panic!("{:?}", granted.body));
        id.to_owned()
    }

    /// The same, whatever the answer.
    pub fn try_ask(&mut self, constraints: &Value) -> Option<Answer> {
        let ask = json!({
            "session": self.session, "actions": ["read"], "may_ask": false, "constraints": constraints,
            "resource": format!("file:{}/a.txt", self.workspace.display()),
        });
        self.peer.post("/v1/requests", &ask)
    }

    /// Gives a capability back.
    ///
    /// # Panics
    /// When that is refused.
    pub fn release(&mut self, capability: &str) {
        let session = json!({"session": self.session});
        let path = format!("/v1/capabilities/{capability}/release");
        let answer = self.peer.post(&path, &session).expect("an answer");
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }

    /// Uses a capability up.
    pub fn use_up(&mut self, capability: &str) -> Option<Answer> {
        let usage = json!({"session": self.session, "operation": "replay"});
        self.peer
            .post(&format!("/v1/capabilities/{capability}/use"), &usage)
    }
}
