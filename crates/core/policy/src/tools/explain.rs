//! Why a policy decides as it does: each definition of each rule, whether it holds, and where not, the first condition that does not, with
//! the values in it.
//!
//! The engine that decides is asked, with more rules beside those of the bundle: for each definition one that has its first condition
//! alone, one that has two, and so on. The first of them that is undefined names the condition.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, LiteralStmt, Module, Ref, Rule, RuleHead, Span};
use regorus::{Engine, Value};
use serde::Serialize;
use valetkey_model::{Decision, PolicyInput};

use crate::bundle::Modules;
use crate::clock::{self, Budget};
use crate::error::place_of;
use crate::policy::rego_input;
use crate::rules::package_of;
use crate::tools::steps::{Step, steps, written};
use crate::tree::{Seen, walk_statement};
use crate::{Bundle, PolicyError, PolicySet, starter};

/// For each question that is put to the engine beside the decision.
const BUDGET: Budget = Budget {
    steps: 200_000,
    time: std::time::Duration::from_secs(5),
};
/// What the rules that are put beside the bundle's own are called.
const PROBE: &str = "valetkey_probe";

/// A decision and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The decision, of all layers together.
    pub decision: Decision,
    /// Layers that gave no usable answer, in words.
    pub faults: Vec<String>,
    /// The layers: what holds back, and what grants.
    pub layers: Vec<Layer>,
}

/// One bundle's part in it.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// `guardrails` or `policy`.
    pub name: &'static str,
    /// The rule that decides.
    pub entry: &'static str,
    /// What it said; nothing where it is undefined.
    pub said: Option<serde_json::Value>,
    /// The rules of the bundle that this decision may need, but for functions.
    pub rules: Vec<RuleSeen>,
}

/// One rule and its value.
#[derive(Clone, Debug, Serialize)]
pub struct RuleSeen {
    /// Its path, without `data.`.
    pub rule: String,
    /// Its value; nothing where it is undefined.
    pub value: Option<serde_json::Value>,
    /// Its definitions, in order.
    pub definitions: Vec<DefinitionSeen>,
}

/// One definition of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct DefinitionSeen {
    /// Where it begins: `file:line:column`.
    pub place: String,
    /// Whether all its conditions hold. An `else` counts only where nothing before it holds.
    pub holds: bool,
    /// The first condition that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedCondition>,
}

/// A condition that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct FailedCondition {
    /// Where it stands: `file:line:column`.
    pub place: String,
    /// As it is written.
    pub condition: String,
    /// What it refers to, with the values; nothing for what is undefined.
    pub values: BTreeMap<String, Option<serde_json::Value>>,
    /// Rules among those, by their paths.
    pub rules: BTreeSet<String>,
}

/// Decides as the broker would with this bundle, and says why.
///
/// # Errors
/// When the bundle does not compile or does not decide.
pub fn explain(bundle: &Bundle, input: &PolicyInput) -> Result<Explained, PolicyError> {
    let judgement = PolicySet::new(bundle)?.judge(input);
    let given = rego_input(&input.clone().with_derived_facts())
        .map_err(|fault| bundle.engine_error("input", &fault.to_string()))?;
    let guardrails = starter("guardrails")?;
    Ok(Explained {
        faults: judgement.faults.iter().map(ToString::to_string).collect(),
        decision: judgement.decision,
        layers: vec![
            layer(
                &guardrails,
                "guardrails",
                "data.valetkey.guardrails.decision",
                &given,
            )?,
            layer(bundle, "policy", "data.valetkey.decision", &given)?,
        ],
    })
}

/// The values of rules by their paths (`data.team.limit`), on any input; nothing for what is undefined or fails.
///
/// # Errors
/// When the bundle does not compile.
pub fn values(
    bundle: &Bundle,
    paths: &[String],
    input: &serde_json::Value,
) -> Result<Vec<Option<serde_json::Value>>, PolicyError> {
    let mut engine = bundle.engine(Modules::Deciding)?;
    engine.set_input(Value::from(input.clone()));
    let mut asked = Asked { engine };
    Ok(paths.iter().map(|path| asked.value(path)).collect())
}

fn layer(
    bundle: &Bundle,
    name: &'static str,
    entry: &'static str,
    input: &Value,
) -> Result<Layer, PolicyError> {
    let mut engine = bundle.engine(Modules::Deciding)?;
    let rules = bundle.rule_paths(&mut engine)?;
    let graph = crate::admission::dependencies(&mut engine, &rules)?;
    let path: Vec<&str> = entry.split('.').skip(1).collect();
    let reached = graph.reached(&[&path]);
    let wanted: BTreeSet<String> = rules
        .iter()
        .enumerate()
        .filter(|(number, _)| reached.contains(&graph.first(*number)))
        .map(|(_, rule)| rule.path.join("."))
        .collect();
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    let plan = Plan::new(&modules, &wanted);
    for (number, text) in plan.modules.iter().enumerate() {
        engine
            .add_policy(format!("{PROBE}-{number}.rego"), text.clone())
            .map_err(|error| bundle.engine_error("probe", &error.to_string()))?;
    }
    engine.set_input(input.clone());
    let mut asked = Asked { engine };
    Ok(Layer {
        name,
        entry,
        said: asked.value(entry),
        rules: plan.rules.iter().map(|rule| asked.rule(rule)).collect(),
    })
}

