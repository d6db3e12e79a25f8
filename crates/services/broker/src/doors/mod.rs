//! The broker's doors: each takes the messages of one role and no other.

mod agent;
mod guard;
mod operator;

pub(crate) use agent::AgentDoor;
pub(crate) use guard::{GuardDoor, end_session};
pub(crate) use operator::OperatorDoor;

use valetkey_api::{Problem, Reply};

/// The media type of a JWK set (RFC 7517).
pub(crate) const JWK_SET: &str = "application/jwk-set+json";

/// The reply to a result.
fn reply(result: Result<Reply, Problem>) -> Reply {
    result.unwrap_or_else(Reply::from)
}
