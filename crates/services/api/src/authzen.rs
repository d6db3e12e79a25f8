//! Messages of the OpenID AuthZEN Authorization API 1.0, as the agent door outside of cells takes them.
//!
//! The specification has receivers pass over members that they do not know, and attributes (`properties`, members of `context`) are what a
//! caller says of itself and its wish. Neither reaches policy here: what is allowed is allowed whatever they say. What is understood is
//! strict: another type, semantic or constraint is refused.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use valetkey_model::{Constraints, Digest, RequestId};

/// The most evaluations in one message.
pub const EVALUATIONS_MAX: usize = 64;

/// A subject or a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entity {
    /// What kind of thing it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Attributes, as the caller claims them. Nothing is decided by them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NamedAction {
    /// The action's name.
    pub name: String,
    /// Attributes, as the caller claims them. Nothing is decided by them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// What else the decision may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EvaluationContext {
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Limits that the asker keeps by itself.
    #[serde(default)]
    pub constraints: Constraints,
}

/// One evaluation; in a batch, what it leaves out is taken from the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evaluation {
    /// Who: the peer itself.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Entity"))]
    pub subject: Option<Entity>,
    /// What is to be done.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "NamedAction"))]
    pub action: Option<NamedAction>,
    /// To what.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Entity"))]
    pub resource: Option<Entity>,
    /// What else.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "EvaluationContext"))]
    pub context: Option<EvaluationContext>,
}

/// How a batch is gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    /// All of them.
    #[default]
    ExecuteAll,
    /// Until the first no, which is the last answer.
    DenyOnFirstDeny,
    /// Until the first yes, which is the last answer.
    PermitOnFirstPermit,
}

/// How a batch is to be executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EvaluationOptions {
    /// How it is gone through.
    #[serde(default)]
    pub evaluations_semantic: Semantic,
}

/// A batch. Without evaluations of its own it is a single one.
///
/// Its members are those of [`Evaluation`], written out: flattened they would be read by way of a buffer, in which a list passes for a structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evaluations {
    /// Who, for each that does not say.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Entity"))]
    pub subject: Option<Entity>,
    /// What is to be done, for each that does not say.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "NamedAction"))]
    pub action: Option<NamedAction>,
    /// To what, for each that does not say.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Entity"))]
    pub resource: Option<Entity>,
    /// What else, for each that does not say.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "EvaluationContext"))]
    pub context: Option<EvaluationContext>,
    /// The evaluations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
    /// How they are executed.
    #[serde(default, deserialize_with = "object_or_default")]
    pub options: EvaluationOptions,
}

impl Evaluations {
    /// Each evaluation with the defaults filled in, in order, and whether they were a batch.
    #[must_use]
    pub fn spread(self) -> (Vec<Evaluation>, bool) {
        let Self {
            subject,
            action,
            resource,
            context,
            evaluations,
            options: _,
        } = self;
        let whole = Evaluation {
            subject,
            action,
            resource,
            context,
        };
        if evaluations.is_empty() {
            return (vec![whole], false);
        }
        let filled = evaluations.into_iter().map(|one| Evaluation {
            subject: one.subject.or_else(|| whole.subject.clone()),
            action: one.action.or_else(|| whole.action.clone()),
            resource: one.resource.or_else(|| whole.resource.clone()),
            context: one.context.or_else(|| whole.context.clone()),
        });
        (filled.collect(), true)
    }
}

/// A decision. It is no grant: no capability comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluationDecision {
    /// Whether policy allows it as it was asked, with nobody to be asked first.
    pub decision: bool,
    /// Why, and what to do next.
    pub context: DecisionContext,
}

/// Why a decision is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecisionContext {
    /// The request, as the log names it.
    pub request_id: RequestId,
    /// Why, for whoever runs the agent.
    pub reason_user: String,
    /// Why, for whoever looks after the policy.
    pub reason_admin: String,
    /// Whether asking at `POST /v1/requests` can help.
    pub requestable: bool,
    /// How to ask, or what else to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_request: Option<String>,
    /// The rule that decided.
    pub policy_id: String,
    /// The digest of everything that decides.
    pub policy_digest: Digest,
}

