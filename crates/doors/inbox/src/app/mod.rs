//! What the inbox knows and does: events in, effects out. It knows no clock, file or socket.
//!
//! INVARIANT (no answer by accident): an approval takes two keys, the second on a page that shows the question whole and was scrolled to its
//! end; no key counts in the [`PAUSE_MS`] after a question came under the cursor, or a page opened, without the person's doing; what is pasted is
//! never a command; and a question that changes or closes takes its page with it.

mod dialog;
mod grants;
mod keys;
mod news;
mod pages;
mod rows;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;

use valetkey_api::Outcome;
use valetkey_approval::{Asked, Context, Verdict};
use valetkey_approver::Passphrase;
use valetkey_capability::Capability;
use valetkey_model::{CapabilityId, Digest, Lease, RequestId, Timestamp};

use crate::input::Typed;

pub(crate) use dialog::{Confirm, Dialog, Reason, prompt_lines, wrapped};
pub(crate) use grants::GrantRow;
pub(crate) use rows::{Row, State};

/// How long no key answers after a question came under the cursor by itself, or a page opened: who was typing something else has stopped by then.
pub(crate) const PAUSE_MS: u64 = 400;
/// What is remembered of this sitting.
const PAST_MAX: usize = 500;
/// The smallest window in which a question can be shown and answered.
pub(crate) const SMALLEST: (u16, u16) = (44, 10);

/// Everything that can happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key, or a character that was pasted.
    Typed(Typed),
    /// The broker's questions and capabilities.
    News(News),
    /// The broker does not answer, and why.
    Unreachable(String),
    /// Something that was wanted is done.
    Done(Done),
    /// The window has this size.
    Resized(u16, u16),
    /// Time went by.
    Tick,
    /// The program is to end.
    End,
}

/// What the broker tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The open questions, oldest first.
    pub(crate) questions: Vec<Asked>,
    /// The live capabilities.
    pub(crate) capabilities: Vec<Capability>,
    /// Alerts that have come since the last news.
    pub(crate) alerts: Vec<String>,
}

/// What is to be done outside.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Sign these answers and give them.
    Answer(Answering, Option<Passphrase>),
    /// Take these back.
    Revoke(Vec<CapabilityId>),
    /// Forget what was typed and not read: it was meant for something else.
    ForgetTyped,
    /// End.
    Quit,
}

/// Answers to sign, each by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answering {
    /// The questions as they were seen, and the digests of what was shown of them.
    pub(crate) questions: Vec<(Asked, Option<Digest>)>,
    /// Yes or no.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) because: Option<String>,
    /// How far a yes reaches, where that is less than the questions say.
    pub(crate) lease: Option<Lease>,
}

/// How something ended.
#[derive(Debug)]
pub(crate) enum Done {
    /// One question was answered, or not, and why not.
    Answered(RequestId, Result<Outcome, Unanswered>),
    /// The key is under a passphrase: none of these was answered.
    Locked {
        answering: Answering,
        /// Whether one was given, and does not open it.
        wrong: bool,
    },
    /// This person's key was made known to the broker, under that name, as the first of all.
    Registered(String),
    /// What was taken back, or why nothing was.
    Revoked(Result<Vec<CapabilityId>, String>),
}

/// Why an answer was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was closed before.
    Closed,
    /// Anything else, in words.
    Failed(String),
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Questions,
    Grants,
    History,
}

/// How the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It was not heard of yet.
    Waiting,
    /// It answers.
    Up,
    /// It does not, and why.
    Down(String),
}

/// Something that happened in this sitting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) time: Timestamp,
    /// In safe words.
    pub(crate) what: String,
}

/// The inbox.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) context: Context,
    pub(crate) size: (u16, u16),
    pub(crate) tab: Tab,
    pub(crate) link: Link,
    pub(crate) rows: Vec<Row>,
    pub(crate) selected: Option<RequestId>,
    /// Lines of the detail that are scrolled away.
    pub(crate) scroll: usize,
    pub(crate) grants: Vec<GrantRow>,
    pub(crate) selected_grant: Option<CapabilityId>,
    pub(crate) past: Vec<Past>,
    pub(crate) past_scroll: usize,
    pub(crate) alert: Option<String>,
    pub(crate) filter: String,
    pub(crate) dialog: Option<Dialog>,
    /// What is to be read once.
    pub(crate) notice: Option<String>,
    /// Until then no key does anything but end the inbox.
    pub(crate) deaf_until: Timestamp,
    pub(crate) now: Timestamp,
}

impl App {
    pub(crate) fn new(context: Context, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            context,
            size,
            tab: Tab::Questions,
            link: Link::Waiting,
            rows: Vec::new(),
            selected: None,
            scroll: 0,
            grants: Vec::new(),
            selected_grant: None,
            past: Vec::new(),
            past_scroll: 0,
            alert: None,
            filter: String::new(),
            dialog: None,
            notice: None,
            deaf_until: now,
            now,
        }
    }

    /// Takes an event that happened now, and says what is to be done.
    pub(crate) fn on(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        self.now = self.now.max(now);
        match event {
            Event::Typed(typed) => self.typed(typed),
            Event::News(news) => self.news(news),
            Event::Unreachable(why) => {
                self.link = Link::Down(why);
                Vec::new()
            }
            Event::Done(done) => self.done(done),
            Event::Resized(columns, rows) => {
                self.size = (columns, rows);
                // What was seen to its end is another layout now.
                self.unsee();
                Vec::new()
            }
            Event::Tick => Vec::new(),
            Event::End => vec![Effect::Quit],
        }
    }

    /// What is on the screen now was drawn.
    pub(crate) fn drawn(&mut self) {
        if self.is_too_small() {
            return;
        }
        let size = self.size;
        if let Some(Dialog::Confirm(confirm)) = &mut self.dialog {
            confirm.drawn(size);
        }
    }

    /// Whether what is shown changes with time alone, and soon.
    pub(crate) fn is_paused(&self) -> bool {
        self.now < self.deaf_until
    }

    pub(crate) fn is_too_small(&self) -> bool {
        self.size.0 < SMALLEST.0 || self.size.1 < SMALLEST.1
    }

    /// For a while no key counts: something came before the person's eyes that they did not call.
    fn pause(&mut self) -> Effect {
        self.deaf_until = Timestamp::from_unix_ms(self.now.unix_ms().saturating_add(PAUSE_MS));
        Effect::ForgetTyped
    }

    fn unsee(&mut self) {
        if let Some(Dialog::Confirm(confirm)) = &mut self.dialog {
            confirm.unsee();
        }
    }

    fn remember(&mut self, what: String) {
        if self.past.len() >= PAST_MAX {
            self.past.remove(0);
        }
        self.past.push(Past {
            time: self.now,
            what,
        });
    }

    fn say(&mut self, what: impl Into<String>) {
        self.notice = Some(what.into());
    }
}
