//! What could be easier to read, and tests where they would decide.

use std::collections::BTreeSet;
use std::convert::Infallible;

use regorus::unstable::{AssignOp, Expr, ExprRef, Rule, RuleHead};

use super::{About, at};
use crate::Place;
use crate::tools::Finding;
use crate::tools::steps::steps;
use crate::tree::{Seen, walk};

/// The longest line that is read without moving the eyes back.
const MAX_COLUMNS: usize = 160;

pub(super) fn find(about: &About<'_>) -> Vec<Finding> {
    let mut findings = lines(about);
    let mut used = BTreeSet::new();
    let mut has_test = false;
    for rule in &about.module.policy {
        let Ok(()) = walk(rule.as_ref(), &mut |seen| {
            let chain = match seen {
                Seen::Reference(chain) => Some(chain),
                Seen::Call(function, _) => Some(function),
                Seen::Query(query) => {
                    let replaced = query.stmts.iter().flat_map(|stmt| &stmt.with_mods);
                    used.extend(replaced.filter_map(|with| Some(steps(&with.refr)?.0)));
                    None
                }
                Seen::Expr(_) => None,
            };
            used.extend(chain.and_then(|chain| Some(steps(chain)?.0)));
            Ok::<(), Infallible>(())
        });
        let (name, op) = head(rule);
        let Some((name, _)) = name.and_then(steps) else {
            continue;
        };
        if name.starts_with("test_") || name.starts_with("todo_test_") {
            has_test = true;
            if !about.is_test {
                let message = format!(
                    "the test `{name}` is part of what decides: move it to a `_test.rego` file"
                );
                findings.push(Finding::warning("test-in-policy", at(rule.span()), message));
            }
        }
        if name.chars().any(char::is_uppercase) {
            let message =
                format!("`{name}`: names of rules are written with small letters and `_`");
            findings.push(Finding::style("rule-name", at(rule.span()), message));
        }
        if matches!(op, Some(AssignOp::Eq)) {
            let message = format!("`{name}` is given its value by `=`: write `:=`");
            findings.push(Finding::style("assignment", at(rule.span()), message));
        }
    }
    if about.is_test && !has_test {
        let message = "the file has no rule whose name begins with `test_`".to_owned();
        findings.push(Finding::warning("no-test", line(about, 1, 1), message));
    }
    findings.extend(imports(about, &used));
    findings
}

/// Imports of data and input that no rule of the module names.
fn imports(about: &About<'_>, used: &BTreeSet<String>) -> Vec<Finding> {
    let unused = about
        .imports
        .iter()
        .filter(|(name, _)| !used.contains(*name));
    let place = |path: &[String]| {
        let text = path.join(".");
        let import = about.module.imports.iter();
        let mut spans = import.filter(|import| import.refr.span().text() == text);
        spans.next().map(|import| at(&import.span))
    };
    unused
        .filter_map(|(name, path)| {
            let message = format!("nothing uses the import `{name}`");
            Some(Finding::warning("unused-import", place(path)?, message))
        })
        .collect()
}

fn head(rule: &Rule) -> (Option<&ExprRef>, Option<&AssignOp>) {
    match rule {
        Rule::Default { refr, op, .. } => (Some(refr), Some(op)),
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                // `x["a"] = …` is how parts of objects are often written.
                let plain = matches!(refr.as_ref(), Expr::Var { .. });
                let op = assign.as_ref().map(|assign| &assign.op);
                (Some(refr), op.filter(|_| plain))
            }
            RuleHead::Set { refr, .. } => (Some(refr), None),
        },
    }
}

fn lines(about: &About<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, text) in (1..).zip(about.text().lines()) {
        let end = text.trim_end();
        let columns = u32::try_from(end.chars().count()).unwrap_or(u32::MAX);
        if end.len() != text.len() {
            let place = line(about, number, columns.saturating_add(1));
            let message = "white space at the end of the line".to_owned();
            findings.push(Finding::style("trailing-space", place, message));
        }
        if text.chars().count() > MAX_COLUMNS {
            let message = format!("the line is longer than {MAX_COLUMNS} characters");
            findings.push(Finding::style("long-line", line(about, number, 1), message));
        }
    }
    findings
}

fn line(about: &About<'_>, line: u32, column: u32) -> Place {
    Place {
        file: about.file.clone(),
        line,
        column,
    }
}
