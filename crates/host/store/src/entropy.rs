//! Random bytes for ids, fetched from the kernel a page at a time.

use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};
use valetkey_model::ULID_RANDOM_BYTES;

use crate::StoreError;

/// Bytes fetched at once: 256 is what `getrandom(2)` gives without being interrupted.
const FETCH_BYTES: usize = 256;

/// A small store of random bytes.
#[derive(Default)]
pub(crate) struct Entropy {
    unused: Vec<[u8; ULID_RANDOM_BYTES]>,
}

impl Entropy {
    /// Random bytes that no one else gets.
    pub(crate) fn take(&mut self) -> Result<[u8; ULID_RANDOM_BYTES], StoreError> {
        if let Some(bytes) = self.unused.pop() {
            return Ok(bytes);
        }
        let failed =
            |error| StoreError::io("get random bytes from", Path::new("the kernel"), error);
        let mut page = [0_u8; FETCH_BYTES];
        let count =
            getrandom(&mut page, GetRandomFlags::empty()).map_err(|error| failed(error.into()))?;
        let (chunks, _) = page.get(..count).unwrap_or_default().as_chunks();
        self.unused.extend_from_slice(chunks);
        self.unused
            .pop()
            .ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))
    }
}
