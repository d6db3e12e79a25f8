//! The decision's own shape, as far as it is written down: members that do not exist, words that nobody knows.

use regorus::unstable::{Expr, ExprRef, Rule, RuleHead};

use super::{About, at};
use crate::rules::package_of;
use crate::tools::Finding;
use crate::tools::schema::Shape;
use crate::tools::steps::{nearest, steps, text_of};

/// Looks at every value that the module's `decision` is given.
pub(super) fn find(about: &About<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !matches!(
        package_of(about.module).as_str(),
        "valetkey" | "valetkey.guardrails"
    ) {
        return findings;
    }
    for rule in &about.module.policy {
        let values: Vec<&ExprRef> = match rule.as_ref() {
            Rule::Default { refr, value, .. } if is_decision(refr) => vec![value],
            Rule::Spec {
                head: RuleHead::Compr { refr, assign, .. },
                bodies,
                ..
            } if is_decision(refr) => {
                let others = bodies.iter().filter_map(|body| body.assign.as_ref());
                let all = assign.iter().chain(others);
                all.map(|assign| &assign.value).collect()
            }
            Rule::Default { .. } | Rule::Spec { .. } => continue,
        };
        for value in values {
            look(value, Shape::decision(), "decision", &mut findings);
        }
    }
    findings
}

fn is_decision(name: &ExprRef) -> bool {
    steps(name).is_some_and(|(name, rest)| name == "decision" && rest.is_empty())
}

fn look(value: &ExprRef, shape: Shape, path: &str, findings: &mut Vec<Finding>) {
    if let Some(text) = text_of(value) {
        if let Some(words) = shape
            .texts()
            .filter(|words| !words.contains(&text.as_str()))
        {
            let message = format!("`{path}` is one of {}, not `{text}`", words.join(", "));
            let meant = nearest(&text, words.iter().copied());
            findings.push(Finding::error("answer", at(value.span()), message).suggesting(meant));
        }
        return;
    }
    if let Expr::Array { items, .. } = value.as_ref() {
        if let Some(of_items) = shape.items() {
            for item in items {
                look(item, of_items, &format!("{path}[_]"), findings);
            }
        }
        return;
    }
    let Expr::Object { fields, .. } = value.as_ref() else {
        return;
    };
    for (_, key, value) in fields {
        let Some(name) = text_of(key) else {
            continue;
        };
        if let Some(member) = shape.member(&name) {
            look(value, member, &format!("{path}.{name}"), findings);
        } else if shape.is_closed()
            && let Some(members) = shape.members()
        {
            let message =
                format!("`{path}` has no member `{name}`, and an answer with one is a denial");
            let meant = nearest(&name, members);
            findings.push(Finding::error("answer", at(key.span()), message).suggesting(meant));
        }
    }
}
