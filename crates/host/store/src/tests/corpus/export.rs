//! Attacks on an export and its proof.

use valetkey_audit::{ExportProof, Selection};

use super::*;

pub(super) fn attacks() -> Vec<Attack> {
    let log = written(key(), 40, 1_768_662_720_000);
    let reader = LogReader::open(log.path()).unwrap();
    let note = reader.checkpoint().unwrap().unwrap();
    let size = opened(&note).size;
    let places: Vec<u64> = (10..30).collect();
    let rows: Vec<Vec<u8>> = places
        .iter()
        .map(|seq| reader.get(*seq).unwrap().unwrap().bytes)
        .collect();
    let hashes = reader
        .prove(&Selection::new(places, size).unwrap(), size)
        .unwrap();
    let whole = ExportProof {
        format: "ndjson".to_owned(),
        from: 10,
        to: 30,
        events: 20,
        asked: "all".to_owned(),
        hashes,
        checkpoint: note,
    };
    let check = |proof: &ExportProof, rows: &[Vec<u8>]| {
        let rows = rows.iter().map(Vec::as_slice);
        proof.verify(rows, |_, _| true, key().public())
    };
    assert_eq!(check(&whole, &rows).unwrap().left_out, 0);
    assert_eq!(ExportProof::parse(whole.text().as_bytes()).unwrap(), whole);
    let mut attacks = Vec::new();
    let mut add = |what, named, chain, attack: &dyn Fn(&mut ExportProof, &mut Vec<Vec<u8>>)| {
        let (mut proof, mut rows) = (whole.clone(), rows.clone());
        attack(&mut proof, &mut rows);
        let found = check(&proof, &rows).map_or_else(
            |error| error.to_string(),
            |proved| format!("NOT FOUND {proved:?}"),
        );
        attacks.push(Attack {
            layer: "export",
            what,
            named,
            found,
            chain,
        });
    };
    let changed = |row: &[u8]| {
        String::from_utf8(row.to_vec())
            .unwrap()
            .replace("q3.xlsx", "q4.xlsx")
            .into_bytes()
    };
    add(
        "a value changed",
        "rows rewritten",
        Chain::Without,
        &|_, rows| rows[5] = changed(&rows[5]),
    );
    add(
        "a row that is no event",
        "row altered",
        Chain::Without,
        &|_, rows| rows[5] = b"{}".to_vec(),
    );
    add(
        "a row taken out",
        "rows missing",
        Chain::Without,
        &|_, rows| drop(rows.remove(5)),
    );
    add(
        "a row taken out, and the proof's count with it",
        "rows rewritten",
        Chain::Without,
        &|proof, rows| {
            rows.remove(5);
            proof.events -= 1;
        },
    );
    add(
        "the last rows cut off, and the proof's range with them",
        "rows rewritten",
        Chain::Without,
        &|proof, rows| {
            rows.truncate(15);
            (proof.events, proof.to) = (15, 25);
        },
    );
    add(
        "a row doubled",
        "rows reordered",
        Chain::Without,
        &|_, rows| rows.insert(5, rows[5].clone()),
    );
    add(
        "two rows exchanged",
        "rows reordered",
        Chain::Without,
        &|_, rows| rows.swap(5, 6),
    );
    add(
        "a row of elsewhere put in",
        "row inserted",
        Chain::Without,
        &|_, rows| {
            let log = written(key(), 40, 1_768_662_720_000);
            let entry = LogReader::open(log.path())
                .unwrap()
                .get(35)
                .unwrap()
                .unwrap();
            rows.push(entry.bytes);
        },
    );
    add(
        "a row of another history in its place",
        "rows rewritten",
        Chain::Without,
        &|_, rows| {
            let log = written(key(), 40, 1_768_662_720_000);
            rows[5] = LogReader::open(log.path())
                .unwrap()
                .get(15)
                .unwrap()
                .unwrap()
                .bytes;
        },
    );
    add(
        "said to be of a smaller range",
        "row inserted",
        Chain::Without,
        &|proof, _| proof.from = 12,
    );
    add(
        "a hash of its proof changed",
        "rows rewritten",
        Chain::Without,
        &|proof, _| proof.hashes.swap(0, 1),
    );
    add(
        "its proof's checkpoint signed by another key",
        "not signed by this key",
        Chain::Without,
        &|proof, _| {
            proof.checkpoint = opened(&proof.checkpoint)
                .sign(&LogKey::new("valetkey.test/log", &[5; 32]).unwrap());
        },
    );
    attacks
}
