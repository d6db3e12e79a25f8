//! Requests to try policies on: the places that matter everywhere, and those that the policies themselves speak of.
//!
//! A rule is only seen to change what a request can show. So every text of a bundle that may stand for a place is made into places:
//! patterns with each `*` filled in once short and once deep, prefixes with something behind them, endings with something before.

mod places;

use std::collections::BTreeSet;
use std::convert::Infallible;

use regorus::Value;
use regorus::unstable::{BoolOp, Expr, ExprRef, Module, Ref};
use valetkey_model::{
    Action, ActionSet, AgentFacts, AgentId, Constraints, ContextFacts, FileKind, PolicyInput,
    RequestFacts, RequestId, Resource, ResourceFacts, SessionFacts, SessionId, SubjectFacts,
    Timestamp, UserFacts,
};

use crate::bundle::Modules;
use crate::tools::steps::{Step, steps, text_of};
use crate::tree::{Seen, walk};
use crate::{Bundle, PolicyError};

pub(crate) use places::Place;

/// At most so many requests are made; beyond, those of later places are left out, which is said.
const MAX_REQUESTS: usize = 60_000;

/// A request to try, and the text of a policy that it was made from.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The request.
    pub input: PolicyInput,
    /// The pattern or place that a policy names.
    pub origin: Option<String>,
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The person.
    pub user: UserFacts,
    /// The tree to work in.
    pub workspace: Resource,
    /// Files and directories that are there.
    pub tree: Vec<Resource>,
    /// The platform's name.
    pub platform: String,
    /// Now.
    pub time: Timestamp,
}

/// What bundles say that requests can be made of.
#[derive(Default)]
struct Words {
    texts: BTreeSet<String>,
    agents: BTreeSet<String>,
    labels: BTreeSet<String>,
}

/// Requests that show what these bundles decide; whether some were left out.
///
/// # Errors
/// When a bundle does not compile.
pub fn corpus(bundles: &[&Bundle], scene: &Scene) -> Result<(Vec<Trial>, bool), PolicyError> {
    let mut words = Words::default();
    for bundle in bundles {
        words.of_bundle(bundle)?;
    }
    let agents: Vec<AgentId> = std::iter::once("coding-agent")
        .chain(words.agents.iter().map(String::as_str))
        .map(AgentId::sanitised)
        .collect();
    let mut labels: Vec<Vec<String>> = vec![Vec::new()];
    labels.extend(words.labels.iter().map(|label| vec![label.clone()]));
    let mut trials = Vec::new();
    for place in places::all(&words.texts, scene) {
        for actions in actions_of(&place.resource) {
            for agent in &agents {
                for read in &labels {
                    if trials.len() >= MAX_REQUESTS {
                        return Ok((trials, true));
                    }
                    trials.push(Trial {
                        input: input(scene, &place, actions, agent, read),
                        origin: place.origin.clone(),
                    });
                }
            }
        }
    }
    Ok((trials, false))
}

/// What is asked of a resource: each action alone, and what usually goes together.
fn actions_of(resource: &Resource) -> Vec<ActionSet> {
    let one = |action: Action| ActionSet::of(&[action]);
    match resource {
        Resource::File(_) => vec![
            one(Action::Read),
            one(Action::Write),
            one(Action::Append),
            one(Action::Create),
            one(Action::Delete),
            one(Action::Execute),
            one(Action::List),
            one(Action::Metadata),
            ActionSet::of(&[Action::Read, Action::Metadata]),
            ActionSet::of(&[Action::Create, Action::Write]),
        ],
        Resource::Exec(_) => vec![one(Action::Execute)],
        Resource::Https(_) | Resource::Tcp { .. } => vec![one(Action::Connect)],
        Resource::Tool { .. } | Resource::Bus(_) => vec![one(Action::Call)],
        Resource::Secret(_) => vec![one(Action::Use)],
        // A kind that is not known here is not asked for.
        _ => Vec::new(),
    }
}

