//! Bundles with one thing changed, to see whether the tests notice: a condition turned round or left out, a constant or an operator
//! changed, a definition taken away.

mod plan;

use serde::Serialize;

use crate::bundle::Modules;
use crate::testing::{TestOutcome, run_until_failure};
use crate::tools::cover::percent;
use crate::{Bundle, PolicyError};

pub use plan::Mutant;

/// What became of the mutants.
#[derive(Clone, Debug, Serialize)]
pub struct Mutation {
    /// Mutants that some test noticed.
    pub killed: usize,
    /// Mutants that no test noticed.
    pub survived: Vec<Mutant>,
    /// Mutants that are no policy, so that nobody could load them; they are not counted.
    pub broken: usize,
}

impl Mutation {
    /// Of those that could be loaded, how many were noticed, in percent; 100 where there are none.
    #[must_use]
    pub fn score_percent(&self) -> f64 {
        percent(self.killed, self.killed.saturating_add(self.survived.len()))
    }
}

/// Makes every mutant of the bundle and runs the bundle's tests on each. `told` hears how many are done, and of how many.
///
/// # Errors
/// When the bundle itself does not compile, or one of its tests fails before anything is changed.
pub fn mutate(
    bundle: &Bundle,
    mut told: impl FnMut(usize, usize),
) -> Result<Mutation, PolicyError> {
    let mut engine = bundle.engine(Modules::All)?;
    if let Some(failed) = run_until_failure(bundle, &mut engine)? {
        return Err(PolicyError::syntax(
            failed.place,
            format!(
                "the test `{}` fails before anything is changed",
                failed.name
            ),
        ));
    }
    let mutants = plan::all(&mut engine);
    let mut found = Mutation {
        killed: 0,
        survived: Vec::new(),
        broken: 0,
    };
    for (number, mutant) in mutants.iter().enumerate() {
        told(number, mutants.len());
        match noticed(bundle, mutant) {
            Some(true) => found.killed = found.killed.saturating_add(1),
            Some(false) => found.survived.push(mutant.clone()),
            None => found.broken = found.broken.saturating_add(1),
        }
    }
    told(mutants.len(), mutants.len());
    Ok(found)
}

/// The bundle's mutants, as bundles.
#[cfg(test)]
pub(crate) fn mutants(bundle: &Bundle) -> Vec<Bundle> {
    let mut engine = bundle.engine(Modules::Deciding).unwrap();
    plan::all(&mut engine)
        .into_iter()
        .map(|mutant| bundle.with_module(&mutant.file, mutant.text))
        .collect()
}

/// Whether a test fails on the mutant; nothing where it is no policy.
fn noticed(bundle: &Bundle, mutant: &Mutant) -> Option<bool> {
    let changed = bundle.with_module(&mutant.file, mutant.text.clone());
    let mut engine = changed.engine(Modules::All).ok()?;
    // Rules that contradict each other are found by evaluating; what does not compile is found here.
    engine.eval_rule("data.valetkey_nothing".to_owned()).ok();
    let failed = run_until_failure(&changed, &mut engine).ok()?;
    match failed {
        Some(result) if is_broken(&result.outcome) => None,
        other => Some(other.is_some()),
    }
}

/// Whether the engine could not even prepare the modules.
fn is_broken(outcome: &TestOutcome) -> bool {
    match outcome {
        TestOutcome::Error(words) => words.contains("unsafe") || words.contains("undefined var"),
        TestOutcome::Passed | TestOutcome::Failed | TestOutcome::Skipped => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::files;

    const POLICY: &str = "package valetkey\n\ndefault decision := {\"effect\": \"deny\", \"policy_id\": \"p\"}\n\ndecision := {\"effect\": \"allow\", \"policy_id\": \"p\", \"ttl_seconds\": 60} if {\n\tinput.resource.kind == \"file\"\n\tinput.resource.size < 10\n}\n";

    fn mutation(test: &str) -> Mutation {
        let test = format!(
            "package t\n\nimport data.valetkey.decision\n\nof(facts) := {{\"resource\": facts}}\n\n{test}\n"
        );
        let bundle = files(&[("p.rego", POLICY), ("p_test.rego", &test)]).unwrap();
        mutate(&bundle, |_, _| {}).unwrap()
    }

    #[test]
    fn tests_that_look_closely_leave_no_mutant() {
        let found = mutation(
            "test_all if {\n\tyes := decision with input as of({\"kind\": \"file\", \"size\": 9})\n\tyes == {\"effect\": \"allow\", \"policy_id\": \"p\", \"ttl_seconds\": 60}\n\tno := decision with input as of({\"kind\": \"file\", \"size\": 10})\n\tno == {\"effect\": \"deny\", \"policy_id\": \"p\"}\n\tnobody := decision with input as of({\"kind\": \"other\", \"size\": 1})\n\tnobody.effect == \"deny\"\n}",
        );
        assert!(found.survived.is_empty(), "{:#?}", found.survived);
        assert!(found.killed >= 10, "{found:?}");
        assert!((found.score_percent() - 100.0).abs() < 0.01);
    }

    #[test]
    fn tests_that_look_away_leave_some() {
        let found = mutation(
            "test_one if {\n\tgot := decision with input as of({\"kind\": \"file\", \"size\": 1})\n\tgot.effect == \"allow\"\n}",
        );
        let changes: Vec<&str> = found
            .survived
            .iter()
            .map(|mutant| mutant.change.as_str())
            .collect();
        for change in [
            "`<` becomes `<=`",
            "`60` becomes `61`",
            "left out: `input.resource.kind == \"file\"`",
        ] {
            assert!(changes.contains(&change), "{change}: {changes:#?}");
        }
        assert!(found.killed > 0 && found.score_percent() < 95.0);
    }

    #[test]
    fn a_bundle_whose_tests_fail_is_not_mutated() {
        let bundle = files(&[
            ("p.rego", POLICY),
            ("p_test.rego", "package t\n\ntest_a if 1 == 2\n"),
        ]);
        let error = mutate(&bundle.unwrap(), |_, _| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("p_test.rego:3:1: ") && error.contains("test_a"),
            "{error}"
        );
    }
}
