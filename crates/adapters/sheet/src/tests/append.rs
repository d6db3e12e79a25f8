//! Appending to workbooks that are in order: where the rows go, and what does not change.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::support::{
    Book, QUARTERLY_REPORT, SALES_PART, SHEET_PART, job, part, relationships, rows, run, stored,
    workbook,
};
use crate::Cell;

fn sale() -> Vec<Cell> {
    vec![
        Cell::from("2026-01-09"),
        Cell::from("North"),
        Cell::from("Valves"),
        Cell::from(130),
        Cell::from(19.1),
        Cell::Null,
        Cell::from(true),
    ]
}

fn open(book: &[u8]) -> Xlsx<Cursor<Vec<u8>>> {
    open_workbook_from_rs(Cursor::new(book.to_vec())).unwrap()
}

#[test]
fn only_the_sheet_part_changes_and_only_by_what_is_inserted() {
    let (after, report) = run(QUARTERLY_REPORT, &job("Sales", vec![sale(), sale()])).unwrap();
    let (old, new) = (stored(QUARTERLY_REPORT), stored(&after));
    assert_eq!(old.len(), new.len());
    for (old, new) in old.iter().zip(&new) {
        if old.name == SALES_PART {
            assert_eq!(
                (&old.name, old.method, &old.modified),
                (&new.name, new.method, &new.modified)
            );
        } else {
            // Compressed bytes, checksum, size, method, time and place in the order.
            assert_eq!(old, new);
        }
    }
    let (old, new) = (part(QUARTERLY_REPORT, SALES_PART), part(&after, SALES_PART));
    let at = new.find("<row r=\"14\">").unwrap();
    let end = new.find("</sheetData>").unwrap();
    let without = [new.get(..at).unwrap(), new.get(end..).unwrap()].concat();
    assert_eq!(
        without.replace("<dimension ref=\"A1:G15\"/>", "<dimension ref=\"A1:F13\"/>"),
        old
    );
    let inserted = end - at + "A1:G15".len();
    assert_eq!(report.bytes_written, u64::try_from(inserted).unwrap());
    assert_eq!(
        (report.first_row, report.last_row, report.rows),
        (14, 15, 2)
    );
    assert_eq!(report.sheet_part, SALES_PART);
    assert_eq!((report.parts_total, report.parts_unchanged), (17, 16));
}

#[test]
fn another_reader_finds_the_rows_and_all_that_was_there() {
    let (after, _) = run(QUARTERLY_REPORT, &job("Sales", vec![sale()])).unwrap();
    let (mut old, mut new) = (open(QUARTERLY_REPORT), open(&after));
    assert_eq!(old.sheet_names(), new.sheet_names());
    assert_eq!(old.sheets_metadata(), new.sheets_metadata());
    assert!(
        new.sheets_metadata().iter().any(|sheet| {
            sheet.name == "Rates" && sheet.visible == calamine::SheetVisible::Hidden
        })
    );
    assert_eq!(old.defined_names(), new.defined_names());
    for sheet in ["Overview", "Rates"] {
        assert_eq!(
            old.worksheet_range(sheet).unwrap(),
            new.worksheet_range(sheet).unwrap()
        );
    }
    let formulas = new.worksheet_formula("Sales").unwrap();
    assert_eq!(formulas, old.worksheet_formula("Sales").unwrap());
    assert!(formulas.used_cells().count() == 12);
    let (old, new) = (
        old.worksheet_range("Sales").unwrap(),
        new.worksheet_range("Sales").unwrap(),
    );
    for (row, column, value) in old.used_cells() {
        assert_eq!(new.get((row, column)), Some(value));
    }
    let last: Vec<&Data> = (0..7)
        .map(|column| new.get_value((13, column)).unwrap())
        .collect();
    assert_eq!(
        last,
        [
            &Data::String("2026-01-09".into()),
            &Data::String("North".into()),
            &Data::String("Valves".into()),
            &Data::Float(130.0),
            &Data::Float(19.1),
            &Data::Empty,
            &Data::Bool(true),
        ]
    );
}

#[test]
fn a_second_append_follows_the_first() {
    let (once, _) = run(QUARTERLY_REPORT, &job("Sales", rows(2))).unwrap();
    let (_, report) = run(&once, &job("Sales", rows(3))).unwrap();
    assert_eq!((report.first_row, report.last_row), (16, 18));
}

#[test]
fn a_sheet_without_rows_gets_its_first() {
    for (data, prefix) in [
        ("<sheetData/>", ""),
        ("<sheetData />", ""),
        ("<sheetData></sheetData>", ""),
        ("<sheetData>\n  </sheetData>", ""),
        ("<x:sheetData/>", "x:"),
    ] {
        let inner = format!("<dimension ref=\"A1\"/>{data}<pageMargins left=\"0.7\"/>");
        let main = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
        let book = Book::new()
            .sheet_around(&inner)
            .edit(
                SHEET_PART,
                main,
                &format!("{main} {}", main.replace("xmlns", "xmlns:x")),
            )
            .build();
        let (after, report) =
            run(&book, &job("Data", vec![vec![Cell::Null, Cell::from(5)]])).unwrap();
        assert_eq!((report.first_row, report.last_row), (1, 1));
        let text = part(&after, SHEET_PART);
        let row = format!(
            "<{prefix}row r=\"1\"><{prefix}c r=\"B1\"><{prefix}v>5</{prefix}v></{prefix}c></{prefix}row></{prefix}sheetData>"
        );
        assert!(text.contains(&row), "{data}: {text}");
        assert!(text.contains("<dimension ref=\"B1\"/>"), "{data}: {text}");
        assert!(text.ends_with("<pageMargins left=\"0.7\"/></worksheet>"));
        assert_eq!(
            open(&after)
                .worksheet_range("Data")
                .unwrap()
                .get_value((0, 1)),
            Some(&Data::Float(5.0))
        );
    }
}

