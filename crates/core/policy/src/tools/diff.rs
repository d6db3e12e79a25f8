//! What one policy decides otherwise than another, summed up in words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use valetkey_model::{Action, Decision, Effect};

use crate::tools::corpus::Trial;
use crate::{Bundle, PolicyError, PolicySet};

/// How many places a summary names.
const EXAMPLES: usize = 3;

/// What changed for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Given now without a question.
    Allowed,
    /// Given after a question now, and not at all before.
    Asked,
    /// Given with less to hold it: a longer life, wider limits, fewer people, fewer exceptions.
    Loosened,
    /// Given after a question now, and without one before.
    Questioned,
    /// Given with more to hold it, or with something else.
    Changed,
    /// Not given any more.
    Denied,
}

impl Change {
    /// Whether more is given than before.
    #[must_use]
    pub fn widens(self) -> bool {
        match self {
            Self::Allowed | Self::Asked | Self::Loosened => true,
            Self::Questioned | Self::Changed | Self::Denied => false,
        }
    }
}

/// Requests whose decision changed in the same way, of one place in a policy or below one directory.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What changed.
    pub change: Change,
    /// The agents; empty where it is all that were tried.
    pub agents: Vec<String>,
    /// What can be done to it.
    pub actions: Vec<Action>,
    /// The place: a pattern of a policy, a directory, or the resource itself.
    pub place: String,
    /// How many requests it is.
    pub requests: usize,
    /// Some of them.
    pub examples: Vec<String>,
    /// Which rule decides now, by its `policy_id`.
    pub policy_id: String,
    /// In a sentence.
    pub text: String,
}

/// How two policies differ on a corpus.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Requests that were tried.
    pub tried: usize,
    /// Requests that are decided otherwise.
    pub differing: usize,
    /// Summed up; what widens comes first.
    pub summaries: Vec<Summary>,
}

impl Difference {
    /// Whether the second policy gives more than the first.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.summaries.iter().any(|summary| summary.change.widens())
    }
}

/// One request that is decided otherwise.
struct Differing<'a> {
    trial: &'a Trial,
    change: Change,
    after: Decision,
}

/// Decides every trial by both, with the guardrails above each, and sums up where they differ. `told` hears how many are done.
///
/// # Errors
/// When a bundle does not compile or does not decide.
pub fn diff(
    before: &Bundle,
    after: &Bundle,
    trials: &[Trial],
    mut told: impl FnMut(usize, usize),
) -> Result<Difference, PolicyError> {
    let (before, after) = (PolicySet::new(before)?, PolicySet::new(after)?);
    let mut known = BTreeMap::new();
    let mut differing = Vec::new();
    let mut agents = BTreeSet::new();
    for (number, trial) in trials.iter().enumerate() {
        told(number, trials.len());
        agents.insert(trial.input.subject.agent.id.as_str());
        let decide = |set: &PolicySet| set.decide(&trial.input);
        // What neither policy can tell apart is decided once.
        let question = before
            .question(&trial.input)
            .zip(after.question(&trial.input));
        let (was, is) = match question {
            Some(question) => known
                .entry(question)
                .or_insert_with(|| (decide(&before), decide(&after)))
                .clone(),
            None => (decide(&before), decide(&after)),
        };
        if let Some(change) = change(&was, &is) {
            differing.push(Differing {
                trial,
                change,
                after: is,
            });
        }
    }
    Ok(Difference {
        tried: trials.len(),
        differing: differing.len(),
        summaries: summed_up(&differing, &agents),
    })
}

/// What changed between two decisions, if anything that matters to who asks or answers.
#[must_use]
pub fn change(was: &Decision, is: &Decision) -> Option<Change> {
    match (was.effect, is.effect) {
        (Effect::Deny, Effect::Deny) => None,
        (Effect::Deny | Effect::Ask, Effect::Allow) => Some(Change::Allowed),
        (Effect::Deny, Effect::Ask) => Some(Change::Asked),
        (Effect::Allow, Effect::Ask) => Some(Change::Questioned),
        (Effect::Allow | Effect::Ask, Effect::Deny) => Some(Change::Denied),
        (Effect::Allow, Effect::Allow) | (Effect::Ask, Effect::Ask) => held(was, is),
    }
}

/// The same effect with other strings attached.
fn held(was: &Decision, is: &Decision) -> Option<Change> {
    let strings = |decision: &Decision| Decision {
        policy_id: String::new(),
        reasons: Vec::new(),
        ..decision.clone()
    };
    if strings(was) == strings(is) {
        return None;
    }
    // Looser where something that held before does not hold now: the stricter of both is not what is said now.
    let joined = crate::compose::both(was.clone(), is.clone());
    let tighter = strings(&joined) == strings(is) && joined.except.len() == is.except.len();
    Some(if tighter {
        Change::Changed
    } else {
        Change::Loosened
    })
}

