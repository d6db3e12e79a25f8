//! Who may change policy, and what they must have seen: the file `governance.json`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_approval::{
    ApprovedChange, Approver, Approvers, OWNER, PolicyChange, PolicyChangeError,
    SignedPolicyChange, SignedTests, approved_change, is_name,
};
use valetkey_model::{Digest, Quorum};

use crate::signature::{SIGNERS_MAX, Signer, public_key};

/// The file's own name for its form.
const FORMAT: &str = "valetkey governance v1";
/// Most signed tests that are looked at.
const TESTS_MAX: usize = 16;

/// What must be so before a bundle comes into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Governance {
    /// `valetkey governance v1`.
    pub format: String,
    /// Who may approve. Where absent, in user mode, those who are registered as approvers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
    /// How many of them have to, in which roles.
    pub quorum: Vec<Quorum>,
    /// The keys of which one must have signed the bundle itself; without any, a bundle is not signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<Signer>,
    /// What the bundle's tests must have shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<RequiredTests>,
}

/// What a bundle's tests must have shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequiredTests {
    /// The role of whoever signs for them, such as `ci`.
    pub role: String,
    /// Rules that they reach, in percent.
    pub min_coverage_percent: u32,
    /// Changes of the policy that they notice, in percent; not asked for where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score_percent: Option<u32>,
}

/// Why a change is not made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GovernanceError {
    /// The file is not of the documented form.
    #[error("the governance file cannot be used: {0}")]
    Form(String),
    /// The signatures do not suffice.
    #[error(transparent)]
    Change(#[from] PolicyChangeError),
    /// The tests do not suffice.
    #[error("the bundle's tests do not suffice: {0}")]
    Tests(String),
    /// An approver has not seen the tests.
    #[error("`{0}` signed without having seen tests that suffice")]
    Unseen(String),
}

impl Governance {
    /// What holds for a person's own broker where there is no file: one owner approves.
    #[must_use]
    pub fn of_one_owner() -> Self {
        Self {
            format: FORMAT.to_owned(),
            approvers: Vec::new(),
            quorum: vec![Quorum {
                role: OWNER.to_owned(),
                count: 1,
            }],
            signers: Vec::new(),
            tests: None,
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`GovernanceError::Form`] for whatever could not be kept to as it stands.
    pub fn read(text: &[u8]) -> Result<Self, GovernanceError> {
        let form = |why: &str| GovernanceError::Form(why.to_owned());
        let read: Self = valetkey_model::read_json(text)
            .map_err(|error| GovernanceError::Form(error.to_string()))?;
        if read.format != FORMAT {
            return Err(GovernanceError::Form(format!(
                "its format is not `{FORMAT}`"
            )));
        }
        if !read.approvers.is_empty() && read.own_people().is_none() {
            return Err(form("its approvers are not usable, or not distinct"));
        }
        let seats = read.quorum.iter();
        if read.quorum.is_empty()
            || seats
                .clone()
                .any(|seat| seat.count == 0 || !is_name(&seat.role))
        {
            return Err(form("its quorum has no seat, or one for nobody"));
        }
        let names: BTreeSet<&str> = read.signers.iter().map(|one| one.kid.as_str()).collect();
        let usable = |one: &Signer| is_name(&one.kid) && public_key(&one.public_key).is_some();
        if names.len() != read.signers.len()
            || read.signers.len() > SIGNERS_MAX
            || !read.signers.iter().all(usable)
        {
            return Err(form("its signers are not usable, or not distinct"));
        }
        if let Some(tests) = &read.tests {
            let percents = [Some(tests.min_coverage_percent), tests.min_score_percent];
            if percents.iter().flatten().any(|percent| *percent > 100) || !is_name(&tests.role) {
                return Err(form("its tests ask for what cannot be"));
            }
        }
        Ok(read)
    }

    /// Those whom the file names.
    fn own_people(&self) -> Option<Approvers> {
        let mut people = Approvers::default();
        self.approvers
            .iter()
            .all(|one| people.add(one.clone()))
            .then_some(people)
    }

    /// Those who may approve: whom the file names, else the registered ones.
    #[must_use]
    pub fn people(&self, registered: Approvers) -> Approvers {
        if self.approvers.is_empty() {
            return registered;
        }
        // A file whose people are not usable was not read.
        self.own_people().unwrap_or_default()
    }

    /// Weighs the signatures under a change, and the tests that those who signed have seen.
    ///
    /// # Errors
    /// The first [`GovernanceError`].
    pub fn admit(
        &self,
        change: &PolicyChange,
        signatures: &[SignedPolicyChange],
        tests: &[SignedTests],
        people: &Approvers,
    ) -> Result<ApprovedChange, GovernanceError> {
        let approved = approved_change(change, signatures, people, &self.quorum)?;
        let Some(required) = &self.tests else {
            return Ok(approved);
        };
        let good = required.good(change, tests, people)?;
        let unseen = signatures
            .iter()
            .find(|one| one.signed.tests.is_none_or(|seen| !good.contains(&seen)));
        match unseen {
            Some(one) => Err(GovernanceError::Unseen(one.signed.by.clone())),
            None => Ok(approved),
        }
    }
}

impl RequiredTests {
    /// The digests of the tests that suffice.
    fn good(
        &self,
        change: &PolicyChange,
        tests: &[SignedTests],
        people: &Approvers,
    ) -> Result<Vec<Digest>, GovernanceError> {
        let mut good = Vec::new();
        let mut why = format!(
            "nothing is signed by somebody with the role `{}`",
            self.role
        );
        for one in tests.iter().take(TESTS_MAX) {
            match self.check(change, one, people) {
                Ok(()) => good.push(one.digest()?),
                Err(wrong) => why = wrong,
            }
        }
        if good.is_empty() {
            return Err(GovernanceError::Tests(why));
        }
        Ok(good)
    }

    fn check(
        &self,
        change: &PolicyChange,
        tests: &SignedTests,
        people: &Approvers,
    ) -> Result<(), String> {
        tests
            .verify(people, &self.role)
            .map_err(|error| error.to_string())?;
        let signed = &tests.signed;
        if signed.bundle != change.bundle {
            return Err("they are of another bundle".to_owned());
        }
        if signed.failed > 0 || signed.passed == 0 {
            return Err(format!(
                "{} failed, {} passed",
                signed.failed, signed.passed
            ));
        }
        let reached = |permille: u32, percent: u32| permille >= percent.saturating_mul(10);
        if !reached(signed.coverage_permille, self.min_coverage_percent) {
            return Err(format!(
                "they reach {} of 1000 rules, and {} % are needed",
                signed.coverage_permille, self.min_coverage_percent
            ));
        }
        match (self.min_score_percent, signed.mutants_permille) {
            (None, _) => Ok(()),
            (Some(least), Some(score)) if reached(score, least) => Ok(()),
            (Some(least), Some(score)) => Err(format!(
                "they notice {score} of 1000 changes, and {least} % are needed"
            )),
            (Some(_), None) => Err("no changes were tried on them".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
