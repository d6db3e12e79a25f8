//! What a guard reports of operations that were done or refused.

use serde::{Deserialize, Serialize};
use valetkey_model::{ActionSet, CapabilityId, Digest, Resource, Timestamp};

/// Guard door: what happened, batched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The operations.
    pub operations: Vec<OperationReport>,
    /// Whether the broker must make them durable before it answers.
    pub durable: bool,
}

/// One operation that the guard carried out or refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OperationReport {
    /// When.
    pub time: Timestamp,
    /// On what.
    pub resource: Resource,
    /// What was done.
    pub actions: ActionSet,
    /// Whether it was done.
    pub done: bool,
    /// Under which capability.
    pub capability_id: Option<CapabilityId>,
    /// What it was, such as `open`, `close`, `rename` or `sheet.append_rows`.
    pub operation: String,
    /// Why it was refused or how it failed.
    pub reason: Option<String>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Rows appended.
    pub rows: u64,
    /// How often the same thing happened since it was last reported.
    pub count: u64,
    /// The digest of the file afterwards, where it was taken.
    pub file_hash: Option<Digest>,
    /// The address that was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name that a client asked for in TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}
