//! The FUSE kernel protocol (`/dev/fuse`): parse requests, write replies and notifications.
//!
//! This crate knows the protocol and nothing of files. Bytes from the kernel become a [`Request`];
//! an answer goes back through a [`Reply`], which may be kept and sent later from another thread,
//! and which answers `EIO` when it is dropped unsent. [`Device::serve`] runs the threads, does the
//! `INIT` negotiation, and keeps track of which waiting requests the kernel interrupts.
//!
//! Why not the `fuser` crate: `docs/decisions/0001-own-fuse-protocol.md`.
#![forbid(unsafe_code)]

mod abi;
mod attributes;
mod device;
mod directory;
mod init;
mod interrupt;
mod locks;
mod notify;
mod operation;
mod packet;
mod reply;
mod request;
mod wire;

pub use abi::{ROOT_NODE, open_flags, setattr_flags};
pub use attributes::{Attributes, Entry, FileSystemStatistics, StatxAnswer, Time};
pub use device::{Device, Handler, SCRATCH_BYTES, Serving, WRITE_BYTES_MAX};
pub use directory::DirectoryBuffer;
pub use init::{Negotiated, Offer, Settings};
pub use interrupt::Interrupt;
pub use notify::Notifier;
pub use operation::{Forgets, Operation, SetAttributes};
pub use reply::{Delivery, Reply};
pub use request::{Header, ParseError, Request, parse_request};
pub use rustix::io::Errno;
