//! Lines to the person at the terminal that the session was started from, while the agent waits for an answer.

use std::os::fd::AsFd as _;

use valetkey_approval::visible;
use valetkey_model::{ActionSet, RequestId, Resource};

/// Writes notices to standard error, if a person can see it there.
#[derive(Debug)]
pub(crate) struct Notices {
    shown: bool,
}

impl Notices {
    /// Notices are for people: without a terminal there are none.
    pub(crate) fn new() -> Self {
        Self {
            shown: rustix::termios::isatty(rustix::stdio::stderr()),
        }
    }

    /// The agent waits for an answer.
    pub(crate) fn waiting(&self, id: &RequestId, resource: &Resource, actions: ActionSet) {
        let what = visible(&resource.to_string());
        self.line(&format!(
            "the agent asks to {actions} {what}; in another terminal: valetkey approve {id}"
        ));
    }

    /// The answer came.
    pub(crate) fn settled(&self, id: &RequestId, granted: bool) {
        self.line(&format!(
            "{id} was {}",
            if granted { "granted" } else { "not granted" }
        ));
    }

    fn line(&self, text: &str) {
        if self.shown {
            // The terminal is in raw mode while the agent has one of its own: a line needs its carriage return.
            let line = format!("\r\nvaletkey: {text}\r\n");
            let _best_effort = rustix::io::write(rustix::stdio::stderr().as_fd(), line.as_bytes());
        }
    }
}
