//! The audit log's events, Merkle tree, checkpoints and verification.
//!
//! Pure: bytes, time and ids come in as arguments; `valetkey-store` keeps the log on disk.
#![forbid(unsafe_code)]

pub mod alert;
mod attribute;
mod checkpoint;
mod cosignature;
mod edit;
mod epoch;
mod event;
mod export_proof;
mod key;
mod kind;
mod merkle;
mod outcome;
mod proof_file;
#[cfg(feature = "schema")]
mod schema;
pub mod segment;
mod text;
pub mod tile;
mod verdict;
mod verify;
mod witness;
mod witness_policy;

pub use attribute::{ATTRIBUTE_TEXT_MAX_BYTES, Attribute, AttributeName, AttributeNameError, Fact};
pub use checkpoint::{CHECKPOINT_MAX_BYTES, Checkpoint, CheckpointError};
pub use cosignature::{WitnessKey, WitnessPublicKey};
pub use edit::{Editor, Kept};
pub use epoch::{EpochChain, EpochEnd, Marks, epoch_began, epoch_ended, name_with_first_epoch};
pub use event::{
    ATTRIBUTES_MAX, Actor, EVENT_MAX_BYTES, Event, Evidence, JUSTIFICATION_MAX_BYTES,
    NAME_MAX_BYTES, ParseEventError, Record, SealError, SealedEvent, User,
};
pub use export_proof::{ExportError, ExportProof, Proved};
pub use key::{KeyError, LogKey, LogPublicKey};
pub use kind::{EventType, ParseEventTypeError};
pub use merkle::{
    Consistency, Frontier, Gathered, Inclusion, MerkleTree, NodeReader, ProofError, Prove,
    Selection, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash,
    verify_consistency, verify_inclusion,
};
pub use outcome::{AuditDecision, Outcome};
pub use proof_file::{PROOF_MAX_BYTES, ProofFileError, TlogProof};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use verdict::{Intact, LastBatch, TamperKind, Tampering, TornTail, Verdict};
pub use verify::{SignedNote, Verifier};
pub use witness::{ADD_CHECKPOINT_MAX_BYTES, AddCheckpoint, Refusal};
pub use witness_policy::{NotWitnessed, PolicyWitness, WitnessPolicy, WitnessPolicyError};
