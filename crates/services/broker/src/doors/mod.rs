//! The broker's doors: each takes the messages of one role and no other.

mod guard;
mod operator;

pub(crate) use guard::{GuardDoor, end_session};
pub(crate) use operator::OperatorDoor;

use valetkey_api::{Problem, ProblemKind, Reply, Request};

/// The parts of a path, without the first slash.
fn parts(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').split('/').collect()
}

/// What a door says to a message that it does not know.
fn unknown(request: &Request) -> Problem {
    let path: String = request.path.chars().take(200).collect();
    Problem::new(
        ProblemKind::NotFound,
        format!("this door has no {} {path}", request.method),
    )
}

/// An id in a path.
fn id<T: std::str::FromStr<Err = valetkey_model::ParseIdError>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: valetkey_model::ParseIdError| {
        Problem::new(ProblemKind::Invalid, error.to_string())
    })
}

/// The reply to a result.
fn reply(result: Result<Reply, Problem>) -> Reply {
    result.unwrap_or_else(Reply::from)
}
