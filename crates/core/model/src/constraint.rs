//! Constraints on a grant: a closed set, where an unknown member means deny.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Timestamp;

mod method;
mod redaction;
mod schema;

#[cfg(feature = "schema")]
pub(crate) use method::MAX_METHOD_BYTES;
pub use method::{Method, ParseMethodError};
pub use redaction::Redaction;
use redaction::deserialize_set;
pub use schema::{ArgumentSchema, SchemaError};

/// Limits that a grant carries. A member that is absent limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Constraints {
    /// Bytes that may be read in all, over every open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Bytes that may be written in all; for a document operation, bytes of content put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_write_bytes: Option<u64>,
    /// Distinct files that may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// Opens, connects or calls that may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_operations: Option<u64>,
    /// Rows that may be appended in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// Whether the first use ends the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_use: Option<bool>,
    /// Whether a document with macros may be worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_macros: Option<bool>,
    /// Media types (RFC 6838) that may be touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_types: Option<Vec<String>>,
    /// What is taken out of content before the agent sees it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_set"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<Redaction>"))]
    pub redact: Option<BTreeSet<Redaction>>,
    /// HTTP methods that may be used, on an https resource.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_set"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<Method>"))]
    pub methods: Option<BTreeSet<Method>>,
    /// What the arguments of a tool's call must meet.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_present"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "ArgumentSchema"))]
    pub arguments: Option<ArgumentSchema>,
    /// The time before which nothing is granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

impl Constraints {
    /// The tighter of the two in every member: what both allow.
    #[must_use]
    pub fn tightest(&self, other: &Self) -> Self {
        Self {
            max_bytes: lesser(self.max_bytes, other.max_bytes),
            max_write_bytes: lesser(self.max_write_bytes, other.max_write_bytes),
            max_files: lesser(self.max_files, other.max_files),
            max_operations: lesser(self.max_operations, other.max_operations),
            max_rows: lesser(self.max_rows, other.max_rows),
            single_use: either(self.single_use, other.single_use, |a, b| a || b),
            allow_macros: either(self.allow_macros, other.allow_macros, |a, b| a && b),
            media_types: common(self.media_types.as_ref(), other.media_types.as_ref()),
            redact: joined(self.redact.as_ref(), other.redact.as_ref()),
            methods: shared(self.methods.as_ref(), other.methods.as_ref()),
            arguments: match (&self.arguments, &other.arguments) {
                (Some(a), Some(b)) => Some(a.and(b)),
                (a, b) => a.clone().or_else(|| b.clone()),
            },
            not_before: either(self.not_before, other.not_before, Ord::max),
        }
    }

    /// Whether everything that these constraints allow, `parent` allows too.
    #[must_use]
    pub fn within(&self, parent: &Self) -> bool {
        self.tightest(parent) == *self
    }

    /// Whether a limit is there that no door to files can hold: `methods` or `arguments`. Such a door gives nothing.
    #[must_use]
    pub fn are_beyond_files(&self) -> bool {
        self.methods.is_some() || self.arguments.is_some()
    }

    /// Whether an amount is limited, or the number of uses: what is given with it is given once, since twice would be twice as much.
    #[must_use]
    pub fn are_counted(&self) -> bool {
        let amounts = [
            self.max_bytes,
            self.max_write_bytes,
            self.max_files,
            self.max_operations,
            self.max_rows,
        ];
        self.is_single_use() || amounts.iter().any(Option::is_some)
    }

    /// Whether the grant ends with its first use.
    #[must_use]
    pub fn is_single_use(&self) -> bool {
        self.single_use == Some(true)
    }
}

/// A member that is there says something: `null` is not taken for its absence.
fn deserialize_present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ArgumentSchema>, D::Error> {
    ArgumentSchema::deserialize(deserializer).map(Some)
}

fn either<T>(a: Option<T>, b: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

fn lesser(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    either(a, b, u64::min)
}

fn common(a: Option<&Vec<String>>, b: Option<&Vec<String>>) -> Option<Vec<String>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.iter().filter(|kind| b.contains(kind)).cloned().collect()),
        (a, b) => a.or(b).cloned(),
    }
}

fn joined<T: Ord + Clone>(a: Option<&BTreeSet<T>>, b: Option<&BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.union(b).cloned().collect()),
        (a, b) => a.or(b).cloned(),
    }
}

fn shared<T: Ord + Clone>(a: Option<&BTreeSet<T>>, b: Option<&BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
        (a, b) => a.or(b).cloned(),
    }
}

#[cfg(test)]
mod tests;
