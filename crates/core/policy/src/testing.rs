//! Runs the `test_` rules of a bundle, as `opa test` would.
//!
//! The names come from the modules' trees and not from the result of an evaluation, so that a test that fails, or whose
//! rule never comes to be true, is still there to be counted.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::unstable::{Expr, ExprRef, Rule, RuleHead};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::bundle::Modules;
use crate::{Bundle, Place, PolicyError};

/// Time for one test.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Steps between two looks at the clock.
const STEPS_PER_LOOK: NonZeroU32 = NonZeroU32::new(64).unwrap();

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
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: MAX_TIME,
        check_interval: STEPS_PER_LOOK,
    });
    let tests = test_names(&mut engine)?;
    Ok(tests
        .into_iter()
        .map(|(name, place)| run(&mut engine, name, place))
        .collect())
}

fn run(engine: &mut Engine, name: String, place: Place) -> TestResult {
    let outcome = if name.contains(".todo_test_") {
        TestOutcome::Skipped
    } else {
        match engine.eval_rule(name.clone()) {
            Ok(Value::Bool(true)) => TestOutcome::Passed,
            Ok(Value::Bool(false) | Value::Undefined) => TestOutcome::Failed,
            Ok(other) => TestOutcome::Error(format!("the rule is neither true nor false: {other}")),
            Err(error) => TestOutcome::Error(error.to_string()),
        }
    };
    TestResult {
        name,
        place,
        outcome,
        prints: engine.take_prints().unwrap_or_default(),
    }
}

fn test_names(engine: &mut Engine) -> Result<BTreeMap<String, Place>, PolicyError> {
    let packages = engine
        .get_policy_package_components()
        .map_err(|error| PolicyError::from_engine("bundle", &error.to_string()))?;
    let mut names = BTreeMap::new();
    for (module, package) in engine.get_modules().iter().zip(packages) {
        for rule in &module.policy {
            let Some(head) = head_of(rule.as_ref()) else {
                continue;
            };
            let Some(test) = test_name(head) else {
                continue;
            };
            let span = head.span();
            let name = format!("data.{}.{test}", package.components.join("."));
            names.entry(name).or_insert_with(|| Place {
                file: package.source_file.clone(),
                line: span.line,
                column: span.col,
            });
        }
    }
    Ok(names)
}

fn head_of(rule: &Rule) -> Option<&ExprRef> {
    match rule {
        Rule::Spec {
            head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. },
            ..
        } => Some(refr),
        Rule::Spec {
            head: RuleHead::Func { .. },
            ..
        }
        | Rule::Default { .. } => None,
    }
}

fn test_name(head: &ExprRef) -> Option<&str> {
    let Expr::Var { span, .. } = head.as_ref() else {
        return None;
    };
    let name = span.text();
    (name.starts_with("test_") || name.starts_with("todo_test_")).then_some(name)
}

#[cfg(test)]
mod tests;