/// A rule with what to ask about it.
struct Planned {
    path: String,
    definitions: Vec<PlannedDefinition>,
}

struct PlannedDefinition {
    place: String,
    conditions: Vec<PlannedCondition>,
}

struct PlannedCondition {
    place: String,
    text: String,
    /// True where this condition and all before it hold.
    probe: String,
    /// Fixed references by their texts: what to ask for their values, and the rule that each may be.
    references: BTreeMap<String, (String, Option<String>)>,
}

/// What to ask, and the modules that make it possible.
struct Plan {
    rules: Vec<Planned>,
    modules: Vec<String>,
}

impl Plan {
    fn new(modules: &[Ref<Module>], wanted: &BTreeSet<String>) -> Self {
        let mut plan = Self {
            rules: Vec::new(),
            modules: Vec::new(),
        };
        for module in modules {
            plan.of_module(module, wanted);
        }
        plan
    }

    fn of_module(&mut self, module: &Module, wanted: &BTreeSet<String>) {
        let package = package_of(module);
        let mut text = format!("package {package}\n\n");
        for import in &module.imports {
            text.push_str(import.span.text());
            text.push('\n');
        }
        let file = self.modules.len();
        let mut probes: usize = 0;
        for rule in &module.policy {
            let Rule::Spec { head, bodies, span } = rule.as_ref() else {
                continue;
            };
            let (RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }) = head else {
                continue;
            };
            let Some((_, names)) = crate::tree::static_names(refr) else {
                continue;
            };
            let path = format!("{package}.{}", names.join("."));
            if !wanted.contains(&path) {
                continue;
            }
            let mut definitions = Vec::new();
            for body in bodies {
                let begins = if body.is_else { &body.span } else { span };
                let mut so_far = String::new();
                let mut conditions = Vec::new();
                for stmt in &body.query.stmts {
                    so_far.push_str(written(&stmt.span));
                    so_far.push('\n');
                    probes = probes.saturating_add(1);
                    let probe = format!("{PROBE}_{file}_{probes}");
                    text.push_str(&format!("\n{probe} if {{\n{so_far}}}\n"));
                    let references = references(stmt, &package, module, wanted);
                    let mut asked = BTreeMap::new();
                    for (reference, rule) in references {
                        probes = probes.saturating_add(1);
                        let value = format!("{PROBE}_{file}_{probes}");
                        text.push_str(&format!("\n{value} := {reference}\n"));
                        asked.insert(reference, (format!("data.{package}.{value}"), rule));
                    }
                    conditions.push(PlannedCondition {
                        place: place_of(&stmt.span).to_string(),
                        text: one_line(&stmt.span),
                        probe: format!("data.{package}.{probe}"),
                        references: asked,
                    });
                }
                definitions.push(PlannedDefinition {
                    place: place_of(begins).to_string(),
                    conditions,
                });
            }
            match self.rules.iter_mut().find(|rule| rule.path == path) {
                Some(rule) => rule.definitions.extend(definitions),
                None => self.rules.push(Planned { path, definitions }),
            }
        }
        self.modules.push(text);
    }
}

/// The references of a statement that name something outside of its rule, whole: members of the input, rules, data.
fn references(
    stmt: &LiteralStmt,
    package: &str,
    module: &Module,
    wanted: &BTreeSet<String>,
) -> BTreeMap<String, Option<String>> {
    let imported: BTreeSet<&str> = module
        .imports
        .iter()
        .filter_map(|import| match &import.r#as {
            Some(alias) => Some(alias.text()),
            None => import.refr.span().text().rsplit('.').next(),
        })
        .collect();
    let mut found = BTreeMap::new();
    walk_statement(stmt, &mut |seen| {
        let Seen::Reference(chain) = seen else {
            return;
        };
        let Some((first, rest)) = steps(chain) else {
            return;
        };
        let fixed: Vec<&str> = rest
            .iter()
            .map_while(|step| match step {
                Step::Name(name, _) => Some(name.as_str()),
                Step::Any => None,
            })
            .collect();
        let rule = format!("{package}.{first}");
        let is_rule = wanted.contains(&rule);
        let is_outside = first == "input" || first == "data" || imported.contains(first.as_str());
        if !is_rule && (!is_outside || fixed.is_empty()) {
            return;
        }
        // What has a variable in it is shown up to there, if that is not too much; a rule always.
        if fixed.len() < rest.len() && (!is_rule || !fixed.is_empty()) {
            return;
        }
        let text = if matches!(chain.as_ref(), Expr::Var { .. }) || fixed.len() < rest.len() {
            first.clone()
        } else {
            one_line(chain.span())
        };
        found.insert(text, is_rule.then_some(rule));
    });
    found
}

