//! Where the limits of a capability lie: at the limit it passes, one beyond it does not.

use zip::write::SimpleFileOptions;

use super::support::{Book, QUARTERLY_REPORT, job, rows, run};
use crate::{AppendRows, Limits};

#[test]
fn the_limit_on_rows_is_exact() {
    let limited = |count| {
        let limits = Limits {
            max_rows: Some(50),
            ..Limits::default()
        };
        run(
            QUARTERLY_REPORT,
            &AppendRows {
                limits,
                ..job("Sales", rows(count))
            },
        )
    };
    assert_eq!(limited(50).unwrap().1.rows, 50);
    let error = limited(51).unwrap_err();
    assert_eq!(error.kind(), "too_many_rows");
    assert_eq!(error.to_string(), "51 rows asked, at most 50 allowed");
}

#[test]
fn too_many_rows_are_refused_before_the_workbook_is_looked_at() {
    let limits = Limits {
        max_rows: Some(0),
        ..Limits::default()
    };
    let error = run(
        b"not a workbook",
        &AppendRows {
            limits,
            ..job("Sales", rows(1))
        },
    );
    assert_eq!(error.unwrap_err().kind(), "too_many_rows");
}

#[test]
fn the_limit_on_bytes_is_exact() {
    let (after, report) = run(QUARTERLY_REPORT, &job("Sales", rows(20))).unwrap();
    let grown =
        u64::try_from(after.len()).unwrap() - u64::try_from(QUARTERLY_REPORT.len()).unwrap();
    let needed = report.bytes_written.max(grown);
    let limited = |most| {
        let limits = Limits {
            max_write_bytes: Some(most),
            ..Limits::default()
        };
        run(
            QUARTERLY_REPORT,
            &AppendRows {
                limits,
                ..job("Sales", rows(20))
            },
        )
    };
    assert_eq!(limited(needed).unwrap().0, after);
    assert_eq!(limited(needed - 1).unwrap_err().kind(), "too_many_bytes");
    assert_eq!(limited(0).unwrap_err().kind(), "too_many_bytes");
}

#[test]
fn the_growth_of_the_file_counts_where_the_insertion_is_small() {
    // A sheet that was packed with great effort grows by more than what is inserted.
    let cells: String = (1_u64..3000)
        .map(|row| {
            format!(
                "<row r=\"{row}\"><c r=\"A{row}\"><v>{}</v></c></row>",
                row * row * 7919
            )
        })
        .collect();
    let book = Book::new()
        .sheet(&cells)
        .build_with(|_| SimpleFileOptions::default().compression_level(Some(24)));
    let one = job("Data", vec![vec![]]);
    let (after, report) = run(&book, &one).unwrap();
    let grown = u64::try_from(after.len() - book.len()).unwrap();
    assert!(
        grown > report.bytes_written,
        "{grown} {}",
        report.bytes_written
    );
    let limited = |most| {
        let limits = Limits {
            max_write_bytes: Some(most),
            ..Limits::default()
        };
        run(
            &book,
            &AppendRows {
                limits,
                ..one.clone()
            },
        )
    };
    assert_eq!(limited(grown).unwrap().0, after);
    let error = limited(grown - 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{grown} bytes would be written, at most {} allowed",
            grown - 1
        )
    );
}
