//! Durable files: the log's segments and keys, the capability ledger, and private files written whole or not at all.
#![forbid(unsafe_code)]

mod batch;
mod checking;
mod ending;
mod entries;
mod entropy;
mod epoch_keys;
mod error;
mod file;
mod ledger;
mod log;
mod places;
mod reader;
mod recovery;
mod sealed;
mod segments;
mod signer;
mod tiles;
mod writer;

pub use entries::Entries;
pub use epoch_keys::EpochLimits;
pub use error::StoreError;
pub use file::{read_private, write_atomically};
pub use ledger::{Ledger, Revoked};
pub use log::{Clock, Log, Receipt, SEGMENT_BYTES};
pub use places::{EventAt, ReadTo, SegmentPlace};
pub use reader::{Entry, LogReader};
pub use recovery::Recovery;
pub use sealed::SealedStore;
pub use signer::Signer;
pub use tiles::{Published, TileFault, TileLog};
// The log's keys and events come from `valetkey-audit`; the key is named here because it is what `Log::open` takes.
pub use valetkey_audit::{LogKey, LogPublicKey};

#[cfg(test)]
mod tests;
