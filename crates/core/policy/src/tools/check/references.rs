//! References to members of the input, or of `data`, that are not there.

use std::collections::BTreeSet;
use std::convert::Infallible;

use regorus::Value;
use regorus::unstable::{ExprRef, LiteralStmt, Span};

use super::{About, at, value_at};
use crate::rules::RulePath;
use crate::tools::Finding;
use crate::tools::schema::Shape;
use crate::tools::steps::{Step, nearest, steps};
use crate::tree::{Seen, walk};

/// What `data` can hold: the paths of rules, and the bundle's data.
pub(super) struct Known<'a> {
    rules: BTreeSet<&'a [String]>,
    data: &'a Value,
}

impl<'a> Known<'a> {
    pub(super) fn new(rules: &'a [RulePath], data: &'a Value) -> Self {
        let rules = rules.iter().map(|rule| rule.path.as_slice()).collect();
        Self { rules, data }
    }

    /// Whether something can lie at this path: a rule, above one, below one, or data.
    fn has(&self, path: &[String]) -> bool {
        value_at(self.data, path).is_some()
            || self
                .rules
                .iter()
                .any(|rule| rule.starts_with(path) || path.starts_with(rule))
    }

    /// Names that lie next below a path.
    fn below(&self, path: &[String]) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self
            .rules
            .iter()
            .filter(|rule| rule.starts_with(path))
            .filter_map(|rule| rule.get(path.len()).cloned())
            .collect();
        if let Some(Ok(members)) = value_at(self.data, path).map(Value::as_object) {
            names.extend(
                members
                    .keys()
                    .filter_map(|name| name.as_string().ok().map(|name| name.to_string())),
            );
        }
        names
    }
}

/// Every reference of the module that leads nowhere.
pub(super) fn find(about: &About<'_>, known: &Known<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |chain: &ExprRef| findings.extend(wrong(about, known, chain));
    for import in &about.module.imports {
        look(&import.refr);
    }
    for rule in &about.module.policy {
        let Ok(()) = walk(rule.as_ref(), &mut |seen| {
            match seen {
                Seen::Reference(chain) => look(chain),
                // What a test replaces must be there to be replaced.
                Seen::Query(query) => {
                    for LiteralStmt { with_mods, .. } in &query.stmts {
                        with_mods.iter().for_each(|with| look(&with.refr));
                    }
                }
                Seen::Call(..) | Seen::Expr(_) => {}
            }
            Ok::<(), Infallible>(())
        });
    }
    findings
}

fn wrong(about: &About<'_>, known: &Known<'_>, chain: &ExprRef) -> Option<Finding> {
    let (first, rest) = steps(chain)?;
    let imported = about.imports.get(&first);
    let root = imported
        .and_then(|path| path.first())
        .unwrap_or(&first)
        .clone();
    let before: Vec<String> =
        imported.map_or_else(Vec::new, |path| path.iter().skip(1).cloned().collect());
    match root.as_str() {
        "input" => {
            let shape = before
                .iter()
                .try_fold(Shape::input(), |shape, name| shape.member(name))?;
            wrong_input(chain.span(), shape, &before, &rest)
        }
        "data" => wrong_data(known, chain.span(), before, &rest),
        _ => None,
    }
}

fn wrong_input(
    chain: &Span,
    mut shape: Shape,
    before: &[String],
    rest: &[Step<'_>],
) -> Option<Finding> {
    let mut path = format!(
        "input{}",
        before
            .iter()
            .map(|name| format!(".{name}"))
            .collect::<String>()
    );
    for step in rest {
        match step {
            Step::Any => {
                shape = shape.items()?;
                path.push_str("[_]");
            }
            Step::Name(name, span) => {
                if let Some(next) = shape.member(name) {
                    shape = next;
                    path = format!("{path}.{name}");
                    continue;
                }
                let place = if span.start < chain.start {
                    chain
                } else {
                    span
                };
                if let Some(members) = shape.members() {
                    let meant = nearest(name, members).map(|name| format!("{path}.{name}"));
                    let message = format!("`{path}` has no member `{name}`");
                    return Some(
                        Finding::error("unknown-input", at(place), message).suggesting(meant),
                    );
                }
                let what = if shape.items().is_some() {
                    "is a list: a member of it is got by its number or by `some x in`"
                } else if shape.is_leaf() {
                    "has no members"
                } else {
                    return None;
                };
                let message = format!("`{path}` {what}");
                return Some(Finding::error("unknown-input", at(place), message));
            }
        }
    }
    None
}

fn wrong_data(
    known: &Known<'_>,
    chain: &Span,
    mut path: Vec<String>,
    rest: &[Step<'_>],
) -> Option<Finding> {
    for step in rest {
        let Step::Name(name, span) = step else {
            return None;
        };
        let above = path.clone();
        path.push(name.clone());
        if known.has(&path) {
            continue;
        }
        let place = if span.start < chain.start {
            chain
        } else {
            span
        };
        let below = known.below(&above);
        let meant = nearest(name, below.iter().map(String::as_str))
            .map(|name| format!("data.{}", [above.as_slice(), &[name]].concat().join(".")));
        let message = format!(
            "the bundle has neither a rule nor data at `data.{}`",
            path.join(".")
        );
        return Some(Finding::error("unknown-data", at(place), message).suggesting(meant));
    }
    None
}
