//! Why the operation was refused: one enum with stable kinds, in words safe to show and to log.

use std::io;

/// Why rows were not appended. Nothing of the output may be used when this is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SheetError {
    /// More rows are asked than the capability allows.
    #[error("{asked} rows asked, at most {limit} allowed")]
    TooManyRows {
        /// The limit.
        limit: u64,
        /// What was asked.
        asked: u64,
    },
    /// More bytes would be written than the capability allows.
    #[error("{needed} bytes would be written, at most {limit} allowed")]
    TooManyBytes {
        /// The limit.
        limit: u64,
        /// What would be written.
        needed: u64,
    },
    /// There is no row to append.
    #[error("no rows to append")]
    NoRows,
    /// The workbook carries macros or other active content, and that is not allowed.
    #[error("the workbook carries macros or active content ({evidence}), which is not allowed")]
    Macros {
        /// What gave it away.
        evidence: String,
    },
    /// The sheet is protected against changes.
    #[error("the sheet is protected: its owner has to unprotect it first")]
    Protected,
    /// The package is digitally signed, and a change would break the signature.
    #[error("the workbook is digitally signed: a change would break the signature")]
    Signed,
    /// No sheet has this name.
    #[error("no sheet named `{sheet}`")]
    SheetNotFound {
        /// The name asked for.
        sheet: String,
    },
    /// Two sheets have the same name, or share one part.
    #[error("more than one sheet answers to `{sheet}`")]
    AmbiguousSheet {
        /// The name in question.
        sheet: String,
    },
    /// The sheet is a chart, dialog or macro sheet.
    #[error("`{sheet}` is not a worksheet: it has no rows")]
    NotAWorksheet {
        /// The name asked for.
        sheet: String,
    },
    /// The rows do not fit in 1,048,576 rows by 16,384 columns.
    #[error(
        "the rows end at row {row}, column {column}: a sheet has 1048576 rows and 16384 columns"
    )]
    OutOfGrid {
        /// The last row needed.
        row: u64,
        /// The last column needed.
        column: u64,
    },
    /// A cell's value cannot be written.
    #[error("row {row}, column {column} of the rows given: {reason}")]
    BadCell {
        /// The row among those given, counted from 1.
        row: u64,
        /// The column, counted from 1.
        column: u64,
        /// What is wrong, without the value.
        reason: &'static str,
    },
    /// The file is of a kind that this operation does not handle.
    #[error("not a workbook that can be changed: {what}")]
    Unsupported {
        /// What it is or uses.
        what: String,
    },
    /// An entry of the package is encrypted.
    #[error("the workbook is encrypted")]
    Encrypted,
    /// A part is not UTF-8.
    #[error("part `{part}` is not in UTF-8")]
    Encoding {
        /// The part.
        part: String,
    },
    /// A part declares a document type or uses entities.
    #[error("part `{part}` declares a document type or entities, which a workbook may not")]
    Doctype {
        /// The part.
        part: String,
    },
    /// Something is larger than a workbook may be here, as a zip bomb is.
    #[error("{what} exceeds the ceiling of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The ceiling.
        limit: u64,
    },
    /// Two entries have one name, so two readers may see two different workbooks.
    #[error("part `{part}` is there twice")]
    DuplicatePart {
        /// The name.
        part: String,
    },
    /// The package or one of its parts is not well formed or contradicts itself.
    #[error("{part}: {reason}")]
    Malformed {
        /// The part, or `package`.
        part: String,
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("reading or writing the workbook failed: {0}")]
    Io(#[from] io::Error),
}

/// Every kind that [`SheetError::kind`] returns, and the ones that only the worker reports.
#[must_use]
pub fn kinds() -> &'static [&'static str] {
    &[
        "too_many_rows",
        "too_many_bytes",
        "no_rows",
        "macros",
        "protected",
        "signed",
        "sheet_not_found",
        "ambiguous_sheet",
        "not_a_worksheet",
        "out_of_grid",
        "bad_cell",
        "unsupported",
        "encrypted",
        "encoding",
        "doctype",
        "too_large",
        "duplicate_part",
        "malformed",
        "io",
        "bad_job",
        "not_confined",
    ]
}

impl SheetError {
    /// A stable name for the kind of refusal, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooManyRows { .. } => "too_many_rows",
            Self::TooManyBytes { .. } => "too_many_bytes",
            Self::NoRows => "no_rows",
            Self::Macros { .. } => "macros",
            Self::Protected => "protected",
            Self::Signed => "signed",
            Self::SheetNotFound { .. } => "sheet_not_found",
            Self::AmbiguousSheet { .. } => "ambiguous_sheet",
            Self::NotAWorksheet { .. } => "not_a_worksheet",
            Self::OutOfGrid { .. } => "out_of_grid",
            Self::BadCell { .. } => "bad_cell",
            Self::Unsupported { .. } => "unsupported",
            Self::Encrypted => "encrypted",
            Self::Encoding { .. } => "encoding",
            Self::Doctype { .. } => "doctype",
            Self::TooLarge { .. } => "too_large",
            Self::DuplicatePart { .. } => "duplicate_part",
            Self::Malformed { .. } => "malformed",
            Self::Io(_) => "io",
        }
    }

    /// The package as a whole contradicts itself.
    pub(crate) fn package(reason: impl Into<String>) -> Self {
        Self::Malformed {
            part: "package".to_owned(),
            reason: reason.into(),
        }
    }

    /// One part contradicts itself.
    pub(crate) fn part(part: &str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            part: shown(part),
            reason: reason.into(),
        }
    }
}

/// Text from the workbook made safe to show: no control characters, and a bounded length.
pub(crate) fn shown(text: &str) -> String {
    const MOST_CHARS: usize = 120;
    let mut safe: String = text
        .chars()
        .take(MOST_CHARS)
        .map(|c| if is_plain(c) { c } else { '\u{fffd}' })
        .collect();
    if text.chars().nth(MOST_CHARS).is_some() {
        safe.push('…');
    }
    safe
}

/// Whether a character can neither steer a terminal nor reorder or hide the text around it.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
