//! Runs the `test_` rules of a bundle, as `opa test` would.
//!
//! The names come from the modules' trees and not from the result of an evaluation, so that a test that fails, or whose
//! rule never comes to be true, is still there to be counted.

use std::collections::BTreeMap;
use std::time::Duration;

use regorus::{Engine, Value};

use crate::bundle::Modules;
use crate::clock::{self, Budget};
use crate::rules::{RuleKind, RulePath};
use crate::{Bundle, Place, PolicyError};

/// For one test: it may try a policy on many inputs.
const BUDGET: Budget = Budget {
    steps: 100_000_000,
    time: Duration::from_secs(60),
};

/// How one test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestOutcome {
    /// Its rule is true.
    Passed,
    /// Its rule is false or undefined.
    Failed,
    /// Its evaluation ended in an error, in the engine's words.
    Error(String),
    /// It is marked to be done later (`todo_test_…`).
    Skipped,
}

/// One test and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The full name, such as `data.valetkey.test_reads`.
    pub name: String,
    /// Where its first rule stands.
    pub place: Place,
    /// How it ended.
    pub outcome: TestOutcome,
    /// What it printed.
    pub prints: Vec<String>,
}

/// Runs every test of the bundle, in order of their names.
///
/// # Errors
/// When the bundle does not compile; a test that fails is no error.
pub fn run_tests(bundle: &Bundle) -> Result<Vec<TestResult>, PolicyError> {
    let mut engine = bundle.engine(Modules::All)?;
    run_in(bundle, &mut engine)
}

/// The same in an engine that is there already.
pub(crate) fn run_in(bundle: &Bundle, engine: &mut Engine) -> Result<Vec<TestResult>, PolicyError> {
    let tests = test_names(bundle, engine)?;
    Ok(tests
        .into_iter()
        .map(|(name, place)| run(engine, name, place))
        .collect())
}

/// Runs tests until one does not pass, and gives that one.
#[cfg(feature = "tools")]
pub(crate) fn run_until_failure(
    bundle: &Bundle,
    engine: &mut Engine,
) -> Result<Option<TestResult>, PolicyError> {
    let tests = test_names(bundle, engine)?;
    Ok(tests
        .into_iter()
        .map(|(name, place)| run(engine, name, place))
        .find(|result| !matches!(result.outcome, TestOutcome::Passed | TestOutcome::Skipped)))
}

fn run(engine: &mut Engine, name: String, place: Place) -> TestResult {
    let outcome = if name.contains(".todo_test_") {
        TestOutcome::Skipped
    } else {
        let result = clock::begin(engine, BUDGET)
            .map_err(str::to_owned)
            .and_then(|()| {
                engine
                    .eval_rule(name.clone())
                    .map_err(|error| error.to_string())
            });
        match result {
            Ok(Value::Bool(true)) => TestOutcome::Passed,
            Ok(Value::Bool(false) | Value::Undefined) => TestOutcome::Failed,
            Ok(other) => TestOutcome::Error(format!("the rule is neither true nor false: {other}")),
            Err(error) => TestOutcome::Error(error),
        }
    };
    TestResult {
        name,
        place,
        outcome,
        prints: engine.take_prints().unwrap_or_default(),
    }
}

fn test_names(
    bundle: &Bundle,
    engine: &mut Engine,
) -> Result<BTreeMap<String, Place>, PolicyError> {
    let mut names = BTreeMap::new();
    for RulePath {
        path, place, kind, ..
    } in bundle.rule_paths(engine)?
    {
        let is_test = path
            .last()
            .is_some_and(|name| name.starts_with("test_") || name.starts_with("todo_test_"));
        if is_test && kind == RuleKind::Value {
            names
                .entry(format!("data.{}", path.join(".")))
                .or_insert(place);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
