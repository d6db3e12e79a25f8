//! What is asked of the operation and what it answers: the job, its limits and its report.

use serde::{Deserialize, Serialize};

use crate::Cell;

/// Append rows after the last row of one sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendRows {
    /// The sheet's name, exactly as the workbook gives it.
    pub sheet: String,
    /// The rows, each a list of cells from column A on.
    pub rows: Vec<Vec<Cell>>,
    /// What the operation may not exceed.
    #[serde(default)]
    pub limits: Limits,
}

/// What the operation may not exceed: the constraints of a capability, and the ceilings that
/// protect whoever runs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most rows that may be appended; `None` leaves it to the ceilings.
    pub max_rows: Option<u64>,
    /// Most bytes of XML that may be inserted, and most bytes by which the file may grow.
    pub max_write_bytes: Option<u64>,
    /// Whether a workbook that carries macros or other active content may be changed.
    pub allow_macros: bool,
    /// Ceilings on the workbook itself.
    pub ceilings: Ceilings,
}

/// Ceilings on the workbook and the work, so that a hostile file costs a bounded amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ceilings {
    /// Most bytes of the workbook as a file.
    pub max_input_bytes: u64,
    /// Most parts in the package.
    pub max_parts: u64,
    /// Most bytes of the sheet part once inflated.
    pub max_sheet_bytes: u64,
    /// Most bytes of each other part that is read (content types, relationships, workbook).
    pub max_index_bytes: u64,
    /// Most times that a part read may be larger than its compressed bytes.
    pub max_inflation: u64,
    /// Most cells that may be appended in one operation.
    pub max_cells: u64,
    /// Most bytes of XML that may be inserted in one operation.
    pub max_inserted_bytes: u64,
}

impl Default for Ceilings {
    /// Values that hold any workbook a person edits by hand, and keep the worker under a few
    /// hundred megabytes and a few seconds.
    fn default() -> Self {
        Self {
            max_input_bytes: 64 << 20,
            max_parts: 4096,
            max_sheet_bytes: 256 << 20,
            max_index_bytes: 4 << 20,
            // Deflate cannot exceed 1032; real sheets of repeated cells stay under 100.
            max_inflation: 300,
            max_cells: 1 << 20,
            max_inserted_bytes: 64 << 20,
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendReport {
    /// The number of the first row appended, counted from 1.
    pub first_row: u32,
    /// The number of the last row appended.
    pub last_row: u32,
    /// How many rows were appended.
    pub rows: u64,
    /// How many bytes of XML were written into the sheet part.
    pub bytes_written: u64,
    /// The name of the part that holds the sheet.
    pub sheet_part: String,
    /// How many entries the package has.
    pub parts_total: u64,
    /// How many of them were copied as they are stored.
    pub parts_unchanged: u64,
}
