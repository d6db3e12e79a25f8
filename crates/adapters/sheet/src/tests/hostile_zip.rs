//! Zip files whose bytes are made to confuse: each is refused with its reason.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::support::{Book, LEDGER, QUARTERLY_REPORT, SHEET_PART, job, refusal, rows, run};

const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";

/// A change of the bytes of a book.
type Change = fn(&mut Vec<u8>);

fn find(book: &[u8], magic: &[u8]) -> usize {
    book.windows(magic.len())
        .position(|bytes| bytes == magic)
        .unwrap()
}

/// The central header of the sheet.
fn central_of_sheet(book: &[u8]) -> usize {
    let name = book
        .windows(SHEET_PART.len())
        .rposition(|bytes| bytes == SHEET_PART.as_bytes())
        .unwrap();
    // The name follows 46 bytes of header.
    name.strict_sub(46)
}

/// The local header of the sheet.
fn local_of_sheet(book: &[u8]) -> usize {
    // The name follows 30 bytes of header.
    find(book, SHEET_PART.as_bytes()).strict_sub(30)
}

fn put(book: &mut [u8], at: usize, bytes: &[u8]) {
    book[at..][..bytes.len()].copy_from_slice(bytes);
}

/// A book in which some bytes are changed.
fn patched(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut book = Book::new().build();
    change(&mut book);
    book
}

