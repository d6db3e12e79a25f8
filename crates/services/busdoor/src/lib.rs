//! The bus door: a D-Bus server at a socket of the cell, which passes exactly those method calls on to the session bus that its [`Gate`]
//! answers for, and their answers back.
//!
//! It decides nothing. What comes from the cell is read by one parser and written anew, so that the bus reads what the gate was asked
//! about. Signals, descriptors, names of one's own, and whatever the bus itself tells of others do not come through.
#![forbid(unsafe_code)]

mod address;
mod client;
mod greeting;
mod message;
mod own;
mod relay;

use std::fmt;

pub use address::reach;
pub use relay::{CONNECTIONS_MAX, serve};
use valetkey_model::BusResource;

/// Decides on calls. It may block: on the record, and on people.
pub trait Gate: Send + Sync + fmt::Debug + 'static {
    /// Whether the call may be made. `bytes` is its length; `still_wanted` says whether the client is still there.
    ///
    /// # Errors
    /// Why not, in the words that the client reads.
    fn call(
        &self,
        method: &BusResource,
        bytes: u64,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<(), String>;

    /// Whether anything of this service was given, so that a client may know whether it is there.
    fn knows(&self, service: &str) -> bool;
}
