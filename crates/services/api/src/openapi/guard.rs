//! The guard door: sessions, requests, uses and reports.

use super::{Door, JWK_SET, Operation, of};
use crate::{
    Ask, AskAll, AskedAll, CloseSession, Considered, Granted, LookedAgain, Narrow, News,
    OpenSession, ProblemKind, ReleaseCapability, Released, Report, RequestState, SessionOpened,
    UseCapability,
};
use valetkey_capability::Jwks;

const WAIT: (&str, &str) = (
    "wait",
    "seconds to wait for an answer; more than a minute counts as one",
);

pub(super) const DOOR: Door = Door {
    title: "Valetkey: the guard door",
    description: "What the guard of a session asks of the broker. A session belongs to the process that opened it, and to no other; it is over when that process is.",
    tags: &[("guard", "answered by the broker")],
    operations: &[
        Operation {
            request: Some(of::<OpenSession>),
            answers: &[of::<SessionOpened>],
            ..Operation::post(
                "open",
                "/v1/sessions",
                "Opens a session, with what the person grants at its start",
            )
        },
        Operation {
            answers: &[of::<Jwks>],
            media: JWK_SET,
            ..Operation::get(
                "keys",
                "/v1/keys",
                "The public keys that tokens verify with (RFC 7517)",
            )
        },
        Operation {
            request: Some(of::<CloseSession>),
            ..Operation::post(
                "close",
                "/v1/sessions/{session}/close",
                "Closes a session: nothing of it is good any more",
            )
        },
        Operation {
            request: Some(of::<Ask>),
            answers: &[of::<RequestState>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "ask",
                "/v1/requests",
                "Asks for access, with facts from the handle",
            )
        },
        Operation {
            request: Some(of::<AskAll>),
            answers: &[of::<AskedAll>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "askAll",
                "/v1/requests/all",
                "Asks for several things at once; those that are like each other become one question",
            )
        },
        Operation {
            request: Some(of::<Ask>),
            answers: &[of::<Considered>],
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "consider",
                "/v1/considerations",
                "Tells what policy would say of a file by another of its names; nothing is given, and nobody asked",
            )
        },
        Operation {
            request: Some(of::<LookedAgain>),
            problems: &[ProblemKind::NotFound],
            ..Operation::post(
                "looked",
                "/v1/sessions/{session}/requests/{request_id}/looked",
                "Tells how files are now that somebody approved what was shown of them",
            )
        },
        Operation {
            query: &[WAIT],
            answers: &[of::<RequestState>],
            ..Operation::get(
                "look",
                "/v1/sessions/{session}/requests/{request_id}",
                "How a request stands",
            )
        },
        Operation {
            ..Operation::post(
                "withdraw",
                "/v1/sessions/{session}/requests/{request_id}/withdraw",
                "Takes a request back that nobody waits for any more",
            )
        },
        Operation {
            request: Some(of::<Report>),
            ..Operation::post(
                "report",
                "/v1/sessions/{session}/operations",
                "Tells what was done, for the log",
            )
        },
        Operation {
            query: &[("after", "the number of the last news that is known"), WAIT],
            answers: &[of::<News>],
            ..Operation::get(
                "news",
                "/v1/sessions/{session}/news",
                "What is no longer good",
            )
        },
        Operation {
            request: Some(of::<UseCapability>),
            problems: &[ProblemKind::Capability, ProblemKind::Constraint],
            ..Operation::post(
                "use",
                "/v1/capabilities/{capability_id}/use",
                "Uses a capability that the broker counts",
            )
        },
        Operation {
            request: Some(of::<Narrow>),
            answers: &[of::<Granted>],
            problems: &[ProblemKind::Capability, ProblemKind::Constraint],
            ..Operation::post(
                "narrow",
                "/v1/capabilities/{capability_id}/narrow",
                "Makes a capability that gives less, and ends with the one that it is made from",
            )
        },
        Operation {
            request: Some(of::<ReleaseCapability>),
            answers: &[of::<Released>],
            problems: &[ProblemKind::Capability],
            ..Operation::post(
                "release",
                "/v1/capabilities/{capability_id}/release",
                "Gives a capability back, and all that was narrowed from it",
            )
        },
    ],
};
