//! Random rows, read back by another program's reader.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use proptest::prelude::*;

use super::support::{QUARTERLY_REPORT, job, run};
use crate::Cell;

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        Just(Cell::Null),
        any::<bool>().prop_map(Cell::from),
        any::<i32>().prop_map(Cell::from),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(Cell::from),
        // Any text that XML can carry; `_x` apart, which the reader used here does not undo.
        "[^\\p{Cc}\u{fffe}\u{ffff}]{0,40}"
            .prop_filter("escapes", |text| !text.contains("_x"))
            .prop_map(Cell::from),
        "[\t\n\r <>&\"'=+@\\]a-c]{0,20}".prop_map(Cell::from),
    ]
}

fn same(cell: &Cell, read: Option<&Data>) -> bool {
    match (cell, read) {
        (Cell::Null, None | Some(Data::Empty)) => true,
        (Cell::Bool(value), Some(Data::Bool(read))) => value == read,
        (Cell::Number(value), Some(Data::Float(read))) => value == read,
        (Cell::Text(text), Some(Data::String(read))) => text == read,
        (Cell::Text(text), None | Some(Data::Empty)) => text.is_empty(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_are_read_back_as_they_were(
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..12), 1..12)
    ) {
        let (after, report) = run(QUARTERLY_REPORT, &job("Sales", rows.clone())).unwrap();
        prop_assert_eq!(report.rows, u64::try_from(rows.len()).unwrap());
        let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(after)).unwrap();
        let range = book.worksheet_range("Sales").unwrap();
        for (number, cells) in (13_u32..).zip(&rows) {
            for (column, cell) in (0_u32..).zip(cells) {
                let read = range.get_value((number, column));
                prop_assert!(same(cell, read), "{:?} became {:?}", cell, read);
            }
        }
    }

    #[test]
    fn cells_survive_the_protocol(cells in prop::collection::vec(cell(), 0..20)) {
        let text = serde_json::to_string(&cells).unwrap();
        match serde_json::from_str::<Vec<Cell>>(&text) {
            Ok(read) => prop_assert_eq!(read, cells),
            // A float that happens to be a large integer is refused rather than rounded.
            Err(error) => prop_assert!(error.to_string().contains("2^53"), "{}", error),
        }
    }

    #[test]
    fn any_bytes_for_a_sheet_part_are_refused_or_kept(text in "[<>/ a-c=\"&;!?\\[\\]-]{0,60}") {
        let book = super::support::Book::new().sheet_around(&format!("{text}<sheetData/>")).build();
        // Whatever the bytes are: no panic, and no more than the rows is changed.
        if let Ok((after, _)) = run(&book, &job("Data", super::support::rows(1))) {
            let part = super::support::part(&after, super::support::SHEET_PART);
            prop_assert!(part.contains(&text));
        }
    }
}
