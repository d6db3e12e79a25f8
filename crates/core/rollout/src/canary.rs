//! A canary: whom a new policy decides for first, and when it is taken back by itself.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use valetkey_model::{AgentId, Decision, Digest, Effect, Resource, SessionId};

/// The domain of the number by which sessions are chosen.
const PERCENT_DOMAIN: &str = "valetkey canary v1";
/// Most names or places that a canary is for.
const NAMES_MAX: usize = 64;
/// Requests that a watch remembers.
const WATCHED_MAX: usize = 4096;
/// The longest window of a watch: a day.
const WINDOW_MAX_SECONDS: u64 = 86_400;

/// Whom the candidate decides for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CanaryOf {
    /// Sessions of these agents.
    Agents(Vec<AgentId>),
    /// Sessions of these users, by their names.
    Users(Vec<String>),
    /// Requests for what one of these covers.
    Resources(Vec<Resource>),
    /// So many of a hundred sessions, always the same ones of a bundle.
    Percent(u32),
}

/// A canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Whom the candidate decides for.
    pub of: CanaryOf,
    /// By how many of a hundred requests it may deny more than the policy that decides for the others.
    #[serde(default = "ten")]
    pub max_rise_percent: u32,
    /// Over how many seconds that is counted.
    #[serde(default = "five_minutes")]
    pub window_seconds: u64,
    /// Requests within that time before it says anything.
    #[serde(default = "twenty")]
    pub min_requests: u64,
}

fn ten() -> u32 {
    10
}

fn five_minutes() -> u64 {
    300
}

fn twenty() -> u64 {
    20
}

impl Canary {
    /// Whether its figures can be kept to.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let names = match &self.of {
            CanaryOf::Agents(names) => names.len(),
            CanaryOf::Users(names) => names.len(),
            CanaryOf::Resources(places) => places.len(),
            CanaryOf::Percent(percent) => usize::from((1..=100).contains(percent)),
        };
        let remembered = u64::try_from(WATCHED_MAX).unwrap_or(u64::MAX);
        (1..=NAMES_MAX).contains(&names)
            && self.max_rise_percent <= 100
            && (1..=WINDOW_MAX_SECONDS).contains(&self.window_seconds)
            && (1..=remembered).contains(&self.min_requests)
    }

    /// Whether the candidate decides a request.
    #[must_use]
    pub fn selects(
        &self,
        bundle: &Digest,
        agent: &AgentId,
        user: &str,
        session: &SessionId,
        resource: &Resource,
    ) -> bool {
        match &self.of {
            CanaryOf::Agents(names) => names.contains(agent),
            CanaryOf::Users(names) => names.iter().any(|name| name == user),
            CanaryOf::Resources(places) => places.iter().any(|place| place.covers(resource)),
            CanaryOf::Percent(percent) => number_of(bundle, session) < *percent,
        }
    }
}

/// A number below 100 that is always the same for a session under a bundle.
fn number_of(bundle: &Digest, session: &SessionId) -> u32 {
    let bytes = [bundle.as_bytes().as_slice(), session.as_str().as_bytes()].concat();
    let digest = Digest::tagged(PERCENT_DOMAIN, &bytes);
    let first = digest.as_bytes().first_chunk::<4>().copied();
    u32::from_be_bytes(first.unwrap_or_default()) % 100
}

/// How the answers of two policies to one request differ, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The same is given, under the same limits.
    Same,
    /// The candidate gives what the other does not, or without a question.
    Wider,
    /// The candidate withholds what the other gives, or asks first.
    Narrower,
    /// Both give it, under other limits or other people.
    Otherwise,
}

impl Difference {
    /// How the candidate's answer differs from the other's. Reasons and names of rules are words, and no difference.
    #[must_use]
    pub fn of(other: &Decision, candidate: &Decision) -> Self {
        let rank = |decision: &Decision| match decision.effect {
            Effect::Deny => 0,
            Effect::Ask => 1,
            Effect::Allow => 2,
        };
        match rank(candidate).cmp(&rank(other)) {
            std::cmp::Ordering::Greater => Self::Wider,
            std::cmp::Ordering::Less => Self::Narrower,
            std::cmp::Ordering::Equal if candidate.effect == Effect::Deny => Self::Same,
            std::cmp::Ordering::Equal if bare(candidate) == bare(other) => Self::Same,
            std::cmp::Ordering::Equal => Self::Otherwise,
        }
    }

    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Otherwise => "otherwise",
        }
    }
}

/// A decision without words.
fn bare(decision: &Decision) -> Decision {
    Decision {
        policy_id: String::new(),
        reasons: Vec::new(),
        ..decision.clone()
    }
}

/// Counts what a canary denies more than the other policy does.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    seen: VecDeque<Seen>,
    /// Of those seen: denied by the candidate alone, and by the other alone.
    more: u64,
    fewer: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    ms: u64,
    more: bool,
    fewer: bool,
}

impl Watch {
    /// Counts one request; whether the canary is to be taken back.
    #[must_use]
    pub fn push(
        &mut self,
        canary: &Canary,
        now_ms: u64,
        other: &Decision,
        candidate: &Decision,
    ) -> bool {
        let denied = |decision: &Decision| decision.effect == Effect::Deny;
        let seen = Seen {
            ms: now_ms,
            more: denied(candidate) && !denied(other),
            fewer: denied(other) && !denied(candidate),
        };
        self.count(seen, u64::saturating_add);
        self.seen.push_back(seen);
        let window_ms = canary.window_seconds.saturating_mul(1000);
        while self.seen.len() > WATCHED_MAX
            || self
                .seen
                .front()
                .is_some_and(|first| now_ms.saturating_sub(first.ms) > window_ms)
        {
            if let Some(gone) = self.seen.pop_front() {
                self.count(gone, u64::saturating_sub);
            }
        }
        let requests = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        let rise = self.more.saturating_sub(self.fewer);
        requests >= canary.min_requests
            && rise.saturating_mul(100)
                > requests.saturating_mul(u64::from(canary.max_rise_percent))
    }

    fn count(&mut self, seen: Seen, with: fn(u64, u64) -> u64) {
        self.more = with(self.more, u64::from(seen.more));
        self.fewer = with(self.fewer, u64::from(seen.fewer));
    }
}

#[cfg(test)]
mod tests;
