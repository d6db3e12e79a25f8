//! Workbooks whose parts are made to confuse, exhaust or mislead: each is refused with its reason.

use super::support::{
    Book, QUARTERLY_REPORT, SHEET_PART, content_types, job, refusal, relationships, rows, run,
    workbook,
};
use crate::{AppendRows, Ceilings, Limits};

const WORKBOOK: &str = "xl/workbook.xml";
const WORKBOOK_RELS: &str = "xl/_rels/workbook.xml.rels";
const CONTENT_TYPES: &str = "[Content_Types].xml";

fn check(expected: &str, books: &[Book]) {
    for (at, book) in books.iter().enumerate() {
        assert_eq!(refusal(&book.build()), expected, "book {at}");
    }
}

/// The sheet's text in another encoding.
fn encoded(mark: &[u8], unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = Book::new().text(SHEET_PART);
    mark.iter()
        .copied()
        .chain(text.encode_utf16().flat_map(unit))
        .collect()
}

#[test]
fn the_plain_book_passes() {
    assert_eq!(refusal(&Book::new().build()), "accepted");
}

#[test]
fn document_types_and_entities_are_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let declared = |part: &str| {
        let text = Book::new().text(part);
        let text = match text.split_once("?>\n") {
            Some((decl, rest)) => format!("{decl}?>\n{bomb}{rest}"),
            None => format!("{bomb}{text}"),
        };
        Book::new().with(part, &text)
    };
    check(
        "doctype",
        &[
            declared(SHEET_PART),
            declared(WORKBOOK),
            declared(WORKBOOK_RELS),
            declared(CONTENT_TYPES),
            Book::new().sheet("<row r=\"1\"><c r=\"A1\"><v>&a;</v></c></row>"),
            Book::new().sheet_around("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><sheetData/>"),
        ],
    );
    // An entity where a value is read.
    check(
        "malformed",
        &[Book::new().with(WORKBOOK, &workbook(&[("&a;", "rId1")]))],
    );
}

/// A sheet with bytes after its data that are not UTF-8.
fn broken(bytes: &[u8]) -> Book {
    let text = Book::new().text(SHEET_PART);
    let (before, after) = text.split_at(text.find("</worksheet>").unwrap());
    Book::new().with(
        SHEET_PART,
        &[before.as_bytes(), bytes, after.as_bytes()].concat(),
    )
}

#[test]
fn other_encodings_are_refused() {
    check(
        "encoding",
        &[
            Book::new().with(SHEET_PART, &encoded(&[0xff, 0xfe], u16::to_le_bytes)),
            Book::new().with(SHEET_PART, &encoded(&[0xfe, 0xff], u16::to_be_bytes)),
            Book::new().with(SHEET_PART, &encoded(&[], u16::to_le_bytes)),
            Book::new().with(SHEET_PART, &encoded(&[], u16::to_be_bytes)),
            Book::new().edit(SHEET_PART, "UTF-8", "UTF-7"),
            Book::new().edit(SHEET_PART, "UTF-8", "ISO-8859-1"),
            broken(b"\xff\xfe"),
            broken(b"<a b=\"\xc3\x28\"/>"),
            broken(b"<!-- \xed\xa0\x80 -->"),
            broken(b"<![CDATA[\xf5\x80\x80\x80]]>"),
            broken(b"</\xff>"),
        ],
    );
}

#[test]
fn deep_nesting_and_giant_tokens_are_refused() {
    let deep = |depth: usize| {
        Book::new().sheet_around(&format!(
            "{}{}<sheetData/>",
            "<a>".repeat(depth),
            "</a>".repeat(depth)
        ))
    };
    check(
        "too_large",
        &[
            deep(64),
            deep(100_000),
            Book::new().sheet_around(&format!("<a b=\"{}\"/><sheetData/>", noise(3 << 20))),
            Book::new().sheet_around(&format!("<a>{}</a><sheetData/>", noise(3 << 20))),
        ],
    );
    check("accepted", &[deep(63)]);
}

/// Text that does not compress into nothing, so that no ratio is at stake.
fn noise(length: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut letters = String::with_capacity(length);
    while letters.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        letters.push(char::from(
            b"abcdefghijklmnop"[usize::try_from(state & 15).unwrap()],
        ));
    }
    letters
}

