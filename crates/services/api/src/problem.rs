//! Denials and errors as RFC 9457 problem details, with what to do next.

use serde::{Deserialize, Serialize};
use valetkey_model::RequestId;

/// What went wrong, as a closed list: whose fault it is, and so which status it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ProblemKind {
    /// Policy or a person said no.
    #[serde(rename = "urn:valetkey:problem:denied")]
    Denied,
    /// A question stayed unanswered until it closed.
    #[serde(rename = "urn:valetkey:problem:expired")]
    Expired,
    /// The capability is used up, expired, revoked, or does not cover this.
    #[serde(rename = "urn:valetkey:problem:capability")]
    Capability,
    /// A constraint of the capability would be broken.
    #[serde(rename = "urn:valetkey:problem:constraint")]
    Constraint,
    /// The message is not of the documented form.
    #[serde(rename = "urn:valetkey:problem:invalid")]
    Invalid,
    /// There is no such thing, or not for this peer.
    #[serde(rename = "urn:valetkey:problem:not-found")]
    NotFound,
    /// There is such a thing, but it does not take this method.
    #[serde(rename = "urn:valetkey:problem:method")]
    Method,
    /// The peer asks for too much at once.
    #[serde(rename = "urn:valetkey:problem:busy")]
    Busy,
    /// The broker cannot do its work now: its log or its disk fails. Nothing is granted meanwhile.
    #[serde(rename = "urn:valetkey:problem:unavailable")]
    Unavailable,
}

impl ProblemKind {
    /// The HTTP status (RFC 9110) that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Denied | Self::Expired | Self::Capability | Self::Constraint => 403,
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Busy => 429,
            Self::Unavailable => 503,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Denied => "refused",
            Self::Expired => "nobody answered in time",
            Self::Capability => "the capability does not cover this",
            Self::Constraint => "a limit of the capability would be broken",
            Self::Invalid => "the message is not of the documented form",
            Self::NotFound => "not found",
            Self::Method => "not by this method",
            Self::Busy => "too much at once",
            Self::Unavailable => "the broker cannot record, and so grants nothing",
        }
    }
}

/// A problem detail (RFC 9457) with Valetkey's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// What kind of problem.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// The kind in words.
    pub title: String,
    /// This case in words. Says only what the peer may know.
    pub detail: String,
    /// The request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Whether asking can help.
    #[serde(default)]
    pub requestable: bool,
    /// How to ask, or what else to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_request: Option<String>,
    /// The methods that are taken, for the header field `Allow` (RFC 9110).
    #[serde(skip)]
    pub allow: Option<&'static str>,
}

impl Problem {
    /// A problem of a kind, with this case in words.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            detail: detail.into(),
            request_id: None,
            requestable: false,
            how_to_request: None,
            allow: None,
        }
    }

    /// The answer to a method that is not among those `allowed`.
    #[must_use]
    pub fn method(allowed: &'static str) -> Self {
        let detail = format!("this is answered to {allowed} alone");
        let mut problem = Self::new(ProblemKind::Method, detail);
        problem.allow = Some(allowed);
        problem
    }

    /// With the request that it answers.
    #[must_use]
    pub fn about(mut self, request: &RequestId) -> Self {
        self.request_id = Some(request.clone());
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn hinted(mut self, requestable: bool, hint: impl Into<String>) -> Self {
        self.requestable = requestable;
        self.how_to_request = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [(ProblemKind, &str, u16); 9] = [
        (ProblemKind::Denied, "denied", 403),
        (ProblemKind::Expired, "expired", 403),
        (ProblemKind::Capability, "capability", 403),
        (ProblemKind::Constraint, "constraint", 403),
        (ProblemKind::Invalid, "invalid", 400),
        (ProblemKind::NotFound, "not-found", 404),
        (ProblemKind::Method, "method", 405),
        (ProblemKind::Busy, "busy", 429),
        (ProblemKind::Unavailable, "unavailable", 503),
    ];

    #[test]
    fn every_problem_has_its_type_title_status_and_what_to_do() {
        for (kind, name, status) in KINDS {
            let problem = Problem::new(kind, "why").hinted(true, "how");
            let text = serde_json::to_value(&problem).expect("JSON");
            assert_eq!(text["type"], format!("urn:valetkey:problem:{name}"));
            assert!(
                text["title"]
                    .as_str()
                    .is_some_and(|title| !title.is_empty())
            );
            assert_eq!(text["detail"], "why");
            assert_eq!(text["requestable"], true);
            assert_eq!(text["how_to_request"], "how");
            assert_eq!(kind.status(), status);
            let back: Problem = serde_json::from_value(text).expect("a problem");
            assert_eq!(back, problem);
        }
    }

    #[test]
    fn a_method_that_is_not_taken_is_told_which_are() {
        let problem = Problem::method("GET, POST");
        assert_eq!(
            (problem.kind.status(), problem.allow),
            (405, Some("GET, POST"))
        );
        let text = serde_json::to_value(&problem).expect("JSON");
        assert!(text.get("allow").is_none(), "it is a header field");
    }
}