#[test]
fn rows_and_cells_without_numbers_are_counted() {
    let book = Book::new()
        .sheet("<row><c><v>1</v></c></row><row r=\"7\"><c><v>1</v></c></row><row/>")
        .build();
    assert_eq!(run(&book, &job("Data", rows(1))).unwrap().1.first_row, 9);
}

#[test]
fn a_sheet_without_dimension_gets_none() {
    let book = Book::new()
        .sheet_around("<sheetData><row r=\"3\"/></sheetData>")
        .build();
    let (after, report) = run(&book, &job("Data", rows(1))).unwrap();
    assert_eq!(report.first_row, 4);
    assert!(!part(&after, SHEET_PART).contains("dimension"));
}

#[test]
fn a_byte_order_mark_does_not_shift_the_place() {
    let text = format!("\u{feff}{}", Book::new().text(SHEET_PART));
    let (after, _) = run(
        &Book::new().with(SHEET_PART, &text).build(),
        &job("Data", rows(1)),
    )
    .unwrap();
    let text = part(&after, SHEET_PART);
    assert!(text.starts_with("\u{feff}<?xml"));
    assert!(text.contains("</row><row r=\"2\">"), "{text}");
    assert!(text.contains("<dimension ref=\"A1:B2\"/>"), "{text}");
}

#[test]
fn comments_and_strange_quoting_do_not_shift_the_place() {
    let book = Book::new()
        .sheet_around(
            "<!-- </sheetData> --><dimension   other = '>' ref = 'A1:A1' /><?pi </sheetData>?>\
             <sheetData  >\r\n<row r='1'><c r='A1' t='inlineStr'><is><t>&lt;/sheetData&gt;&#x41;\
             <![CDATA[</sheetData>]]></t></is></c></row\n></sheetData\t><legacy a=\"</sheetData>\"/>",
        )
        .build();
    let (after, _) = run(&book, &job("Data", vec![vec![Cell::from(1)]])).unwrap();
    let (old, new) = (part(&book, SHEET_PART), part(&after, SHEET_PART));
    let expected = old.replace("'A1:A1'", "'A1:A2'").replace(
        "</row\n>",
        "</row\n><row r=\"2\"><c r=\"A2\"><v>1</v></c></row>",
    );
    assert_eq!(new, expected);
}

#[test]
fn the_sheet_is_found_by_its_exact_name() {
    let book = Book::new()
        .with(
            "xl/workbook.xml",
            &workbook(&[("R&amp;D &lt;&#50;026&gt; &quot;é&quot;", "rId1")]),
        )
        .build();
    run(&book, &job("R&D <2026> \"é\"", rows(1))).unwrap();
    for name in ["R&amp;D", "r&d <2026> \"é\"", "R&D <2026> \"é\" ", ""] {
        assert_eq!(
            run(&book, &job(name, rows(1))).unwrap_err().kind(),
            "sheet_not_found"
        );
    }
}

#[test]
fn the_part_is_found_however_it_is_written() {
    for target in [
        "/xl/worksheets/sheet1.xml",
        "./worksheets/sheet1.xml",
        "../xl/worksheets/sheet1.xml",
        "worksheets/Sheet1.XML",
    ] {
        let book = Book::new()
            .with(
                "xl/_rels/workbook.xml.rels",
                &relationships(&[("rId1", "worksheet", target)]),
            )
            .build();
        run(&book, &job("Data", rows(1))).unwrap();
    }
}

#[test]
fn the_strict_form_is_understood() {
    let strict = |book: Book, part: &str| {
        let text = book.text(part);
        let text = text
            .replace(
                "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
                "http://purl.oclc.org/ooxml/spreadsheetml/main",
            )
            .replace(
                "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
                "http://purl.oclc.org/ooxml/officeDocument/relationships",
            );
        book.with(part, &text)
    };
    let book = [
        "xl/workbook.xml",
        "_rels/.rels",
        "xl/_rels/workbook.xml.rels",
        SHEET_PART,
    ]
    .into_iter()
    .fold(Book::new(), strict);
    run(&book.build(), &job("Data", rows(1))).unwrap();
}

#[test]
fn stored_parts_and_the_archive_comment_stay() {
    let stored_options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut book = Book::new().build_with(|_| stored_options);
    let length = book.len();
    book[length - 2..].copy_from_slice(&5_u16.to_le_bytes());
    book.extend_from_slice(b"hello");
    let (after, _) = run(&book, &job("Data", rows(1))).unwrap();
    assert!(after.ends_with(b"hello"));
    assert!(
        stored(&after)
            .iter()
            .all(|entry| entry.method == CompressionMethod::Stored)
    );
}

#[test]
fn the_same_job_gives_the_same_bytes() {
    let one = run(QUARTERLY_REPORT, &job("Sales", rows(30))).unwrap();
    let two = run(QUARTERLY_REPORT, &job("Sales", rows(30))).unwrap();
    assert_eq!(one, two);
}
