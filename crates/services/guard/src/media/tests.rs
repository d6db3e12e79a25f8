//! Names and contents that agree, and those that do not.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use super::*;

fn of(name: &str, content: &[u8]) -> Option<&'static str> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    of_file(Path::new(name), file.as_fd())
}

/// An archive of empty parts with these names.
fn zip_of(names: &[&str]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for name in names {
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let mut record = b"PK\x01\x02".to_vec();
        record.resize(46, 0);
        record[28..30].copy_from_slice(&length);
        directory.extend(record);
        directory.extend(name.as_bytes());
        body.extend(b"PK\x03\x04");
        body.resize(body.len() + 22, 0);
        body.extend(length);
        body.extend([0, 0]);
        body.extend(name.as_bytes());
    }
    let mut end = b"PK\x05\x06".to_vec();
    end.resize(22, 0);
    let count = u16::try_from(names.len()).unwrap().to_le_bytes();
    end[8..10].copy_from_slice(&count);
    end[10..12].copy_from_slice(&count);
    end[12..16].copy_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
    [body, directory, end].concat()
}

#[test]
fn name_and_content_that_agree_tell_the_type() {
    for (name, content, kind) in [
        ("/a.txt", &b"words\n"[..], "text/plain"),
        ("/README", b"words", "text/plain"),
        ("/a.rs", b"fn main() {}", "text/plain"),
        ("/a.TXT", "größer".as_bytes(), "text/plain"),
        ("/a.csv", b"a,b\n1,2\n", "text/csv"),
        ("/a.json", b" {\"a\": [1]}\n", "application/json"),
        ("/a.html", b"<p>", "text/html"),
        ("/a.pdf", b"%PDF-1.7\n\xff\0", "application/pdf"),
        ("/a.png", b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
        ("/a.JPG", b"\xff\xd8\xff\xe0\0", "image/jpeg"),
        ("/a.gif", b"GIF89a\0", "image/gif"),
        ("/tool", b"\x7fELF\x02\x01\0", "application/x-elf"),
        ("/a.sh", b"#!/bin/sh\n", "text/x-script"),
        ("/a.py", b"print()", "text/x-script"),
        ("/run", b"#!/bin/sh\n", "text/x-script"),
        ("/a.bin", b"\0\x01\xfe", "application/octet-stream"),
        ("/a.txt", b"", "text/plain"),
        ("/a.json", b"", "application/json"),
    ] {
        assert_eq!(of(name, content), Some(kind), "{name}");
    }
}

#[test]
fn a_name_that_lies_has_no_type() {
    let elf = b"\x7fELF\x02\x01\0";
    let zip = zip_of(&["a"]);
    for (name, content) in [
        ("/a.txt", &elf[..]),
        ("/a.txt", &zip),
        ("/a.csv", b"a,b\n\0"),
        ("/a.txt", b"not utf-8 \xff"),
        ("/a.txt", b"caf\xc3"),
        ("/a.txt", b"%PDF-1.7"),
        ("/a.txt", b"#!/bin/sh\n"),
        ("/a.csv", b"#!/bin/sh\n"),
        ("/a.json", b"{\"a\": "),
        ("/a.json", b"words"),
        ("/a.pdf", b"words"),
        ("/a.png", b"GIF89a"),
        ("/a.png", elf),
        ("/a.xlsx", &zip),
        ("/a.bin", elf),
        ("/a.rs", b"\0\0"),
    ] {
        assert_eq!(of(name, content), None, "{name}");
    }
}

#[test]
fn archives_are_told_apart_by_their_parts() {
    let types = "[Content_Types].xml";
    let sheet = zip_of(&[types, "xl/workbook.xml"]);
    assert_eq!(of("/a.xlsx", &sheet), Some(archive::SHEET));
    assert_eq!(of("/a.docx", &sheet), None);
    assert_eq!(of("/a.zip", &sheet), Some(archive::ZIP));
    let document = zip_of(&[types, "word/document.xml"]);
    assert_eq!(of("/a.docx", &document), Some(archive::DOCUMENT));
    let macros = zip_of(&[types, "xl/workbook.xml", "xl/vbaProject.bin"]);
    assert_eq!(of("/a.xlsx", &macros), None);
    assert_eq!(of("/a.xlsm", &macros), Some(archive::SHEET_WITH_MACROS));
    // Cut short, or with a directory that does not add up.
    assert_eq!(of("/a.xlsx", &sheet[..sheet.len() - 1]), None);
    let mut lying = sheet;
    let at = lying.len() - 12;
    lying[at] = 3;
    assert_eq!(of("/a.xlsx", &lying), None);
}

#[test]
fn what_is_two_things_at_once_has_no_type() {
    let zip = zip_of(&["a"]);
    let picture = [&b"\x89PNG\r\n\x1a\n"[..], &zip].concat();
    assert_eq!(of("/a.png", &picture), None);
    let text = [&b"words"[..], &zip].concat();
    assert_eq!(of("/a.txt", &text), None);
    assert_eq!(of("/a.bin", &text), None);
}

#[test]
fn long_files_are_looked_at_from_both_ends() {
    let long = "ä".repeat(LOOKED_AT);
    assert_eq!(of("/a.txt", long.as_bytes()), Some("text/plain"));
    // One byte further, every read cuts a character in two.
    assert_eq!(
        of("/a.txt", format!("x{long}").as_bytes()),
        Some("text/plain")
    );
    let zip = zip_of(&["a"]);
    let hidden = [long.as_bytes(), &zip].concat();
    assert_eq!(of("/a.txt", &hidden), None);
    let json = format!("[\"{}\"]", "x".repeat(LOOKED_AT));
    assert_eq!(of("/a.json", json.as_bytes()), Some("application/json"));
    assert_eq!(of("/a.json", long.as_bytes()), None);
}

#[test]
fn a_new_file_has_the_type_that_its_name_promises() {
    for (name, kind) in [
        ("/a.txt", PLAIN),
        ("/a", PLAIN),
        ("/a.csv", "text/csv"),
        ("/a.png", "image/png"),
        ("/a.xlsx", archive::SHEET),
        ("/a.so", ELF),
        ("/a.sh", SCRIPT),
        ("/a.bin", OTHER),
    ] {
        assert_eq!(of_new(Path::new(name)), Some(kind), "{name}");
    }
}

#[test]
fn types_are_given_one_by_one_or_by_their_top() {
    let given = |given: &[&str], kind: &str| {
        let given: Vec<String> = given.iter().map(|&kind| kind.to_owned()).collect();
        is_given(&given, kind)
    };
    assert!(given(&["text/plain"], "text/plain") && given(&["TEXT/Plain"], "text/plain"));
    assert!(given(&["image/*", "text/*"], "text/csv"));
    for nothing in [
        &["text"][..],
        &["text/"],
        &["*/*"],
        &["*"],
        &["text/plain; charset=utf-8"],
        &["/*"],
        &[],
    ] {
        assert!(!given(nothing, "text/plain"), "{nothing:?}");
    }
}

#[test]
fn what_cannot_be_read_has_no_type() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let only_written = std::fs::OpenOptions::new()
        .write(true)
        .open(path.path())
        .unwrap();
    only_written.set_len(1).unwrap();
    assert_eq!(of_file(Path::new("/a.txt"), only_written.as_fd()), None);
}
