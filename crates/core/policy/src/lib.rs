//! Policy as code: Rego bundles, loaded and decided.
//!
//! A [`Bundle`] is checked text; a [`Policy`] is one compiled bundle; a [`PolicySet`] is what the broker decides with: the
//! built-in guardrails, the bundle that may grant, and layers that can only narrow. Pure: bytes in, decisions out. The
//! one clock is the engine's own, and it can only turn an answer into a denial.
#![forbid(unsafe_code)]

mod admission;
mod builtins;
mod bundle;
mod clock;
mod compose;
mod error;
mod glob;
mod graph;
mod plan;
mod policy;
mod reads;
mod rules;
mod scan;
mod starter;
mod strict_json;
mod testing;
#[cfg(test)]
mod testkit;
#[cfg(feature = "tools")]
pub mod tools;
mod tree;
mod verdict;

pub use bundle::{Bundle, BundleLimits, Manifest};
pub use compose::{Judgement, PolicySet, Prepared};
pub use error::{Place, PolicyError};
pub use policy::Policy;
pub use starter::{STARTER_NAMES, starter, starter_files, starter_purpose};
pub use testing::{TestOutcome, TestResult, run_tests};
pub use verdict::{FAIL_CLOSED_POLICY_ID, Fault, MAX_TTL_SECONDS, SINGLE_USE_TTL_SECONDS};
