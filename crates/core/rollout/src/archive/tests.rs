//! Archives as other programs write them, and those that are refused.

use super::*;

fn files() -> Vec<(String, Vec<u8>)> {
    vec![
        (".manifest".to_owned(), b"{}".to_vec()),
        ("a/b.rego".to_owned(), vec![b'x'; 1300]),
        ("empty.rego".to_owned(), Vec::new()),
    ]
}

/// A header with other fields, its sum made right.
fn forged(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut block = header("a.rego", 0).unwrap();
    change(&mut block);
    block.splice(148..156, *b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block.splice(148..156, format!("{sum:06o}\0 ").into_bytes());
    block.resize(3 * BLOCK, 0);
    block
}

#[test]
fn what_is_packed_is_unpacked_and_the_same_files_make_the_same_bytes() {
    let archive = pack(&files()).unwrap();
    assert_eq!(unpack(&archive), Ok(files()));
    let mut other = files();
    other.reverse();
    assert_eq!(pack(&other), Ok(archive));
}

#[test]
fn names_as_other_programs_write_them_are_taken() {
    for name in ["/a.rego", "./a.rego", "a.rego"] {
        let archive = forged(|block| {
            block.splice(..100, [0; 100]);
            block.splice(..name.len(), name.bytes());
        });
        assert_eq!(
            unpack(&archive),
            Ok(vec![("a.rego".to_owned(), Vec::new())]),
            "{name}"
        );
    }
    let directory = forged(|block| {
        block.splice(..2, *b"./");
        block.splice(2..100, [0; 98]);
        block[156] = b'5';
    });
    assert_eq!(unpack(&directory), Ok(Vec::new()));
}

#[test]
fn what_could_lead_elsewhere_is_refused() {
    for name in [
        "../a", "/../a", "a/../b", "//a", "a//b", "a/./b", ".", "a\nb",
    ] {
        let archive = forged(|block| {
            block.splice(..100, [0; 100]);
            block.splice(..name.len(), name.bytes());
        });
        assert!(
            matches!(unpack(&archive), Err(ArchiveError::Path(_))),
            "{name}"
        );
    }
    for kind in b"123467xgLKS" {
        let archive = forged(|block| block[156] = *kind);
        assert!(
            matches!(unpack(&archive), Err(ArchiveError::Kind { .. })),
            "{kind}"
        );
    }
    let twice = [&forged(|_| ())[..BLOCK], &forged(|_| ())].concat();
    assert_eq!(
        unpack(&twice),
        Err(ArchiveError::Twice("a.rego".to_owned()))
    );
    let both = [
        &forged(|_| ())[..BLOCK],
        &forged(|block| {
            block.splice(..8, *b"./a.rego");
        }),
    ]
    .concat();
    assert_eq!(unpack(&both), Err(ArchiveError::Twice("a.rego".to_owned())));
}

#[test]
fn what_is_torn_or_too_large_is_refused() {
    let archive = pack(&files()).unwrap();
    for end in (0..archive.len()).step_by(64) {
        // The second empty block and the padding may be missing.
        if let Ok(read) = unpack(&archive[..end]) {
            assert_eq!(read, files());
            assert_eq!(end, archive.len() - BLOCK);
        }
    }
    let behind = [archive.as_slice(), &[1; BLOCK]].concat();
    assert!(matches!(unpack(&behind), Err(ArchiveError::Damaged(_))));
    let huge = forged(|block| {
        block.splice(124..136, *b"77777777777\0");
    });
    assert!(matches!(unpack(&huge), Err(ArchiveError::Damaged(_))));
    let base256 = forged(|block| block[124] = 0x80);
    assert!(matches!(unpack(&base256), Err(ArchiveError::Damaged(_))));
    assert_eq!(
        unpack(&vec![0; ARCHIVE_MAX_BYTES + BLOCK]),
        Err(ArchiveError::TooLarge)
    );
    let mut flipped = archive;
    flipped[3] ^= 1;
    assert_eq!(
        unpack(&flipped),
        Err(ArchiveError::Damaged("a header's sum is wrong"))
    );
}
