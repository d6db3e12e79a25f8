//! The end of a session, and noticing that its guard has died.

use std::sync::Arc;

use valetkey_api::{Peer, Problem};

use crate::broker::Broker;
use crate::doors::watching::end_of;
use crate::events;
use crate::session::Session;

/// Ends a session: nothing of it is good any more, its questions close, and the log says how it ended.
pub(crate) async fn end_session(
    broker: &Broker,
    session: &Session,
    how: &str,
    exit_status: Option<u8>,
) -> Result<(), Problem> {
    if !session.end() {
        return Ok(());
    }
    let mut written = Vec::new();
    for question in broker.questions.drop_session(&session.id) {
        written.push(events::unanswered(
            session,
            &question.asked,
            &question.put,
            "the session ended",
        ));
    }
    broker.endurance.forget(session);
    broker.tell_people_of(session.opening.user.uid);
    let age = broker.now().ms_since(session.opened_at);
    written.push(events::session_closed(session, how, exit_status, age));
    let recorded = broker.recorder.note_each(written).await;
    // Closing is over whether or not its end could be recorded: nothing of the session was good any more before that.
    session.set_over();
    broker.sessions.remove(&session.id);
    recorded
}

/// Ends the session when its guard's process ends, however it ends.
pub(super) fn watch_guard(
    broker: &Arc<Broker>,
    session: &Arc<Session>,
    peer: &Peer,
) -> Result<(), Problem> {
    let ended = end_of(peer)?;
    let (broker, session) = (Arc::clone(broker), Arc::clone(session));
    tokio::spawn(async move {
        ended.await;
        // The session is over in memory whether or not its end could be recorded.
        drop(end_session(&broker, &session, "its guard died", None).await);
    });
    Ok(())
}