fn input(
    scene: &Scene,
    place: &Place,
    actions: ActionSet,
    agent: &AgentId,
    labels: &[String],
) -> PolicyInput {
    let mut facts = ResourceFacts::of(&place.resource);
    if facts.scheme == "file" && !facts.is_pattern {
        facts.kind = Some(if actions.allows(Action::List) {
            FileKind::Directory
        } else {
            FileKind::File
        });
        facts.size = Some(4096);
        facts.owner = Some(scene.user.uid);
        facts.mode = Some(0o644);
        facts.links = Some(1);
    }
    PolicyInput {
        request: RequestFacts {
            id: RequestId::new(scene.time, [0; 10]),
            resource: place.resource.clone(),
            actions,
            constraints: Constraints::default(),
            justification: None,
            granted_by_person: None,
        },
        subject: SubjectFacts {
            user: scene.user.clone(),
            agent: AgentFacts {
                id: agent.clone(),
                digest: None,
                attested: false,
            },
            session: SessionFacts {
                id: SessionId::new(scene.time, [0; 10]),
                purpose: None,
                workspace: Some(scene.workspace.clone()),
                grants: Vec::new(),
                age_seconds: 60,
                labels: labels.to_vec(),
            },
        },
        resource: facts,
        context: ContextFacts {
            time: scene.time,
            platform: scene.platform.clone(),
            requests_last_minute: 1,
            requests_last_hour: 1,
            protected: Vec::new(),
        },
    }
    .with_derived_facts()
}

impl Words {
    fn of_bundle(&mut self, bundle: &Bundle) -> Result<(), PolicyError> {
        let mut engine = bundle.engine(Modules::Deciding)?;
        self.of_value(bundle.data());
        let modules: Vec<Ref<Module>> = engine.get_modules().clone();
        for module in &modules {
            for rule in &module.policy {
                let Ok(()) = walk(rule.as_ref(), &mut |seen| {
                    if let Seen::Expr(expr) = seen {
                        self.of_expr(expr);
                    }
                    Ok::<(), Infallible>(())
                });
            }
        }
        Ok(())
    }

    fn of_value(&mut self, value: &Value) {
        if let Ok(text) = value.as_string() {
            self.texts.insert(text.to_string());
        } else if let Ok(items) = value.as_array() {
            items.iter().for_each(|item| self.of_value(item));
        } else if let Ok(members) = value.as_object() {
            for (name, member) in members {
                self.of_value(name);
                self.of_value(member);
            }
        }
    }

    fn of_expr(&mut self, expr: &ExprRef) {
        if let Some(text) = text_of(expr) {
            self.texts.insert(text);
        } else if let Expr::BoolExpr {
            op: BoolOp::Eq | BoolOp::Ne,
            lhs,
            rhs,
            ..
        } = expr.as_ref()
        {
            self.compared(lhs, rhs);
            self.compared(rhs, lhs);
        } else if let Expr::Membership {
            value, collection, ..
        } = expr.as_ref()
        {
            self.compared(value, collection);
            self.compared(collection, value);
        }
    }

    /// `input.subject.agent.id == "x"`, `"x" in input.subject.session.labels`.
    fn compared(&mut self, known: &ExprRef, literal: &ExprRef) {
        let Some((first, rest)) = steps(known) else {
            return;
        };
        let names: Vec<&str> = rest
            .iter()
            .filter_map(|step| match step {
                Step::Name(name, _) => Some(name.as_str()),
                Step::Any => None,
            })
            .collect();
        let into = match (first.as_str(), names.as_slice()) {
            ("input", ["subject", "agent", "id"]) => &mut self.agents,
            ("input", ["subject", "session", "labels"]) => &mut self.labels,
            _ => return,
        };
        if let Expr::Set { items, .. } | Expr::Array { items, .. } = literal.as_ref() {
            into.extend(items.iter().filter_map(text_of));
        } else {
            into.extend(text_of(literal));
        }
    }
}
