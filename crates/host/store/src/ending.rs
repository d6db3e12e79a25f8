//! The end of a write that many wait for.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::StoreError;

/// How a write ended; those who wait for it hold it.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// The size of what was written to, after the write.
    result: Mutex<Option<Result<u64, StoreError>>>,
    known: Condvar,
}

impl Ending {
    /// Tells everyone.
    pub(crate) fn tell(&self, result: Result<u64, StoreError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.known.notify_all();
    }

    /// How it ended, if it has.
    pub(crate) fn get(&self) -> Option<Result<u64, StoreError>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.clone()
    }

    /// Waits until the write has ended.
    pub(crate) fn wait(&self) -> Result<u64, StoreError> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = result.as_ref() {
                return result.clone();
            }
            result = self
                .known
                .wait(result)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