/// The decisions of a batch, in the order of its evaluations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EvaluationDecisions {
    /// As many as were executed.
    pub evaluations: Vec<EvaluationDecision>,
}

/// Where this decision point answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DecisionPoint {
    /// Its name. It is served on a Unix socket, so this is no address, and has no TLS.
    pub policy_decision_point: String,
    /// For one evaluation.
    pub access_evaluation_endpoint: String,
    /// For a batch.
    pub access_evaluations_endpoint: String,
}

/// Reads an object and nothing else: a list of a structure's members would be taken for it otherwise.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_map(Object(PhantomData)).map(Some)
}

fn object_or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(object(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the door reads a body.
    fn read(text: &str) -> Result<Evaluations, serde_json::Error> {
        valetkey_model::read_json(text.as_bytes())
    }

    #[test]
    fn what_an_evaluation_leaves_out_is_taken_from_the_whole() {
        let text = r#"{"subject":{"type":"agent","id":"a"},"action":{"name":"read"},
            "context":{"justification":"x"},
            "evaluations":[{"resource":{"type":"file","id":"/a"}},
            {"resource":{"type":"file","id":"/b"},"action":{"name":"list"},"context":{}}]}"#;
        let batch = read(text).expect("a batch");
        assert_eq!(batch.options.evaluations_semantic, Semantic::ExecuteAll);
        let (all, is_batch) = batch.spread();
        assert!(is_batch);
        let names: Vec<_> = all
            .iter()
            .filter_map(|one| one.action.as_ref())
            .map(|action| action.name.as_str())
            .collect();
        assert_eq!(names, ["read", "list"]);
        assert!(all.iter().all(|one| one.subject.is_some()));
        assert_eq!(all[1].context, Some(EvaluationContext::default()));
    }

    #[test]
    fn a_list_is_no_structure_in_a_batch_either() {
        for text in [
            r#"{"context":{"constraints":[null,null]}}"#,
            r#"{"context":["x",{}]}"#,
            r#"{"subject":["agent","self",{}]}"#,
            r#"{"evaluations":[{"context":{"constraints":[1]}}]}"#,
            r#"{"options":["execute_all"]}"#,
        ] {
            let batch = read(text);
            assert!(batch.is_err(), "{text}: {batch:?}");
        }
    }

    #[test]
    fn without_evaluations_it_is_a_single_one() {
        for text in [
            r#"{"action":{"name":"read"}}"#,
            r#"{"action":{"name":"read"},"evaluations":[]}"#,
        ] {
            let (all, is_batch) = read(text).expect("one").spread();
            assert_eq!((all.len(), is_batch), (1, false));
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_known_is_strict() {
        let text = r#"{"subject":{"type":"agent","id":"a","role":"root","properties":{"x":1}},"elsewhere":1,
            "context":{"time":"2026-01-01T00:00:00Z"},"options":{"another_option":"value"}}"#;
        let batch = read(text).expect("a batch");
        assert_eq!(batch.context, Some(EvaluationContext::default()));
        for text in [
            r#"{"subject":{"type":"agent"}}"#,
            r#"{"subject":{"type":"agent","id":1}}"#,
            r#"{"resource":{"type":"file","id":"/a","properties":[]}}"#,
            r#"{"context":{"constraints":{"max_moons":1}}}"#,
            r#"{"context":{"justification":[]}}"#,
            r#"{"context":[]}"#,
            r#"{"options":[]}"#,
            r#"{"subject":["agent","self"]}"#,
            r#"{"subject":null}"#,
            r#"{"options":{"evaluations_semantic":"some"}}"#,
            r#"{"evaluations":{}}"#,
            r#"{"action":{"name":"read"},"action":{"name":"write"}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
