//! The questions: what is known of each, which is under the cursor, which are marked.

use valetkey_approval::{Asked, Context, Prompt, Risk, Verdict, visible};
use valetkey_model::{RequestId, Timestamp};

use super::App;

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) asked: Asked,
    pub(crate) prompt: Prompt,
    pub(crate) state: State,
    pub(crate) marked: bool,
}

/// How a question stands, as far as is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for an answer.
    Open,
    /// An answer of this person's is on its way.
    Sending,
    /// This person has answered; others must, too.
    Waits(Verdict),
    /// It is over, in words.
    Closed(&'static str),
}

impl Row {
    pub(crate) fn new(asked: Asked, context: &Context) -> Self {
        Self {
            prompt: Prompt::of(&asked, context),
            asked,
            state: State::Open,
            marked: false,
        }
    }

    pub(crate) fn id(&self) -> &RequestId {
        &self.asked.request_id
    }

    pub(crate) fn agent(&self) -> String {
        visible(self.asked.agent.as_str())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Seconds until it counts as a no.
    pub(crate) fn seconds_left(&self, now: Timestamp) -> u64 {
        self.asked.expires_at.ms_since(now).div_ceil(1000)
    }

    /// Agent and words, as the history has them.
    pub(crate) fn in_short(&self) -> String {
        format!("{}: {}", self.agent(), self.prompt.plain_words)
    }

    /// Whether a yes to both may be one page: they differ in nothing but the resource and the facts about it.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.asked, &other.asked);
        a.session == b.session
            && a.agent == b.agent
            && a.agent_digest == b.agent_digest
            && a.purpose == b.purpose
            && a.grant.actions == b.grant.actions
            && a.grant.constraints == b.grant.constraints
            && a.policy_digest == b.policy_digest
            && a.requirement == b.requirement
            && a.ttl_seconds == b.ttl_seconds
    }

    pub(crate) fn is_low(&self) -> bool {
        self.prompt.risk == Risk::Low
    }

    fn fits(&self, filter: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(filter);
        has(self.asked.agent.as_str())
            || has(self.prompt.plain_words.as_str())
            || has(&self.asked.grant.resource.to_string())
            || has(self.asked.request_id.as_str())
    }
}

impl App {
    pub(crate) fn row(&self, id: &RequestId) -> Option<&Row> {
        self.rows.iter().find(|row| row.id() == id)
    }

    pub(super) fn row_mut(&mut self, id: &RequestId) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.id() == id)
    }

    /// The rows that the filter leaves, in order.
    pub(crate) fn listed(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        self.rows.iter().filter(|row| row.fits(&filter)).collect()
    }

    /// The question under the cursor, if the filter leaves it.
    pub(crate) fn current(&self) -> Option<&Row> {
        let id = self.selected.as_ref()?;
        self.listed().into_iter().find(|row| row.id() == id)
    }

    pub(crate) fn marked(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.marked).collect()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_closed()).count()
    }

    /// Moves the cursor by rows; from nowhere, to the first.
    pub(super) fn move_by(&mut self, by: isize) {
        let listed = self.listed();
        let at = self
            .selected
            .as_ref()
            .and_then(|id| listed.iter().position(|row| row.id() == id));
        let last = listed.len().saturating_sub(1);
        let to = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
        let next = listed.get(to).map(|row| row.id().clone());
        if next != self.selected {
            self.selected = next;
            self.scroll = 0;
            self.sweep();
        }
    }

    /// Lets go of closed questions that are not under the cursor.
    pub(super) fn sweep(&mut self) {
        let selected = self.selected.clone();
        self.rows
            .retain(|row| !row.is_closed() || Some(row.id()) == selected.as_ref());
    }
}
