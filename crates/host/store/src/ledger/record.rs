//! One record of the ledger: what it is about, until when it matters, and a check.

use std::collections::HashMap;

use valetkey_model::{CapabilityId, Digest, SessionId, Timestamp};

use super::Revoked;

const DOMAIN: &str = "valetkey ledger record v1";

/// Kinds of record, as their first byte.
const USED: u8 = b'u';
const REVOKED: u8 = b'r';
const SESSION: u8 = b's';
const TIME: u8 = b't';

/// Bytes of kind and expiry before, and of the check after.
const HEAD_BYTES: usize = 9;
const CHECK_BYTES: usize = 8;

/// Bytes of an id: a prefix of four and a ULID.
const ID_BYTES: usize = 30;

/// The unit that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Every record has this length, so a torn one is a remainder at the end.
pub(super) const RECORD_BYTES: usize = HEAD_BYTES + ID_BYTES + CHECK_BYTES;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// A capability was used up.
    Used(CapabilityId),
    /// Something was taken back.
    Revoked(Revoked),
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) subject: Subject,
    pub(super) expires: Timestamp,
}

impl Record {
    /// Adds the record's bytes to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, id) = match &self.subject {
            Subject::Used(id) => (USED, id.as_str()),
            Subject::Revoked(Revoked::Capability(id)) => (REVOKED, id.as_str()),
            Subject::Revoked(Revoked::Session(id)) => (SESSION, id.as_str()),
        };
        write(out, kind, self.expires, id);
    }
}

fn write(out: &mut Vec<u8>, kind: u8, time: Timestamp, id: &str) {
    let mut record = vec![kind];
    record.extend_from_slice(&time.unix_ms().to_be_bytes());
    record.extend_from_slice(id.as_bytes());
    record.resize(HEAD_BYTES + ID_BYTES, 0);
    out.extend_from_slice(&record);
    out.extend_from_slice(&check(&record));
}

fn check(record: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Digest::tagged(DOMAIN, record);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The bytes of a ledger with these entries, beginning with the time by which it was made.
pub(super) fn write_all(entries: &HashMap<Subject, Timestamp>, floor: Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_BYTES.saturating_mul(entries.len().saturating_add(1)));
    write(&mut out, TIME, floor, "");
    for (subject, expires) in entries {
        let record = Record {
            subject: subject.clone(),
            expires: *expires,
        };
        record.write(&mut out);
    }
    out
}

/// What a ledger's bytes say. Records at the end that do not hold are what a crash tore; one that is followed by a sound one is damage.
pub(super) fn parse(bytes: &[u8]) -> Result<(HashMap<Subject, Timestamp>, Timestamp), String> {
    let mut entries: HashMap<Subject, Timestamp> = HashMap::new();
    let mut floor = Timestamp::from_unix_ms(0);
    let mut torn = None;
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    for (number, record) in records.iter().enumerate() {
        let (body, sum) = record.split_at(HEAD_BYTES + ID_BYTES);
        if check(body) != *sum {
            if !was_never_written(bytes, number) {
                torn.get_or_insert(number);
            }
            continue;
        }
        if let Some(torn) = torn {
            return Err(format!("record {torn} of the ledger is damaged"));
        }
        let entry =
            read(body).ok_or_else(|| format!("record {number} of the ledger is unknown"))?;
        match entry {
            Entry::Time(time) => floor = floor.max(time),
            Entry::Record(record) => {
                let expires = entries.entry(record.subject).or_insert(record.expires);
                *expires = record.expires.max(*expires);
            }
        }
    }
    // A ledger always begins with its time, written before it got its name.
    if torn == Some(0) || (records.is_empty() && !bytes.is_empty()) {
        return Err("the beginning of the ledger is damaged".to_owned());
    }
    Ok((entries, floor))
}

/// Whether a sector that the record lies in is all zero: the disk wrote its neighbours and not it, so the write that it was part
/// of was not acknowledged.
fn was_never_written(bytes: &[u8], number: usize) -> bool {
    let start = number.saturating_mul(RECORD_BYTES);
    let end = start.saturating_add(RECORD_BYTES);
    let (first, last) = (start / SECTOR_BYTES, end.saturating_sub(1) / SECTOR_BYTES);
    (first..=last).any(|sector| {
        let from = sector.saturating_mul(SECTOR_BYTES);
        let to = from.saturating_add(SECTOR_BYTES).min(bytes.len());
        let sector = bytes.get(from..to).unwrap_or_default();
        sector.iter().all(|byte| *byte == 0)
    })
}

enum Entry {
    Time(Timestamp),
    Record(Record),
}

fn read(body: &[u8]) -> Option<Entry> {
    let (&kind, rest) = body.split_first()?;
    let (time, id) = rest.split_first_chunk::<8>()?;
    let time = Timestamp::from_unix_ms(u64::from_be_bytes(*time));
    let id = std::str::from_utf8(id).ok()?.trim_end_matches('\0');
    let subject = match kind {
        TIME if id.is_empty() => return Some(Entry::Time(time)),
        USED => Subject::Used(id.parse().ok()?),
        REVOKED => Subject::Revoked(Revoked::Capability(id.parse::<CapabilityId>().ok()?)),
        SESSION => Subject::Revoked(Revoked::Session(id.parse::<SessionId>().ok()?)),
        _ => return None,
    };
    Some(Entry::Record(Record {
        subject,
        expires: time,
    }))
}
