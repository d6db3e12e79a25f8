//! Like requests put together: forty files of one folder become one question that lists them all, and grants them and nothing else.

use std::path::{Path, PathBuf};

use valetkey_model::{Action, RequestId, Resource};

use crate::asked::{Asked, Listed};

/// Requests that come within this time of the first are put together.
pub const GROUP_WINDOW_MS: u64 = 10_000;
/// Files of one question: what a person can be expected to look through.
pub const GROUP_MAX: usize = 64;

/// Puts like questions together, in the order in which they came. Each answer has either one of the questions as it was, or one that lists
/// several; every request is in exactly one.
///
/// Like are questions of one session, agent and purpose, with the same actions, limits, reasons, requirement and words, under the same policy,
/// about single files in the same folder. Deletion, execution, secrets, patterns, exceptions and changes that are shown are never put together.
#[must_use]
pub fn put_together(questions: Vec<Asked>) -> Vec<Asked> {
    let mut groups: Vec<Asked> = Vec::new();
    for asked in questions {
        let place = groups.iter_mut().find(|group| may_join(group, &asked));
        match place {
            Some(group) => join(group, asked),
            None => groups.push(asked),
        }
    }
    groups
}

/// Whether a question may be put together with others at all.
#[must_use]
pub fn may_be_listed(asked: &Asked) -> bool {
    folder(asked).is_some()
}

fn join(group: &mut Asked, asked: Asked) {
    // The question closes when the first of its requests would have.
    group.expires_at = group.expires_at.min(asked.expires_at);
    group.ttl_seconds = group.ttl_seconds.min(asked.ttl_seconds);
    group.also.push(Listed {
        request_id: asked.request_id,
        resource: asked.grant.resource,
        file: asked.file,
    });
}

fn may_join(group: &Asked, asked: &Asked) -> bool {
    let Some(folder) = folder(asked) else {
        return false;
    };
    let known = |id: &RequestId| group.grants().any(|(own, _)| own == id);
    let named = |resource: &Resource| group.resources().any(|(own, _)| own == resource);
    self::folder(group) == Some(folder)
        && group.also.len().saturating_add(1) < GROUP_MAX
        && asked.also.is_empty()
        && asked.asked_at >= group.asked_at
        && asked.asked_at.ms_since(group.asked_at) <= GROUP_WINDOW_MS
        && asked.asked_at < group.expires_at
        && !known(&asked.request_id)
        && !named(&asked.grant.resource)
        && is_like(group, asked)
}

fn is_like(a: &Asked, b: &Asked) -> bool {
    a.session == b.session
        && a.agent == b.agent
        && a.agent_digest == b.agent_digest
        && a.user == b.user
        && a.purpose == b.purpose
        && a.has_read == b.has_read
        && a.grant.actions == b.grant.actions
        && a.grant.constraints == b.grant.constraints
        && a.justification == b.justification
        && a.reasons == b.reasons
        && a.policy_id == b.policy_id
        && a.policy_digest == b.policy_digest
        && a.requirement == b.requirement
}

/// The folder of a question that may be put together with others.
fn folder(asked: &Asked) -> Option<PathBuf> {
    let never = [Action::Delete, Action::Execute, Action::Use]
        .into_iter()
        .any(|action| asked.grant.actions.allows(action));
    let pattern = asked.grant.resource.as_file()?;
    if never || !pattern.is_literal() || !asked.grant.except.is_empty() || asked.change.is_some() {
        return None;
    }
    pattern.literal_prefix().parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testkit::{at, question};

    fn asks(number: u8, resource: &str, actions: &str, second: u64) -> Asked {
        let mut asked = question(resource, actions);
        asked.request_id = RequestId::new(at(second), [number; 10]);
        asked.asked_at = at(second);
        asked.expires_at = at(second + 120);
        asked
    }

    #[test]
    fn forty_files_of_a_folder_are_one_question() {
        let questions: Vec<_> = (0..40)
            .map(|n| asks(n, &format!("file:/home/alice/p/{n}.jpg"), "read", 1))
            .collect();
        let groups = put_together(questions.clone());
        assert_eq!(groups.len(), 1);
        let listed: Vec<_> = groups[0]
            .resources()
            .map(|(resource, _)| resource)
            .collect();
        let asked: Vec<_> = questions.iter().map(|one| &one.grant.resource).collect();
        assert_eq!(listed, asked);
        assert_ne!(groups[0].digest(), questions[0].digest());
    }

    #[test]
    fn what_differs_is_asked_by_itself() {
        let first = asks(1, "file:/home/alice/p/1", "read", 0);
        let apart: [(&str, fn(&mut Asked)); 11] = [
            ("folder", |a| {
                a.grant.resource = "file:/home/alice/q/2".parse().unwrap()
            }),
            ("actions", |a| a.grant.actions = "write".parse().unwrap()),
            ("limits", |a| a.grant.constraints.max_bytes = Some(1)),
            ("words", |a| a.justification = Some("other".to_owned())),
            ("session", |a| {
                a.session = valetkey_model::SessionId::new(at(0), [9; 10])
            }),
            ("policy", |a| {
                a.policy_digest = valetkey_model::Digest::of(b"q")
            }),
            ("requirement", |a| a.requirement.quorum[0].count = 2),
            ("late", |a| a.asked_at = at(11)),
            ("early", |a| {
                a.asked_at = valetkey_model::Timestamp::from_unix_ms(1)
            }),
            ("same file", |a| {
                a.grant.resource = "file:/home/alice/p/1".parse().unwrap()
            }),
            ("pattern", |a| {
                a.grant.resource = "file:/home/alice/p/*".parse().unwrap()
            }),
        ];
        for (what, change) in apart {
            let mut second = asks(2, "file:/home/alice/p/2", "read", 1);
            assert_eq!(put_together(vec![first.clone(), second.clone()]).len(), 1);
            change(&mut second);
            assert_eq!(put_together(vec![first.clone(), second]).len(), 2, "{what}");
        }
        for actions in ["delete", "execute", "read,delete"] {
            let two = vec![
                asks(1, "file:/home/alice/p/1", actions, 0),
                asks(2, "file:/home/alice/p/2", actions, 0),
            ];
            assert_eq!(put_together(two).len(), 2, "{actions}");
        }
    }

    proptest! {
        #[test]
        fn a_group_grants_exactly_what_was_asked(
            picks in prop::collection::vec((0u8..4, 0u8..30, prop::sample::select(vec!["read", "append", "delete"]), 0u64..30), 0..100),
        ) {
            let questions: Vec<_> = picks.iter().enumerate().map(|(n, (folder, file, actions, second))| {
                asks(n as u8, &format!("file:/home/alice/{folder}/{file}"), actions, *second)
            }).collect();
            let all = |questions: &[Asked]| -> BTreeSet<String> {
                questions.iter().flat_map(|asked| {
                    asked.grants().map(|(id, grant)| format!("{id} {} {}", grant.resource, grant.actions)).collect::<Vec<_>>()
                }).collect()
            };
            let groups = put_together(questions.clone());
            prop_assert_eq!(all(&groups), all(&questions));
            for group in &groups {
                prop_assert!(group.also.len() < GROUP_MAX);
                prop_assert!(group.resources().all(|(resource, _)| crate::width(resource) == crate::Width::One));
                let count = group.grants().map(|(id, _)| id).collect::<BTreeSet<_>>().len();
                prop_assert_eq!(count, group.also.len() + 1);
            }
        }
    }
}
