//! The agent door: in the cell, where the guard serves it, and outside of cells, where the broker does.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Door, JWK_SET, Operation, of};
use crate::{
    AgentAsk, AgentAskAll, AgentAskedAll, AgentNarrow, AgentRequestState, DecisionPoint, Denials,
    DocumentOperation, Evaluation, EvaluationDecision, EvaluationDecisions, Evaluations,
    LiveCapabilities, OperationDone, OutsideCapability, OutsideRequestState, ProblemKind, Released,
};
use valetkey_capability::{Capability, Jwks};

const CELL: &str = "cell";
const OUTSIDE: &str = "outside";
/// Where both answer. What differs is told in this order.
const BOTH: &[&str] = &[CELL, OUTSIDE];

const WAIT: (&str, &str) = (
    "wait",
    "seconds to wait for an answer; more than a minute counts as one",
);

/// One request, or in a cell several.
fn asks(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<AgentAsk>();
    let several = generator.subschema_for::<AgentAskAll>();
    json_schema!({"anyOf": [one, several]})
}

fn asked(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<AgentRequestState>();
    let several = generator.subschema_for::<AgentAskedAll>();
    json_schema!({"anyOf": [one, several]})
}

pub(super) const DOOR: Door = Door {
    title: "Valetkey: the agent door",
    description: "How a program asks for access and learns what it holds. In a cell it is /run/valetkey/agent.sock, and no answer holds a token; \
        outside of cells it is agent.sock in the directory of the broker's sockets, the peer is attested by its executable, and what is granted \
        comes with its token. Decisions can be asked for as OpenID AuthZEN 1.0 has it.",
    tags: &[
        (CELL, "answered in a cell, by the session's guard"),
        (OUTSIDE, "answered outside of cells, by the broker"),
    ],
    operations: &[
        Operation {
            tags: BOTH,
            request: Some(asks),
            answers: &[asked, of::<OutsideRequestState>],
            ..Operation::post(
                "ask",
                "/v1/requests",
                "Asks for access, in a cell for several things at once, too; a refusal is a problem that says whether asking in another way helps",
            )
        },
        Operation {
            tags: BOTH,
            query: &[WAIT],
            answers: &[of::<AgentRequestState>, of::<OutsideRequestState>],
            problems: &[ProblemKind::Expired],
            ..Operation::get("look", "/v1/requests/{request_id}", "How a request stands")
        },
        Operation {
            tags: BOTH,
            answers: &[of::<LiveCapabilities>],
            ..Operation::get("capabilities", "/v1/capabilities", "What is held now")
        },
        Operation {
            tags: BOTH,
            request: Some(of::<AgentNarrow>),
            answers: &[of::<Capability>, of::<OutsideCapability>],
            problems: &[ProblemKind::Capability, ProblemKind::Constraint],
            ..Operation::post(
                "narrow",
                "/v1/capabilities/{capability_id}/narrow",
                "Makes a capability that gives less, and ends with the one that it is made from",
            )
        },
        Operation {
            tags: BOTH,
            answers: &[of::<Released>],
            problems: &[ProblemKind::Capability],
            ..Operation::post(
                "release",
                "/v1/capabilities/{capability_id}/release",
                "Gives a capability back, and all that was narrowed from it",
            )
        },
        Operation {
            tags: BOTH,
            answers: &[of::<Denials>],
            ..Operation::get("denials", "/v1/denials", "The last refusals, newest last")
        },
        Operation {
            tags: BOTH,
            answers: &[of::<Jwks>],
            media: JWK_SET,
            ..Operation::get(
                "keys",
                "/.well-known/jwks.json",
                "The public keys that tokens verify with (RFC 7517)",
            )
        },
        Operation {
            tags: &[CELL],
            request: Some(of::<DocumentOperation>),
            answers: &[of::<OperationDone>],
            problems: &[
                ProblemKind::Capability,
                ProblemKind::Constraint,
                ProblemKind::Expired,
                ProblemKind::NotFound,
            ],
            ..Operation::post(
                "operate",
                "/v1/operations",
                "Works on a document in terms of its own",
            )
        },
        Operation {
            tags: &[OUTSIDE],
            answers: &[of::<DecisionPoint>],
            ..Operation::get(
                "decisionPoint",
                "/.well-known/authzen-configuration",
                "Where decisions are asked for (AuthZEN 1.0, section 9)",
            )
        },
        Operation {
            tags: &[OUTSIDE],
            request: Some(whole_evaluation),
            answers: &[of::<EvaluationDecision>],
            ..Operation::post(
                "evaluate",
                "/access/v1/evaluation",
                "A decision by policy about the peer itself; it is no grant (AuthZEN 1.0, section 6)",
            )
        },
        Operation {
            tags: &[OUTSIDE],
            request: Some(of::<Evaluations>),
            answers: &[one_or_many_decisions],
            ..Operation::post(
                "evaluateAll",
                "/access/v1/evaluations",
                "Many decisions (AuthZEN 1.0, section 7); without a list of evaluations, one",
            )
        },
    ],
};

/// An evaluation that stands alone leaves nothing out.
fn whole_evaluation(generator: &mut SchemaGenerator) -> Schema {
    let evaluation = of::<Evaluation>(generator);
    json_schema!({"allOf": [evaluation, {"required": ["subject", "action", "resource"]}]})
}

/// A batch without evaluations of its own is answered as a single one.
fn one_or_many_decisions(generator: &mut SchemaGenerator) -> Schema {
    let (one, many) = (
        of::<EvaluationDecision>(generator),
        of::<EvaluationDecisions>(generator),
    );
    json_schema!({"oneOf": [one, many]})
}
