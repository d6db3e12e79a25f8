//! What valid Rego may not do here: each rule's tree is walked when a bundle is loaded, and what is refused is named with its place.

use std::collections::BTreeMap;

use regorus::Engine;
use regorus::unstable::{BUILTINS, Expr, ExprRef, Rule, RuleHead, Span};

use crate::PolicyError;
use crate::builtins::{self, is_available, why_not};
use crate::error::place_of;
use crate::glob;
use crate::graph::Graph;
use crate::rules::RulePath;
use crate::tree::{Seen, static_names, walk};

/// Refuses the first thing in the engine's modules that a policy may not do: call what is not available or not there, or
/// have rules depend on each other without end.
///
/// # Errors
/// [`PolicyError::Refused`] or [`PolicyError::Syntax`] with the place.
pub(crate) fn check(engine: &mut Engine, rules: &[RulePath]) -> Result<(), PolicyError> {
    dependencies(engine, rules)?.check()
}

/// Which rule needs which, in modules whose calls are all admitted.
///
/// # Errors
/// [`PolicyError::Refused`] or [`PolicyError::Syntax`] with the place.
pub(crate) fn dependencies<'a>(
    engine: &mut Engine,
    rules: &'a [RulePath],
) -> Result<Graph<'a>, PolicyError> {
    let mut graph = Graph::new(rules);
    let mut at = rules.iter().enumerate();
    for module in engine.get_modules().iter() {
        let aliases = aliases_of(module.imports.iter().map(|import| {
            let alias = import.r#as.as_ref().map(|span| span.text().to_owned());
            (&import.refr, alias)
        }));
        let in_test = module.package.span.source.file().ends_with("_test.rego");
        for rule in &module.policy {
            // `rules` was read from the same modules, in the same order.
            let Some((number, here)) = at.next() else {
                break;
            };
            check_head(rule.as_ref())?;
            let scope = Scope {
                package: &here.package,
                aliases: &aliases,
                in_test,
            };
            walk(rule.as_ref(), &mut |seen| match seen {
                Seen::Call(function, arguments) => {
                    let called = check_call(function, arguments.len(), &scope, &graph)?;
                    if let Some(path) = called {
                        graph.calls(number, &path);
                    }
                    Ok(())
                }
                Seen::Reference(chain) => {
                    if let Some((_, names)) = static_names(chain) {
                        graph.uses(number, &scope.resolved(names));
                    }
                    Ok(())
                }
                Seen::Expr(_) | Seen::Query(_) => Ok(()),
            })?;
        }
    }
    Ok(graph)
}

/// How names are read in a module.
struct Scope<'a> {
    package: &'a [String],
    aliases: &'a BTreeMap<String, Vec<String>>,
    in_test: bool,
}

impl Scope<'_> {
    /// The path in `data` that a chain of names means, if it means a rule at all.
    fn resolved(&self, names: Vec<String>) -> Vec<String> {
        let Some((first, rest)) = names.split_first() else {
            return names;
        };
        if first == "data" {
            return rest.to_vec();
        }
        let before = self.aliases.get(first).map_or_else(
            || [self.package, std::slice::from_ref(first)].concat(),
            Clone::clone,
        );
        [before.as_slice(), rest].concat()
    }
}

/// The imports of `data` by the names under which they are known.
pub(crate) fn aliases_of<'a>(
    imports: impl Iterator<Item = (&'a ExprRef, Option<String>)>,
) -> BTreeMap<String, Vec<String>> {
    imports
        .filter_map(|(reference, alias)| {
            let (_, names) = static_names(reference)?;
            let (first, path) = names.split_first()?;
            let name = alias.or_else(|| path.last().cloned())?;
            (first == "data").then(|| (name, path.to_vec()))
        })
        .collect()
}

fn check_head(rule: &Rule) -> Result<(), PolicyError> {
    match rule {
        Rule::Spec {
            head: RuleHead::Set { span, refr, .. },
            ..
        } if !matches!(refr.as_ref(), Expr::Var { .. }) => Err(refused(
            span,
            "contains".to_owned(),
            "a set at the end of a dotted rule name gets other members than in OPA; give it a plain name",
        )),
        Rule::Spec { .. } | Rule::Default { .. } => Ok(()),
    }
}

/// Checks one call; the path of the policy's own function that is called, if it is one.
fn check_call(
    function: &ExprRef,
    arguments: usize,
    scope: &Scope<'_>,
    graph: &Graph<'_>,
) -> Result<Option<Vec<String>>, PolicyError> {
    let (start, names) = match static_names(function) {
        Some((start, names)) if is_dotted(function) => (start, names),
        _ => {
            return Err(refused(
                function.span(),
                "call".to_owned(),
                "a function must be called by a plain dotted name",
            ));
        }
    };
    let name = names.join(".");
    if name == "print" && scope.in_test {
        return Ok(None);
    }
    if is_available(&name) {
        check_arity(start, &name, builtins::arguments(&name), arguments)?;
        // What the result must be cannot be named after the arguments of a function that is put beside the engine's own.
        if name == glob::NAME && arguments != usize::from(glob::ARGUMENTS) {
            let message = format!(
                "`{name}` takes {} arguments, not {arguments}",
                glob::ARGUMENTS
            );
            return Err(syntax(start, message));
        }
        return Ok(None);
    }
    if BUILTINS.contains_key(name.as_str()) || why_not(&name).is_some() {
        let reason = why_not(&name).unwrap_or("it is not on the list of safe functions");
        return Err(refused(start, name, reason));
    }
    let path = scope.resolved(names);
    let Some(arity) = graph.function(&path) else {
        return Err(syntax(start, format!("there is no function `{name}`")));
    };
    check_arity(start, &name, Some(arity), arguments)?;
    Ok(Some(path))
}

/// A call may name, after its arguments, what its result must be.
fn check_arity(
    start: &Span,
    name: &str,
    arity: Option<usize>,
    arguments: usize,
) -> Result<(), PolicyError> {
    match arity {
        Some(arity) if arguments != arity && arguments != arity.saturating_add(1) => Err(syntax(
            start,
            format!("`{name}` takes {arity} arguments, not {arguments}"),
        )),
        _ => Ok(()),
    }
}

fn is_dotted(function: &ExprRef) -> bool {
    let mut at = function;
    while let Expr::RefDot { refr, .. } = at.as_ref() {
        at = refr;
    }
    matches!(at.as_ref(), Expr::Var { .. })
}

fn refused(span: &Span, what: String, reason: &'static str) -> PolicyError {
    PolicyError::Refused {
        place: place_of(span),
        what,
        reason,
    }
}

fn syntax(span: &Span, message: String) -> PolicyError {
    PolicyError::syntax(place_of(span), message)
}

#[cfg(test)]
mod tests;
