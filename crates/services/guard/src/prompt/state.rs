//! What a prompt does: a pure machine from keys, times and news to what is shown, asked of the broker, and told.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use valetkey_approval::{Asked, Prompt, Reach, Risk, Verdict};
use valetkey_model::{Digest, Lease, RequestId, Timestamp};
use zeroize::Zeroizing;

use super::keys::Key;

/// How long a prompt is looked at, at least, before a key counts: what was being typed to the agent is no answer.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How long no key must have come before one counts.
pub(super) const QUIET: Duration = Duration::from_millis(250);
/// Most characters of a line that is typed.
const LINE_MAX: usize = 400;
/// Most bytes of a passphrase.
const PASSPHRASE_MAX: usize = 1024;
/// How often a wrong passphrase may be typed again.
const TRIES: u8 = 3;

/// What is typed and never shown. Wipes itself; the room is there from the start, so that it is not copied while it grows.
pub(super) struct Secret(pub(super) Zeroizing<String>);

impl Secret {
    fn empty() -> Self {
        Self(Zeroizing::new(String::with_capacity(PASSPHRASE_MAX)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// A question with what is shown of it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) asked: Asked,
    pub(super) prompt: Prompt,
    /// The digest of the prompt that is shown.
    pub(super) shown: Option<Digest>,
    /// What is told of it where there is no prompt.
    pub(super) notice: String,
}

/// An answer, to be signed and given.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) question: Asked,
    pub(super) shown: Option<Digest>,
    pub(super) verdict: Verdict,
    pub(super) because: Option<String>,
    /// How far a yes reaches, where that is less than the question says.
    pub(super) lease: Option<Lease>,
    pub(super) passphrase: Option<Secret>,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It settled the question, or counts towards it.
    Counts,
    /// The key wants its passphrase; whether one was tried and wrong.
    Locked { wrong: bool },
    /// It did not count, and why.
    Failed(String),
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Paint what there is to see.
    Paint,
    /// Bring the agent's screen back.
    Hide,
    /// Sign an answer and give it.
    Give(Box<Reply>),
    /// The question is left for later: it is no longer watched here.
    Leave(RequestId),
    /// A line for the person.
    Tell(String),
}

/// What the keys are for.
#[derive(Debug)]
pub(super) enum Stage {
    /// Yes, no or later.
    Answer,
    /// Why.
    Reason,
    /// The passphrase of the key; it is not shown.
    Passphrase,
    /// An answer is on its way.
    Giving,
}

/// The questions that wait at this terminal, the first of them shown.
#[derive(Debug)]
pub(super) struct Dialog {
    queue: VecDeque<Question>,
    pub(super) stage: Stage,
    pub(super) line: String,
    secret: Secret,
    pub(super) message: Option<String>,
    /// The first line of the question that is shown.
    pub(super) top: usize,
    /// How many lines there are, and how many fit, as it was painted last.
    pub(super) lines: usize,
    pub(super) room: usize,
    /// The end of the question was shown.
    read: bool,
    chosen: Option<(Verdict, Option<String>)>,
    /// How far the yes that is being given reaches, where the person said so.
    lease: Option<Lease>,
    tries: u8,
    /// A key has counted for this question.
    awake: bool,
    shown_at: Duration,
    last_key: Duration,
}

impl Dialog {
    /// Nothing to ask.
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            stage: Stage::Answer,
            line: String::new(),
            secret: Secret::empty(),
            message: None,
            top: 0,
            lines: 0,
            room: 0,
            read: false,
            chosen: None,
            lease: None,
            tries: 0,
            awake: false,
            shown_at: Duration::ZERO,
            last_key: Duration::ZERO,
        }
    }

    /// The question that is shown.
    pub(super) fn current(&self) -> Option<&Question> {
        self.queue.front()
    }

    /// Whether the question is among those that wait.
    pub(super) fn has(&self, id: &RequestId) -> bool {
        self.queue
            .iter()
            .any(|question| question.asked.request_id == *id)
    }

    /// How many questions wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A question opened.
    pub(super) fn opened(&mut self, question: Question, now: Duration) -> Vec<Effect> {
        let known = |other: &Question| other.asked.request_id == question.asked.request_id;
        if self.queue.iter().any(known) {
            return Vec::new();
        }
        self.queue.push_back(question);
        if self.queue.len() == 1 {
            self.begin(now);
        }
        vec![Effect::Paint]
    }

