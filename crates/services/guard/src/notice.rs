//! Lines to the person at the terminal that the session was started from, while the agent waits for an answer.

use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use valetkey_approval::visible;
use valetkey_model::{ActionSet, RequestId, Resource};

use crate::prompt::Overlay;

/// Writes notices to standard error, if a person can see it there; where prompts are shown, they say it.
#[derive(Debug)]
pub(crate) struct Notices {
    shown: bool,
    overlay: OnceLock<Overlay>,
}

impl Notices {
    /// Notices are for people: without a terminal there are none.
    pub(crate) fn new() -> Self {
        Self {
            shown: rustix::termios::isatty(rustix::stdio::stderr()),
            overlay: OnceLock::new(),
        }
    }

    /// From now on questions are shown as prompts.
    pub(crate) fn prompt_with(&self, overlay: Overlay) {
        // There is one terminal, and so one that takes it over.
        drop(self.overlay.set(overlay));
    }

    /// What shows prompts here.
    pub(crate) fn overlay(&self) -> Option<&Overlay> {
        self.overlay.get()
    }

    /// The agent waits for an answer.
    pub(crate) fn waiting(&self, id: &RequestId, resource: &Resource, actions: ActionSet) {
        let what = visible(&resource.to_string());
        let line = format!(
            "the agent asks to {actions} {what}; in another terminal: valetkey approve {id}"
        );
        match self.overlay() {
            Some(overlay) => overlay.opened(id, line),
            None => self.line(&line),
        }
    }

    /// The answer came.
    pub(crate) fn settled(&self, id: &RequestId, granted: bool) {
        if let Some(overlay) = self.overlay() {
            overlay.settled(id, granted);
            return;
        }
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
