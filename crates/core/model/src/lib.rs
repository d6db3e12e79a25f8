//! The nouns of Valetkey: ids, resources, actions, constraints, policy input and decision, and their canonical form.
//!
//! Pure: time and randomness come in as arguments, and nothing here touches a file, a socket or a clock.
#![forbid(unsafe_code)]

mod action;
mod canonical;
mod constraint;
mod decision;
mod digest;
#[cfg(any(test, feature = "schema"))]
mod form;
mod grant;
mod id;
mod input;
mod level;
mod path;
mod pattern;
mod recorded;
mod requirement;
mod resource;
#[cfg(feature = "schema")]
mod schema;
mod strict;
mod ticket;
mod time;

pub use action::{Action, ActionSet, ParseActionError};
pub use canonical::canonical_json;
pub use constraint::{
    ArgumentSchema, Constraints, Method, ParseMethodError, Redaction, SchemaError,
};
pub use decision::{Decision, Durability, Effect, Obligations, ViewMode, WitnessDuty};
pub use digest::{Digest, DigestStream, ParseDigestError};
pub use grant::Grant;
pub use id::{
    AgentId, ApprovalId, CapabilityId, EventId, ParseIdError, RequestId, SessionId,
    ULID_RANDOM_BYTES,
};
pub use input::{
    AgentFacts, ContextFacts, FileKind, PolicyInput, RequestFacts, ResourceFacts, SessionFacts,
    SubjectFacts, UserFacts,
};
pub use level::{Level, ParseLevelError};
pub use path::{CanonicalPath, PathRefusal, PathSemantics};
pub use pattern::{FoldedPattern, PathPattern, PatternError, PatternSet, UrlPattern};
pub use recorded::{RequestRecord, SessionRecord, TimedGrant, Told, restored};
pub use requirement::{
    ApprovalRequirement, Justification, JustificationFault, JustificationRule, Lease, LeaseScope,
    Lockout, PromptLimits, Quorum,
};
pub use resource::{BusResource, ExecResource, HttpsResource, ParseResourceError, Resource};
#[cfg(feature = "schema")]
pub use schema::{policy_decision_schema, policy_input_schema};
pub use strict::read_json;
pub use ticket::{ParseTicketPatternError, TicketPattern};
pub use time::{ParseTimestampError, Timestamp};
