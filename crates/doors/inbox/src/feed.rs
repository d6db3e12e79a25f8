//! What the broker tells, as it comes: read by a thread of its own, so that a slow broker stops no screen.

use std::sync::mpsc::Sender;
use std::time::Duration;

use valetkey_api::{Client, ClientError, Follow, LiveCapabilities, Paths};
use valetkey_approval::visible;

use crate::app::{Event, News};
use crate::runtime::Waker;

/// How long the broker may hold an answer back for as long as nothing changes: grants that policy gives by itself are no change for people, and
/// are looked at as often.
const WAIT: Duration = Duration::from_secs(1);
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

/// The broker's door, read again and again.
#[derive(Debug)]
pub(crate) struct Feed {
    follow: Follow,
    /// Alerts that were told and not passed on yet.
    alerts: Vec<String>,
}

impl Feed {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            follow: Follow::new(paths),
            alerts: Vec::new(),
        }
    }

    /// What there is, as soon as it has changed or a wait is over.
    pub(crate) fn next(&mut self) -> Result<News, ClientError> {
        let changes = self.follow.next(WAIT)?;
        // Words of agents and people may stand in it.
        let alerts = changes.alerts.iter().map(|alert| visible(&alert.text));
        self.alerts.extend(alerts);
        let live: LiveCapabilities = self.follow.get("/v1/capabilities")?;
        Ok(News {
            questions: changes.questions,
            capabilities: live.capabilities,
            alerts: std::mem::take(&mut self.alerts),
        })
    }

    /// A broker that does not answer is left alone for a moment.
    pub(crate) fn pause(&self) {
        std::thread::sleep(self.follow.rest());
    }
}

/// The operator door, with bounded waits.
pub(crate) fn connect(paths: &Paths) -> Result<Client, ClientError> {
    let client = Client::connect(&paths.operator_socket())?;
    client.set_timeout(Some(PATIENCE))?;
    Ok(client)
}
