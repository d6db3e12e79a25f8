//! Rules that no decision needs, and imports that nothing uses.

use std::collections::BTreeSet;

use regorus::Engine;

use crate::admission::dependencies;
use crate::rules::RulePath;
use crate::tools::Finding;
use crate::{Place, PolicyError};

/// What is evaluated from outside.
pub(super) const ENTRY_POINTS: [&[&str]; 3] = [
    &["valetkey", "decision"],
    &["valetkey", "guardrails", "decision"],
    &["valetkey", "break_glass"],
];

/// The rules of modules that decide, and that no entry point needs.
pub(super) fn find(engine: &mut Engine, rules: &[RulePath]) -> Result<Vec<Finding>, PolicyError> {
    let graph = dependencies(engine, rules)?;
    let reached = graph.reached(&ENTRY_POINTS);
    let mut told: BTreeSet<&[String]> = BTreeSet::new();
    Ok(rules
        .iter()
        .enumerate()
        .filter(|(number, rule)| {
            !is_test(&rule.place)
                && !reached.contains(&graph.first(*number))
                && !is_above_entry(&rule.path)
        })
        .filter(|(_, rule)| told.insert(rule.path.as_slice()))
        .map(|(_, rule)| {
            let message = format!("no decision needs the rule `{}`", rule.path.join("."));
            Finding::warning("unused-rule", rule.place.clone(), message)
        })
        .collect())
}

/// `decision.effect` written as a rule of its own is a part of the decision.
fn is_above_entry(path: &[String]) -> bool {
    ENTRY_POINTS
        .iter()
        .any(|entry| path.len() > entry.len() && path.iter().zip(*entry).all(|(a, b)| a == b))
}

fn is_test(place: &Place) -> bool {
    place.file.ends_with("_test.rego")
}
