//! Refusals of the last few seconds, so that an agent that tries again does not ask again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::time::{Duration, Instant};

use valetkey_model::ActionSet;

use crate::locks::{read, write};

/// Refusals that are remembered; an agent that tries more names at once pays with more questions.
const REMEMBERED_MAX: usize = 8192;

/// A refusal that was remembered.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    until: Instant,
    visible: bool,
}

#[derive(Debug)]
pub(crate) struct Refusals {
    memory: Duration,
    entries: RwLock<HashMap<PathBuf, Vec<(ActionSet, Refusal)>>>,
}

impl Refusals {
    pub(crate) fn new(memory: Duration) -> Self {
        Self {
            memory,
            entries: RwLock::default(),
        }
    }

    /// Whether `wanted` was refused just now, and if so whether the name may be seen.
    pub(crate) fn recent(&self, path: &Path, wanted: ActionSet) -> Option<bool> {
        let entries = read(&self.entries);
        let now = Instant::now();
        entries
            .get(path)?
            .iter()
            .find(|(refused, refusal)| *refused == wanted && refusal.until > now)
            .map(|(_, refusal)| refusal.visible)
    }

    pub(crate) fn remember(&self, path: &Path, wanted: ActionSet, visible: bool) {
        let now = Instant::now();
        let Some(until) = now.checked_add(self.memory) else {
            return;
        };
        let mut entries = write(&self.entries);
        if entries.len() >= REMEMBERED_MAX {
            entries.retain(|_, refusals| refusals.iter().any(|(_, refusal)| refusal.until > now));
        }
        if entries.len() >= REMEMBERED_MAX {
            return;
        }
        let refusals = entries.entry(path.to_path_buf()).or_default();
        refusals.retain(|(refused, refusal)| *refused != wanted && refusal.until > now);
        refusals.push((wanted, Refusal { until, visible }));
    }

    /// Forgets everything: something new was granted.
    pub(crate) fn clear(&self) {
        write(&self.entries).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{READ, WRITE};

    #[test]
    fn a_refusal_is_remembered_for_its_time_and_its_actions() {
        let refusals = Refusals::new(Duration::from_millis(40));
        let path = Path::new("/a");
        refusals.remember(path, READ, true);
        assert_eq!(refusals.recent(path, READ), Some(true));
        assert_eq!(refusals.recent(path, WRITE), None);
        assert_eq!(refusals.recent(Path::new("/b"), READ), None);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(refusals.recent(path, READ), None);
        refusals.remember(path, READ, false);
        refusals.clear();
        assert_eq!(refusals.recent(path, READ), None);
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::new(Duration::from_secs(60));
        for number in 0..REMEMBERED_MAX.saturating_mul(2) {
            refusals.remember(Path::new(&format!("/{number}")), READ, false);
        }
        assert_eq!(read(&refusals.entries).len(), REMEMBERED_MAX);
    }
}
