//! What is taken out of content before an agent sees it.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A kind of content that is taken out. The order is that in which lists are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Redaction {
    /// Personal data.
    Pii,
    /// Keys, tokens, passwords.
    Secrets,
}

/// Reads a list without repetition, in any order; written it is in its own.
pub(super) fn deserialize_set<'de, D, T>(deserializer: D) -> Result<Option<BTreeSet<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    let count = list.len();
    let set: BTreeSet<T> = list.into_iter().collect();
    if set.len() == count {
        Ok(Some(set))
    } else {
        Err(D::Error::custom("a list names the same thing twice"))
    }
}
