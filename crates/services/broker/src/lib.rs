//! The broker: it decides by policy, asks people, records, and mints capabilities. It opens no network socket.
#![forbid(unsafe_code)]

mod attest;
mod broker;
mod doors;
mod events;
mod identify;
mod issuer;
mod keys;
mod life;
mod live;
mod people;
mod pipeline;
mod question;
mod record;
mod rules;
mod session;
mod startup;
mod unheard;
mod witness;

pub use startup::{StartError, run};
