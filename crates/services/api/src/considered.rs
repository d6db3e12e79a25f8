//! What policy would say of a file by another of its names: asked by a guard that is about to open it, and worth nothing by itself.

use serde::{Deserialize, Serialize};
use valetkey_model::Effect;

/// The answer to a consideration. It gives nothing: no capability comes of it, and nobody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Considered {
    /// What policy would decide.
    pub effect: Effect,
    /// Whether it would set limits that were not asked for.
    pub limited: bool,
}

impl Considered {
    /// Whether this name keeps a file from somebody who may open it by another. What policy denies, or gives within limits alone, is kept; what
    /// it leaves to people may be read, and not changed: such a file may be one that runs later.
    #[must_use]
    pub fn forbids(self, changes: bool) -> bool {
        match self.effect {
            Effect::Deny => true,
            Effect::Ask => self.limited || changes,
            Effect::Allow => self.limited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_limited_or_left_to_people_is_kept() {
        let said = |effect, limited| Considered { effect, limited };
        for changes in [false, true] {
            assert!(said(Effect::Deny, false).forbids(changes));
            assert!(said(Effect::Ask, true).forbids(changes));
            assert!(said(Effect::Allow, true).forbids(changes));
            assert!(!said(Effect::Allow, false).forbids(changes));
            assert_eq!(said(Effect::Ask, false).forbids(changes), changes);
        }
    }
}
