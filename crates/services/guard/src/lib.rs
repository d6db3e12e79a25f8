//! The guard: one session of an agent, from the cell to the record of what it did.
//!
//! It runs as the person, outside the cell, and holds every real descriptor. What it lets happen is what a verified, live capability
//! says; what happened it reports. When it goes away, the view is gone and the cell ends.
#![forbid(unsafe_code)]

mod authority;
mod brought;
mod bus;
mod command;
mod connections;
mod considered;
mod denials;
mod desk;
mod document;
mod door;
mod doors;
mod environment;
mod error;
mod facts;
mod holdings;
mod keeping;
mod keyring;
mod level;
mod link;
mod links;
mod measure;
mod media;
mod network;
mod notice;
mod operation;
mod programs;
mod prompt;
mod quiet;
mod replacement;
mod reporter;
mod run;
mod staging;
mod terminal;
mod watch;

pub use brought::is_in_every_cell;
pub use error::RunError;
pub use keeping::UndoSpec;
pub use level::{Reached, reached};
pub use link::{LinkError, connect_or_start, replace, sibling};
pub use measure::{NotHeld, Resolver};
pub use run::{RunSpec, run};
pub use valetkey_sandbox::AskedLimit;
