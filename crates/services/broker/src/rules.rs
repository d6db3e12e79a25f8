//! The rules of a session: the built-in guardrails and the bundle that may grant, named for the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use valetkey_api::BundleFile;
use valetkey_model::{Decision, Digest, PolicyInput, UserFacts};
use valetkey_policy::{Bundle, BundleLimits, PolicyError, PolicySet, Prepared, starter};

/// Decisions that are remembered in one generation; there are two.
const REMEMBERED: usize = 2048;
/// Exceptions that a remembered decision may have: a tree's hundreds are worked out anew, so that memory stays small.
const EXCEPT_MAX: usize = 16;

/// A compiled policy and its name.
#[derive(Debug)]
pub(crate) struct Rules {
    name: String,
    set: PolicySet,
    answered: Mutex<Answered>,
}

/// Decisions by the digest of all that they can depend on. What was not asked for while a generation filled is forgotten with it.
#[derive(Debug, Default)]
struct Answered {
    young: HashMap<Digest, Arc<Decision>>,
    old: HashMap<Digest, Arc<Decision>>,
}

impl Answered {
    fn find(&mut self, question: Digest) -> Option<Arc<Decision>> {
        if let Some(decision) = self.young.get(&question) {
            return Some(Arc::clone(decision));
        }
        let decision = self.old.remove(&question)?;
        self.keep(question, Arc::clone(&decision));
        Some(decision)
    }

    fn keep(&mut self, question: Digest, decision: Arc<Decision>) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, decision);
    }
}

impl Rules {
    /// The policy that sessions have that bring none.
    pub(crate) fn built_in() -> Result<Self, PolicyError> {
        Ok(Self::new("base", PolicySet::new(&starter("base")?)?))
    }

    /// A bundle that a session brings. The guardrails hold above it all the same.
    ///
    /// # Errors
    /// With file, line, column and the compiler's words where it does not load.
    pub(crate) fn load(files: Vec<BundleFile>) -> Result<Self, String> {
        let files = files
            .into_iter()
            .map(|file| (file.path, file.text.into_bytes()))
            .collect();
        let bundle = Bundle::from_files(files, BundleLimits::default())
            .map_err(|error| error.to_string())?;
        let set = PolicySet::new(&bundle).map_err(|error| error.to_string())?;
        let revision = &bundle.manifest().revision;
        let name = if revision.is_empty() {
            "session"
        } else {
            revision
        };
        Ok(Self::new(name, set))
    }

    fn new(name: &str, set: PolicySet) -> Self {
        Self {
            name: name.to_owned(),
            set,
            answered: Mutex::default(),
        }
    }

    /// The name, for the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The digest of everything that decides.
    pub(crate) fn digest(&self) -> Digest {
        self.set.digest()
    }

    /// Decides. Whatever is wrong is a denial.
    ///
    /// The same question is evaluated once: a decision depends on nothing but what the policy can read of the input, and that is what is
    /// remembered with it. A denial for a fault is not remembered, since the fault may have been the machine's.
    pub(crate) fn decide(&self, input: &PolicyInput) -> Decision {
        let prepared = Prepared::of(input);
        let Some(question) = self.set.question_of(&prepared) else {
            return self.set.judge_prepared(prepared).decision;
        };
        let known = self.answered().find(question);
        if let Some(decision) = known {
            return Decision::clone(&decision);
        }
        let judgement = self.set.judge_prepared(prepared);
        if judgement.faults.is_empty() && judgement.decision.except.len() <= EXCEPT_MAX {
            let decision = Arc::new(judgement.decision.clone());
            self.answered().keep(question, decision);
        }
        judgement.decision
    }

    /// What policy says of emergencies of a user, if anything.
    pub(crate) fn break_glass(&self, user: &UserFacts) -> Option<serde_json::Value> {
        self.set.break_glass(user)
    }

    /// What the guardrails alone say.
    pub(crate) fn guardrails(&self, input: &PolicyInput) -> Decision {
        self.set.guardrails(input)
    }

    fn answered(&self) -> std::sync::MutexGuard<'_, Answered> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_again_is_kept_and_the_rest_forgotten() {
        let mut answered = Answered::default();
        let decision = Arc::new(Decision::denied("p", "no"));
        let question = |number: usize| Digest::of(&number.to_be_bytes());
        for number in 0..10 * REMEMBERED {
            assert!(answered.find(question(number)).is_none());
            answered.keep(question(number), Arc::clone(&decision));
            assert!(answered.find(question(0)).is_some(), "{number}");
            assert!(answered.young.len() <= REMEMBERED && answered.old.len() <= REMEMBERED);
        }
        assert!(answered.find(question(1)).is_none());
    }
}
