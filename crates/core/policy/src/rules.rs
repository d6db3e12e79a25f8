//! The rules of a bundle by their paths in `data`, read from the modules' trees.

use regorus::unstable::{ExprRef, Rule, RuleHead};
use regorus::{Engine, Value};

use crate::error::place_of;
use crate::tree::static_names;
use crate::{Place, PolicyError};

/// One rule: where it stands in `data`, and in which file.
pub(crate) struct RulePath {
    /// The package.
    pub(crate) package: Vec<String>,
    /// The package and the name; of `a[x]` and `a[x].b` only what comes before the variable.
    pub(crate) path: Vec<String>,
    /// Where the rule begins.
    pub(crate) place: Place,
    /// What the rule gives.
    pub(crate) kind: RuleKind,
}

/// What a rule gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuleKind {
    /// A value, or a part of one.
    Value,
    /// A function of so many arguments.
    Function(usize),
    /// What a rule is if nothing else makes it a value.
    Default,
}

/// All rules of the engine's modules, in their order; a rule with several definitions is there as often.
///
/// # Errors
/// The engine's words, when a module's package has no plain path.
pub(crate) fn rule_paths(engine: &mut Engine) -> Result<Vec<RulePath>, String> {
    let packages = engine
        .get_policy_package_components()
        .map_err(|error| error.to_string())?;
    let mut paths = Vec::new();
    for (module, package) in engine.get_modules().iter().zip(packages) {
        for rule in &module.policy {
            let (head, kind) = head_of(rule.as_ref());
            let mut path = package.components.clone();
            path.extend(
                static_names(head)
                    .map(|(_, names)| names)
                    .unwrap_or_default(),
            );
            paths.push(RulePath {
                package: package.components.clone(),
                path,
                place: place_of(rule.span()),
                kind,
            });
        }
    }
    Ok(paths)
}

/// The path of a module's package, as it is written.
#[cfg(feature = "tools")]
pub(crate) fn package_of(module: &regorus::unstable::Module) -> String {
    static_names(&module.package.refr)
        .map(|(_, names)| names.join("."))
        .unwrap_or_default()
}

/// Refuses rules and data that claim one place: which of them counts would depend on the reader.
///
/// # Errors
/// When a rule's path, or what lies above it, is a value in `data`.
pub(crate) fn check_against(data: &Value, rules: &[RulePath]) -> Result<(), PolicyError> {
    for RulePath { path, place, .. } in rules {
        let mut at = data;
        let mut free = false;
        for name in path {
            let Ok(members) = at.as_object() else {
                break;
            };
            match members.get(&Value::from(name.as_str())) {
                Some(member) => at = member,
                None => {
                    free = true;
                    break;
                }
            }
        }
        if !free {
            return Err(PolicyError::syntax(
                place.clone(),
                format!(
                    "the rule and data.json both define `data.{}`",
                    path.join(".")
                ),
            ));
        }
    }
    Ok(())
}

fn head_of(rule: &Rule) -> (&ExprRef, RuleKind) {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } => (refr, RuleKind::Value),
            RuleHead::Func { refr, args, .. } => (refr, RuleKind::Function(args.len())),
        },
        Rule::Default { refr, args, .. } if args.is_empty() => (refr, RuleKind::Default),
        Rule::Default { refr, args, .. } => (refr, RuleKind::Function(args.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::files;

    #[test]
    fn rules_and_data_in_one_place_are_refused() {
        for (head, clashes) in [
            ("limit := 1", true),
            ("limit.max := 1", true),
            ("limit[\"max\"] := 1", true),
            ("limit[x] := 1 if some x in [1]", true),
            ("limit contains 1", true),
            ("limit(x) := x", true),
            ("default limit := 1", true),
            ("limits := 1", false),
            ("tree.other := 1", false),
            ("tree.leaf := 1", true),
            ("tree.leaf.below := 1", true),
            ("tree[x] := 1 if some x in [1]", true),
        ] {
            let result = files(&[
                ("a.rego", &format!("package valetkey\n\n{head}\n")),
                (
                    "data.json",
                    r#"{"valetkey": {"limit": {"max": 2}, "tree": {"leaf": 1}}, "other": 1}"#,
                ),
            ]);
            match result {
                Err(PolicyError::Syntax { file, line, .. }) => {
                    assert!(clashes, "{head}");
                    assert_eq!((file.as_str(), line), ("a.rego", 3), "{head}");
                }
                other => assert!(other.is_ok() && !clashes, "{head}: {other:?}"),
            }
        }
        let package_below_a_value = files(&[
            ("a.rego", "package valetkey.limit\n\nx := 1\n"),
            ("data.json", r#"{"valetkey": {"limit": 1}}"#),
        ]);
        assert!(package_below_a_value.is_err());
    }
}
