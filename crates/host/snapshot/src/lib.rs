//! What an agent changes, kept before it changes it, and put back when a person wants that.
//!
//! - `keep` hears of each change before it is made, and writes down what the change takes away; `table` is what it knows meanwhile;
//! - `frames` is the file of a session: content by its digest, and records, appended;
//! - `history` reads it again, and says what became of each name and whether somebody else has changed it since; `forward` is its
//!   way from the beginning to now;
//! - `undo` goes back record by record, the last one first, so that every name is as the record knew it;
//! - `stage` holds a session's changes back in the host's place, and `commit` takes them by the same hands.
//!
//! A file is known by what it is, not by its name: what is kept of it holds by all its names.
#![forbid(unsafe_code)]

mod commit;
mod error;
mod forward;
mod frames;
mod history;
mod keep;
mod layer;
mod object;
mod record;
mod sessions;
mod stage;
mod table;
mod text;
mod undo;

pub use commit::StagedItem;
pub use error::SnapshotError;
pub use frames::CHUNK_BYTES;
pub use history::{Choice, Happened, History, Item};
pub use keep::{Directory, Keep, Object, QUICK_BYTES, Ticket};
pub use record::{Attribute, Id, Kind, Moment, State};
pub use sessions::{Budget, Session, prune, sessions};
pub use stage::{Base, Stage, Staged, StagedTree, remove_stage, stages};
pub use undo::{Told, Undone, undo};
