//! Constraints on a grant: a closed set, where an unknown member means deny.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Limits that a grant carries. A member that is absent limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
            not_before: either(self.not_before, other.not_before, Ord::max),
        }
    }

    /// Whether everything that these constraints allow, `parent` allows too.
    #[must_use]
    pub fn within(&self, parent: &Self) -> bool {
        self.tightest(parent) == *self
    }

    /// Whether the grant ends with its first use.
    #[must_use]
    pub fn is_single_use(&self) -> bool {
        self.single_use == Some(true)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_member_is_refused() {
        assert!(serde_json::from_str::<Constraints>(r#"{"max_bytes":1,"max_fun":2}"#).is_err());
        assert!(serde_json::from_str::<Constraints>(r#"{"max_bytes":-1}"#).is_err());
    }

    #[test]
    fn the_tightest_is_within_both() {
        let a = Constraints {
            max_bytes: Some(10),
            allow_macros: Some(true),
            ..Constraints::default()
        };
        let b = Constraints {
            max_bytes: Some(5),
            max_rows: Some(3),
            allow_macros: Some(false),
            media_types: Some(vec!["text/plain".into()]),
            ..Constraints::default()
        };
        let both = a.tightest(&b);
        assert!(both.within(&a) && both.within(&b));
        assert_eq!(both.max_bytes, Some(5));
        assert_eq!(both.allow_macros, Some(false));
        assert!(!a.within(&b) && !Constraints::default().within(&a));
    }
}