#[test]
fn bombs_are_refused() {
    let spaces = " ".repeat(40 << 20);
    check(
        "too_large",
        &[
            Book::new().sheet_around(&format!("<sheetData/>{spaces}")),
            Book::new().with(
                WORKBOOK,
                &format!("{}{spaces}", workbook(&[("Data", "rId1")])),
            ),
            Book::new().with(CONTENT_TYPES, &format!("{}{spaces}", content_types(""))),
        ],
    );
    // Beside the sheet nothing is inflated, so a bomb elsewhere costs nothing.
    check(
        "accepted",
        &[Book::new().with("xl/media/image1.png", &spaces)],
    );
}

#[test]
fn ceilings_hold() {
    let with = |ceilings: Ceilings, count| {
        let limits = Limits {
            ceilings,
            ..Limits::default()
        };
        run(
            QUARTERLY_REPORT,
            &AppendRows {
                limits,
                ..job("Sales", rows(count))
            },
        )
        .map_or_else(|error| error.kind(), |_| "accepted")
    };
    let default = Ceilings::default();
    let size = u64::try_from(QUARTERLY_REPORT.len()).unwrap();
    for ceilings in [
        Ceilings {
            max_input_bytes: size - 1,
            ..default.clone()
        },
        Ceilings {
            max_parts: 16,
            ..default.clone()
        },
        Ceilings {
            max_sheet_bytes: 3857,
            ..default.clone()
        },
        Ceilings {
            max_index_bytes: 1000,
            ..default.clone()
        },
        Ceilings {
            max_cells: 3,
            ..default.clone()
        },
        Ceilings {
            max_inserted_bytes: 100,
            ..default.clone()
        },
    ] {
        assert_eq!(with(ceilings.clone(), 2), "too_large", "{ceilings:?}");
    }
    let exact = Ceilings {
        max_input_bytes: size,
        max_parts: 17,
        max_sheet_bytes: 3858,
        max_index_bytes: 1733,
        max_cells: 4,
        ..default
    };
    assert_eq!(with(exact, 2), "accepted");
}

#[test]
fn sheets_that_contradict_themselves_are_refused() {
    let around = |inner: &str| Book::new().sheet_around(inner);
    let data = |rows: &str| Book::new().sheet(rows);
    check(
        "malformed",
        &[
            around(""),
            around("<sheetData/><sheetData/>"),
            around("<sheetData></sheetData><sheetData></sheetData>"),
            around("<sheetData/><dimension ref=\"A1\"/>"),
            around("<dimension ref=\"A1\"/><dimension ref=\"A1\"/><sheetData/>"),
            around("<dimension/><sheetData/>"),
            around("<dimension ref=\"B2:A1\"/><sheetData/>"),
            around("<dimension ref=\"A0\"/><sheetData/>"),
            around("<dimension ref=\"XFE1\"/><sheetData/>"),
            around("<dimension ref=\"A1\" ref=\"A1\"/><sheetData/>"),
            around("<sheetData>"),
            around("<sheetData></row></sheetData>"),
            around("<sheetData><row r=\"1\" r=\"2\"/></sheetData>"),
            around("<y:sheetData/>"),
            data("<c r=\"A1\"/>"),
            data("<row r=\"0\"/>"),
            data("<row r=\"-1\"/>"),
            data("<row r=\"+1\"/>"),
            data("<row r=\"1048577\"/>"),
            data("<row r=\"99999999999999999999\"/>"),
            data("<row r=\"2\"/><row r=\"1\"/>"),
            data("<row r=\"2\"/><row r=\"2\"/>"),
            data("<row r=\"2\"><c r=\"A3\"/></row>"),
            data("<row r=\"2\"><c r=\"B2\"/><c r=\"A2\"/></row>"),
            data("<row r=\"2\"><c r=\"XFE2\"/></row>"),
            data("<row r=\"2\"><c r=\"22\"/></row>"),
            Book::new().with(SHEET_PART, ""),
            Book::new().with(SHEET_PART, "text"),
            Book::new().with(SHEET_PART, "<chartsheet/>"),
            Book::new().with(SHEET_PART, "<worksheet><sheetData/></worksheet>"),
            Book::new().with(SHEET_PART, &format!("{0}{0}", "<worksheet/>")),
            Book::new().edit(SHEET_PART, "version=\"1.0\"", "version=\"1.1\""),
            Book::new().with(SHEET_PART, &format!(" {}", Book::new().text(SHEET_PART))),
            Book::new().with(
                SHEET_PART,
                &format!("\u{feff}\u{feff}{}", Book::new().text(SHEET_PART)),
            ),
            Book::new().with(SHEET_PART, &format!("{}text", Book::new().text(SHEET_PART))),
        ],
    );
}

