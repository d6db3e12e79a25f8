//! The last refusals, kept where the agent can read them and learn what to do.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use valetkey_api::Denial;
use valetkey_sandbox::Noticeboard;

/// How many are kept.
const KEPT: usize = 50;

/// Keeps refusals and publishes them in the cell.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    kept: Mutex<VecDeque<Denial>>,
    board: Mutex<Option<Noticeboard>>,
}

impl Denials {
    /// Says where to publish.
    pub(crate) fn publish_at(&self, board: Noticeboard) {
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = Some(board);
        self.publish();
    }

    /// Adds a refusal. The same one again takes the place of the older.
    pub(crate) fn add(&self, denial: Denial) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |had: &Denial| {
            had.resource == denial.resource
                && had.actions == denial.actions
                && had.problem.detail == denial.problem.detail
        };
        kept.retain(|had| !same(had));
        kept.push_back(denial);
        while kept.len() > KEPT {
            kept.pop_front();
        }
        drop(kept);
        self.publish();
    }

    /// The refusals, newest last.
    pub(crate) fn list(&self) -> Vec<Denial> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    fn publish(&self) {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(board) = board.as_ref() {
            let text = serde_json::to_vec_pretty(&self.list()).unwrap_or_default();
            // A full board keeps the older text; the refusal itself stands.
            drop(board.publish(&text));
        }
    }
}
