//! What the broker tells, as it comes: read by a thread of its own, so that a slow broker stops no screen.

use std::sync::mpsc::Sender;
use std::time::Duration;

use valetkey_api::{Client, ClientError, LiveCapabilities, OpenQuestions, Paths};

use crate::app::{Event, News};
use crate::runtime::Waker;

/// How often the broker is asked.
const EVERY: Duration = Duration::from_millis(250);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads until nobody listens any more.
pub(crate) fn read(paths: &Paths, to: &Sender<Event>, waker: &Waker) {
    let mut client = None;
    let mut last: Option<News> = None;
    loop {
        match look(paths, &mut client) {
            Ok(news) => {
                if last.as_ref() != Some(&news) {
                    if to.send(Event::News(news.clone())).is_err() {
                        return;
                    }
                    last = Some(news);
                    waker.wake();
                }
            }
            Err(error) => {
                // The next answer is news, whatever it is.
                client = None;
                last = None;
                if to.send(Event::Unreachable(error.to_string())).is_err() {
                    return;
                }
                waker.wake();
            }
        }
        std::thread::sleep(EVERY);
    }
}

/// Asks once.
fn look(paths: &Paths, kept: &mut Option<Client>) -> Result<News, ClientError> {
    let client = match kept {
        Some(client) => client,
        None => kept.insert(connect(paths)?),
    };
    let open: OpenQuestions = client.get("/v1/requests")?;
    let live: LiveCapabilities = client.get("/v1/capabilities")?;
    Ok(News {
        questions: open.questions,
        capabilities: live.capabilities,
        alerts: Vec::new(),
    })
}

/// The operator door, with bounded waits.
pub(crate) fn connect(paths: &Paths) -> Result<Client, ClientError> {
    let client = Client::connect(&paths.operator_socket())?;
    client.set_timeout(Some(PATIENCE))?;
    Ok(client)
}

/// The open questions, once.
pub(crate) fn questions(
    paths: &Paths,
    kept: &mut Option<Client>,
) -> Result<Vec<valetkey_approval::Asked>, ClientError> {
    let result = look(paths, kept).map(|news| news.questions);
    if result.is_err() {
        *kept = None;
    }
    result
}
