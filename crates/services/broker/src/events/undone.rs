//! The event that a person undoes what a session changed, takes it, or throws it away.

use valetkey_api::{Did, Undoing};
use valetkey_audit::{Actor, Event, EventType, Outcome};
use valetkey_model::UserFacts;

/// A person undoes what a session changed, or takes or throws away what was held back.
pub(crate) fn undone(user: &UserFacts, what: &Undoing) -> Event {
    let (kind, name) = match what.did {
        Did::Undone => (EventType::OperationUndone, "undone"),
        Did::Committed => (EventType::OperationCommitted, "committed"),
        Did::Discarded => (EventType::OperationDiscarded, "discarded"),
    };
    Event::new(kind, Actor::Operator)
        .outcome(Outcome::Succeeded)
        .user(user.uid, &user.name)
        .attribute(name, what.session.as_str())
        .attribute("changes", what.changes)
        .attribute("left", what.left)
        .attribute("forced", what.forced)
}
