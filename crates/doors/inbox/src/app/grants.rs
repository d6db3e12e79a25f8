//! What agents hold: which capability is under the cursor, which are marked, and taking back.

use valetkey_approval::visible;
use valetkey_capability::Capability;
use valetkey_model::{CapabilityId, Timestamp};

use super::dialog::Dialog;
use super::{App, Effect, Link};

/// One capability.
#[derive(Clone, Debug)]
pub(crate) struct GrantRow {
    pub(crate) held: Capability,
    pub(crate) marked: bool,
    /// It is no longer live; it stays while the cursor is on it.
    pub(crate) ended: bool,
}

impl GrantRow {
    fn new(held: Capability) -> Self {
        Self {
            held,
            marked: false,
            ended: false,
        }
    }

    pub(crate) fn id(&self) -> &CapabilityId {
        &self.held.capability_id
    }

    pub(crate) fn seconds_left(&self, now: Timestamp) -> u64 {
        self.held.expires_at.ms_since(now).div_ceil(1000)
    }

    /// What it gives, in safe text.
    pub(crate) fn in_short(&self) -> String {
        let what = format!("{} {}", self.held.actions, self.held.resource);
        visible(&what)
    }

    pub(crate) fn agent(&self) -> String {
        visible(self.held.issued_to.as_str())
    }
}

impl App {
    /// Takes the live capabilities over: none jumps, and what ended under the cursor stays to be seen.
    pub(super) fn take_capabilities(&mut self, live: Vec<Capability>) {
        for row in &mut self.grants {
            row.ended = live.iter().all(|held| held.capability_id != *row.id());
        }
        for held in live {
            let known = self
                .grants
                .iter_mut()
                .find(|row| *row.id() == held.capability_id);
            match known {
                Some(row) => row.held = held,
                None => self.grants.push(GrantRow::new(held)),
            }
        }
        self.sweep_grants();
        if self.selected_grant.is_none() {
            self.selected_grant = self.grants.first().map(|row| row.id().clone());
        }
    }

    fn sweep_grants(&mut self) {
        let selected = self.selected_grant.clone();
        self.grants
            .retain(|row| !row.ended || Some(row.id()) == selected.as_ref());
    }

    pub(crate) fn live_count(&self) -> usize {
        self.grants.iter().filter(|row| !row.ended).count()
    }

    pub(super) fn move_grant_by(&mut self, by: isize) {
        let at = self
            .selected_grant
            .as_ref()
            .and_then(|id| self.grants.iter().position(|row| row.id() == id));
        let last = self.grants.len().saturating_sub(1);
        let to = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
        self.selected_grant = self.grants.get(to).map(|row| row.id().clone());
        self.sweep_grants();
    }

    pub(super) fn mark_grant(&mut self) {
        let selected = self.selected_grant.clone();
        if let Some(row) = self
            .grants
            .iter_mut()
            .find(|row| Some(row.id()) == selected.as_ref() && !row.ended)
        {
            row.marked = !row.marked;
        }
        self.move_grant_by(1);
    }

    /// Takes back the one under the cursor at once, and several after a page that lists them.
    pub(super) fn revoke(&mut self, all: bool) -> Vec<Effect> {
        if !self.is_reachable() {
            return Vec::new();
        }
        let live = self.grants.iter().filter(|row| !row.ended);
        let mut meant: Vec<CapabilityId> = live
            .clone()
            .filter(|row| all || row.marked)
            .map(|row| row.id().clone())
            .collect();
        if meant.is_empty() {
            let selected = self.selected_grant.as_ref();
            meant.extend(
                live.filter(|row| Some(row.id()) == selected)
                    .map(|row| row.id().clone()),
            );
        }
        match meant.len() {
            0 => {
                self.say("no live grant is selected");
                Vec::new()
            }
            1 => vec![Effect::Revoke(meant)],
            _ => {
                self.dialog = Some(Dialog::Revoke(meant));
                vec![self.pause()]
            }
        }
    }

    /// Whether the broker answers; otherwise the person is told that nothing is done.
    pub(super) fn is_reachable(&mut self) -> bool {
        let up = self.link == Link::Up;
        if !up {
            self.say("the broker is not reachable: nothing was done");
        }
        up
    }

    pub(super) fn revoked(&mut self, result: Result<Vec<CapabilityId>, String>) {
        match result {
            Ok(ids) => {
                for id in &ids {
                    let words = self
                        .grants
                        .iter()
                        .find(|row| row.id() == id)
                        .map(|row| format!("{}: {}", row.agent(), row.in_short()));
                    self.remember(format!(
                        "revoked   {}",
                        words.unwrap_or_else(|| id.to_string())
                    ));
                }
                for row in &mut self.grants {
                    if ids.contains(row.id()) {
                        row.ended = true;
                        row.marked = false;
                    }
                }
                self.say(match ids.len() {
                    0 => "nothing was revoked: it had ended before".to_owned(),
                    1 => "revoked".to_owned(),
                    many => format!("{many} revoked"),
                });
            }
            Err(why) => self.say(format!("not revoked: {why}")),
        }
    }
}
