//! An index against going through all events.

use valetkey_audit::Record;

use super::*;
use crate::filter::{Filter, UserTerm};
use crate::testing::{event, one_of_each, record, write};

/// Events of every type, and of many places.
fn records() -> Vec<Record> {
    let mut records = one_of_each();
    let places = [
        "/home/alice/a.txt",
        "/home/alice/b/x",
        "/home/bob/x",
        "/srv/data/y",
        "/srv/database",
    ];
    for number in 0..60_u64 {
        let place = places[usize::try_from(number % 5).unwrap()];
        records.push(record(100 + number, write(place)));
    }
    let kind = valetkey_audit::EventType::LogOpened;
    records.push(record(400, event(kind).user(0, "root")));
    let tree = event(valetkey_audit::EventType::SessionOpened);
    records.push(record(
        401,
        tree.resource("file:/home/alice/**".parse().unwrap()),
    ));
    records
}

fn covers() -> Covers {
    Covers {
        first: 0,
        bytes: 1000,
        checkpoint_at: 900,
        checkpoint: Digest::of(b"c"),
        events: 0,
        first_ms: 0,
        last_ms: 0,
    }
}

fn made(records: &[Record]) -> Vec<u8> {
    let mut writer = IndexWriter::default();
    for (number, record) in records.iter().enumerate() {
        assert!(writer.push(100 * number as u64, record));
    }
    writer.finish(covers())
}

fn open(bytes: &[u8]) -> Result<Index<'_>, Damaged> {
    Index::open(move |at, length| {
        let at = usize::try_from(at).ok()?;
        Some(bytes.get(at..at.checked_add(length)?)?.to_vec())
    })
}

fn filters() -> Vec<Filter> {
    let mut filters = Vec::new();
    let mut add = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filters.push(filter);
    };
    add(&|_| {});
    add(&|filter| filter.kinds = vec!["operation".parse().unwrap()]);
    add(&|filter| {
        filter.kinds = vec![
            "approval.given".parse().unwrap(),
            "session".parse().unwrap(),
        ]
    });
    add(&|filter| filter.users = vec![UserTerm::Name("alice".to_owned())]);
    add(&|filter| filter.users = vec![UserTerm::Uid(1000)]);
    add(&|filter| filter.users = vec![UserTerm::Name("nobody".to_owned())]);
    for pattern in [
        "file:/**",
        "file:/home/**",
        "file:/home/*/x",
        "file:/srv/data/**",
        "file:/home/alice/a.txt",
    ] {
        add(&|filter| filter.resources = vec![pattern.parse().unwrap()]);
        add(&|filter| {
            filter.resources = vec![pattern.parse().unwrap()];
            filter.kinds = vec!["operation".parse().unwrap()];
        });
    }
    filters
}

#[test]
fn what_an_index_leaves_out_does_not_match() {
    let records = records();
    let bytes = made(&records);
    let index = open(&bytes).unwrap();
    assert_eq!(index.covers().events as usize, records.len());
    let mut narrowed = 0;
    for filter in filters() {
        let found = index.find(&groups(&filter)).unwrap();
        for (number, record) in records.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            if filter.matches(record) {
                assert!(found.contains(&number), "{filter:?} {record:?}");
            }
        }
        narrowed += usize::from(found.len() < records.len());
        for number in found {
            assert_eq!(index.offset(number), Ok(100 * u64::from(number)));
        }
    }
    assert!(narrowed > 5, "{narrowed}");
}

#[test]
fn every_changed_byte_of_what_is_looked_up_is_found() {
    let records = records();
    let bytes = made(&records);
    let filters = filters();
    let answers: Vec<_> = filters
        .iter()
        .map(|filter| open(&bytes).unwrap().find(&groups(filter)))
        .collect();
    for at in (0..bytes.len()).step_by(5) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        let Ok(index) = open(&changed) else {
            continue;
        };
        for (filter, answer) in filters.iter().zip(&answers) {
            let found = index.find(&groups(filter));
            assert!(found.is_err() || found == *answer, "byte {at} {filter:?}");
        }
    }
    for end in (0..bytes.len()).step_by(11) {
        if let Ok(index) = open(&bytes[..end]) {
            let found = filters.iter().map(|filter| index.find(&groups(filter)));
            assert!(
                found
                    .zip(&answers)
                    .all(|(found, answer)| found.is_err() || found == *answer)
            );
        }
    }
}
