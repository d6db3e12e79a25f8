//! Attacks on tiles, bundles of entries and the checkpoint beside them.

use valetkey_audit::tile::{read_entries, write_entry};

use super::*;

fn bundle(entries: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries
        .iter()
        .for_each(|entry| write_entry(&mut bytes, entry).unwrap());
    bytes
}

fn found(files: &Files, trusted: Option<&Checkpoint>) -> String {
    let home = tempfile::tempdir().unwrap();
    put(home.path(), files);
    match TileLog::new(home.path()).verify(key().public(), trusted) {
        Ok(_) => "NOT FOUND".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

fn tiles(log: &Path) -> Files {
    let home = tempfile::tempdir().unwrap();
    let reader = LogReader::open(log).unwrap();
    TileLog::new(home.path())
        .publish(&reader, key().public())
        .unwrap();
    files(home.path())
}

pub(super) fn attacks() -> Vec<Attack> {
    let start = 1_768_662_720_000;
    let log = written(key(), 600, start);
    let whole = tiles(log.path());
    let kept = opened(std::str::from_utf8(&whole["checkpoint"]).unwrap());
    assert!(
        kept.size > 512 && whole.contains_key("tile/0/001"),
        "{:?}",
        whole.keys()
    );
    assert_eq!(found(&whole, Some(&kept)), "NOT FOUND");
    let mut attacks = Vec::new();
    let mut add = |what, named, trusting: bool, attack: &dyn Fn(&mut Files)| {
        let mut files = whole.clone();
        attack(&mut files);
        assert_ne!(files, whole, "{what}");
        let found = found(&files, trusting.then_some(&kept));
        attacks.push(Attack {
            layer: "tile",
            what,
            named,
            found,
            chain: Chain::Without,
        });
    };
    let upper = whole
        .keys()
        .find(|name| name.starts_with("tile/1/"))
        .unwrap()
        .clone();
    add(
        "a leaf hash changed",
        "tile altered at event",
        false,
        &|files| files.get_mut("tile/0/000").unwrap()[40] ^= 1,
    );
    add("a node above changed", "tile altered", false, &|files| {
        files.get_mut(&upper).unwrap()[4] ^= 1
    });
    add(
        "a tile of leaf hashes taken away",
        "tile missing",
        false,
        &|files| drop(files.remove("tile/0/001")),
    );
    add("a tile above taken away", "tile missing", false, &|files| {
        drop(files.remove(&upper))
    });
    add(
        "a bundle of entries taken away",
        "tile missing",
        false,
        &|files| drop(files.remove("tile/entries/001")),
    );
    let swap = |files: &mut Files, one: &str, two: &str| {
        let (a, b) = (files[one].clone(), files[two].clone());
        files.insert(one.to_owned(), b);
        files.insert(two.to_owned(), a);
    };
    add("two tiles exchanged", "tile altered", false, &|files| {
        swap(files, "tile/0/000", "tile/0/001")
    });
    add(
        "two bundles exchanged",
        "events reordered",
        false,
        &|files| swap(files, "tile/entries/000", "tile/entries/001"),
    );
    add(
        "two tiles exchanged with their bundles",
        "events reordered",
        false,
        &|files| {
            swap(files, "tile/0/000", "tile/0/001");
            swap(files, "tile/entries/000", "tile/entries/001");
        },
    );
    add("a tile cut", "tile altered", false, &|files| {
        files.get_mut("tile/0/000").unwrap().truncate(8160)
    });
    add(
        "a tile with a hash too many",
        "tile altered",
        false,
        &|files| files.get_mut("tile/0/000").unwrap().extend([0; 32]),
    );
    add("an entry changed", "event altered", false, &|files| {
        files.get_mut("tile/entries/000").unwrap()[100] ^= 1
    });
    let entries = |files: &Files| {
        let bytes = files["tile/entries/000"].clone();
        let entries = read_entries(&bytes).unwrap();
        entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let set = |files: &mut Files, entries: &[Vec<u8>]| {
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        files.insert("tile/entries/000".to_owned(), bundle(&entries));
    };
    add("an entry taken out", "frame altered", false, &|files| {
        let mut all = entries(files);
        all.remove(7);
        set(files, &all);
    });
    add("an entry put in", "frame altered", false, &|files| {
        let mut all = entries(files);
        all.insert(7, b"{}".to_vec());
        set(files, &all);
    });
    add(
        "two entries exchanged",
        "events reordered at event 7",
        false,
        &|files| {
            let mut all = entries(files);
            all.swap(7, 9);
            set(files, &all);
        },
    );
    add(
        "the length of an entry changed",
        "frame altered",
        false,
        &|files| files.get_mut("tile/entries/000").unwrap()[0] ^= 0x40,
    );
    add(
        "an entry changed with its leaf hash",
        "tile altered",
        false,
        &|files| {
            let mut all = entries(files);
            let text = String::from_utf8(all[7].clone())
                .unwrap()
                .replace("q3.xlsx", "q4.xlsx");
            all[7] = text.into_bytes();
            set(files, &all);
            let leaf = valetkey_audit::leaf_hash(&all[7]);
            files.get_mut("tile/0/000").unwrap()[224..256].copy_from_slice(leaf.as_bytes());
        },
    );
    add(
        "the checkpoint taken away",
        "tile missing",
        false,
        &|files| drop(files.remove("checkpoint")),
    );
    add(
        "the checkpoint's root changed",
        "checkpoint altered",
        false,
        &|files| {
            let note = files.get_mut("checkpoint").unwrap();
            let at = note.iter().position(|byte| *byte == b'\n').unwrap() + 8;
            note[at] = if note[at] == b'A' { b'B' } else { b'A' };
        },
    );
    add(
        "the checkpoint signed anew by another key",
        "signed by another key",
        false,
        &|files| {
            let note = kept.sign(&LogKey::new("valetkey.test/log", &[5; 32]).unwrap());
            files.insert("checkpoint".to_owned(), note.into_bytes());
        },
    );
    let early = tiles(written(key(), 300, start).path());
    add(
        "an older log's tiles and checkpoint put back",
        "end of the log missing",
        true,
        &|files| *files = early.clone(),
    );
    let fork = tiles(written(key(), 900, start).path());
    add(
        "another history's tiles, signed with the stolen key",
        "history rewritten",
        true,
        &|files| *files = fork.clone(),
    );
    attacks
}

#[test]
fn tiles_are_added_to_and_are_the_same_as_when_they_are_written_at_once() {
    let log = written(key(), 300, 1_768_662_720_000);
    let (parts, once) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let reader = LogReader::open(log.path()).unwrap();
    let first = TileLog::new(parts.path())
        .publish(&reader, key().public())
        .unwrap();
    assert_eq!(first.before, 0);
    let again = TileLog::new(parts.path())
        .publish(&reader, key().public())
        .unwrap();
    assert_eq!((again.before, again.files), (first.events, 1));
    let (more, _) = Log::open(log.path(), key(), clock()).unwrap();
    for number in 0..300 {
        more.append_streamed(event(number)).unwrap();
    }
    drop(more);
    let grown = TileLog::new(parts.path())
        .publish(&reader, key().public())
        .unwrap();
    assert_eq!(grown.before, first.events);
    TileLog::new(once.path())
        .publish(&reader, key().public())
        .unwrap();
    let (parts, once) = (files(parts.path()), files(once.path()));
    // Partial tiles of before may stay; everything else is the same.
    assert!(
        once.iter()
            .all(|(name, bytes)| parts.get(name) == Some(bytes))
    );
    assert!(
        parts
            .keys()
            .filter(|name| !once.contains_key(*name))
            .all(|name| name.contains(".p/"))
    );
}

#[test]
fn tiles_of_another_history_are_not_added_to() {
    let one = written(key(), 40, 1_768_662_720_000);
    let two = written(key(), 400, 1_768_662_720_000);
    let home = tempfile::tempdir().unwrap();
    let tiles = TileLog::new(home.path());
    tiles
        .publish(&LogReader::open(one.path()).unwrap(), key().public())
        .unwrap();
    let note = tiles.checkpoint().unwrap();
    let other = tiles.publish(&LogReader::open(two.path()).unwrap(), key().public());
    assert!(matches!(other, Err(StoreError::Tiles(_))), "{other:?}");
    assert_eq!(
        tiles.checkpoint().unwrap(),
        note,
        "the checkpoint that held is still there"
    );
}
