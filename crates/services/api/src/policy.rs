//! Messages about the policy that decides for everyone: what is installed, and what is done with it.

use serde::{Deserialize, Serialize};
use valetkey_approval::{SignedPolicyChange, SignedTests};
use valetkey_model::Digest;
use valetkey_rollout::{Canary, Governance, Rollout};

use crate::BundleFile;

/// Operator door: what is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyState {
    /// What decides, what may come next, what can be gone back to.
    pub rollout: Rollout,
    /// What a change needs; nothing where the broker has no usable file that says so.
    pub governance: Option<Governance>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ungoverned: Option<String>,
    /// How the candidate's answers compare, since it is a shadow or a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// How a candidate's answers compare with those of the policy that decides for the others, request by request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The same is given.
    pub same: u64,
    /// More is given, or without a question.
    pub wider: u64,
    /// Less is given, or after a question.
    pub narrower: u64,
    /// As much is given, under other limits or by other people.
    pub otherwise: u64,
    /// Either gave no usable answer.
    pub failed: u64,
    /// Not compared, since too many waited.
    pub skipped: u64,
}

/// Operator door: the bundle that decides, or the built-in one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyFiles {
    /// Its files; nothing where it is the built-in policy.
    pub files: Option<Vec<BundleFile>>,
}

/// Operator door: installs a bundle, which then waits to be put to work.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InstallPolicy {
    /// Its files, with its `.signatures.json` where it is signed.
    pub files: Vec<BundleFile>,
    /// What its approvers signed.
    pub approvals: Vec<SignedPolicyChange>,
    /// What it changes, in words, as at least one of them was shown it; kept in the log.
    pub difference: Vec<String>,
    /// Its signed tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<SignedTests>,
}

/// Operator door: does something with the candidate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NamedCandidate {
    /// Its digest, so that it is not another one by now.
    pub bundle: Digest,
}

/// Operator door: has the candidate decide for some.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartCanary {
    /// The candidate's digest.
    pub bundle: Digest,
    /// For whom, and until when.
    pub canary: Canary,
}

/// Operator door: goes back to a bundle that decided before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RollBackPolicy {
    /// What its approvers signed.
    pub approvals: Vec<SignedPolicyChange>,
    /// What it changes, in words, as at least one of them was shown it; kept in the log.
    pub difference: Vec<String>,
    /// Signed tests of that bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<SignedTests>,
}