#[test]
fn other_files_are_refused() {
    let compound = [
        &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..],
        &[0; 600],
    ]
    .concat();
    for (file, expected) in [
        (compound.as_slice(), "unsupported"),
        (b"".as_slice(), "unsupported"),
        (b"PK", "unsupported"),
        (b"%PDF-1.7 and more", "unsupported"),
        (b"a,b,c\n1,2,3\n", "unsupported"),
        (&[b"PK\x03\x04".as_slice(), &[0; 300]].concat(), "malformed"),
        (
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "unsupported",
        ),
    ] {
        assert_eq!(refusal(file), expected, "{:?}", &file[..file.len().min(16)]);
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused_and_never_panics() {
    for length in 0..QUARTERLY_REPORT.len() {
        let result = run(&QUARTERLY_REPORT[..length], &job("Sales", rows(1)));
        let kind = result.expect_err("a file cut short").kind();
        assert!(
            matches!(kind, "malformed" | "unsupported"),
            "{length}: {kind}"
        );
    }
}

#[test]
fn a_byte_changed_anywhere_never_panics() {
    for book in [QUARTERLY_REPORT, LEDGER] {
        for at in 0..book.len() {
            let mut changed = book.to_vec();
            changed[at] ^= 0x55;
            // What comes of it differs: a byte in a picture changes nothing that is read.
            if let Err(error) = run(&changed, &job("Sales", rows(1))) {
                assert_ne!(error.kind(), "io", "{at}: {error}");
            }
        }
    }
}

#[test]
fn more_than_one_end_is_refused() {
    let book = Book::new().build();
    let end = book[find(&book, END)..].to_vec();
    // Bytes after the end; a second end after the first; an end in the comment.
    let mut commented = book.clone();
    let length = commented.len();
    put(
        &mut commented,
        length - 2,
        &u16::try_from(end.len()).unwrap().to_le_bytes(),
    );
    for file in [
        [book.as_slice(), b"more"].concat(),
        [book.as_slice(), &end].concat(),
        [commented.as_slice(), &end].concat(),
        [commented.as_slice(), b"short"].concat(),
    ] {
        assert_eq!(refusal(&file), "malformed");
    }
}

#[test]
fn bytes_before_the_first_entry_are_refused() {
    let book = Book::new().build();
    assert_eq!(
        refusal(&[b"#!/bin/sh\n".as_slice(), &book].concat()),
        "unsupported"
    );
    // Hidden behind a header that looks right.
    assert_eq!(refusal(&[LOCAL, &[0; 26], &book].concat()), "malformed");
}

#[test]
fn two_archives_in_one_file_are_refused() {
    let book = Book::new().build();
    assert_eq!(refusal(&[book.as_slice(), &book].concat()), "malformed");
}

#[test]
fn duplicate_names_are_refused() {
    for twin in [
        SHEET_PART,
        "xl/worksheets/SHEET1.xml",
        "xl/worksheets/sheet%31.xml",
    ] {
        // The writer refuses a name twice, so it is made of another by the same length.
        let stand_in = "y".repeat(twin.len());
        let mut book = Book::new().with(&stand_in, "<worksheet/>").build();
        while let Some(at) = book
            .windows(twin.len())
            .position(|bytes| bytes == stand_in.as_bytes())
        {
            put(&mut book, at, twin.as_bytes());
        }
        assert_eq!(refusal(&book), "duplicate_part", "{twin}");
    }
}

#[test]
fn encrypted_entries_are_refused() {
    let book = patched(|book| {
        let (central, local) = (central_of_sheet(book), local_of_sheet(book));
        book[central + 8] |= 1;
        book[local + 6] |= 1;
    });
    assert_eq!(refusal(&book), "encrypted");
}

#[test]
fn other_methods_of_compression_are_refused() {
    for method in [1_u16, 9, 12, 14, 93, 95, 99] {
        let book = patched(|book| {
            let (central, local) = (central_of_sheet(book), local_of_sheet(book));
            put(book, central + 10, &method.to_le_bytes());
            put(book, local + 8, &method.to_le_bytes());
        });
        assert!(
            matches!(refusal(&book), "unsupported" | "encrypted"),
            "{method}: {}",
            refusal(&book)
        );
    }
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let changes: [(&str, Change); 6] = [
        ("another name in the local header", |book| {
            let at = local_of_sheet(book);
            book[at + 30] = b'X';
        }),
        ("a checksum that is wrong", |book| {
            let (central, local) = (central_of_sheet(book), local_of_sheet(book));
            book[central + 16] ^= 1;
            book[local + 14] ^= 1;
        }),
        ("a size that is too small", |book| {
            let (central, local) = (central_of_sheet(book), local_of_sheet(book));
            put(book, central + 24, &10_u32.to_le_bytes());
            put(book, local + 22, &10_u32.to_le_bytes());
        }),
        ("a size that is too large", |book| {
            let (central, local) = (central_of_sheet(book), local_of_sheet(book));
            put(book, central + 24, &9999_u32.to_le_bytes());
            put(book, local + 22, &9999_u32.to_le_bytes());
        }),
        ("an offset beyond the file", |book| {
            let central = central_of_sheet(book);
            put(book, central + 42, &0x7fff_ffff_u32.to_le_bytes());
        }),
        ("more entries than there are", |book| {
            let end = find(book, END);
            put(book, end + 8, &[9, 0, 9, 0]);
        }),
    ];
    for (what, change) in changes {
        assert_eq!(refusal(&patched(change)), "malformed", "{what}");
    }
}

#[test]
fn overlapping_entries_are_refused() {
    // The sheet's directory entry points into the data of the first entry.
    let book = patched(|book| {
        let first = find(book, CENTRAL);
        let central = central_of_sheet(book);
        let copy = book[first + 42..first + 46].to_vec();
        put(book, central + 42, &copy);
    });
    assert_eq!(refusal(&book), "malformed");
}

#[test]
fn an_entry_that_the_directory_does_not_name_is_refused() {
    // Readers that go from header to header would see it, and readers of the directory would not.
    let book = Book::new().build();
    let hidden = {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer
            .start_file("xl/vbaProject.bin", SimpleFileOptions::default())
            .unwrap();
        writer.write_all(b"macro").unwrap();
        let alone = writer.finish().unwrap().into_inner();
        alone[..find(&alone, CENTRAL)].to_vec()
    };
    let at = find(&book, CENTRAL);
    let mut file = [&book[..at], &hidden, &book[at..]].concat();
    let end = find(&file, END);
    let start = u32::try_from(at + hidden.len()).unwrap();
    put(&mut file, end + 16, &start.to_le_bytes());
    assert_eq!(refusal(&file), "malformed");
}

#[test]
fn names_that_are_not_names_of_parts_are_refused() {
    for name in ["/xl/x.xml", "xl\\x.xml", "xl/\u{1}x.xml"] {
        let stand_in = "y".repeat(name.len());
        let mut book = Book::new().with(&stand_in, "x").build();
        while let Some(at) = book
            .windows(name.len())
            .position(|bytes| bytes == stand_in.as_bytes())
        {
            put(&mut book, at, name.as_bytes());
        }
        assert_eq!(refusal(&book), "malformed", "{name:?}");
    }
}

#[test]
fn too_many_entries_are_refused_before_they_are_read() {
    let book = (0..4200).fold(Book::new(), |book, n| {
        book.with(&format!("xl/x{n}.xml"), "")
    });
    assert_eq!(refusal(&book.build()), "too_large");
    // A claim alone is enough.
    let claim = patched(|book| {
        let end = find(book, END);
        put(book, end + 8, &[0xff, 0xfe, 0xff, 0xfe]);
    });
    assert_eq!(refusal(&claim), "too_large");
}

#[test]
fn a_size_that_is_declared_too_large_is_refused_unread() {
    let book = patched(|book| {
        let (central, local) = (central_of_sheet(book), local_of_sheet(book));
        put(book, central + 24, &0xfff_ffff_u32.to_le_bytes());
        put(book, local + 22, &0xfff_ffff_u32.to_le_bytes());
    });
    assert_eq!(refusal(&book), "too_large");
}

#[test]
fn zip64_and_data_descriptors_are_understood() {
    let large = Book::new().build_with(|_| SimpleFileOptions::default().large_file(true));
    assert_eq!(refusal(&large), "accepted");
    let streamed = {
        let mut writer = ZipWriter::new_stream(Vec::new());
        for entry in [
            "[Content_Types].xml",
            "_rels/.rels",
            "xl/workbook.xml",
            "xl/_rels/workbook.xml.rels",
            SHEET_PART,
        ] {
            writer
                .start_file(entry, SimpleFileOptions::default())
                .unwrap();
            writer
                .write_all(Book::new().text(entry).as_bytes())
                .unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    assert_eq!(refusal(&streamed), "accepted");
    let (after, _) = run(&streamed, &job("Data", rows(1))).unwrap();
    assert_eq!(refusal(&after), "accepted");
}
