//! The connections that a session has open through the network door, so that its end waits until each of them is in the log.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many are open.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<usize>,
    fewer: Condvar,
}

/// One that is open, until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Connections>);

impl Connections {
    /// One more.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenConnection {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_add(1);
        OpenConnection(Arc::clone(self))
    }

    /// Waits until none is open, no longer than `most`. Whether none is.
    pub(crate) fn wait_for_none(&self, most: Duration) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.fewer.wait_timeout_while(open, most, |open| *open > 0);
        let (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *open == 0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_sub(1);
        drop(open);
        self.0.fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_for_what_is_open_and_not_for_ever() {
        let connections = Arc::new(Connections::default());
        assert!(connections.wait_for_none(Duration::ZERO));
        let open = connections.begin();
        assert!(!connections.wait_for_none(Duration::from_millis(10)));
        let ending = std::thread::spawn(move || drop(open));
        assert!(connections.wait_for_none(Duration::from_secs(60)));
        ending.join().expect("ends");
    }
}
