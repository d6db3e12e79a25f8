//! What of a bundle its tests reach: lines that were evaluated, and rules of which every line was.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, ExprRef, Module, Ref, Rule, RuleBody, RuleHead};
use serde::Serialize;

use crate::bundle::Modules;
use crate::error::place_of;
use crate::testing::{TestResult, run_in};
use crate::tools::steps::whole;
use crate::{Bundle, Place, PolicyError};

/// What tests reach.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// By file, without the tests themselves.
    pub files: Vec<FileCoverage>,
    /// Definitions of rules of which some line was never evaluated.
    pub missed: Vec<Missed>,
    /// Definitions of rules, each `else` as one.
    pub rules: usize,
}

/// The lines of one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileCoverage {
    /// The file's path within the bundle.
    pub file: String,
    /// Lines that were evaluated.
    pub covered: BTreeSet<u32>,
    /// Lines that were not.
    pub missed: BTreeSet<u32>,
}

/// A definition that tests do not reach wholly.
#[derive(Clone, Debug, Serialize)]
pub struct Missed {
    /// The rule.
    pub rule: String,
    /// Where the definition begins: `file:line:column`.
    pub place: String,
}

impl Coverage {
    /// Rules that were reached, in percent; 100 where there are none.
    #[must_use]
    pub fn rules_percent(&self) -> f64 {
        percent(self.rules.saturating_sub(self.missed.len()), self.rules)
    }

    /// Lines that were reached, in percent.
    #[must_use]
    pub fn lines_percent(&self) -> f64 {
        let covered: usize = self.files.iter().map(|file| file.covered.len()).sum();
        let missed: usize = self.files.iter().map(|file| file.missed.len()).sum();
        percent(covered, covered.saturating_add(missed))
    }
}

/// A part of a whole in percent, with one digit; 100 of nothing.
pub(crate) fn percent(part: usize, whole: usize) -> f64 {
    let permille = part
        .saturating_mul(1000)
        .checked_div(whole)
        .and_then(|permille| u32::try_from(permille).ok());
    permille.map_or(100.0, |permille| f64::from(permille) / 10.0)
}

/// Runs every test of the bundle and says what they reach.
///
/// # Errors
/// When the bundle does not compile.
pub fn cover(bundle: &Bundle) -> Result<(Vec<TestResult>, Coverage), PolicyError> {
    let bundle = &with_conditions(bundle)?;
    let mut engine = bundle.engine(Modules::All)?;
    engine.set_enable_coverage(true);
    let results = run_in(bundle, &mut engine)?;
    let report = engine
        .get_coverage_report()
        .map_err(|error| bundle.engine_error("bundle", &error.to_string()))?;
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    let mut coverage = Coverage {
        files: Vec::new(),
        missed: Vec::new(),
        rules: 0,
    };
    for module in &modules {
        let file = module.package.span.source.file();
        if file.ends_with("_test.rego") {
            continue;
        }
        let reported = report.files.iter().find(|reported| reported.path == *file);
        let lines = |set: fn(&regorus::coverage::File) -> &BTreeSet<u32>| {
            reported.map(|reported| set(reported).clone())
        };
        let covered = lines(|reported| &reported.covered).unwrap_or_default();
        let missed = lines(|reported| &reported.not_covered);
        for (rule, place, first, last) in definitions(module) {
            coverage.rules = coverage.rules.saturating_add(1);
            let reached = match &missed {
                Some(missed) => {
                    missed.range(first..=last).next().is_none()
                        && covered.range(first..=last).next().is_some()
                }
                // A module of which nothing was evaluated is not in the report.
                None => false,
            };
            if !reached {
                coverage.missed.push(Missed {
                    rule,
                    place: place.to_string(),
                });
            }
        }
        coverage.files.push(FileCoverage {
            file: file.clone(),
            covered,
            missed: missed.unwrap_or_else(|| evaluable(module)),
        });
    }
    Ok((results, coverage))
}

/// The same bundle with a condition behind each `else` that has none, in the same line: the engine's report knows lines of conditions alone.
fn with_conditions(bundle: &Bundle) -> Result<Bundle, PolicyError> {
    let mut engine = bundle.engine(Modules::Deciding)?;
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    let mut changed = bundle.clone();
    for module in &modules {
        let source = &module.package.span.source;
        let mut text = source.contents().clone();
        let mut ends: Vec<usize> = module
            .policy
            .iter()
            .flat_map(|rule| bare_ends(rule))
            .collect();
        ends.sort_unstable();
        for end in ends.into_iter().rev() {
            if text.is_char_boundary(end) {
                text.insert_str(end, " if { true }");
            }
        }
        changed = changed.with_module(source.file(), text);
    }
    Ok(changed)
}

/// Where values of `else` without a condition end.
fn bare_ends(rule: &Rule) -> Vec<usize> {
    let Rule::Spec { bodies, .. } = rule else {
        return Vec::new();
    };
    let bare = bodies
        .iter()
        .filter(|body| body.is_else && body.query.stmts.is_empty());
    bare.filter_map(|body| body.assign.as_ref())
        .map(|assign| end_of(&assign.value))
        .collect()
}

