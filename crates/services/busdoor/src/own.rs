//! What the bus itself is asked: answered here, so that nothing is told of anybody whom the client was not given.

use crate::Gate;
use crate::message::{Message, number_body, text_body};

/// The bus's own name.
pub(crate) const BUS: &str = "org.freedesktop.DBus";
/// Why not, as D-Bus names it.
pub(crate) const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const UNKNOWN: &str = "org.freedesktop.DBus.Error.ServiceUnknown";
const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";

/// What becomes of a call to the bus itself.
#[derive(Debug)]
pub(crate) enum Own {
    /// It is answered from here.
    Answered(Message),
    /// The bus is asked.
    Asked,
    /// The bus is asked who owns this name.
    AskedForOwner(String),
}

/// Judges a call to the bus itself.
pub(crate) fn judge(call: &Message, gate: &dyn Gate, greeted: bool) -> Own {
    let answer = |signature: &str, body: Vec<u8>| {
        Own::Answered(Message::answer(call, None, signature, body))
    };
    let refuse = |error: &str, why: &str| {
        let body = text_body(call.order, why);
        Own::Answered(Message::answer(call, Some(error), "s", body))
    };
    if call
        .interface
        .as_deref()
        .is_some_and(|interface| interface != BUS)
    {
        return refuse(DENIED, "the bus itself is not asked for this from a cell");
    }
    match call.member.as_deref().unwrap_or_default() {
        "Hello" if !greeted && call.body.is_empty() => Own::Asked,
        // Nothing comes of it: signals do not pass. Libraries take a refusal for a broken bus.
        "AddMatch" | "RemoveMatch" => answer("", Vec::new()),
        member @ ("GetNameOwner" | "NameHasOwner" | "StartServiceByName") => {
            let Some(name) = call.first_text() else {
                return refuse(DENIED, "no name");
            };
            let known = name == BUS || gate.knows(&name);
            match member {
                "GetNameOwner" if name == BUS => answer("s", text_body(call.order, BUS)),
                "GetNameOwner" if known => Own::AskedForOwner(name),
                "GetNameOwner" => refuse(NO_OWNER, "nothing of this service was granted"),
                "NameHasOwner" if known && name != BUS => Own::Asked,
                "NameHasOwner" => answer("b", number_body(call.order, u32::from(known))),
                _ if known && name != BUS => Own::Asked,
                _ => refuse(UNKNOWN, "nothing of this service was granted"),
            }
        }
        _ => refuse(DENIED, "the bus itself is not asked for this from a cell"),
    }
}
