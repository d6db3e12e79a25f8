//! What people approved before, as far as it is remembered: so that a question can say what is new in it.
//!
//! It informs people and decides nothing. It is bounded, so that it forgets: what it does not know it calls new.

use serde::{Deserialize, Serialize};
use valetkey_model::{ActionSet, AgentId, Digest, Resource};

use crate::asked::{Asked, FileFacts};

/// Agents that are remembered; the one that was approved longest ago goes first. More than a person uses.
const MAX_AGENTS: usize = 64;
/// Resources of one agent that are remembered; the one that was approved longest ago goes first.
const MAX_PLACES: usize = 256;

/// What was approved for the agent of a question before, as the broker tells it to people, in the question and so signed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// How often something was approved for an agent of this name.
    pub approvals: u64,
    /// Every action that was.
    pub actions: ActionSet,
    /// Whether all that is asked for lies where something was approved: the same, covered by it, or in the same folder.
    pub is_near: bool,
    /// The program of the last approval, where the agent is another one now, or one of which nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_program: Option<Digest>,
    /// Facts of the file when it was last approved for this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFacts>,
}

/// All that is remembered of one person's approvals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The one that was approved last is the last.
    agents: Vec<Remembered>,
}

/// One agent, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    agent: AgentId,
    approvals: u64,
    actions: ActionSet,
    program: Option<Digest>,
    /// What was approved last is the last.
    places: Vec<Approved>,
}

/// Something that was approved, and what it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    resource: Resource,
    file: Option<FileFacts>,
}

impl Memory {
    /// What was approved before for the agent that asks.
    #[must_use]
    pub fn before(&self, asked: &Asked) -> Before {
        let Some(known) = self.agents.iter().find(|one| one.agent == asked.agent) else {
            return Before {
                approvals: 0,
                actions: ActionSet::default(),
                is_near: false,
                other_program: None,
                file: None,
            };
        };
        let is_near = |resource: &Resource| {
            let mut places = known.places.iter();
            places.any(|place| is_near(&place.resource, resource))
        };
        let own = &asked.grant.resource;
        let place = known.places.iter().find(|place| place.resource == *own);
        Before {
            approvals: known.approvals,
            actions: known.actions,
            is_near: asked.resources().all(|(resource, _)| is_near(resource)),
            other_program: known
                .program
                .filter(|program| asked.agent_digest != Some(*program)),
            file: place.and_then(|place| place.file.clone()),
        }
    }

    /// Remembers that a question was answered with yes.
    pub fn remember(&mut self, asked: &Asked) {
        let known = self.agents.iter().position(|one| one.agent == asked.agent);
        let mut one = match known {
            Some(place) => self.agents.remove(place),
            None => Remembered {
                agent: asked.agent.clone(),
                approvals: 0,
                actions: ActionSet::default(),
                program: None,
                places: Vec::new(),
            },
        };
        one.approvals = one.approvals.saturating_add(1);
        one.actions = one.actions.union(asked.grant.actions);
        one.program = asked.agent_digest;
        for (resource, file) in asked.resources() {
            one.places.retain(|place| place.resource != *resource);
            one.places.push(Approved {
                resource: resource.clone(),
                file: file.cloned(),
            });
        }
        forget(&mut one.places, MAX_PLACES);
        self.agents.push(one);
        forget(&mut self.agents, MAX_AGENTS);
    }
}

/// Drops the first of a list until no more than `most` are left.
fn forget<T>(list: &mut Vec<T>, most: usize) {
    drop(list.drain(..list.len().saturating_sub(most)));
}

/// Whether something lies where something was approved before.
fn is_near(before: &Resource, now: &Resource) -> bool {
    if before.covers(now) {
        return true;
    }
    match (before.as_file(), now.as_file()) {
        (Some(before), Some(now)) if before.is_literal() && now.is_literal() => {
            before.literal_prefix().parent() == now.literal_prefix().parent()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{facts, question};

    #[test]
    fn what_was_not_approved_is_new() {
        let mut memory = Memory::default();
        let first = question("file:/home/alice/a/one", "read");
        assert_eq!(memory.before(&first).approvals, 0);
        assert!(!memory.before(&first).is_near);
        memory.remember(&first);
        let again = memory.before(&first);
        assert_eq!((again.approvals, again.is_near), (1, true));
        assert_eq!(again.actions, first.grant.actions);
        let beside = memory.before(&question("file:/home/alice/a/two", "write"));
        assert!(beside.is_near);
        assert_eq!(beside.actions, first.grant.actions, "and not to write");
        assert!(
            !memory
                .before(&question("file:/home/alice/b/one", "read"))
                .is_near
        );
        let mut other = question("file:/home/alice/a/one", "read");
        other.agent = AgentId::sanitised("another");
        assert_eq!(memory.before(&other).approvals, 0);
    }

    #[test]
    fn a_tree_makes_what_is_in_it_known_and_a_file_not_its_tree() {
        let mut memory = Memory::default();
        memory.remember(&question("file:/home/alice/a/**", "read"));
        assert!(
            memory
                .before(&question("file:/home/alice/a/b/c", "read"))
                .is_near
        );
        let mut memory = Memory::default();
        memory.remember(&question("file:/home/alice/a/one", "read"));
        assert!(
            !memory
                .before(&question("file:/home/alice/a/**", "read"))
                .is_near
        );
    }

    #[test]
    fn another_program_and_an_unknown_one_are_told() {
        let mut memory = Memory::default();
        let mut asked = question("file:/home/alice/one", "read");
        asked.agent_digest = Some(Digest::of(b"first"));
        memory.remember(&asked);
        assert_eq!(memory.before(&asked).other_program, None);
        for other in [Some(Digest::of(b"second")), None] {
            asked.agent_digest = other;
            let before = memory.before(&asked);
            assert_eq!(before.other_program, Some(Digest::of(b"first")));
        }
        memory.remember(&asked);
        assert_eq!(memory.before(&asked).other_program, None);
    }

    #[test]
    fn the_file_is_remembered_as_it_was() {
        let mut memory = Memory::default();
        let mut asked = question("file:/home/alice/one", "read");
        asked.file = Some(facts());
        memory.remember(&asked);
        asked.file.as_mut().unwrap().size = 1;
        assert_eq!(memory.before(&asked).file, Some(facts()));
        memory.remember(&asked);
        assert_eq!(memory.before(&asked).file, asked.file);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_is_oldest() {
        let mut memory = Memory::default();
        for number in 0..MAX_PLACES + 10 {
            memory.remember(&question(&format!("file:/d{number}/one"), "read"));
        }
        assert!(!memory.before(&question("file:/d9/one", "read")).is_near);
        assert!(memory.before(&question("file:/d10/one", "read")).is_near);
        for number in 0..MAX_AGENTS {
            let mut asked = question("file:/a", "read");
            asked.agent = AgentId::sanitised(&format!("agent-{number}"));
            memory.remember(&asked);
        }
        assert_eq!(memory.agents.len(), MAX_AGENTS);
        assert_eq!(
            memory.before(&question("file:/d20/one", "read")).approvals,
            0
        );
    }
}