/// The engine's span of `set()` reaches to what follows it.
fn end_of(value: &ExprRef) -> usize {
    let range = whole(value.span());
    if matches!(value.as_ref(), Expr::Set { items, .. } if items.is_empty()) {
        let text = value.span().source.contents().get(range.start..);
        let bracket = text.and_then(|text| text.find(')'));
        return bracket.map_or(range.end, |at| {
            range.start.saturating_add(at).saturating_add(1)
        });
    }
    range.end
}

/// Each definition of the module's rules: name, place, first and last line.
fn definitions(module: &Module) -> Vec<(String, Place, u32, u32)> {
    let mut found = Vec::new();
    for rule in &module.policy {
        let Rule::Spec { head, bodies, span } = rule.as_ref() else {
            continue;
        };
        let (RuleHead::Compr { refr, .. }
        | RuleHead::Set { refr, .. }
        | RuleHead::Func { refr, .. }) = head;
        let name = refr.span().text().to_owned();
        let end = last_line(span);
        let others: Vec<&RuleBody> = bodies.iter().filter(|body| body.is_else).collect();
        let starts = others.iter().map(|body| first_line(body));
        let mut starts: Vec<u32> = std::iter::once(span.line).chain(starts).collect();
        starts.push(end.saturating_add(1));
        for (number, pair) in starts.windows(2).enumerate() {
            let [first, next] = *pair else { continue };
            let place = match number.checked_sub(1).and_then(|at| others.get(at)) {
                Some(body) => place_of(body_span(body)),
                None => place_of(span),
            };
            // An `else` on the line where the one before it ends shares that line.
            let last = next.saturating_sub(1).max(first);
            found.push((name.clone(), place, first, last));
        }
    }
    found
}

fn body_span(body: &RuleBody) -> &regorus::unstable::Span {
    body.assign
        .as_ref()
        .map_or(&body.span, |assign| &assign.span)
}

fn first_line(body: &RuleBody) -> u32 {
    body_span(body).line
}

fn last_line(span: &regorus::unstable::Span) -> u32 {
    let more = span.text().trim_end().matches('\n').count();
    span.line.saturating_add(u32::try_from(more).unwrap_or(0))
}

/// Lines on which rules stand: all that could have been evaluated.
fn evaluable(module: &Module) -> BTreeSet<u32> {
    definitions(module)
        .into_iter()
        .flat_map(|(_, _, first, last)| first..=last)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::files;

    const TEST: &str =
        "package t\n\ntest_a if data.valetkey.decision == 1 with input as {\"a\": true}\n";

    fn covered(text: &str) -> Coverage {
        let bundle = files(&[("p.rego", text), ("p_test.rego", TEST)]).unwrap();
        cover(&bundle).unwrap().1
    }

    #[test]
    fn what_tests_never_reach_is_named() {
        let text = "package valetkey\n\ndecision := 1 if {\n\tinput.a\n} else := 2 if {\n\tinput.b\n\tinput.c\n}\n\nidle := 3 if {\n\tinput.d\n}\n";
        let coverage = covered(text);
        let missed: Vec<_> = coverage
            .missed
            .iter()
            .map(|missed| (missed.rule.as_str(), missed.place.as_str()))
            .collect();
        assert_eq!(coverage.rules, 3);
        assert_eq!(
            missed,
            [("decision", "p.rego:5:8"), ("idle", "p.rego:10:1")]
        );
        assert!((coverage.rules_percent() - 33.3).abs() < 0.01);
        assert!(coverage.files[0].missed.contains(&6) && coverage.files[0].covered.contains(&4));
    }

    #[test]
    fn an_else_without_a_condition_is_reached_or_not() {
        let text = |first: &str| {
            format!(
                "package valetkey\n\ndecision := 1 if {{\n\t{first}\n}} else := {{\n\t\"a\": 1,\n}}\n"
            )
        };
        let missed = |first: &str| covered(&text(first)).missed[0].place.clone();
        assert_eq!(missed("input.a"), "p.rego:5:8");
        assert_eq!(missed("input.b"), "p.rego:3:1");
        assert_eq!(covered(&text("input.b")).missed.len(), 1);
    }

    #[test]
    fn a_file_of_which_nothing_was_evaluated_counts() {
        let bundle = files(&[
            ("p.rego", "package valetkey\n\ndecision := 1\n"),
            ("q.rego", "package other\n\nx := 1 if {\n\tinput.a\n}\n"),
            ("p_test.rego", TEST),
        ])
        .unwrap();
        let (results, coverage) = cover(&bundle).unwrap();
        assert_eq!(results.len(), 1);
        assert!(coverage.missed.iter().any(|missed| missed.rule == "x"));
        assert!(
            coverage
                .files
                .iter()
                .any(|file| file.file == "q.rego" && file.missed.contains(&4))
        );
    }
}
