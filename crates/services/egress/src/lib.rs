//! The network door: an HTTP and SOCKS5 proxy at a listener of the cell, which lets exactly those connections out that its [`Gate`] answers for.
//!
//! It decides nothing. What a client wants is read by one parser into an [`Endpoint`]; the gate says yes or no, and stays responsible for as long
//! as the connection lives. Names are resolved here, once, and the address that was judged is the one that is connected to.
#![forbid(unsafe_code)]

mod address;
mod endpoint;
mod gate;
mod hello;
mod http;
mod proxy;
mod socks;
mod tunnel;

pub use address::is_public;
pub use endpoint::Endpoint;
pub use gate::{Gate, Passage, Refusal, Traffic, Unmade, Wanted};
pub use proxy::{CONNECTIONS_MAX, serve, serve_for};
