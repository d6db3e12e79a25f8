//! The operator door: what a person outside of any cell may see and do.

use super::{Door, Operation, of};
use crate::{
    AddApprover, Answer, Answered, IssuerKeys, LiveCapabilities, OpenQuestions, ProblemKind,
    Revoke, Revoked, Status,
};
use valetkey_approval::{Approvers, SignedChange};

pub(super) const DOOR: Door = Door {
    title: "Valetkey: the operator door",
    description: "What a person may see and do. Being at this door gives no right to say yes: an answer is a signature by a registered approver. \
        In system mode each sees what is theirs, and what is of everyone is for root.",
    tags: &[("operator", "answered by the broker")],
    operations: &[
        Operation {
            answers: &[of::<Status>],
            ..Operation::get("status", "/v1/status", "The broker's state")
        },
        Operation {
            answers: &[of::<OpenQuestions>],
            ..Operation::get(
                "questions",
                "/v1/requests",
                "The questions that wait for an answer, oldest first",
            )
        },
        Operation {
            request: Some(of::<Answer>),
            answers: &[of::<Answered>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post("answer", "/v1/answers", "A signed answer to a question")
        },
        Operation {
            answers: &[of::<Approvers>],
            ..Operation::get("approvers", "/v1/approvers", "Everyone who may answer")
        },
        Operation {
            request: Some(of::<AddApprover>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "addApprover",
                "/v1/approvers",
                "Adds somebody who may answer: the first is taken on trust, everyone later by an owner's signature",
            )
        },
        Operation {
            request: Some(of::<SignedChange>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "removeApprover",
                "/v1/approvers/remove",
                "Removes somebody who may answer, by an owner's signature",
            )
        },
        Operation {
            answers: &[of::<LiveCapabilities>],
            ..Operation::get(
                "capabilities",
                "/v1/capabilities",
                "What agents hold, oldest first",
            )
        },
        Operation {
            request: Some(of::<Revoke>),
            answers: &[of::<Revoked>],
            ..Operation::post(
                "revoke",
                "/v1/revocations",
                "Takes capabilities back, and all that was narrowed from them",
            )
        },
        Operation {
            answers: &[of::<IssuerKeys>],
            ..Operation::get(
                "keys",
                "/v1/keys",
                "The keys that capabilities are signed with, their public parts",
            )
        },
        Operation {
            answers: &[of::<IssuerKeys>],
            ..Operation::post(
                "rotateKey",
                "/v1/keys/rotate",
                "Signs with a new key from now on; the old one verifies until what it signed is over",
            )
        },
        Operation {
            ..Operation::post("stop", "/v1/stop", "Ends the broker")
        },
    ],
};