    /// A question was answered elsewhere, closed, or taken back; how is told here, or has been or will be elsewhere.
    pub(super) fn closed(
        &mut self,
        id: &RequestId,
        how: Option<&str>,
        now: Duration,
    ) -> Vec<Effect> {
        let Some(at) = self
            .queue
            .iter()
            .position(|question| question.asked.request_id == *id)
        else {
            return Vec::new();
        };
        self.queue.remove(at);
        let told = how.map(|how| Effect::Tell(format!("{id} {how}")));
        let mut effects: Vec<Effect> = told.into_iter().collect();
        effects.extend(self.went_on(at == 0, now));
        effects
    }

    /// The broker settled a question. Where the answer was given here, the person knows.
    pub(super) fn settled(&mut self, id: &RequestId, granted: bool, now: Duration) -> Vec<Effect> {
        let own = self
            .current()
            .is_some_and(|question| question.asked.request_id == *id)
            && matches!(self.stage, Stage::Giving);
        if own {
            return self.given(id, Given::Counts, now);
        }
        let how = if granted {
            "was granted"
        } else {
            "was not granted"
        };
        self.closed(id, Some(how), now)
    }

    /// An answer arrived, or did not.
    pub(super) fn given(&mut self, id: &RequestId, given: Given, now: Duration) -> Vec<Effect> {
        if self
            .current()
            .is_none_or(|question| question.asked.request_id != *id)
        {
            return Vec::new();
        }
        match given {
            Given::Counts => {
                self.queue.pop_front();
                return self.went_on(true, now);
            }
            Given::Locked { wrong } => {
                if wrong {
                    self.tries = self.tries.saturating_add(1);
                }
                if self.tries >= TRIES {
                    self.back("the passphrase does not open your approver key".to_owned());
                } else {
                    self.stage = Stage::Passphrase;
                    self.message =
                        wrong.then(|| "that passphrase does not open the key".to_owned());
                }
            }
            Given::Failed(why) => self.back(why),
        }
        vec![Effect::Paint]
    }

    /// Every question is left for later, such as when the terminal is given up.
    pub(super) fn leave_all(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let was = !self.queue.is_empty();
        for question in self.queue.drain(..) {
            effects.push(Effect::Leave(question.asked.request_id));
            effects.push(Effect::Tell(question.notice));
        }
        self.wipe();
        if was {
            effects.push(Effect::Hide);
        }
        effects
    }

