//! The broker: it decides by policy, asks people, records, and mints capabilities. It opens no network socket.
#![forbid(unsafe_code)]

mod alarm;
mod answering;
mod appointed;
mod asking;
mod attest;
mod auditing;
mod broker;
mod bulletin;
mod challenge;
mod diagnostics;
mod doors;
mod emergency;
mod events;
mod flow;
mod handover;
mod identify;
mod issuer;
mod keys;
mod lease;
mod life;
mod listeners;
mod live;
mod notify;
mod patience;
mod people;
mod per_user;
mod pipeline;
mod policies;
mod privacy;
mod question;
mod record;
mod remembered;
mod review;
mod rules;
mod session;
mod start_grants;
mod startup;
mod unheard;
mod visible;
mod witness;
mod witnessed;

pub use listeners::ListenError;
pub use startup::{Options, StartError, run};