fn summed_up(differing: &[Differing<'_>], agents: &BTreeSet<&str>) -> Vec<Summary> {
    // By what changed and where, so that one place in a policy is one line.
    let mut groups: BTreeMap<(Change, String), Vec<&Differing<'_>>> = BTreeMap::new();
    for one in differing {
        groups
            .entry((one.change, place_of(one)))
            .or_default()
            .push(one);
    }
    let mut summaries: Vec<Summary> = groups
        .into_iter()
        .map(|((change, place), group)| summary(change, place, &group, agents))
        .collect();
    joined_up(&mut summaries);
    summaries.sort_by_key(|summary| {
        (
            !summary.change.widens(),
            summary.change,
            std::cmp::Reverse(summary.requests),
        )
    });
    summaries
}

/// Where it is: the policy's own words for it, or the directory.
fn place_of(one: &Differing<'_>) -> String {
    let resource = one.trial.input.request.resource.to_string();
    if let Some(origin) = one
        .trial
        .origin
        .as_deref()
        .filter(|origin| origin.contains('*'))
    {
        return origin.to_owned();
    }
    match resource.rsplit_once('/') {
        Some((directory, _))
            if resource.starts_with("file:/") && directory.len() > "file:".len() =>
        {
            format!("{directory}/**")
        }
        _ => resource,
    }
}

fn summary(
    change: Change,
    place: String,
    group: &[&Differing<'_>],
    agents: &BTreeSet<&str>,
) -> Summary {
    let asked = |one: &&Differing<'_>| one.trial.input.request.clone();
    let mut resources: Vec<String> = group
        .iter()
        .map(|one| asked(one).resource.to_string())
        .collect();
    resources.sort_by_key(|resource| (resource.len(), resource.clone()));
    resources.dedup();
    let actions: BTreeSet<Action> = group
        .iter()
        .flat_map(|one| asked(one).actions.iter().collect::<Vec<_>>())
        .collect();
    let own: BTreeSet<&str> = group
        .iter()
        .map(|one| one.trial.input.subject.agent.id.as_str())
        .collect();
    // One resource is named itself.
    let place = match resources.as_slice() {
        [only] => only.clone(),
        _ => place,
    };
    let mut summary = Summary {
        change,
        agents: if own == *agents {
            Vec::new()
        } else {
            own.into_iter().map(str::to_owned).collect()
        },
        actions: actions.into_iter().collect(),
        place,
        requests: group.len(),
        examples: resources.into_iter().take(EXAMPLES).collect(),
        policy_id: group
            .first()
            .map_or_else(String::new, |one| one.after.policy_id.clone()),
        text: String::new(),
    };
    summary.text = sentence(&summary);
    summary
}

/// Directories below one that changed in the same way are a part of it.
fn joined_up(summaries: &mut Vec<Summary>) {
    let mut kept: Vec<Summary> = Vec::new();
    summaries.sort_by_key(|summary| summary.place.len());
    for summary in summaries.drain(..) {
        let above = kept.iter_mut().find(|other| {
            other.change == summary.change
                && other.agents == summary.agents
                && other.actions == summary.actions
                && other
                    .place
                    .strip_suffix("**")
                    .is_some_and(|tree| summary.place.starts_with(tree))
        });
        match above {
            Some(other) => {
                other.requests = other.requests.saturating_add(summary.requests);
                other.text = sentence(other);
            }
            None => kept.push(summary),
        }
    }
    *summaries = kept;
}

fn sentence(summary: &Summary) -> String {
    let who = match summary.agents.as_slice() {
        [] => "agents".to_owned(),
        some => some.join(", "),
    };
    let what = and(&summary
        .actions
        .iter()
        .map(|action| verb(*action))
        .collect::<Vec<_>>());
    let place = &summary.place;
    let example = match summary.examples.first() {
        Some(example) if example != place => format!(", such as `{example}`"),
        _ => String::new(),
    };
    match summary.change {
        Change::Allowed => format!("{who} can now {what} `{place}` unasked{example}"),
        Change::Asked => format!("{who} can now {what} `{place}` after asking{example}"),
        Change::Loosened => {
            format!("{who} can now {what} `{place}` with less to hold them{example}")
        }
        Change::Questioned => format!("{who} must now ask to {what} `{place}`{example}"),
        Change::Changed => {
            format!("{who} can still {what} `{place}`, under other conditions{example}")
        }
        Change::Denied => format!("{who} can no longer {what} `{place}`{example}"),
    }
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Write => "write",
        Action::Append => "append to",
        Action::Create => "create",
        Action::Delete => "delete",
        Action::Execute => "run",
        Action::List => "list",
        Action::Metadata => "see",
        Action::Connect => "connect to",
        Action::Call => "call",
        Action::Use => "use",
    }
}

fn and(words: &[&str]) -> String {
    match words {
        [] => "use".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
