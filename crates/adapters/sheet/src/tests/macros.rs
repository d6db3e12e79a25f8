//! Macros and other active content, by whatever sign.

use super::support::{Book, LEDGER, content_types, job, refusal, relationships, rows, run, stored};
use crate::{AppendRows, Limits};

const CONTENT_TYPES: &str = "[Content_Types].xml";
const MAIN_TYPE: &str = "spreadsheetml.sheet.main+xml";

#[test]
fn a_real_macro_workbook_is_refused_and_the_reason_named() {
    let error = run(LEDGER, &job("Entries", rows(1))).unwrap_err();
    assert_eq!(error.kind(), "macros");
    assert!(error.to_string().contains("xl/vbaproject.bin"), "{error}");
}

#[test]
fn with_permission_the_macros_stay_as_they_are() {
    let limits = Limits {
        allow_macros: true,
        ..Limits::default()
    };
    let (after, report) = run(
        LEDGER,
        &AppendRows {
            limits,
            ..job("Entries", rows(1))
        },
    )
    .unwrap();
    assert_eq!(report.first_row, 4);
    let project = |book: &[u8]| {
        stored(book)
            .into_iter()
            .find(|part| part.name == "xl/vbaProject.bin")
    };
    assert!(project(LEDGER).is_some());
    assert_eq!(project(LEDGER), project(&after));
}

#[test]
fn no_disguise_of_macros_passes() {
    let override_for =
        |kind: &str| format!("<Override PartName=\"/xl/x.bin\" ContentType=\"{kind}\"/></Types>");
    let books = [
        // The part, under any spelling that means the same part.
        Book::new().with("xl/vbaProject.bin", "x"),
        Book::new().with("xl/VBAPROJECT.BIN", "x"),
        Book::new().with("xl/%76baProject.bin", "x"),
        Book::new().with("elsewhere/vbaProjectSignature.bin", "x"),
        Book::new().with("xl/macrosheets/sheet1.xml", "x"),
        Book::new().with("xl/macroSheets/intlsheet1.xml", "x"),
        Book::new().with("xl/dialogsheets/sheet1.xml", "x"),
        Book::new().with("xl/activeX/activeX1.bin", "x"),
        // Another name for the part, but its content type.
        Book::new().with("xl/x.bin", "x").edit(
            CONTENT_TYPES,
            "</Types>",
            &override_for("application/vnd.ms-office.vbaProject"),
        ),
        Book::new().edit(
            CONTENT_TYPES,
            "</Types>",
            "<Default Extension=\"bin\" ContentType=\"APPLICATION/VND.MS-OFFICE.VBAPROJECT\"/></Types>",
        ),
        Book::new().edit(CONTENT_TYPES, "</Types>", &override_for("application/vnd.ms-excel.macrosheet+xml")),
        // The type of the workbook itself.
        Book::new().edit(
            CONTENT_TYPES,
            &format!("application/vnd.openxmlformats-officedocument.{MAIN_TYPE}"),
            "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
        ),
        // An embedded workbook with macros.
        Book::new().edit(
            CONTENT_TYPES,
            "</Types>",
            "<Default Extension=\"xlsm\" ContentType=\"application/vnd.ms-excel.sheet.macroEnabled.12\"/></Types>",
        ),
        // A relationship of the workbook to its project.
        Book::new().with(
            "xl/_rels/workbook.xml.rels",
            &relationships(&[("rId1", "worksheet", "worksheets/sheet1.xml"), ("rId2", "x", "x.bin")])
                .replace("officeDocument/2006/relationships/x\"", "office/2006/relationships/vbaProject\""),
        ),
    ];
    for (at, book) in books.iter().enumerate() {
        assert_eq!(refusal(&book.build()), "macros", "book {at}");
    }
}

#[test]
fn a_workbook_of_another_kind_is_refused_even_with_permission() {
    let kinds = [
        "application/vnd.ms-excel.sheet.binary.macroEnabled.main",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    ];
    for kind in kinds {
        let main = format!("<Override PartName=\"/xl/workbook.xml\" ContentType=\"{kind}\"/>");
        let book = Book::new()
            .with(CONTENT_TYPES, &content_types(&main))
            .build();
        let limits = Limits {
            allow_macros: true,
            ..Limits::default()
        };
        let error = run(
            &book,
            &AppendRows {
                limits,
                ..job("Data", rows(1))
            },
        )
        .unwrap_err();
        assert_eq!(error.kind(), "unsupported");
    }
}