    /// Whether keys count at this time.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        let looked_at = now.saturating_sub(self.shown_at) >= SETTLE;
        self.awake || (looked_at && now.saturating_sub(self.last_key) >= QUIET)
    }

    /// Whether the whole question was on the screen.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    /// What was painted of the question: its lines, and how many of them fit.
    pub(super) fn painted(&mut self, lines: usize, room: usize) {
        self.lines = lines;
        self.room = room;
        self.top = self.top.min(lines.saturating_sub(room));
        if self.top.saturating_add(room) >= lines {
            self.read = true;
        }
    }

    /// Seconds until the question closes.
    pub(super) fn left(&self, clock: Timestamp) -> u64 {
        self.current().map_or(0, |question| {
            question.asked.expires_at.ms_since(clock) / 1000
        })
    }

    /// A key.
    pub(super) fn key(&mut self, key: Key, now: Duration) -> Vec<Effect> {
        if self.queue.is_empty() {
            return Vec::new();
        }
        // Those that follow the first key that counts come as fast as they like.
        self.awake = self.is_settled(now);
        self.last_key = now;
        if !self.awake {
            return Vec::new();
        }
        match (&self.stage, key) {
            (Stage::Giving, _) => return Vec::new(),
            (_, Key::Leave) => return self.later(now),
            (_, Key::Up) => self.top = self.top.saturating_sub(1),
            (_, Key::Down) => self.top = self.top.saturating_add(1),
            (_, Key::PageUp) => self.top = self.top.saturating_sub(self.page()),
            (_, Key::PageDown) => self.top = self.top.saturating_add(self.page()),
            (Stage::Answer, Key::Char(' ')) if self.line.is_empty() => {
                self.top = self.top.saturating_add(self.page());
            }
            (_, Key::Enter) => return self.entered(now),
            (Stage::Passphrase, Key::Char(c)) => {
                if self.secret.0.len().saturating_add(c.len_utf8()) <= PASSPHRASE_MAX {
                    self.secret.0.push(c);
                }
            }
            (Stage::Passphrase, Key::Erase) => {
                self.secret.0.pop();
            }
            (_, Key::EraseLine) => self.wipe(),
            (_, Key::Char(c)) => {
                if self.line.chars().count() < LINE_MAX {
                    self.line.push(c);
                }
            }
            (_, Key::Erase) => {
                self.line.pop();
            }
        }
        vec![Effect::Paint]
    }

    /// Whether one letter will not do.
    pub(super) fn wants_word(&self) -> bool {
        self.current()
            .is_some_and(|question| question.prompt.risk == Risk::High)
    }

    fn entered(&mut self, now: Duration) -> Vec<Effect> {
        match self.stage {
            Stage::Answer => {
                let line = std::mem::take(&mut self.line);
                return self.answered(line.trim(), now);
            }
            Stage::Reason => {
                let because = std::mem::take(&mut self.line);
                return self.give(Verdict::Approve, Some(because));
            }
            Stage::Passphrase => {
                let passphrase = std::mem::replace(&mut self.secret, Secret::empty());
                if let Some((verdict, because)) = self.chosen.clone()
                    && !passphrase.0.is_empty()
                {
                    return self.send(verdict, because, Some(passphrase));
                }
            }
            Stage::Giving => {}
        }
        vec![Effect::Paint]
    }

    /// A line that was typed as an answer: one word, and after a yes how far it reaches.
    fn answered(&mut self, line: &str, now: Duration) -> Vec<Effect> {
        let (word, reach) = line.split_once(' ').unwrap_or((line, ""));
        self.lease = None;
        match (word, reach.trim()) {
            ("l" | "later", "") => return self.later(now),
            ("d" | "deny" | "no", "") => return self.give(Verdict::Deny, None),
            ("a" | "approve", _) if self.wants_word() => {
                self.message = Some("the risk is high: type yes, then Enter".to_owned());
            }
            ("a" | "approve" | "yes", "") => return self.agreed(),
            ("a" | "approve" | "yes", reach) => match self.reach().map(|own| own.choose(reach)) {
                Some(Ok(lease)) => {
                    self.lease = Some(lease);
                    return self.agreed();
                }
                Some(Err(can)) => self.message = Some(can),
                None => {}
            },
            ("", _) => {}
            _ => self.message = Some("that is no answer".to_owned()),
        }
        vec![Effect::Paint]
    }

    /// How far a yes can be made to reach.
    pub(super) fn reach(&self) -> Option<Reach> {
        self.current().map(|question| Reach::of(&question.asked))
    }

    fn agreed(&mut self) -> Vec<Effect> {
        if !self.is_read() {
            self.message = Some("there is more: look at it to its end first (Space)".to_owned());
            return vec![Effect::Paint];
        }
        let needed = self
            .current()
            .is_some_and(|question| question.asked.requirement.justification.is_needed());
        if needed {
            self.stage = Stage::Reason;
            self.message = None;
            return vec![Effect::Paint];
        }
        self.give(Verdict::Approve, None)
    }

    fn give(&mut self, verdict: Verdict, because: Option<String>) -> Vec<Effect> {
        self.tries = 0;
        self.send(verdict, because, None)
    }

    fn send(
        &mut self,
        verdict: Verdict,
        because: Option<String>,
        passphrase: Option<Secret>,
    ) -> Vec<Effect> {
        let Some(question) = self.current() else {
            return Vec::new();
        };
        let reply = Reply {
            question: question.asked.clone(),
            shown: question.shown,
            verdict,
            because: because.clone(),
            lease: self.lease.clone().filter(|_| verdict == Verdict::Approve),
            passphrase,
        };
        self.chosen = Some((verdict, because));
        self.stage = Stage::Giving;
        self.message = None;
        vec![Effect::Give(Box::new(reply)), Effect::Paint]
    }

    fn later(&mut self, now: Duration) -> Vec<Effect> {
        let Some(question) = self.queue.pop_front() else {
            return Vec::new();
        };
        let mut effects = vec![
            Effect::Leave(question.asked.request_id),
            Effect::Tell(question.notice),
        ];
        effects.extend(self.went_on(true, now));
        effects
    }

    fn back(&mut self, message: String) {
        self.stage = Stage::Answer;
        self.message = Some(message);
        self.wipe();
    }

    fn went_on(&mut self, first: bool, now: Duration) -> Vec<Effect> {
        if first {
            self.begin(now);
        }
        if self.queue.is_empty() {
            vec![Effect::Hide]
        } else {
            vec![Effect::Paint]
        }
    }

    /// Another question is the first: nothing that was typed for the last one is for it.
    fn begin(&mut self, now: Duration) {
        self.wipe();
        self.stage = Stage::Answer;
        self.message = None;
        self.top = 0;
        self.read = false;
        self.chosen = None;
        self.lease = None;
        self.tries = 0;
        self.awake = false;
        self.shown_at = now;
    }

    fn wipe(&mut self) {
        self.line.clear();
        self.secret = Secret::empty();
    }

    fn page(&self) -> usize {
        self.room.saturating_sub(1).max(1)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
