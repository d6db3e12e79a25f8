//! The typed local API: messages of the doors, paths, a blocking client and a bounded server.
#![forbid(unsafe_code)]

mod client;
mod message;
mod paths;
mod problem;
#[cfg(feature = "server")]
mod server;

pub use client::{Client, ClientError, Response};
pub use message::*;
pub use paths::{HomeError, Mode, Paths};
pub use problem::{Problem, ProblemKind};
#[cfg(feature = "server")]
pub use server::{Handler, Limits, Peer, Reply, Request, bind, serve};
