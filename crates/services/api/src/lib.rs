//! The typed local API: messages of the doors, paths, a blocking client and a bounded server.
#![forbid(unsafe_code)]

mod client;
mod message;
mod paths;
mod problem;
mod route;
mod server;

pub use client::{Client, ClientError, Response};
pub use message::*;
pub use paths::{HomeError, Paths};
pub use problem::{Problem, ProblemKind};
pub use route::{Found, Route, find};
pub use server::{Handler, Limits, Peer, Reply, Request, bind, serve};
