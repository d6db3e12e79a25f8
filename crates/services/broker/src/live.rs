//! The live capabilities of one session, as families: a child that was narrowed from another lives no longer than its parent does.
//!
//! A plain table without clock or lock. INVARIANT (no orphans): whatever stands here with a parent stands here together with that parent, and
//! ends no later; every way out of the table takes the descendants along.

use std::collections::BTreeMap;

use valetkey_capability::{Capability, Claims};
use valetkey_model::{CapabilityId, Timestamp};

/// Live capabilities of one session.
pub(crate) const MAX_LIVE: usize = 4096;
/// Generations below a capability that was decided by policy or people. Each is one more word with the broker; none widens anything.
pub(crate) const MAX_GENERATIONS: usize = 8;
/// Live capabilities that were narrowed from one and the same.
pub(crate) const MAX_CHILDREN: usize = 64;

/// One live capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What its token says.
    pub(crate) claims: Claims,
    /// Whether operations under it may be recorded as they stream.
    pub(crate) streamed: bool,
    /// What it stands under now: what it was narrowed from, or what came in that one's place.
    parent: Option<CapabilityId>,
    generation: usize,
    /// Whose one use it shares: the topmost of its ancestors that is good for a single use, or its own.
    use_of: Option<(CapabilityId, Timestamp)>,
}

impl Entry {
    /// When it ends.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.claims.exp)
    }

    /// The capability in words.
    pub(crate) fn capability(&self) -> Capability {
        Capability {
            parent: self.parent.clone(),
            ..Capability::from(&self.claims)
        }
    }

    /// What is used up with its use, and when that would have expired; nothing if it is good for more than one.
    pub(crate) fn use_of(&self) -> Option<&(CapabilityId, Timestamp)> {
        self.use_of.as_ref()
    }
}

/// Why a capability is not taken into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There are as many as there may be.
    Full,
    /// What it was narrowed from has ended, or never gave that much.
    NoParent,
    /// There are as many generations as there may be.
    TooDeep,
    /// There are as many children as there may be.
    TooManyChildren,
}

/// What was used up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// What ended with it beside the one that was used and those above it, which know.
    pub(crate) unaware: Vec<CapabilityId>,
}

/// The live capabilities of a session.
#[derive(Debug, Default)]
pub(crate) struct Live {
    entries: BTreeMap<CapabilityId, Entry>,
    children: BTreeMap<CapabilityId, Vec<CapabilityId>>,
}

impl Live {
    /// Whether a child of `parent` would be taken now.
    pub(crate) fn may_add_below(
        &self,
        parent: &CapabilityId,
        now: Timestamp,
    ) -> Result<&Entry, NoRoom> {
        let entry = self.get(parent, now).ok_or(NoRoom::NoParent)?;
        if entry.generation >= MAX_GENERATIONS {
            return Err(NoRoom::TooDeep);
        }
        let living = self.children.get(parent).map_or(0, |children| {
            children
                .iter()
                .filter(|child| self.get(child, now).is_some())
                .count()
        });
        if living >= MAX_CHILDREN {
            return Err(NoRoom::TooManyChildren);
        }
        Ok(entry)
    }

    /// Takes a capability in.
    pub(crate) fn add(
        &mut self,
        claims: Claims,
        streamed: bool,
        now: Timestamp,
    ) -> Result<(), NoRoom> {
        // What has expired counts for nothing wherever it is looked for; it is cleared away when its room is needed.
        if self.entries.len() >= MAX_LIVE {
            self.clear_expired(now);
        }
        if self.entries.len() >= MAX_LIVE {
            return Err(NoRoom::Full);
        }
        let mut entry = Entry {
            streamed,
            parent: claims.parent.clone(),
            generation: 0,
            use_of: None,
            claims,
        };
        if let Some(parent) = &entry.claims.parent {
            let above = self.may_add_below(parent, now)?;
            // Checked when it was made, and again here, where it begins to count.
            if !entry.claims.is_within(&above.claims) {
                return Err(NoRoom::NoParent);
            }
            entry.generation = above.generation.saturating_add(1);
            entry.use_of.clone_from(&above.use_of);
            let parent = parent.clone();
            self.children
                .entry(parent)
                .or_default()
                .push(entry.claims.jti.clone());
        }
        if entry.use_of.is_none() && entry.claims.grant().constraints.is_single_use() {
            entry.use_of = Some((entry.claims.jti.clone(), entry.expires_at()));
        }
        self.entries.insert(entry.claims.jti.clone(), entry);
        Ok(())
    }

