//! One client's connection: what it calls, and what it waits for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use valetkey_model::{BusResource, Resource};

use crate::Gate;
use crate::message::{Kind, Message, NO_REPLY, NO_START, text_body};
use crate::own::{self, BUS, DENIED, Own};

/// The most calls of one client that wait for their answers.
const WAITING_MAX: usize = 256;
/// The most owners that a client is told of.
const OWNERS_MAX: usize = 256;

/// What becomes of a message of the client.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It goes to the bus.
    Passes(Message),
    /// It does not, and this is the answer.
    Answered(Message),
    /// It does not, and nobody waits for an answer.
    Dropped,
}

/// What is known of one client.
#[derive(Debug, Default)]
pub(crate) struct Client {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    greeted: bool,
    /// The calls that wait for answers, and of whom they ask who owns a name.
    waiting: BTreeMap<u32, Option<String>>,
    /// Unique names, and the service that each was told to be.
    owners: BTreeMap<String, String>,
}

impl Client {
    /// Judges a message of the client; may block.
    pub(crate) fn judge(
        &self,
        message: Message,
        gate: &dyn Gate,
        still_wanted: &dyn Fn() -> bool,
    ) -> Fate {
        // Nobody calls a client in a cell, so it answers nothing; signals would reach everyone.
        if message.kind != Kind::Call {
            return Fate::Dropped;
        }
        let wants_answer = message.flags & NO_REPLY == 0;
        let fate = self.call(message, gate, still_wanted);
        match fate {
            Fate::Answered(_) if !wants_answer => Fate::Dropped,
            fate @ (Fate::Passes(_) | Fate::Answered(_) | Fate::Dropped) => fate,
        }
    }

    fn call(&self, mut call: Message, gate: &dyn Gate, still_wanted: &dyn Fn() -> bool) -> Fate {
        let refuse = |call: &Message, why: &str| {
            let body = text_body(call.order, why);
            Fate::Answered(Message::answer(call, Some(DENIED), "s", body))
        };
        let (Some(destination), Some(_), Some(_)) = (&call.destination, &call.path, &call.member)
        else {
            return refuse(&call, "a call names a service, a path and a method");
        };
        let mut asks_for = None;
        if destination == BUS {
            let greeted = self.state().greeted;
            match own::judge(&call, gate, greeted) {
                Own::Answered(answer) => return Fate::Answered(answer),
                Own::Asked => {}
                Own::AskedForOwner(name) => asks_for = Some(name),
            }
            self.state().greeted = true;
        } else {
            let service = match self.service(destination) {
                Ok(service) => service,
                Err(why) => return refuse(&call, why),
            };
            let Some(method) = method(&service, &call) else {
                return refuse(&call, "this is no name of a method");
            };
            let bytes = u64::try_from(call.body.len()).unwrap_or(u64::MAX);
            if let Err(why) = gate.call(&method, bytes, still_wanted) {
                return refuse(&call, &why);
            }
            // Whoever has the name now is called, whatever number it had when the client asked.
            call.destination = Some(service);
        }
        if !self.waits_for(&call, asks_for) {
            return refuse(&call, "too many calls wait, or one of this number does");
        }
        call.sender = None;
        call.error = None;
        call.reply_to = None;
        call.flags &= NO_REPLY | NO_START;
        Fate::Passes(call)
    }

    /// The service that a client calls by its name or, where it was told of it, by its number on the bus.
    fn service(&self, destination: &str) -> Result<String, &'static str> {
        if !destination.starts_with(':') {
            return Ok(destination.to_owned());
        }
        let state = self.state();
        let known = state.owners.get(destination).cloned();
        known.ok_or("a service is called by its name")
    }

    fn waits_for(&self, call: &Message, asks_for: Option<String>) -> bool {
        if call.flags & NO_REPLY != 0 {
            return true;
        }
        let mut state = self.state();
        if state.waiting.len() >= WAITING_MAX || state.waiting.contains_key(&call.serial) {
            return false;
        }
        state.waiting.insert(call.serial, asks_for);
        true
    }

    /// Whether a message of the bus is an answer that the client waits for. Nothing else comes through.
    pub(crate) fn awaits(&self, message: &Message) -> bool {
        if !matches!(message.kind, Kind::Return | Kind::Error) {
            return false;
        }
        let mut state = self.state();
        let Some(asked_for) = message
            .reply_to
            .and_then(|serial| state.waiting.remove(&serial))
        else {
            return false;
        };
        if let (Some(name), Kind::Return, Some(owner)) =
            (asked_for, message.kind, message.first_text())
            && state.owners.len() < OWNERS_MAX
        {
            state.owners.insert(owner, name);
        }
        true
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The method that is called, as the resource that has to be granted.
fn method(service: &str, call: &Message) -> Option<BusResource> {
    let member = call.member.as_deref()?;
    let text = match &call.interface {
        Some(interface) => format!("bus:{service}/{interface}.{member}"),
        None => format!("bus:{service}/{member}"),
    };
    match text.parse() {
        Ok(Resource::Bus(method)) => Some(method),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
