//! A candidate's answers held against those of the policy that decides for the others: counted, told in the log in few words, and a canary
//! taken back that denies more.
//!
//! All of it happens on a thread of its own, after whoever asked was answered: a candidate that hangs, fails or floods costs a count.

use std::collections::BTreeMap;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use valetkey_model::{ActionSet, Decision, Effect, PolicyInput, Resource};
use valetkey_policy::FAIL_CLOSED_POLICY_ID;
use valetkey_rollout::{Difference, Stage};

use super::{Beside, Staged};
use crate::broker::Broker;
use crate::events;

/// How often differences of a kind that was told of already are told again, with their number.
const FOLD: Duration = Duration::from_secs(10);
/// Kinds of differences that are told apart in that time; what else there is is counted, and not told.
const KINDS_MAX: usize = 32;

/// One decision to be held against another.
#[derive(Debug)]
pub(super) struct Work {
    beside: Beside,
    input: PolicyInput,
    decided: Decision,
}

impl Work {
    pub(super) fn new(beside: Beside, input: PolicyInput, decided: Decision) -> Self {
        Self {
            beside,
            input,
            decided,
        }
    }
}

/// What makes two differences of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) difference: Difference,
    pub(crate) live: &'static str,
    pub(crate) candidate: &'static str,
    pub(crate) policy_id: String,
}

/// Differences of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub(crate) count: u64,
    /// One of them.
    pub(crate) resource: Resource,
    pub(crate) actions: ActionSet,
    /// How many of them the log has.
    told: u64,
}

/// Differences since the last time that they were told of.
#[derive(Debug, Default)]
pub(super) struct Folded(BTreeMap<Kind, Like>);

/// Begins to hold answers against each other, until the broker ends.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<()> {
    let waiting = broker.policies.waiting.lock();
    let waiting = waiting
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    let Some(waiting) = waiting else {
        return Ok(());
    };
    let broker = Arc::downgrade(broker);
    std::thread::Builder::new()
        .name("valetkey-beside".to_owned())
        .spawn(move || {
            let mut next = soon();
            loop {
                let left = next.saturating_duration_since(Instant::now());
                let came = waiting.recv_timeout(left);
                let Some(broker) = Weak::upgrade(&broker) else {
                    return;
                };
                match came {
                    Ok(work) => broker.hold_against(&work),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if next <= Instant::now() {
                    broker.tell_differences();
                    next = soon();
                }
            }
        })
        .map(drop)
}

fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(FOLD).unwrap_or(now)
}

impl Broker {
    fn hold_against(&self, work: &Work) {
        let Work {
            beside,
            input,
            decided,
        } = work;
        let asked = beside.rules.decide(input);
        let (live, candidate) = if beside.candidate_decides {
            (&asked, decided)
        } else {
            (decided, &asked)
        };
        let difference = Difference::of(live, candidate);
        let failed = [live, candidate]
            .iter()
            .any(|one| one.policy_id.contains(FAIL_CLOSED_POLICY_ID));
        let staged = &beside.staged;
        let mut seen = staged.seen();
        let compared = &mut seen.compared;
        let counted = match difference {
            _ if failed => &mut compared.failed,
            Difference::Same => &mut compared.same,
            Difference::Wider => &mut compared.wider,
            Difference::Narrower => &mut compared.narrower,
            Difference::Otherwise => &mut compared.otherwise,
        };
        *counted = counted.saturating_add(1);
        let news = seen.folded.count(difference, live, candidate, input);
        let is_over = match &staged.stage {
            Stage::Canary(canary) if beside.candidate_decides => {
                let now = self.now().unix_ms();
                seen.watch.push(canary, now, live, candidate)
            }
            Stage::Canary(_) | Stage::Shadow | Stage::Waiting | Stage::Returned => false,
        };
        drop(seen);
        if let Some((kind, like)) = news {
            self.tell_difference(staged, &kind, &like);
        }
        if is_over {
            self.take_canary_back(staged);
        }
    }

    /// Tells how often differences of known kinds came since the last time.
    fn tell_differences(&self) {
        let current = self.policies.current();
        let Some(staged) = &current.candidate else {
            return;
        };
        let folded = std::mem::take(&mut staged.seen().folded);
        for (kind, mut like) in folded.0 {
            like.count = like.count.saturating_sub(like.told);
            if like.count > 0 {
                self.tell_difference(staged, &kind, &like);
            }
        }
    }

    fn tell_difference(&self, staged: &Staged, kind: &Kind, like: &Like) {
        let digest = staged.rules.digest();
        let event = events::policy_differed(staged.installed, digest, kind, like);
        // If nothing can be recorded, nothing else goes on either.
        drop(self.recorder.stream(event));
    }
}

impl Folded {
    /// Counts a difference; the first of its kind is given back, to be told at once.
    fn count(
        &mut self,
        difference: Difference,
        live: &Decision,
        candidate: &Decision,
        input: &PolicyInput,
    ) -> Option<(Kind, Like)> {
        if difference == Difference::Same {
            return None;
        }
        let kind = Kind {
            difference,
            live: effect(live),
            candidate: effect(candidate),
            policy_id: candidate.policy_id.clone(),
        };
        if let Some(known) = self.0.get_mut(&kind) {
            known.count = known.count.saturating_add(1);
            return None;
        }
        if self.0.len() >= KINDS_MAX {
            return None;
        }
        let like = Like {
            count: 1,
            resource: input.request.resource.clone(),
            actions: input.request.actions,
            told: 1,
        };
        self.0.insert(kind.clone(), like.clone());
        Some((kind, like))
    }
}

fn effect(decision: &Decision) -> &'static str {
    match decision.effect {
        Effect::Allow => "allow",
        Effect::Ask => "ask",
        Effect::Deny => "deny",
    }
}
