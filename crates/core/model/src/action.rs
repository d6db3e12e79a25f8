//! What can be done to a resource: a closed list of actions, and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// One thing that can be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read content.
    Read,
    /// Change content in any way; includes [`Action::Append`].
    Write,
    /// Add to the end of content.
    Append,
    /// Bring a new name into being.
    Create,
    /// Remove a name; a rename is this at the old place and [`Action::Create`] at the new.
    Delete,
    /// Run as a program.
    Execute,
    /// See the names in a directory.
    List,
    /// See that a name exists and its attributes. To change them is this together with [`Action::Write`].
    Metadata,
    /// Open a connection.
    Connect,
    /// Call a tool or a desktop service.
    Call,
    /// Use a secret without seeing it.
    Use,
}

impl Action {
    /// Every action, in the order in which sets are written.
    pub const ALL: [Self; 11] = [
        Self::Read,
        Self::Write,
        Self::Append,
        Self::Create,
        Self::Delete,
        Self::Execute,
        Self::List,
        Self::Metadata,
        Self::Connect,
        Self::Call,
        Self::Use,
    ];

    /// The action's name as it crosses a boundary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Append => "append",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Execute => "execute",
            Self::List => "list",
            Self::Metadata => "metadata",
            Self::Connect => "connect",
            Self::Call => "call",
            Self::Use => "use",
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no action.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not an action: use read, write, append, create, delete, execute, list, metadata, connect, call or use"
)]
pub struct ParseActionError(String);

impl FromStr for Action {
    type Err = ParseActionError;

    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| ParseActionError(text.chars().take(64).collect()))
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ActionSet(u16);

impl ActionSet {
    /// No action.
    pub const EMPTY: Self = Self(0);

    /// The set of `actions`.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut rest = actions;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `action` is in the set, counting that `write` includes `append`.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        self.closed().0 & action.bit() != 0
    }

    /// Whether all of `other` is allowed by this set, counting that `write` includes `append`.
    #[must_use]
    pub fn allows_all(self, other: Self) -> bool {
        other.0 & !self.closed().0 == 0
    }

    /// This set and `other` together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both, counting that `write` includes `append`.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.closed().0 & other.closed().0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions in the set, in their fixed order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.0 & action.bit() != 0)
    }

    const fn closed(self) -> Self {
        if self.0 & Action::Write.bit() != 0 {
            Self(self.0 | Action::Append.bit())
        } else {
            self
        }
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions
            .into_iter()
            .fold(Self::EMPTY, |set, action| Self(set.0 | action.bit()))
    }
}

impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, action) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(action.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl FromStr for ActionSet {
    type Err = ParseActionError;

    /// Reads a list such as `read,append`; an empty name is refused.
    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        text.split(',').map(str::parse::<Action>).collect()
    }
}

impl Serialize for ActionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ActionSet {
    /// Reads a list of names; a name given twice is refused, since two readers might count it differently.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Action>::deserialize(deserializer)?;
        let set: Self = list.iter().copied().collect();
        if set.iter().count() == list.len() {
            Ok(set)
        } else {
            Err(D::Error::custom("an action is listed twice"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_includes_append_and_nothing_else() {
        let write = ActionSet::of(&[Action::Write]);
        for action in Action::ALL {
            let expected = matches!(action, Action::Write | Action::Append);
            assert_eq!(write.allows(action), expected, "{action}");
        }
        assert!(!ActionSet::of(&[Action::Append]).allows(Action::Write));
        assert!(write.allows_all(ActionSet::of(&[Action::Append])));
        assert_eq!(
            write.intersection(ActionSet::of(&[Action::Append])),
            ActionSet::of(&[Action::Append])
        );
    }

    #[test]
    fn sets_survive_their_text() {
        let set: ActionSet = "read,append".parse().unwrap();
        assert_eq!(set.to_string(), "read,append");
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["read","append"]"#);
        assert!(serde_json::from_str::<ActionSet>(r#"["read","read"]"#).is_err());
        assert!(serde_json::from_str::<ActionSet>(r#"["fly"]"#).is_err());
        assert!("read,".parse::<ActionSet>().is_err());
    }
}
