//! The rules of a session: the built-in guardrails, the policy in force, and the bundle that a session brings, named for the log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use valetkey_api::BundleFile;
use valetkey_model::{Decision, Digest, PolicyInput, UserFacts};
use valetkey_policy::{Bundle, BundleLimits, Policy, PolicyError, PolicySet, Prepared, starter};

/// Decisions that are remembered in one generation; there are two.
const REMEMBERED: usize = 2048;
/// Exceptions that a remembered decision may have: a tree's hundreds are worked out anew, so that memory stays small.
const EXCEPT_MAX: usize = 16;

/// A compiled policy and its name.
#[derive(Debug)]
pub(crate) struct Rules {
    name: String,
    set: PolicySet,
    /// The bundle that is installed, where it is one: what a session brings only narrows it.
    installed: Option<Digest>,
    answered: Mutex<Answered>,
}

/// What a session brings to the policy in force: nothing, or a bundle of its own.
#[derive(Debug, Default)]
pub(crate) struct OwnRules {
    own: Option<Own>,
    /// What comes of it under each policy that it met last; two, while a canary goes on.
    under: Mutex<Vec<(Digest, Arc<Rules>)>>,
}

/// Policies under which a session's own bundle is kept ready.
const UNDER_MAX: usize = 2;

#[derive(Debug)]
struct Own {
    name: String,
    /// Alone, where nothing is installed: it takes the place of the built-in policy.
    alone: Arc<Rules>,
    /// As a layer that must grant, too.
    layer: Policy,
}

impl OwnRules {
    /// Nothing: the policy in force decides.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// A bundle that a session brings. The guardrails hold above it all the same, and an installed policy it only narrows.
    ///
    /// # Errors
    /// With file, line, column and the compiler's words where it does not load.
    pub(crate) fn load(files: Vec<BundleFile>) -> Result<Self, String> {
        let files = files
            .into_iter()
            .map(|file| (file.path, file.text.into_bytes()))
            .collect();
        let words = |error: PolicyError| error.to_string();
        let bundle = Bundle::from_files(files, BundleLimits::default()).map_err(words)?;
        let set = PolicySet::new(&bundle).map_err(words)?;
        let layer = Policy::compile(&bundle).map_err(words)?;
        let revision = &bundle.manifest().revision;
        let name = if revision.is_empty() {
            "session".to_owned()
        } else {
            revision.clone()
        };
        let alone = Arc::new(Rules::new(&name, set, None));
        Ok(Self {
            own: Some(Own { name, alone, layer }),
            under: Mutex::default(),
        })
    }

    /// What decides for the session while `live` is in force.
    pub(crate) fn under(&self, live: &Arc<Rules>) -> Arc<Rules> {
        let Some(own) = &self.own else {
            return Arc::clone(live);
        };
        let Some(installed) = live.installed else {
            return Arc::clone(&own.alone);
        };
        let mut under = self.under.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = under.iter().find(|(digest, _)| *digest == installed) {
            return Arc::clone(known);
        }
        let name = format!("{}+{}", live.name, own.name);
        let set = live.set.clone().narrowed_by(own.layer.clone());
        let rules = Arc::new(Rules::new(&name, set, Some(installed)));
        while under.len() >= UNDER_MAX {
            under.remove(0);
        }
        under.push((installed, Arc::clone(&rules)));
        rules
    }
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
        Ok(Self::new("base", PolicySet::new(&starter("base")?)?, None))
    }

    /// A bundle that is installed for everyone.
    pub(crate) fn installed(bundle: &Bundle, revision: u64) -> Result<Self, PolicyError> {
        let set = PolicySet::new(bundle)?;
        let name = format!("installed-{revision}");
        Ok(Self::new(&name, set, Some(bundle.digest())))
    }

    /// Whether it is that bundle.
    pub(crate) fn is_of(&self, bundle: &Digest) -> bool {
        self.installed.as_ref() == Some(bundle)
    }

    fn new(name: &str, set: PolicySet, installed: Option<Digest>) -> Self {
        Self {
            name: name.to_owned(),
            set,
            installed,
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
