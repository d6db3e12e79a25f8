//! The typed operation "append rows to a sheet" on an Office Open XML workbook (ECMA-376).
//!
//! Only the one sheet part is edited, by splicing bytes into it; every other part of the package is
//! copied as it is stored, so charts, styles, formulas, hidden sheets and images stay byte for byte.
//! The workbook is hostile input: it is read by a confined process that is thrown away afterwards
//! (`valetkey-sheet`, see [`worker`]), and whatever is not plainly in order is refused.
//!
//! ```
//! use valetkey_sheet::{AppendRows, Cell, Limits, append_rows};
//!
//! let workbook = std::io::Cursor::new(include_bytes!("../fixtures/QuarterlyReport.xlsx"));
//! let mut updated = std::io::Cursor::new(Vec::new());
//! let job = AppendRows {
//!     sheet: "Sales".to_owned(),
//!     rows: vec![vec![Cell::from("North"), Cell::from(1200.5), Cell::from(true), Cell::Null]],
//!     limits: Limits { max_rows: Some(50), ..Limits::default() },
//! };
//! let report = append_rows(workbook, &mut updated, &job)?;
//! assert_eq!(report.rows, 1);
//! assert_eq!(report.parts_unchanged, report.parts_total - 1);
//! # Ok::<(), valetkey_sheet::SheetError>(())
//! ```

#![forbid(unsafe_code)]

mod append;
mod cell;
mod directory;
mod encode;
mod error;
mod job;
mod macros;
mod package;
mod relationships;
#[cfg(test)]
mod tests;
mod workbook;
pub mod worker;
mod worksheet;
mod xml;

pub use append::append_rows;
pub use cell::Cell;
pub use error::{SheetError, kinds};
pub use job::{AppendReport, AppendRows, Ceilings, Limits};
