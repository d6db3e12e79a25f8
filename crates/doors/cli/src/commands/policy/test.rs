//! `valetkey policy test`: a bundle's own tests, what they reach, and what they would not notice.

use std::path::Path;

use serde_json::{Value, json};
use valetkey_approval::SafeText;
use valetkey_policy::tools::{Coverage, Mutation, cover, mutate};
use valetkey_policy::{Bundle, TestOutcome, TestResult, run_tests};

use super::{junit, source, watch};
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};
use crate::policy_args::TestArgs;

/// What came of one bundle.
pub(super) struct Ran {
    pub(super) bundle: String,
    pub(super) tests: Vec<TestResult>,
    coverage: Option<Coverage>,
    mutation: Option<Mutation>,
}

pub(super) fn command(args: &TestArgs) -> Result<u8, Fail> {
    if args.watch {
        return watch::run(&args.bundles, || round(args));
    }
    round(args)
}

fn round(args: &TestArgs) -> Result<u8, Fail> {
    let mut ran = Vec::new();
    for path in &args.bundles {
        let bundle = source::load(path)?;
        ran.push(run(&bundle, path, args)?);
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::document(&ran)).map_err(|error| {
            Fail::new(
                Status::Failed,
                format!("cannot write {}: {error}", file.display()),
            )
        })?;
    }
    if args.json {
        out::json(&Value::Array(ran.iter().map(as_json).collect()));
    } else {
        ran.iter().for_each(|ran| show(ran, args));
    }
    let good = ran.iter().all(|ran| is_good(ran, args));
    Ok(u8::from(!good))
}

fn run(bundle: &Bundle, path: &Path, args: &TestArgs) -> Result<Ran, Fail> {
    let failed = |error: valetkey_policy::PolicyError| Fail::new(Status::Usage, error);
    let (mut tests, coverage) = if args.coverage {
        let (tests, coverage) = cover(bundle).map_err(failed)?;
        (tests, Some(coverage))
    } else {
        (run_tests(bundle).map_err(failed)?, None)
    };
    if let Some(part) = &args.run {
        tests.retain(|test| test.name.contains(part.as_str()));
    }
    let all_passed = tests.iter().all(passed);
    let mutation = if args.mutate && all_passed {
        let bar = out::Progress::new("mutants");
        let found = mutate(bundle, |done, of| bar.show(done, of)).map_err(failed);
        bar.end();
        Some(found?)
    } else {
        None
    };
    Ok(Ran {
        bundle: path.display().to_string(),
        tests,
        coverage,
        mutation,
    })
}

fn passed(test: &TestResult) -> bool {
    matches!(test.outcome, TestOutcome::Passed | TestOutcome::Skipped)
}

/// A bundle without tests is not a tested one.
fn is_good(ran: &Ran, args: &TestArgs) -> bool {
    let covered = args.min_coverage.is_none_or(|least| {
        ran.coverage
            .as_ref()
            .is_some_and(|coverage| coverage.rules_percent() >= least)
    });
    let noticed = args.min_score.is_none_or(|least| {
        ran.mutation
            .as_ref()
            .is_some_and(|mutation| mutation.score_percent() >= least)
    });
    !ran.tests.is_empty() && ran.tests.iter().all(passed) && covered && noticed
}

fn show(ran: &Ran, args: &TestArgs) {
    for test in &ran.tests {
        let (style, word, why) = match &test.outcome {
            TestOutcome::Passed => continue,
            TestOutcome::Skipped => (Style::Dim, "skipped", String::new()),
            TestOutcome::Failed => (Style::Red, "FAILED", String::new()),
            TestOutcome::Error(words) => {
                let words = words.rsplit("error: ").next().unwrap_or(words);
                (Style::Red, "ERROR", format!(": {}", words.trim()))
            }
        };
        let line = format!("{} ({}){why}", test.name, test.place);
        out::line(&format!(
            "{} {}",
            styled(style, word),
            SafeText::prose(&line)
        ));
        for print in &test.prints {
            out::line(&format!("    {}", SafeText::prose(print)));
        }
    }
    let count =
        |wanted: fn(&TestResult) -> bool| ran.tests.iter().filter(|test| wanted(test)).count();
    let failed = count(|test| !passed(test));
    let style = if failed == 0 && !ran.tests.is_empty() {
        Style::Green
    } else {
        Style::Red
    };
    let good = count(|test| test.outcome == TestOutcome::Passed);
    out::line(&format!(
        "{}: {}",
        ran.bundle,
        styled(style, &format!("{good} passed, {failed} failed"))
    ));
    if ran.tests.is_empty() {
        out::line("  no rule whose name begins with `test_`");
    }
    if let Some(coverage) = &ran.coverage {
        show_coverage(coverage);
    }
    if let Some(mutation) = &ran.mutation {
        show_mutation(mutation);
    } else if args.mutate {
        out::line("  nothing was changed: the tests must pass first");
    }
}

fn show_coverage(coverage: &Coverage) {
    out::line(&format!(
        "  coverage: {:.1} % of {} rules, {:.1} % of lines",
        coverage.rules_percent(),
        coverage.rules,
        coverage.lines_percent()
    ));
    for missed in &coverage.missed {
        out::line(&format!(
            "  not reached: {} ({})",
            missed.rule, missed.place
        ));
    }
}

fn show_mutation(mutation: &Mutation) {
    out::line(&format!(
        "  mutants: {} noticed, {} not, {:.1} %",
        mutation.killed,
        mutation.survived.len(),
        mutation.score_percent()
    ));
    for mutant in &mutation.survived {
        let line = format!(
            "  not noticed: {}:{}:{}: {}",
            mutant.file, mutant.line, mutant.column, mutant.change
        );
        out::line(&SafeText::prose(&line).to_string());
    }
}

fn as_json(ran: &Ran) -> Value {
    let tests = ran.tests.iter().map(|test| {
        let (outcome, words) = match &test.outcome {
            TestOutcome::Passed => ("passed", None),
            TestOutcome::Failed => ("failed", None),
            TestOutcome::Error(words) => ("error", Some(words)),
            TestOutcome::Skipped => ("skipped", None),
        };
        json!({
            "name": test.name, "file": test.place.file, "line": test.place.line, "outcome": outcome, "error": words,
            "prints": test.prints,
        })
    });
    json!({
        "bundle": ran.bundle,
        "tests": tests.collect::<Vec<_>>(),
        "coverage": ran.coverage.as_ref().map(|coverage| json!({
            "rules_percent": coverage.rules_percent(), "lines_percent": coverage.lines_percent(), "detail": coverage,
        })),
        "mutation": ran.mutation.as_ref().map(|mutation| json!({
            "score_percent": mutation.score_percent(), "detail": mutation,
        })),
    })
}
