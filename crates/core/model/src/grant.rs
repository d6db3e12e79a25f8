//! A grant: resource, actions, constraints and exceptions, the content of a capability without its life.

use serde::{Deserialize, Serialize};

use crate::{ActionSet, Constraints, Resource};

/// What is given: `actions` on `resource` but not on `except`, within `constraints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What it is about.
    pub resource: Resource,
    /// What may be done.
    pub actions: ActionSet,
    /// Within which limits.
    #[serde(default)]
    pub constraints: Constraints,
    /// Patterns inside `resource` that are not given, by whatever name they are reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Resource>,
}

impl Grant {
    /// Whether the grant speaks of exactly this resource: covered, and touched by no exception.
    #[must_use]
    pub fn covers(&self, resource: &Resource) -> bool {
        self.resource.covers(resource) && !self.except.iter().any(|out| out.covers(resource))
    }

    /// Whether nothing that this grant gives is more than `parent` gives.
    #[must_use]
    pub fn within(&self, parent: &Self) -> bool {
        parent.resource.covers(&self.resource)
            && parent.actions.allows_all(self.actions)
            && self.constraints.within(&parent.constraints)
            && parent
                .except
                .iter()
                .all(|out| self.except.iter().any(|own| own.covers(out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;

    fn grant(resource: &str, actions: &str, except: &[&str]) -> Grant {
        Grant {
            resource: resource.parse().unwrap(),
            actions: actions.parse().unwrap(),
            constraints: Constraints::default(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_exception_takes_out() {
        let tree = grant("file:/w/**", "read", &["file:/**/.env"]);
        assert!(tree.covers(&"file:/w/a".parse().unwrap()));
        assert!(!tree.covers(&"file:/w/a/.env".parse().unwrap()));
    }

    #[test]
    fn within_needs_every_part() {
        let parent = grant("file:/w/**", "read,write", &["file:/**/.env"]);
        assert!(grant("file:/w/a/**", "append", &["file:/**/.env"]).within(&parent));
        assert!(!grant("file:/w/a/**", "read", &[]).within(&parent));
        assert!(!grant("file:/x", "read", &["file:/**/.env"]).within(&parent));
        assert!(!grant("file:/w/a", "delete", &["file:/**/.env"]).within(&parent));
        assert!(parent.actions.allows(Action::Append));
    }
}
