//! What a write would change, as far as it is known before: counts, and lines up to a bound.

use serde::{Deserialize, Serialize};
use valetkey_model::Digest;

/// Lines that a summary shows at most: a person reads no more in a prompt. What is left out is counted.
pub const MAX_CHANGE_LINES: usize = 64;
/// The longest line, in bytes. A longer one is not cut but left out, and counted.
pub const MAX_CHANGE_LINE_BYTES: usize = 400;

/// A change that is known before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Form", into = "Form")]
pub struct ChangeSummary(Form);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Form {
    added: u64,
    removed: u64,
    unit: ChangeUnit,
    lines: Vec<ChangeLine>,
    omitted: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Digest>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeUnit {
    /// Rows of a sheet.
    Rows,
    /// Lines of a text.
    Lines,
    /// Bytes.
    Bytes,
}

/// One line of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeLine {
    /// Would be there.
    Added(String),
    /// Would be gone.
    Removed(String),
    /// Stays, and says where.
    Kept(String),
}

impl ChangeLine {
    /// The text of the line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Added(text) | Self::Removed(text) | Self::Kept(text) => text,
        }
    }
}

impl ChangeSummary {
    /// A summary of `lines`, of which as many are kept as can be shown; `content` is the digest of all that would be put in, so that what is
    /// done can be held against it.
    #[must_use]
    pub fn new(
        unit: ChangeUnit,
        added: u64,
        removed: u64,
        lines: impl IntoIterator<Item = ChangeLine>,
        content: Option<Digest>,
    ) -> Self {
        let mut kept = Vec::new();
        let mut omitted = 0u64;
        for line in lines {
            if kept.len() < MAX_CHANGE_LINES && line.text().len() <= MAX_CHANGE_LINE_BYTES {
                kept.push(line);
            } else {
                omitted = omitted.saturating_add(1);
            }
        }
        Self(Form {
            added,
            removed,
            unit,
            lines: kept,
            omitted,
            content,
        })
    }

    /// How much would be added.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.0.added
    }

    /// How much would be removed.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.0.removed
    }

    /// What is counted.
    #[must_use]
    pub fn unit(&self) -> ChangeUnit {
        self.0.unit
    }

    /// The lines that are shown.
    #[must_use]
    pub fn lines(&self) -> &[ChangeLine] {
        &self.0.lines
    }

    /// How many lines are not.
    #[must_use]
    pub fn omitted(&self) -> u64 {
        self.0.omitted
    }

    /// The digest of all that would be put in.
    #[must_use]
    pub fn content(&self) -> Option<Digest> {
        self.0.content
    }
}

impl From<ChangeSummary> for Form {
    fn from(summary: ChangeSummary) -> Form {
        summary.0
    }
}

impl TryFrom<Form> for ChangeSummary {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        let long = |line: &ChangeLine| line.text().len() > MAX_CHANGE_LINE_BYTES;
        if form.lines.len() > MAX_CHANGE_LINES || form.lines.iter().any(long) {
            return Err("a change shows at most 64 lines of 400 bytes");
        }
        Ok(Self(form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_of_a_change_is_counted() {
        let lines = (0..100)
            .map(|row| ChangeLine::Added(format!("row {row}")))
            .chain([ChangeLine::Added("x".repeat(401))]);
        let summary = ChangeSummary::new(ChangeUnit::Rows, 101, 0, lines, None);
        assert_eq!(
            (summary.lines().len(), summary.omitted()),
            (MAX_CHANGE_LINES, 37)
        );
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(
            serde_json::from_str::<ChangeSummary>(&text).unwrap(),
            summary
        );
    }

    #[test]
    fn a_change_over_its_bounds_is_refused_when_read() {
        let with = |lines: serde_json::Value| serde_json::json!({"added":1,"removed":0,"unit":"rows","lines":lines,"omitted":0});
        let many: Vec<_> = (0..65).map(|_| serde_json::json!({"added": "x"})).collect();
        for bad in [
            with(serde_json::json!(many)),
            with(serde_json::json!([{"added": "x".repeat(401)}])),
            with(serde_json::json!([{"moved": "x"}])),
        ] {
            assert!(serde_json::from_value::<ChangeSummary>(bad).is_err());
        }
        assert!(serde_json::from_value::<ChangeSummary>(with(serde_json::json!([]))).is_ok());
    }
}