fn one_line(span: &Span) -> String {
    written(span)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

struct Asked {
    engine: Engine,
}

impl Asked {
    fn value(&mut self, path: &str) -> Option<serde_json::Value> {
        clock::begin(&mut self.engine, BUDGET).ok()?;
        let value = self.engine.eval_rule(path.to_owned()).ok()?;
        if value == Value::Undefined {
            return None;
        }
        serde_json::to_value(value).ok()
    }

    fn rule(&mut self, rule: &Planned) -> RuleSeen {
        RuleSeen {
            rule: rule.path.clone(),
            value: self.value(&format!("data.{}", rule.path)),
            definitions: rule
                .definitions
                .iter()
                .map(|definition| self.definition(definition))
                .collect(),
        }
    }

    fn definition(&mut self, definition: &PlannedDefinition) -> DefinitionSeen {
        let failed = definition
            .conditions
            .iter()
            .find(|condition| self.value(&condition.probe) != Some(true.into()));
        DefinitionSeen {
            place: definition.place.clone(),
            holds: failed.is_none(),
            failed: failed.map(|condition| self.condition(condition)),
        }
    }

    fn condition(&mut self, condition: &PlannedCondition) -> FailedCondition {
        let mut values = BTreeMap::new();
        let mut rules = BTreeSet::new();
        for (text, (asked, rule)) in &condition.references {
            values.insert(text.clone(), self.value(asked));
            rules.extend(rule.clone());
        }
        FailedCondition {
            place: condition.place.clone(),
            condition: condition.text.clone(),
            values,
            rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::starter;
    use crate::testkit::{asks, bundle};

    fn rule<'a>(explained: &'a Explained, layer: usize, name: &str) -> &'a RuleSeen {
        let rules = &explained.layers[layer].rules;
        rules.iter().find(|rule| rule.rule == name).unwrap()
    }

    #[test]
    fn each_alternative_says_why_or_why_not() {
        let explained = explain(
            &starter("base").unwrap(),
            &asks("read", "file:/home/alice/tax.pdf"),
        )
        .unwrap();
        assert_eq!(explained.decision.effect, valetkey_model::Effect::Ask);
        let decision = rule(&explained, 1, "valetkey.decision");
        let holding: Vec<bool> = decision.definitions.iter().map(|seen| seen.holds).collect();
        // granted, in the workspace, metadata alone, a read in the home, a change in the home, anything else
        assert_eq!(holding, [false, false, false, true, true, true]);
        let first = decision.definitions[0].failed.as_ref().unwrap();
        assert_eq!(first.condition, "granted");
        assert_eq!(first.values["granted"], None);
        assert!(first.rules.contains("valetkey.granted"));
        let third = decision.definitions[2].failed.as_ref().unwrap();
        assert_eq!(third.condition, "actions == {\"metadata\"}");
        assert_eq!(third.values["actions"], Some(serde_json::json!(["read"])));
        let guard = rule(&explained, 0, "valetkey.guardrails.secrets");
        assert!(guard.definitions.len() > 8 && guard.definitions.iter().all(|seen| !seen.holds));
    }

    #[test]
    fn a_secret_names_the_line_that_holds() {
        let explained = explain(
            &starter("base").unwrap(),
            &asks("read", "file:/home/alice/.ssh/id_ed25519"),
        )
        .unwrap();
        let guard = rule(&explained, 0, "valetkey.guardrails.secrets");
        let holding: Vec<_> = guard.definitions.iter().filter(|seen| seen.holds).collect();
        assert!(!holding.is_empty() && holding[0].place.starts_with("guardrails.rego:"));
        assert_eq!(explained.layers[0].said.as_ref().unwrap()["effect"], "deny");
    }

    #[test]
    fn conditions_with_local_variables_and_imports_are_told() {
        let text = "package valetkey\n\nimport input.subject as who\n\ndecision := {\"effect\": \"deny\", \"policy_id\": \"p\"} if {\n\tsome group in who.user.groups\n\tgroup > 9000 # nobody\n\twho.agent.id == \"x\"\n}\n";
        let explained = explain(&bundle(text).unwrap(), &asks("read", "file:/x")).unwrap();
        let failed = rule(&explained, 1, "valetkey.decision").definitions[0]
            .failed
            .clone()
            .unwrap();
        assert_eq!(
            (failed.condition.as_str(), failed.place.as_str()),
            ("group > 9000", "policy.rego:7:2")
        );
        assert_eq!(explained.faults.len(), 1, "undefined is a denial");
    }
}