#[test]
fn sheet_data_elsewhere_is_not_the_sheet_data() {
    // In another namespace, or deeper, it is some other element.
    let decoys = "<ext><sheetData><row r=\"900\"/></sheetData></ext>\
                  <sheetData xmlns=\"urn:other\"><row r=\"900\"/></sheetData><sheetData><row r=\"5\"/></sheetData>";
    let book = Book::new().sheet_around(decoys).build();
    assert_eq!(run(&book, &job("Data", rows(1))).unwrap().1.first_row, 6);
}

#[test]
fn protected_and_signed_workbooks_are_refused() {
    let protected =
        |on: &str| Book::new().sheet_around(&format!("<sheetData/><sheetProtection {on}/>"));
    check(
        "protected",
        &[
            protected("sheet=\"1\""),
            protected("sheet=\"true\" password=\"CC1A\""),
            protected("sheet=\"?\""),
        ],
    );
    check(
        "accepted",
        &[protected("sheet=\"0\""), protected("objects=\"1\"")],
    );
    check(
        "signed",
        &[Book::new().with("_xmlsignatures/origin.sigs", "x")],
    );
}

#[test]
fn names_of_sheets_that_mean_two_are_refused() {
    let two = [
        ("rId1", "worksheet", "worksheets/sheet1.xml"),
        ("rId2", "worksheet", "worksheets/sheet2.xml"),
    ];
    let book = Book::new()
        .with(WORKBOOK_RELS, &relationships(&two))
        .with("xl/worksheets/sheet2.xml", "x");
    let named = |one: &str, other: &str| {
        book.clone()
            .with(WORKBOOK, &workbook(&[(one, "rId1"), (other, "rId2")]))
    };
    let shared = [two[0], ("rId2", "worksheet", "worksheets/./Sheet1.xml")];
    check(
        "ambiguous_sheet",
        &[
            named("Data", "Data"),
            named("Data", "DATA"),
            named("Data", "D&#97;ta"),
            named("Data", "Other").with(WORKBOOK_RELS, &relationships(&shared)),
        ],
    );
    check("accepted", &[named("Data", "Other")]);
}

#[test]
fn ways_from_name_to_part_that_lead_astray_are_refused() {
    let to = |target: &str| {
        Book::new().with(
            WORKBOOK_RELS,
            &relationships(&[("rId1", "worksheet", target)]),
        )
    };
    let twice = [
        ("rId1", "worksheet", "worksheets/sheet1.xml"),
        ("rId1", "worksheet", "other.xml"),
    ];
    let roots = [
        ("rId1", "officeDocument", "xl/workbook.xml"),
        ("rId2", "officeDocument", "xl/other.xml"),
    ];
    let external = to("worksheets/sheet1.xml").edit(
        WORKBOOK_RELS,
        "Target=",
        "TargetMode=\"External\" Target=",
    );
    check(
        "malformed",
        &[
            to("../../worksheets/sheet1.xml"),
            to("file:///etc/passwd"),
            to("worksheets\\sheet1.xml"),
            to("worksheets/sheet%31.xml"),
            to(""),
            external,
            Book::new().with(WORKBOOK_RELS, &relationships(&[])),
            Book::new().with(WORKBOOK_RELS, &relationships(&twice)),
            Book::new().with("_rels/.rels", &relationships(&roots)),
            Book::new().with("_rels/.rels", &relationships(&[])),
            Book::new().without(WORKBOOK),
            Book::new().without(WORKBOOK_RELS),
            Book::new().without(CONTENT_TYPES),
            Book::new().without("_rels/.rels"),
            Book::new().without(SHEET_PART),
            Book::new().with(WORKBOOK, "<workbook/>"),
            Book::new().edit(WORKBOOK, " r:id=\"rId1\"", ""),
        ],
    );
    // Declared as something that is not a worksheet, or not declared at all.
    let chart = [("rId1", "chartsheet", "worksheets/sheet1.xml")];
    check(
        "not_a_worksheet",
        &[
            to("nowhere.xml"),
            Book::new().with(WORKBOOK_RELS, &relationships(&chart)),
            Book::new().edit(CONTENT_TYPES, "worksheet+xml", "chartsheet+xml"),
        ],
    );
}
