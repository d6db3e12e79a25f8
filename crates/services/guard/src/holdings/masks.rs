//! What is masked in this session: every path of which a capability that masks has spoken, for as long as the session lasts.
//!
//! A mask outlives the capability that brought it, and holds under every other: a file that was shown masked is not shown otherwise a moment
//! later, because one capability ended and another, wider one did not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use valetkey_model::{Constraints, Grant, PathPattern, PatternSet, Redaction};
use valetkey_view::Kinds;

/// Files and patterns that are remembered. A capability beyond it is not held, and so gives nothing.
const FILES_MAX: usize = 8192;
const PATTERNS_MAX: usize = 256;

/// The masks of a session.
#[derive(Debug, Default)]
pub(crate) struct Masks(RwLock<Rules>);

#[derive(Debug, Default)]
struct Rules {
    files: HashMap<PathBuf, Kinds>,
    patterns: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    grant: Grant,
    pattern: PathPattern,
    except: PatternSet,
    kinds: Kinds,
}

impl Masks {
    /// Remembers what a grant masks; `None` if there is no room.
    pub(crate) fn add(&self, grant: &Grant) -> Option<()> {
        let kinds = kinds(&grant.constraints);
        let Some(pattern) = grant.resource.as_file().filter(|_| !kinds.is_none()) else {
            return Some(());
        };
        let mut rules = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if pattern.is_literal() {
            let path = pattern.literal_prefix();
            let is_new = !rules.files.contains_key(&path);
            if is_new && rules.files.len() >= FILES_MAX {
                return None;
            }
            let known = rules.files.entry(path).or_default();
            *known = known.union(kinds);
            return Some(());
        }
        let same = |rule: &Rule| {
            rule.kinds == kinds
                && rule.grant.resource == grant.resource
                && rule.grant.except == grant.except
        };
        if rules.patterns.iter().any(same) {
            return Some(());
        }
        if rules.patterns.len() >= PATTERNS_MAX {
            return None;
        }
        let except = grant
            .except
            .iter()
            .filter_map(|out| out.as_file().cloned())
            .collect();
        rules.patterns.push(Rule {
            grant: grant.clone(),
            pattern: pattern.clone(),
            except,
            kinds,
        });
        Some(())
    }

    /// What is masked of a file with this name.
    pub(crate) fn at(&self, path: &Path) -> Kinds {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = rules.files.get(path).copied().unwrap_or_default();
        for rule in &rules.patterns {
            if !kinds.has(rule.kinds) && rule.pattern.matches(path) && !rule.except.matches(path) {
                kinds = kinds.union(rule.kinds);
            }
        }
        kinds
    }

    /// Whether nothing at `path` or below it is masked.
    pub(crate) fn leave_tree(&self, path: &Path) -> bool {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let reaches =
            |rule: &Rule| rule.pattern.matches(path) || rule.pattern.may_match_below(path);
        !rules.files.keys().any(|file| file.starts_with(path))
            && !rules.patterns.iter().any(reaches)
    }
}

/// What the limits of a capability have masked.
fn kinds(constraints: &Constraints) -> Kinds {
    let mut kinds = Kinds::NONE;
    for redaction in constraints.redact.iter().flatten() {
        kinds = kinds.union(match redaction {
            Redaction::Secrets => Kinds::SECRETS,
            Redaction::Pii => Kinds::PII,
        });
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(resource: &str, redact: &str, except: &[&str]) -> Grant {
        Grant {
            resource: resource.parse().unwrap(),
            actions: "read".parse().unwrap(),
            constraints: serde_json::from_str(&format!("{{\"redact\":[{redact}]}}")).unwrap(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn masks_are_joined_and_exceptions_are_left_out() {
        let masks = Masks::default();
        for grant in [
            grant("file:/w/**", "\"secrets\"", &["file:/w/open/**"]),
            grant("file:/w/a", "\"pii\"", &[]),
            grant("file:/w/**", "\"secrets\"", &["file:/w/open/**"]),
            grant("file:/x/**", "", &[]),
        ] {
            assert!(masks.add(&grant).is_some());
        }
        let at = |path: &str| masks.at(Path::new(path));
        assert_eq!(at("/w/a"), Kinds::SECRETS.union(Kinds::PII));
        assert_eq!(at("/w/b/c"), Kinds::SECRETS);
        assert_eq!(at("/w/open/a"), Kinds::NONE);
        assert_eq!(at("/x/a"), Kinds::NONE);
        assert!(!masks.leave_tree(Path::new("/w/b")) && !masks.leave_tree(Path::new("/")));
        assert!(masks.leave_tree(Path::new("/x")));
        assert_eq!(masks.0.read().unwrap().patterns.len(), 1);
    }

    #[test]
    fn beyond_its_room_nothing_more_is_taken() {
        let masks = Masks::default();
        for number in 0..PATTERNS_MAX {
            assert!(
                masks
                    .add(&grant(&format!("file:/w/{number}/**"), "\"secrets\"", &[]))
                    .is_some()
            );
        }
        assert!(
            masks
                .add(&grant("file:/w/more/**", "\"secrets\"", &[]))
                .is_none()
        );
        assert!(
            masks
                .add(&grant("file:/w/0/**", "\"secrets\"", &[]))
                .is_some()
        );
    }
}
