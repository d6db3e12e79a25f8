//! What cells may hold, and that they are read back as that and nothing else.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};

use super::support::{Book, QUARTERLY_REPORT, SALES_PART, SHEET_PART, job, part, rows, run};
use crate::Cell;

fn open(book: &[u8]) -> Xlsx<Cursor<Vec<u8>>> {
    open_workbook_from_rs(Cursor::new(book.to_vec())).unwrap()
}

#[test]
fn no_rows_are_an_error() {
    assert_eq!(
        run(QUARTERLY_REPORT, &job("Sales", Vec::new()))
            .unwrap_err()
            .kind(),
        "no_rows"
    );
}

#[test]
fn empty_rows_take_their_place() {
    let (after, report) = run(
        &Book::new().build(),
        &job("Data", vec![vec![], vec![Cell::Null], vec![Cell::from(7)]]),
    )
    .unwrap();
    assert_eq!((report.first_row, report.last_row), (2, 4));
    let text = part(&after, SHEET_PART);
    assert!(text.contains(
        "<row r=\"2\"/><row r=\"3\"/><row r=\"4\"><c r=\"A4\"><v>7</v></c></row></sheetData>"
    ));
    assert!(text.contains("<dimension ref=\"A1:A4\"/>"));
}

#[test]
fn text_stays_text_whatever_it_says() {
    let texts = [
        "=cmd|' /C calc'!A0",
        "@SUM(1+1)",
        "+1-1",
        "  leading and trailing  ",
        "two\nlines\tand a tab",
        "carriage\r\nreturn",
        "\"quotes\" & <tags> 'apostrophes' ]]>",
        "Größe 東京 🦀 \u{1F468}\u{200D}\u{1F469}",
        "",
        "1234",
        "TRUE",
    ];
    let cells = texts.iter().map(|text| Cell::from(*text)).collect();
    let (after, _) = run(QUARTERLY_REPORT, &job("Sales", vec![cells])).unwrap();
    let mut book = open(&after);
    let range = book.worksheet_range("Sales").unwrap();
    for (column, text) in (0_u32..).zip(texts) {
        match range.get_value((13, column)) {
            Some(Data::String(read)) => assert_eq!(read, text),
            Some(Data::Empty) | None => assert_eq!(text, ""),
            other => panic!("{text:?} became {other:?}"),
        }
    }
    // Not one formula more than before.
    assert_eq!(
        book.worksheet_formula("Sales")
            .unwrap()
            .used_cells()
            .count(),
        12
    );
    let xml = part(&after, SALES_PART);
    assert!(xml.contains("<t xml:space=\"preserve\">  leading and trailing  </t>"));
    assert!(xml.contains("carriage&#13;\nreturn"));
}

#[test]
fn a_literal_character_escape_is_not_read_as_one() {
    let text = "_x0000_ _x41_ _x0041 _x004G_ _x005F_x";
    let (after, _) = run(
        &Book::new().build(),
        &job("Data", vec![vec![Cell::from(text)]]),
    )
    .unwrap();
    let xml = part(&after, SHEET_PART);
    assert!(
        xml.contains("<t>_x005F_x0000_ _x41_ _x0041 _x004G_ _x005F_x005F_x</t>"),
        "{xml}"
    );
}

#[test]
fn values_that_cannot_be_kept_are_refused() {
    let long = "a".repeat(32_768);
    for cell in [
        Cell::from("nul\0"),
        Cell::from("bell\u{7}"),
        Cell::from("escape\u{1b}[2J"),
        Cell::from("no character\u{ffff}"),
        Cell::from(long.as_str()),
        Cell::Number(f64::NAN),
        Cell::Number(f64::INFINITY),
    ] {
        let error = run(
            QUARTERLY_REPORT,
            &job("Sales", vec![vec![], vec![Cell::Null, cell]]),
        )
        .unwrap_err();
        assert_eq!(error.kind(), "bad_cell");
        assert!(
            error
                .to_string()
                .starts_with("row 2, column 2 of the rows given: "),
            "{error}"
        );
    }
    let longest = "a".repeat(32_767);
    run(
        QUARTERLY_REPORT,
        &job("Sales", vec![vec![Cell::from(longest)]]),
    )
    .unwrap();
}

#[test]
fn the_grid_ends_where_it_ends() {
    let at = |row: u32| Book::new().sheet(&format!("<row r=\"{row}\"/>")).build();
    assert_eq!(
        run(&at(1_048_575), &job("Data", rows(1)))
            .unwrap()
            .1
            .last_row,
        1_048_576
    );
    assert_eq!(
        run(&at(1_048_575), &job("Data", rows(2)))
            .unwrap_err()
            .kind(),
        "out_of_grid"
    );
    assert_eq!(
        run(&at(1_048_576), &job("Data", rows(1)))
            .unwrap_err()
            .kind(),
        "out_of_grid"
    );
    let wide = |columns| job("Data", vec![vec![Cell::from(1); columns]]);
    let (after, _) = run(&at(1), &wide(16_384)).unwrap();
    assert!(part(&after, SHEET_PART).contains("<c r=\"XFD2\"><v>1</v></c></row></sheetData>"));
    assert!(part(&after, SHEET_PART).contains("<dimension ref=\"A1:XFD2\"/>"));
    assert_eq!(
        run(&at(1), &wide(16_385)).unwrap_err().kind(),
        "out_of_grid"
    );
}
