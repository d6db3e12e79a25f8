//! What the person granted when a session began, each for its time.

use std::sync::atomic::{AtomicBool, Ordering};

use valetkey_api::StartGrant;
use valetkey_model::Grant;

/// Grants of the start.
#[derive(Debug, Default)]
pub(crate) struct StartGrants {
    grants: Vec<StartGrant>,
    has_begun: AtomicBool,
}

impl From<Vec<StartGrant>> for StartGrants {
    fn from(grants: Vec<StartGrant>) -> Self {
        Self {
            grants,
            has_begun: AtomicBool::new(false),
        }
    }
}

impl StartGrants {
    /// How many there are, whether or not they still stand.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.grants.len()).unwrap_or(u64::MAX)
    }

    /// All of them, for the record.
    pub(crate) fn all(&self) -> &[StartGrant] {
        &self.grants
    }

    /// Says that what was granted has been given out. A capability that counts is not given again: it would count anew.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Those that still stand when so many seconds have begun.
    pub(crate) fn live(&self, begun_seconds: u64) -> Vec<Grant> {
        let has_begun = self.has_begun.load(Ordering::Acquire);
        let in_time = |start: &StartGrant| start.ttl_seconds.is_none_or(|ttl| begun_seconds < ttl);
        self.grants
            .iter()
            .filter(|start| in_time(start))
            .map(|start| &start.grant)
            .filter(|grant| !(has_begun && grant.constraints.are_counted()))
            .cloned()
            .collect()
    }

    /// For how many seconds more the grant that a request falls under stands; nothing where it has no end. Of several that say the same, the
    /// one that ends first counts.
    pub(crate) fn seconds_left(&self, given: &Grant, begun_seconds: u64) -> Option<u64> {
        self.grants
            .iter()
            .filter(|start| start.grant == *given)
            .filter_map(|start| start.ttl_seconds?.checked_sub(begun_seconds))
            .filter(|left| *left > 0)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use valetkey_model::Constraints;

    use super::*;

    #[test]
    fn a_request_lives_as_long_as_the_grant_that_it_falls_under() {
        let start = |resource: &str, actions: &str, ttl_seconds| StartGrant {
            grant: Grant {
                resource: resource.parse().expect("a resource"),
                actions: actions.parse().expect("actions"),
                constraints: Constraints::default(),
                except: Vec::new(),
            },
            ttl_seconds,
        };
        let grants = StartGrants::from(vec![
            start("file:/srv/**", "read", Some(10)),
            // For other actions, or elsewhere: it does not let reading go on.
            start("file:/srv/**", "list", None),
            start("file:/srv/a", "write", None),
            start("file:/srv/**", "read", Some(20)),
            start("file:/opt/**", "read", None),
        ]);
        let (reads, lists) = (&grants.grants[0].grant, &grants.grants[1].grant);
        assert_eq!(grants.seconds_left(reads, 3), Some(7));
        // Of two that say the same the first to end counts, while it lasts.
        assert_eq!(grants.seconds_left(reads, 10), Some(10));
        assert_eq!(grants.seconds_left(lists, 3), None);
        assert_eq!(grants.seconds_left(&grants.grants[4].grant, 3), None);
    }

    #[test]
    fn what_counts_is_given_once() {
        let start = |actions: &str, constraints| {
            StartGrant::from(Grant {
                resource: "file:/srv/**".parse().expect("a resource"),
                actions: actions.parse().expect("actions"),
                constraints,
                except: Vec::new(),
            })
        };
        let some = Some(1);
        let plain = Constraints::default;
        let grants = StartGrants::from(vec![
            start("read", plain()),
            start(
                "list",
                Constraints {
                    max_bytes: some,
                    ..plain()
                },
            ),
            start(
                "write",
                Constraints {
                    max_write_bytes: some,
                    ..plain()
                },
            ),
            start(
                "append",
                Constraints {
                    max_rows: some,
                    ..plain()
                },
            ),
            start(
                "create",
                Constraints {
                    max_files: some,
                    ..plain()
                },
            ),
            start(
                "delete",
                Constraints {
                    max_operations: some,
                    ..plain()
                },
            ),
            start(
                "execute",
                Constraints {
                    single_use: Some(true),
                    ..plain()
                },
            ),
        ]);
        assert_eq!(grants.live(0).len(), 7);
        grants.begin();
        let left = grants.live(0);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].actions, "read".parse().expect("actions"));
    }
}
