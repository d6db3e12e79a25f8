//! What waits for a person, followed over the operator door: each call of the door waits until something is new.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{Changes, Client, ClientError, Paths};

/// The longest wait of one call; the door holds no answer back for longer.
pub const FOLLOW_WAIT_MAX: Duration = Duration::from_secs(50);
/// How much longer than the wait an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first rest after a call that failed, doubled with each further one.
const REST_FIRST: Duration = Duration::from_millis(250);
/// How often it is doubled: a broker that comes back is heard of within a second.
const DOUBLED_MAX: u32 = 2;

/// Follows what waits. Whoever shows questions asks through this, so that none of them polls.
#[derive(Debug)]
pub struct Follow {
    socket: PathBuf,
    client: Option<Client>,
    /// The number of what was told last.
    after: u64,
    /// The number of the last alert that was told.
    alerted: u64,
    failed: u32,
}

impl Follow {
    /// Follows the broker of that home, from the beginning.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            socket: paths.operator_socket(),
            client: None,
            after: 0,
            alerted: 0,
            failed: 0,
        }
    }

    /// What there is, as soon as it is not what was told last, or `wait` is over. Each alert is told once.
    ///
    /// # Errors
    /// When the broker does not answer. The next call begins anew; [`Follow::rest`] says after which time.
    pub fn next(&mut self, wait: Duration) -> Result<Changes, ClientError> {
        let told = self.ask(wait.min(FOLLOW_WAIT_MAX));
        self.heed(told)
    }

    /// Asks for something else on the same connection, between the waits.
    ///
    /// # Errors
    /// As [`Follow::next`].
    pub fn get<T: DeserializeOwned>(&mut self, target: &str) -> Result<T, ClientError> {
        let told = self.client().and_then(|client| client.get(target));
        self.heed(told)
    }

    fn heed<T>(&mut self, told: Result<T, ClientError>) -> Result<T, ClientError> {
        match &told {
            Ok(_) => self.failed = 0,
            Err(_) => {
                self.failed = self.failed.saturating_add(1);
                self.client = None;
                self.after = 0;
            }
        }
        told
    }

    /// How long to wait before the next call: no time at all, unless the last one failed.
    #[must_use]
    pub fn rest(&self) -> Duration {
        match self.failed {
            0 => Duration::ZERO,
            times => REST_FIRST.saturating_mul(1 << times.saturating_sub(1).min(DOUBLED_MAX)),
        }
    }

    fn client(&mut self) -> Result<&mut Client, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(&self.socket)?,
        };
        client.set_timeout(Some(PATIENCE))?;
        Ok(self.client.insert(client))
    }

    fn ask(&mut self, wait: Duration) -> Result<Changes, ClientError> {
        let after = self.after;
        let client = self.client()?;
        client.set_timeout(Some(wait.saturating_add(PATIENCE)))?;
        let target = format!("/v1/requests?wait={}&after={after}", wait.as_secs());
        let mut changes: Changes = client.get(&target)?;
        self.after = changes.last;
        let alerted = self.alerted;
        changes.alerts.retain(|alert| alert.number > alerted);
        if let Some(newest) = changes.alerts.iter().map(|alert| alert.number).max() {
            self.alerted = newest;
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Answers each connection's requests with these bodies, one after the other, and says what was asked.
    fn door(
        socket: &std::path::Path,
        bodies: &'static [&'static str],
    ) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            for body in bodies {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.extend(byte);
                }
                let head = String::from_utf8(head).unwrap();
                asked.push(head.lines().next().unwrap_or_default().to_owned());
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        })
    }

    fn paths(home: &std::path::Path) -> Paths {
        let paths = Paths::below(home);
        std::fs::create_dir_all(paths.operator_socket().parent().unwrap()).unwrap();
        paths
    }

    #[test]
    fn each_call_waits_for_what_is_new_and_an_alert_is_told_once() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let door = door(
            &paths.operator_socket(),
            &[
                r#"{"last":7,"questions":[],"alerts":[{"number":6,"time":"2027-01-15T08:00:00.000Z","kind":"lockout","text":"it waits"}]}"#,
                r#"{"last":9,"questions":[],"alerts":[{"number":6,"time":"2027-01-15T08:00:00.000Z","kind":"lockout","text":"it waits"},{"number":9,"time":"2027-01-15T08:00:01.000Z","kind":"break_glass","text":"broken"}]}"#,
            ],
        );
        let mut follow = Follow::new(&paths);
        let first = follow.next(Duration::from_secs(3)).unwrap();
        assert_eq!(first.alerts.len(), 1);
        let second = follow.next(Duration::from_secs(600)).unwrap();
        let told: Vec<_> = second
            .alerts
            .iter()
            .map(|alert| alert.text.as_str())
            .collect();
        assert_eq!(told, ["broken"]);
        assert_eq!(follow.rest(), Duration::ZERO);
        assert_eq!(
            door.join().unwrap(),
            [
                "GET /v1/requests?wait=3&after=0 HTTP/1.1",
                "GET /v1/requests?wait=50&after=7 HTTP/1.1"
            ]
        );
    }

    #[test]
    fn a_broker_that_is_away_is_asked_less_often_and_from_the_beginning() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let mut follow = Follow::new(&paths);
        follow.after = 5;
        let mut rests = Vec::new();
        for _ in 0..5 {
            assert!(follow.next(Duration::ZERO).is_err());
            rests.push(follow.rest().as_millis());
        }
        assert_eq!(rests, [250, 500, 1000, 1000, 1000]);
        let door = door(
            &paths.operator_socket(),
            &[r#"{"last":1,"questions":[],"alerts":[]}"#],
        );
        assert_eq!(follow.next(Duration::ZERO).unwrap().last, 1);
        assert_eq!(follow.rest(), Duration::ZERO);
        assert_eq!(
            door.join().unwrap(),
            ["GET /v1/requests?wait=0&after=0 HTTP/1.1"]
        );
    }
}
