//! Which bundle decides, which may come next, and which step may follow: revisions only rise, and a step that is refused changes nothing.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_approval::{ApprovedChange, PolicyStep};
use valetkey_model::Digest;

use crate::canary::Canary;

/// Bundles that decided once and are kept to go back to.
pub const KEPT_MAX: usize = 8;

/// A bundle by its digest and its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// The bundle's digest.
    pub bundle: Digest,
    /// Its revision.
    pub revision: u64,
}

/// How far a candidate has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// It is there, and decides nothing.
    Waiting,
    /// It is asked beside the one that decides, and counts for nothing.
    Shadow,
    /// It decides for some.
    Canary(Canary),
    /// It decided for some, and was taken back since it denied more.
    Returned,
}

/// A bundle that may come into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Which.
    pub installed: Installed,
    /// In the place of which: what its approvers signed.
    pub previous: Option<Digest>,
    /// How far it has come.
    pub stage: Stage,
}

/// What a broker has installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// How many signed changes there were.
    pub sequence: u64,
    /// The highest revision that was ever installed. Nothing lowers it.
    pub mark: u64,
    /// The bundle that decides; where there is none, the built-in policy does.
    pub live: Option<Installed>,
    /// The bundle that may come next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Bundles that decided, the latest last, with the one that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Installed>,
}

/// Why a step is not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// Its revision is not higher than all before.
    #[error(
        "revision {revision} is not higher than {mark}, the highest that was installed: build it with a higher one"
    )]
    OldRevision {
        /// Its revision.
        revision: u64,
        /// The highest before.
        mark: u64,
    },
    /// It was signed for another state.
    #[error("this was signed for another state: the policy has changed since")]
    Stale,
    /// It was signed for another step.
    #[error("this was signed for another step")]
    OtherStep,
    /// There is no candidate, or another one.
    #[error(
        "this bundle is not installed and waiting: `valetkey policy status` names the one that is"
    )]
    NoCandidate,
    /// The canary's figures cannot be kept to.
    #[error("the canary's figures cannot be kept to: a percentage is 1 to 100, names are 1 to 64")]
    Canary,
    /// That bundle is not kept.
    #[error("no bundle of revision {0} that decided before is kept")]
    NotKept(u64),
}

impl Rollout {
    /// The number that the next signed change has.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(1)
    }

    fn live_digest(&self) -> Option<Digest> {
        self.live.map(|live| live.bundle)
    }

    fn check(&self, approved: &ApprovedChange, step: PolicyStep) -> Result<(), StepError> {
        let change = approved.change();
        if change.step != step {
            return Err(StepError::OtherStep);
        }
        if change.sequence != self.next_sequence() || change.previous != self.live_digest() {
            return Err(StepError::Stale);
        }
        Ok(())
    }

    /// With a new candidate, in the place of another that waits.
    ///
    /// # Errors
    /// [`StepError`] when it was signed for something else, or its revision is not higher than all before.
    pub fn installed(&self, approved: &ApprovedChange) -> Result<Self, StepError> {
        self.check(approved, PolicyStep::Install)?;
        let change = approved.change();
        if change.revision <= self.mark {
            return Err(StepError::OldRevision {
                revision: change.revision,
                mark: self.mark,
            });
        }
        Ok(Self {
            sequence: change.sequence,
            mark: change.revision,
            candidate: Some(Candidate {
                installed: Installed {
                    bundle: change.bundle,
                    revision: change.revision,
                },
                previous: change.previous,
                stage: Stage::Waiting,
            }),
            ..self.clone()
        })
    }

    fn candidate(&self, bundle: &Digest) -> Result<&Candidate, StepError> {
        self.candidate
            .as_ref()
            .filter(|one| one.installed.bundle == *bundle)
            .ok_or(StepError::NoCandidate)
    }

    /// With the candidate at another stage.
    ///
    /// # Errors
    /// [`StepError`] when another bundle waits, the one that decides is not that which it was signed to replace, or a canary cannot be kept to.
    pub fn staged(&self, bundle: &Digest, stage: Stage) -> Result<Self, StepError> {
        let candidate = self.candidate(bundle)?;
        if candidate.previous != self.live_digest() {
            return Err(StepError::Stale);
        }
        if matches!(&stage, Stage::Canary(canary) if !canary.is_usable()) {
            return Err(StepError::Canary);
        }
        let candidate = Candidate {
            stage,
            ..candidate.clone()
        };
        Ok(Self {
            candidate: Some(candidate),
            ..self.clone()
        })
    }

    /// With the candidate in force.
    ///
    /// # Errors
    /// As [`Rollout::staged`].
    pub fn activated(&self, bundle: &Digest) -> Result<Self, StepError> {
        let candidate = self.candidate(bundle)?;
        if candidate.previous != self.live_digest() {
            return Err(StepError::Stale);
        }
        let installed = candidate.installed;
        let mut next = Self {
            live: Some(installed),
            candidate: None,
            ..self.clone()
        };
        next.keep(installed);
        Ok(next)
    }

    /// Without the candidate. Its revision stays used.
    ///
    /// # Errors
    /// [`StepError::NoCandidate`] when another bundle waits, or none.
    pub fn withdrawn(&self, bundle: &Digest) -> Result<Self, StepError> {
        self.candidate(bundle)?;
        Ok(Self {
            candidate: None,
            ..self.clone()
        })
    }

    /// With a bundle in force that decided before. The mark stays, and a candidate that was signed to follow another goes.
    ///
    /// # Errors
    /// [`StepError`] when it was signed for something else, or is not kept.
    pub fn rolled_back(&self, approved: &ApprovedChange) -> Result<Self, StepError> {
        self.check(approved, PolicyStep::RollBack)?;
        let change = approved.change();
        let wanted = Installed {
            bundle: change.bundle,
            revision: change.revision,
        };
        if !self.kept.contains(&wanted) || self.live == Some(wanted) {
            return Err(StepError::NotKept(change.revision));
        }
        let mut next = Self {
            sequence: change.sequence,
            live: Some(wanted),
            candidate: None,
            ..self.clone()
        };
        next.keep(wanted);
        Ok(next)
    }

    fn keep(&mut self, one: Installed) {
        self.kept.retain(|kept| *kept != one);
        self.kept.push(one);
        while self.kept.len() > KEPT_MAX {
            self.kept.remove(0);
        }
    }

    /// Every bundle that it speaks of.
    pub fn bundles(&self) -> impl Iterator<Item = Installed> {
        let candidate = self.candidate.iter().map(|one| one.installed);
        self.kept.iter().copied().chain(candidate)
    }

    /// Whether it can have come about: a file that says otherwise is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let known = |one: Installed| self.kept.contains(&one);
        self.live.is_none_or(known)
            && self.kept.len() <= KEPT_MAX
            && self.bundles().all(|one| one.revision <= self.mark)
            && (self.mark == 0 || self.sequence > 0)
    }
}

/// The revision that a manifest names: a number, written in one way.
///
/// # Errors
/// In words, when it is none that could be told to be higher than another.
pub fn revision_of(text: &str) -> Result<u64, String> {
    let refused = || {
        let shown: String = text.chars().take(32).collect();
        format!(
            "the manifest's revision `{shown}` is no number from 1 on: `valetkey policy bundle build --revision N` writes one"
        )
    };
    let number: u64 = text.parse().map_err(|_| refused())?;
    // JSON's numbers end there, and the mark is written as one.
    let safe = number > 0 && number < 1 << 53 && number.to_string() == text;
    safe.then_some(number).ok_or_else(refused)
}

#[cfg(test)]
mod tests;
