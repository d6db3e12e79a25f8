//! The filtered file system that an agent sees: the host's files at the host's paths, cut down to
//! what capabilities cover.
//!
//! Mechanism only. Who may do what is decided by the [`Authority`] that the guard implements; the
//! view asks it, applies the answer to the real file, and reports what happened.
//!
//! How the pieces fit:
//! - `connection` takes FUSE requests, runs them, and moves those that must ask to a waiting thread;
//! - `sight` decides what is there at all; `host` does what is permitted, beneath directory
//!   descriptors and never along a symbolic link;
//! - `links` counts the names of a file that has several, so that a rule about one holds for all;
//! - `masks` keeps secrets in content from being seen, written over or moved to where they could be seen;
//! - `node` knows objects and their names, `handle` what is open;
//! - `watch` carries revocations to the kernel's caches and to open handles, `changes` what the host changes underneath.
#![forbid(unsafe_code)]

mod authority;
mod carried;
mod changes;
mod config;
mod connection;
mod handle;
mod host;
mod keeper;
mod links;
mod locks;
mod masks;
mod node;
mod operations;
mod refusals;
mod sight;
mod skeleton;
mod uses;
mod view;
mod waiters;
mod watch;

pub use authority::{
    Authority, Content, Facts, Identity, Limit, Limits, Observation, Permit, Purpose, Touched, Use,
    Verdict, Why,
};
pub use config::{Connection, Graft, IdMap, SkeletonEntry, SkeletonKind, ViewConfig};
pub use host::identity;
pub use keeper::{Doomed, Keeper, Parent, Renaming};
pub use masks::MaskRefusal;
pub use valetkey_fuse::Interrupt;
pub use valetkey_redact::Kinds;
pub use view::{View, ViewError, ViewHandle};
