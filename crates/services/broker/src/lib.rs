//! The broker: it decides by policy, asks people, records, and mints capabilities. It opens no network socket.
#![forbid(unsafe_code)]

mod broker;
mod diagnostics;
mod doors;
mod events;
mod handover;
mod identify;
mod keys;
mod listeners;
mod notify;
mod people;
mod pipeline;
mod question;
mod record;
mod rules;
mod session;
mod startup;
mod visible;
mod witness;

pub use listeners::ListenError;
pub use startup::{Options, StartError, run};
