//! What a guard may ask, as a type: a request is read here, once, and what is no call of this door has no value.

use std::time::Duration;

use valetkey_api::{
    Ask, AskAll, CloseSession, LookedAgain, Narrow, OpenSession, Problem, ReleaseCapability,
    Report, Request, Route, UseCapability, find,
};
use valetkey_model::{CapabilityId, RequestId, SessionId};

/// The longest wait for news or an answer in one call.
const MAX_WAIT_SECONDS: u64 = 60;

/// One call at the guard door.
#[derive(Debug)]
pub(crate) enum GuardCall {
    /// Open a session.
    Open(Box<OpenSession>),
    /// The keys to verify with.
    Keys,
    /// What is legal in an open session alone.
    InSession(SessionId, SessionCall),
    /// What is legal until a session's end stands in the log.
    News {
        session: SessionId,
        after: u64,
        wait: Duration,
    },
}

/// One call in an open session.
#[derive(Debug)]
pub(crate) enum SessionCall {
    Close(CloseSession),
    Ask(Box<Ask>),
    AskAll(Box<AskAll>),
    Consider(Box<Ask>),
    Looked(RequestId, LookedAgain),
    Wait(RequestId, Duration),
    Withdraw(RequestId),
    Report(Report),
    Use(CapabilityId, UseCapability),
    Narrow(CapabilityId, Box<Narrow>),
    Release(CapabilityId, ReleaseCapability),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Open,
    Keys,
    Close,
    Ask,
    AskAll,
    Consider,
    Looked,
    Wait,
    Withdraw,
    Report,
    News,
    Use,
    Narrow,
    Release,
}

const ROUTES: [Route<Kind>; 14] = [
    Route::new("POST", "/v1/sessions", Kind::Open),
    Route::new("GET", "/v1/keys", Kind::Keys),
    Route::new("POST", "/v1/sessions/{}/close", Kind::Close),
    Route::new("POST", "/v1/requests", Kind::Ask),
    Route::new("POST", "/v1/requests/all", Kind::AskAll),
    Route::new("POST", "/v1/considerations", Kind::Consider),
    Route::new("GET", "/v1/sessions/{}/requests/{}", Kind::Wait),
    Route::new("POST", "/v1/sessions/{}/requests/{}/looked", Kind::Looked),
    Route::new(
        "POST",
        "/v1/sessions/{}/requests/{}/withdraw",
        Kind::Withdraw,
    ),
    Route::new("POST", "/v1/sessions/{}/operations", Kind::Report),
    Route::new("GET", "/v1/sessions/{}/news", Kind::News),
    Route::new("POST", "/v1/capabilities/{}/use", Kind::Use),
    Route::new("POST", "/v1/capabilities/{}/narrow", Kind::Narrow),
    Route::new("POST", "/v1/capabilities/{}/release", Kind::Release),
];

impl TryFrom<&Request> for GuardCall {
    type Error = Problem;

    fn try_from(request: &Request) -> Result<Self, Problem> {
        let found = find(&ROUTES, request)?;
        Ok(match found.kind {
            Kind::Open => Self::Open(Box::new(request.json()?)),
            Kind::Keys => Self::Keys,
            Kind::News => Self::News {
                session: found.id(0)?,
                after: request.query_number("after")?.unwrap_or(0),
                wait: wait_of(request)?,
            },
            Kind::Close => Self::InSession(found.id(0)?, SessionCall::Close(request.json()?)),
            Kind::Ask => {
                let ask: Ask = request.json()?;
                Self::InSession(ask.session.clone(), SessionCall::Ask(Box::new(ask)))
            }
            Kind::AskAll => {
                let all: AskAll = request.json()?;
                Self::InSession(all.session.clone(), SessionCall::AskAll(Box::new(all)))
            }
            Kind::Consider => {
                let ask: Ask = request.json()?;
                Self::InSession(ask.session.clone(), SessionCall::Consider(Box::new(ask)))
            }
            Kind::Looked => {
                let call = SessionCall::Looked(found.id(1)?, request.json()?);
                Self::InSession(found.id(0)?, call)
            }
            Kind::Wait => {
                let call = SessionCall::Wait(found.id(1)?, wait_of(request)?);
                Self::InSession(found.id(0)?, call)
            }
            Kind::Withdraw => Self::InSession(found.id(0)?, SessionCall::Withdraw(found.id(1)?)),
            Kind::Report => Self::InSession(found.id(0)?, SessionCall::Report(request.json()?)),
            Kind::Use => {
                let usage: UseCapability = request.json()?;
                let session = usage.session.clone();
                Self::InSession(session, SessionCall::Use(found.id(0)?, usage))
            }
            Kind::Narrow => {
                let narrow: Narrow = request.json()?;
                let session = narrow.session.clone();
                Self::InSession(session, SessionCall::Narrow(found.id(0)?, Box::new(narrow)))
            }
            Kind::Release => {
                let release: ReleaseCapability = request.json()?;
                let session = release.session.clone();
                Self::InSession(session, SessionCall::Release(found.id(0)?, release))
            }
        })
    }
}

fn wait_of(request: &Request) -> Result<Duration, Problem> {
    let seconds = request.query_number("wait")?.unwrap_or(0);
    Ok(Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::described;

    /// The description is made from the types and compared by `cargo xtask check`; here its calls are held against the door's.
    #[test]
    fn every_call_of_the_guard_door_is_described_and_no_other() {
        let own = ROUTES.iter().map(|route| (route.method, route.path));
        assert_eq!(
            described::calls("openapi-guard.json", "guard"),
            described::set(own)
        );
    }
}
