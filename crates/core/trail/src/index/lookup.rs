//! Looks terms up, reading no more of an index than it needs.

use valetkey_model::Digest;

use super::{
    Covers, Damaged, ENTRY_BYTES, HEADER_BYTES, MAGIC, PAGE_ENTRIES, ROW_BYTES, Terms, check_of,
};

/// Most bytes of one list: every event of the largest segment.
const LIST_MAX_BYTES: usize = 16 << 20;

/// Most pages of a directory.
const PAGES_MAX: usize = 1 << 20;

/// An index, read piece by piece.
pub struct Index<'a> {
    read: Box<dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a>,
    covers: Covers,
    entries: usize,
    /// First term and check of each page.
    pages: Vec<(u64, [u8; 8])>,
    offsets_at: u64,
    entries_at: u64,
    lists_at: u64,
}

impl std::fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({:?})", self.covers)
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Takes numbers from the front of some bytes.
struct Front<'a>(&'a [u8]);

impl Front<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

impl<'a> Index<'a> {
    /// Opens an index. `read` gives some bytes from a place on, all of them or none.
    ///
    /// # Errors
    /// When it is damaged, or of another form.
    pub fn open(read: impl Fn(u64, usize) -> Option<Vec<u8>> + 'a) -> Result<Self, Damaged> {
        let head = read(0, HEADER_BYTES).ok_or(Damaged)?;
        Self::with_head(Box::new(read), &head).ok_or(Damaged)
    }

    fn with_head(
        read: Box<dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a>,
        head: &[u8],
    ) -> Option<Self> {
        let mut front = Front(head);
        if front.take::<8>()? != *MAGIC {
            return None;
        }
        let covers = Covers {
            first: front.u64()?,
            bytes: front.u64()?,
            checkpoint_at: front.u64()?,
            checkpoint: Digest::from_bytes(front.take()?),
            events: front.u32()?,
            first_ms: front.u64()?,
            last_ms: front.u64()?,
        };
        let entries = usize::try_from(front.u32()?).ok()?;
        let check = front.take::<8>()?;
        let count = entries.div_ceil(PAGE_ENTRIES);
        if count > PAGES_MAX {
            return None;
        }
        let table = read(wide(HEADER_BYTES), count.checked_mul(ROW_BYTES)?)?;
        let checked = head.get(..HEADER_BYTES.checked_sub(8)?)?;
        if check_of(b'h', &[checked, &table].concat()) != check {
            return None;
        }
        let mut rows = Front(&table);
        let mut pages = Vec::with_capacity(count);
        for _ in 0..count {
            pages.push((rows.u64()?, rows.take()?));
        }
        let offsets_at = wide(HEADER_BYTES).checked_add(wide(table.len()))?;
        let entries_at = offsets_at.checked_add(u64::from(covers.events).checked_mul(4)?)?;
        let lists_at = entries_at.checked_add(wide(entries.checked_mul(ENTRY_BYTES)?))?;
        Some(Self {
            read,
            covers,
            entries,
            pages,
            offsets_at,
            entries_at,
            lists_at,
        })
    }

    /// What it covers.
    #[must_use]
    pub fn covers(&self) -> &Covers {
        &self.covers
    }

    /// The numbers of the events, from the segment's first on, that have a term of each group, in order.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn find(&self, groups: &[Terms]) -> Result<Vec<u32>, Damaged> {
        let mut found: Option<Vec<u32>> = None;
        for group in groups {
            let mut any = Vec::new();
            for term in group {
                any.extend(self.list(*term)?);
            }
            any.sort_unstable();
            any.dedup();
            found = Some(match found {
                None => any,
                Some(mut found) => {
                    found.retain(|number| any.binary_search(number).is_ok());
                    found
                }
            });
            if found.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
        }
        Ok(found.unwrap_or_else(|| (0..self.covers.events).collect()))
    }

    /// Where in the segment an event begins.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn offset(&self, number: u32) -> Result<u64, Damaged> {
        let at = self
            .offsets_at
            .saturating_add(u64::from(number).saturating_mul(4));
        let bytes = (self.read)(at, 4).filter(|_| number < self.covers.events);
        let offset = bytes.and_then(|bytes| Front(&bytes).u32());
        offset.map(u64::from).ok_or(Damaged)
    }

    /// The events that have a term.
    fn list(&self, term: u64) -> Result<Vec<u32>, Damaged> {
        let after = self.pages.partition_point(|(first, _)| *first <= term);
        let Some(page) = after.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let (_, check) = self.pages.get(page).ok_or(Damaged)?;
        let begins = page.saturating_mul(PAGE_ENTRIES);
        let count = self.entries.saturating_sub(begins).min(PAGE_ENTRIES);
        let at = self
            .entries_at
            .saturating_add(wide(begins.saturating_mul(ENTRY_BYTES)));
        let bytes = (self.read)(at, count.saturating_mul(ENTRY_BYTES)).ok_or(Damaged)?;
        if check_of(b'p', &bytes) != *check {
            return Err(Damaged);
        }
        let mut front = Front(&bytes);
        for _ in 0..count {
            let entry = (front.u64(), front.u32(), front.u32(), front.take::<4>());
            let (Some(found), Some(place), Some(length), Some(check)) = entry else {
                return Err(Damaged);
            };
            if found == term {
                return self.numbers(place, length, check);
            }
        }
        Ok(Vec::new())
    }

    fn numbers(&self, place: u32, length: u32, check: [u8; 4]) -> Result<Vec<u32>, Damaged> {
        let at = self.lists_at.saturating_add(u64::from(place));
        let length = usize::try_from(length).map_err(|_| Damaged)?;
        if length > LIST_MAX_BYTES {
            return Err(Damaged);
        }
        let bytes = (self.read)(at, length).ok_or(Damaged)?;
        if check_of(b'l', &bytes).first_chunk() != Some(&check) {
            return Err(Damaged);
        }
        let mut numbers = Vec::new();
        let (mut number, mut part, mut shift) = (0_u32, 0_u32, 0_u32);
        for byte in bytes {
            let low = u32::from(byte & 0x7f).checked_shl(shift).ok_or(Damaged)?;
            part |= low;
            if byte & 0x80 == 0 {
                number = number.checked_add(part).ok_or(Damaged)?;
                numbers.push(number);
                (part, shift) = (0, 0);
            } else {
                shift = shift.saturating_add(7);
            }
        }
        Ok(numbers)
    }
}
