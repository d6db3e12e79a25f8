//! The questions as lines, for where there is no terminal: one a question, when it opens.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use valetkey_approval::{Asked, Risk};
use valetkey_model::{RequestId, Timestamp};
use valetkey_sys::clock::Clock;
use valetkey_sys::signals::signal_descriptor;

use crate::app::Row;
use crate::{Inbox, InboxError, feed};

/// How often the broker is asked, beyond what it waits itself.
const EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Writes a line for each question that is open or opens, until the process is told to end. With `json`, each is the question as it is at the
/// door; otherwise its id, risk, agent and words, and the seconds left. A broker that does not answer is waited for, and said once on `errors`.
///
/// # Errors
/// [`InboxError::Output`] when nobody reads any more.
pub fn lines(
    inbox: &Inbox,
    json: bool,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<(), InboxError> {
    let signals = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
    let signals = signal_descriptor(&signals).map_err(InboxError::Terminal)?;
    let clock = Clock::start(0);
    let mut feed = feed::Feed::new(&inbox.paths);
    let mut known: BTreeSet<RequestId> = BTreeSet::new();
    let mut is_down = false;
    loop {
        match feed.next() {
            Ok(news) => {
                let open = news.questions;
                is_down = false;
                for asked in &open {
                    if known.insert(asked.request_id.clone()) {
                        let now = Timestamp::from_unix_ms(clock.now_ms());
                        writeln!(out, "{}", line(inbox, asked, json, now))
                            .and_then(|()| out.flush())
                            .map_err(InboxError::Output)?;
                    }
                }
                known.retain(|id| open.iter().any(|asked| asked.request_id == *id));
            }
            Err(error) if !is_down => {
                is_down = true;
                // The lines are what is wanted; nobody need read this.
                drop(writeln!(errors, "note: {error}; waiting for it"));
            }
            Err(_) => {}
        }
        let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&EVERY)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(InboxError::Terminal(error.into())),
        }
    }
}

fn line(inbox: &Inbox, asked: &Asked, json: bool, now: Timestamp) -> String {
    if json {
        // What came as JSON goes as JSON.
        return serde_json::to_string(asked).unwrap_or_default();
    }
    let row = Row::new(asked.clone(), &inbox.context());
    let risk = match row.prompt.risk {
        Risk::Low => "low",
        Risk::Elevated => "elevated",
        Risk::High => "HIGH",
    };
    format!(
        "{}  {risk}  {}  ({} s left)",
        asked.request_id,
        row.in_short(),
        row.seconds_left(now)
    )
}
