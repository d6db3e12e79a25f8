//! Building a small reply on the stack.

/// The biggest structure that is sent whole: an entry with an open answer, or a statx answer.
const PACKET_BYTES_MAX: usize = 304;

/// Bytes of a reply's body, filled from the front.
pub(crate) struct Packet {
    bytes: [u8; PACKET_BYTES_MAX],
    len: usize,
}

impl Packet {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; PACKET_BYTES_MAX],
            len: 0,
        }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        let end = self.len.saturating_add(bytes.len());
        // The callers' structures are constant in size and fit; a test builds each of them.
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        } else {
            debug_assert!(false, "a structure is bigger than a packet");
        }
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.put(&value.to_ne_bytes())
    }

    pub(crate) fn zeros(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            self.put(&[0]);
        }
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
