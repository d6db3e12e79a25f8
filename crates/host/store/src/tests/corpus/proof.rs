//! Attacks on the proof of one event.

use valetkey_audit::{Inclusion, TlogProof};

use super::*;

pub(super) fn attacks() -> Vec<Attack> {
    let log = written(key(), 40, 1_768_662_720_000);
    let reader = LogReader::open(log.path()).unwrap();
    let note = reader.checkpoint().unwrap().unwrap();
    let size = opened(&note).size;
    let entry = reader.get(17).unwrap().unwrap();
    let path = reader.prove(&Inclusion { index: 17, size }, size).unwrap();
    let whole = TlogProof {
        extra: None,
        index: 17,
        path,
        checkpoint: note,
    };
    whole.verify(&entry.bytes, key().public()).unwrap();
    let mut attacks = Vec::new();
    let mut add = |what, named, event: &[u8], attack: &dyn Fn(&mut TlogProof)| {
        let mut proof = whole.clone();
        attack(&mut proof);
        let found = proof
            .verify(event, key().public())
            .map_or_else(|error| error.to_string(), |_| "NOT FOUND".to_owned());
        attacks.push(Attack {
            layer: "proof",
            what,
            named,
            found,
            chain: Chain::Without,
        });
    };
    let other = reader.get(18).unwrap().unwrap();
    add(
        "another event in its place",
        "not what was signed",
        &other.bytes,
        &|_| {},
    );
    add(
        "the event's place changed",
        "not what was signed",
        &entry.bytes,
        &|proof| proof.index = 16,
    );
    add(
        "a hash of the path changed",
        "not what was signed",
        &entry.bytes,
        &|proof| proof.path.swap(0, 1),
    );
    add(
        "the path shortened",
        "not what was signed",
        &entry.bytes,
        &|proof| {
            proof.path.pop();
        },
    );
    add(
        "the path lengthened",
        "not what was signed",
        &entry.bytes,
        &|proof| proof.path.push(proof.path[0]),
    );
    add(
        "the checkpoint of another history",
        "not what was signed",
        &entry.bytes,
        &|proof| {
            let other = written(key(), 40, 1_768_662_720_000);
            proof.checkpoint = LogReader::open(other.path())
                .unwrap()
                .checkpoint()
                .unwrap()
                .unwrap();
        },
    );
    add(
        "the checkpoint signed by another key",
        "not signed by this key",
        &entry.bytes,
        &|proof| {
            proof.checkpoint = opened(&proof.checkpoint)
                .sign(&LogKey::new("valetkey.test/log", &[5; 32]).unwrap());
        },
    );
    attacks
}
