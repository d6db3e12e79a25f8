//! Makes an index: events go in as they stand in the segment, bytes come out.

use valetkey_audit::Record;

use super::{
    Covers, ENTRY_BYTES, HEADER_BYTES, MAGIC, PAGE_ENTRIES, ROW_BYTES, check_of, terms_of,
};

/// Takes the events of a segment.
#[derive(Debug, Default)]
pub struct IndexWriter {
    /// Where each event begins.
    offsets: Vec<u32>,
    /// Terms and events; sorted in the end.
    pairs: Vec<(u64, u32)>,
    first_ms: u64,
    last_ms: u64,
}

impl IndexWriter {
    /// The next event, which begins at `offset`; whether it was taken. A segment is far below what can be taken.
    pub fn push(&mut self, offset: u64, record: &Record) -> bool {
        let (Ok(number), Ok(offset)) = (u32::try_from(self.offsets.len()), u32::try_from(offset))
        else {
            return false;
        };
        let time = record.timestamp.unix_ms();
        if number == 0 {
            self.first_ms = time;
        }
        self.last_ms = self.last_ms.max(time);
        self.offsets.push(offset);
        self.pairs
            .extend(terms_of(record).into_iter().map(|term| (term, number)));
        true
    }

    /// How many events were taken.
    #[must_use]
    pub fn events(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)
    }

    /// The bytes. Of `covers` the times and the number of events are put in here.
    #[must_use]
    pub fn finish(mut self, mut covers: Covers) -> Vec<u8> {
        covers.events = self.events();
        (covers.first_ms, covers.last_ms) = (self.first_ms, self.last_ms);
        self.pairs.sort_unstable();
        let (entries, lists) = lists(&self.pairs);
        let mut table = Vec::new();
        for page in entries.chunks(PAGE_ENTRIES.saturating_mul(ENTRY_BYTES)) {
            table.extend(page.first_chunk::<8>().copied().unwrap_or_default());
            table.extend(check_of(b'p', page));
        }
        let count = u32::try_from(entries.len() / ENTRY_BYTES).unwrap_or(0);
        let mut head = Vec::with_capacity(HEADER_BYTES.saturating_add(table.len()));
        head.extend(MAGIC);
        for number in [covers.first, covers.bytes, covers.checkpoint_at] {
            head.extend(number.to_be_bytes());
        }
        head.extend(covers.checkpoint.as_bytes());
        head.extend(covers.events.to_be_bytes());
        head.extend(covers.first_ms.to_be_bytes());
        head.extend(covers.last_ms.to_be_bytes());
        head.extend(count.to_be_bytes());
        debug_assert_eq!(table.len() % ROW_BYTES, 0);
        // The check of the header covers the table of pages, which has the check of each page, which has that of each list.
        let check = check_of(b'h', &[head.as_slice(), &table].concat());
        head.extend(check);
        let mut out = head;
        out.extend(table);
        for offset in &self.offsets {
            out.extend(offset.to_be_bytes());
        }
        out.extend(entries);
        out.extend(lists);
        out
    }
}

/// The directory, and the lists that it leads to.
fn lists(pairs: &[(u64, u32)]) -> (Vec<u8>, Vec<u8>) {
    let (mut entries, mut lists) = (Vec::new(), Vec::new());
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let Some((term, _)) = group.first() else {
            continue;
        };
        let begins = lists.len();
        let mut before = 0_u32;
        for (_, number) in group {
            put_number(&mut lists, number.saturating_sub(before));
            before = *number;
        }
        let list = lists.get(begins..).unwrap_or_default();
        let check = check_of(b'l', list);
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        entries.extend(term.to_be_bytes());
        entries.extend(u32::try_from(begins).unwrap_or(u32::MAX).to_be_bytes());
        entries.extend(length.to_be_bytes());
        entries.extend(check.first_chunk::<4>().copied().unwrap_or_default());
    }
    (entries, lists)
}

/// Seven bits a byte, the last one without its highest.
fn put_number(out: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
