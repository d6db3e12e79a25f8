//! The operator door: what a person outside of any cell may see and do.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Door, Operation, of};
use crate::{
    AddApprover, Alerts, Answer, Answered, Appoint, AppointmentList, Auditors, BrokenGlass,
    Challenge, ChangeAuditors, Changes, Dismiss, Erase, Erased, HandIn, InstallPolicy, IssuerKeys,
    LiveCapabilities, NamedCandidate, OpenQuestions, PolicyFiles, PolicyState, ProblemKind,
    ReviewList, Revoke, Revoked, RollBackPolicy, StartCanary, Status, Undoing, Witnessed,
};
use valetkey_approval::{Approvers, SignedChange, SignedEmergency, SignedReview};

/// The questions alone, or with a number and alerts.
fn questions(generator: &mut SchemaGenerator) -> Schema {
    let plain = generator.subschema_for::<OpenQuestions>();
    let numbered = generator.subschema_for::<Changes>();
    json_schema!({"anyOf": [plain, numbered]})
}

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
            query: &[
                (
                    "wait",
                    "seconds to wait for a change; with it, the answer has a number and alerts, too",
                ),
                ("after", "the number of the last state that is known"),
            ],
            answers: &[questions],
            ..Operation::get(
                "questions",
                "/v1/requests",
                "The questions that wait for an answer, oldest first",
            )
        },
        Operation {
            answers: &[of::<Alerts>],
            ..Operation::get(
                "alerts",
                "/v1/alerts",
                "What people should see soon, oldest first",
            )
        },
        Operation {
            answers: &[of::<Challenge>],
            ..Operation::post(
                "breakGlassChallenge",
                "/v1/break-glass/challenge",
                "A fresh value to sign with what breaks the glass: good once, for 30 seconds",
            )
        },
        Operation {
            request: Some(of::<SignedEmergency>),
            answers: &[of::<BrokenGlass>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "breakGlass",
                "/v1/break-glass",
                "Gives a running session an emergency scope, by a signature of just now",
            )
        },
        Operation {
            answers: &[of::<ReviewList>],
            ..Operation::get(
                "reviews",
                "/v1/reviews",
                "The reviews of emergencies, oldest first",
            )
        },
        Operation {
            request: Some(of::<SignedReview>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "closeReview",
                "/v1/reviews/close",
                "Closes the review of an emergency, by another person's signature",
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
            answers: &[of::<AppointmentList>],
            ..Operation::get(
                "appointments",
                "/v1/appointments",
                "Who may answer for other people's sessions, as far as it concerns the peer; none in user mode",
            )
        },
        Operation {
            request: Some(of::<Appoint>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "appoint",
                "/v1/appointments",
                "Lets somebody answer for other people's sessions; for root, in system mode",
            )
        },
        Operation {
            request: Some(of::<Dismiss>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "dismiss",
                "/v1/appointments/remove",
                "Ends an appointment; for root, in system mode",
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
            request: Some(of::<HandIn>),
            answers: &[of::<Witnessed>],
            ..Operation::post(
                "handInWitnessed",
                "/v1/log/witnessed",
                "Takes a checkpoint of the log that witnesses cosigned; policies that want one lately granted nothing before",
            )
        },
        Operation {
            request: Some(of::<Undoing>),
            ..Operation::post(
                "recordUndone",
                "/v1/undone",
                "Records that a person is about to undo what a session has changed, or to take or throw away what was held back",
            )
        },
        Operation {
            answers: &[of::<Auditors>],
            ..Operation::get(
                "auditors",
                "/v1/auditors",
                "Everyone to whom originals are sealed",
            )
        },
        Operation {
            request: Some(of::<ChangeAuditors>),
            answers: &[of::<Auditors>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "changeAuditors",
                "/v1/auditors",
                "Adds or removes somebody to whom originals are sealed from now on; recorded first",
            )
        },
        Operation {
            request: Some(of::<Erase>),
            answers: &[of::<Erased>],
            ..Operation::post(
                "erase",
                "/v1/erasures",
                "Throws away what is sealed of a person; recorded first. Events and hashes stay",
            )
        },
        Operation {
            answers: &[of::<PolicyState>],
            ..Operation::get(
                "policy",
                "/v1/policy",
                "The policy that decides for everyone: what is installed, and what a change needs",
            )
        },
        Operation {
            query: &[(
                "revision",
                "of which installed bundle; of the one in force where absent",
            )],
            answers: &[of::<PolicyFiles>],
            problems: &[ProblemKind::NotFound],
            ..Operation::get(
                "policyFiles",
                "/v1/policy/files",
                "The files of an installed bundle",
            )
        },
        Operation {
            request: Some(of::<InstallPolicy>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "installPolicy",
                "/v1/policy/install",
                "Installs a bundle that its approvers have signed; it waits, and decides nothing yet",
            )
        },
        Operation {
            request: Some(of::<NamedCandidate>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "shadowPolicy",
                "/v1/policy/shadow",
                "Has the waiting bundle asked beside the policy in force, without effect",
            )
        },
        Operation {
            request: Some(of::<StartCanary>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "startCanary",
                "/v1/policy/canary",
                "Has the waiting bundle decide for some, until it denies more",
            )
        },
        Operation {
            request: Some(of::<NamedCandidate>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "activatePolicy",
                "/v1/policy/activate",
                "Puts the waiting bundle in force",
            )
        },
        Operation {
            request: Some(of::<NamedCandidate>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "withdrawPolicy",
                "/v1/policy/withdraw",
                "Takes the waiting bundle away",
            )
        },
        Operation {
            request: Some(of::<RollBackPolicy>),
            answers: &[of::<PolicyState>],
            ..Operation::post(
                "rollBackPolicy",
                "/v1/policy/rollback",
                "Goes back to a bundle that decided before, by its approvers' signatures",
            )
        },
        Operation {
            ..Operation::post("stop", "/v1/stop", "Ends the broker")
        },
    ],
};