    /// The live capability of that id.
    pub(crate) fn get(&self, id: &CapabilityId, now: Timestamp) -> Option<&Entry> {
        self.entries
            .get(id)
            .filter(|entry| entry.expires_at() > now)
    }

    /// All that are live, oldest first.
    pub(crate) fn all(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .filter(move |entry| entry.expires_at() > now)
    }

    /// Ends a capability and everything below it; gives what ended, each after what it stood under. Nothing if it was not here.
    pub(crate) fn end(&mut self, id: &CapabilityId) -> Vec<Entry> {
        let mut ended = Vec::new();
        let mut waiting = vec![id.clone()];
        while let Some(next) = waiting.pop() {
            let Some(entry) = self.entries.remove(&next) else {
                continue;
            };
            waiting.extend(self.children.remove(&next).unwrap_or_default());
            if let Some(siblings) = entry
                .parent
                .as_ref()
                .and_then(|parent| self.children.get_mut(parent))
            {
                siblings.retain(|child| *child != next);
            }
            ended.push(entry);
        }
        ended
    }

    /// Ends the whole family that shares the one use of `id`.
    pub(crate) fn use_up(&mut self, id: &CapabilityId) -> Used {
        let root = self
            .entries
            .get(id)
            .and_then(|entry| entry.use_of.clone())
            .map_or_else(|| id.clone(), |(root, _)| root);
        let mut aware = vec![id.clone()];
        while let Some(above) = aware
            .last()
            .filter(|last| **last != root)
            .and_then(|last| self.entries.get(last))
            .and_then(|entry| entry.parent.clone())
        {
            aware.push(above);
        }
        let unaware = self
            .end(&root)
            .into_iter()
            .map(|entry| entry.claims.jti)
            .filter(|ended| !aware.contains(ended))
            .collect();
        Used { unaware }
    }

    /// Lets `new` take the place of `old`: what stood under `old` stands under `new` from now on, and `old` ends alone. Only a capability that
    /// gives all that the old one gave, for as long, can; otherwise everything below `old` ends with it. Gives what ended.
    pub(crate) fn succeed(
        &mut self,
        old: &CapabilityId,
        new: &CapabilityId,
        now: Timestamp,
    ) -> Vec<Entry> {
        let fits = old != new
            && match (self.get(old, now), self.get(new, now)) {
                (Some(before), Some(after)) => {
                    after.claims.exp >= before.claims.exp
                        && before.claims.grant().within(&after.claims.grant())
                        && before.generation == after.generation
                        && before.use_of.is_none()
                        && after.use_of.is_none()
                }
                _ => false,
            };
        if fits {
            let moved = self.children.remove(old).unwrap_or_default();
            for child in &moved {
                if let Some(entry) = self.entries.get_mut(child) {
                    entry.parent = Some(new.clone());
                }
            }
            self.children.entry(new.clone()).or_default().extend(moved);
        }
        self.end(old)
    }

    /// Takes out what has expired.
    pub(crate) fn clear_expired(&mut self, now: Timestamp) {
        let over: Vec<CapabilityId> = self
            .entries
            .values()
            .filter(|entry| entry.expires_at() <= now)
            .map(|entry| entry.claims.jti.clone())
            .collect();
        for id in over {
            let _ended = self.end(&id);
        }
        self.children.retain(|_, children| !children.is_empty());
    }
}

#[cfg(test)]
mod tests;
