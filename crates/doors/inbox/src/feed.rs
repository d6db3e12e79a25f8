//! What the broker tells, as it comes: read by a thread of its own, so that a slow broker stops no screen.

use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::Deserialize;
use valetkey_api::{Client, ClientError, LiveCapabilities, Paths};
use valetkey_approval::{Asked, visible};

use crate::app::{Event, News};
use crate::runtime::Waker;

/// How long the broker may hold an answer back for as long as nothing changes: grants, which it does not count as changes, are looked at as often.
const WAIT_SECONDS: u64 = 1;
/// How often a broker is asked that answers at once all the same, or that does not answer.
const EVERY: Duration = Duration::from_millis(250);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads until nobody listens any more.
pub(crate) fn read(paths: &Paths, to: &Sender<Event>, waker: &Waker) {
    let mut feed = Feed::new(paths);
    let mut last: Option<News> = None;
    loop {
        let told = match feed.next() {
            Ok(news) => {
                let is_new = !news.alerts.is_empty() || last.as_ref() != Some(&news);
                let event = is_new.then(|| Event::News(news.clone()));
                last = Some(news);
                event
            }
            Err(error) => {
                // The next answer is news, whatever it is.
                last = None;
                Some(Event::Unreachable(error.to_string()))
            }
        };
        if let Some(event) = told {
            if to.send(event).is_err() {
                return;
            }
            waker.wake();
        }
        feed.pause();
    }
}

/// What waits for people, as the door gives it. One that knows no waiting gives the questions alone.
#[derive(Debug, Deserialize)]
struct Waiting {
    /// The number of this state, to be sent with the next wait.
    #[serde(default)]
    last: Option<u64>,
    questions: Vec<Asked>,
    #[serde(default)]
    alerts: Vec<Alert>,
}

/// Something that people should see soon.
#[derive(Debug, Deserialize)]
struct Alert {
    number: u64,
    text: String,
}

/// The broker's door, read again and again.
#[derive(Debug)]
pub(crate) struct Feed {
    paths: Paths,
    client: Option<Client>,
    /// The number of what was told last.
    after: Option<u64>,
    /// The last alert that was told.
    alerted: u64,
}

impl Feed {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
            client: None,
            after: None,
            alerted: 0,
        }
    }

    /// What there is, as soon as it has changed or a wait is over.
    pub(crate) fn next(&mut self) -> Result<News, ClientError> {
        let result = self.look();
        if result.is_err() {
            self.client = None;
            self.after = None;
        }
        result
    }

    /// Where the door does not wait, this does.
    pub(crate) fn pause(&self) {
        if self.after.is_none() {
            std::thread::sleep(EVERY);
        }
    }

    fn look(&mut self) -> Result<News, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(connect(&self.paths)?),
        };
        let after = self.after.unwrap_or(0);
        let target = format!("/v1/requests?wait={WAIT_SECONDS}&after={after}");
        let waiting: Waiting = client.get(&target)?;
        let live: LiveCapabilities = client.get("/v1/capabilities")?;
        self.after = waiting.last;
        let alerted = self.alerted;
        let fresh = waiting
            .alerts
            .into_iter()
            .filter(|one| one.number > alerted);
        let mut alerts = Vec::new();
        for alert in fresh {
            self.alerted = self.alerted.max(alert.number);
            // Words of agents and people may stand in it.
            alerts.push(visible(&alert.text));
        }
        Ok(News {
            questions: waiting.questions,
            capabilities: live.capabilities,
            alerts,
        })
    }
}

/// The operator door, with bounded waits.
pub(crate) fn connect(paths: &Paths) -> Result<Client, ClientError> {
    let client = Client::connect(&paths.operator_socket())?;
    client.set_timeout(Some(PATIENCE))?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_that_wait_and_doors_that_do_not_are_both_understood() {
        let plain: Waiting = serde_json::from_str(r#"{"questions":[]}"#).unwrap();
        assert!(plain.last.is_none() && plain.alerts.is_empty());
        let text = r#"{"last":7,"questions":[],"alerts":[{"number":6,"time":"2027-01-15T08:00:00.000Z","kind":"lockout","text":"it waits"}]}"#;
        let waiting: Waiting = serde_json::from_str(text).unwrap();
        assert_eq!(waiting.last, Some(7));
        let told: Vec<_> = waiting
            .alerts
            .iter()
            .map(|alert| (alert.number, alert.text.as_str()))
            .collect();
        assert_eq!(told, [(6, "it waits")]);
    }
}
