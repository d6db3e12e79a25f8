//! Rows as SpreadsheetML: what is inserted into the sheet part.

use std::fmt::Write as _;

use crate::cell::number_text;
use crate::worksheet::Extent;
use crate::{AppendRows, Cell, SheetError};

/// The last row of a sheet.
pub(crate) const MAX_ROW: u32 = 1_048_576;
/// The last column of a sheet, `XFD`.
pub(crate) const MAX_COLUMN: u32 = 16_384;
/// The most characters of text in a cell, counted in UTF-16 as spreadsheets do.
const MAX_TEXT_UNITS: usize = 32_767;

/// Rows ready to be inserted.
#[derive(Debug)]
pub(crate) struct EncodedRows {
    /// The XML.
    pub(crate) xml: String,
    /// The number of the first row.
    pub(crate) first_row: u32,
    /// The number of the last row.
    pub(crate) last_row: u32,
    /// What the cells that are there cover; `None` if all are empty.
    pub(crate) extent: Option<Extent>,
}

/// Encodes the rows to follow `after_row`.
pub(crate) fn encode_rows(
    job: &AppendRows,
    prefix: &str,
    after_row: u32,
) -> Result<EncodedRows, SheetError> {
    let (first_row, last_row) = place_rows(job, after_row)?;
    let ceiling = job.limits.ceilings.max_inserted_bytes;
    let mut xml = String::new();
    let mut extent: Option<Extent> = None;
    for ((number, given), cells) in (first_row..=last_row).zip(1_u64..).zip(&job.rows) {
        let encoder = RowEncoder {
            prefix,
            number,
            given,
        };
        let covered = encoder.encode(&mut xml, cells)?;
        if let Some(covered) = covered {
            extent = Some(extent.map_or(covered, |extent| extent.union(covered)));
        }
        if u64::try_from(xml.len()).is_ok_and(|bytes| bytes > ceiling) {
            return Err(SheetError::TooLarge {
                what: "the rows".to_owned(),
                limit: ceiling,
            });
        }
    }
    Ok(EncodedRows {
        xml,
        first_row,
        last_row,
        extent,
    })
}

/// Which rows of the sheet the given rows become.
fn place_rows(job: &AppendRows, after_row: u32) -> Result<(u32, u32), SheetError> {
    let count = u64::try_from(job.rows.len()).unwrap_or(u64::MAX);
    let widest = job.rows.iter().map(Vec::len).max().unwrap_or_default();
    let column = u64::try_from(widest).unwrap_or(u64::MAX);
    let row = u64::from(after_row).saturating_add(count);
    if row > u64::from(MAX_ROW) || column > u64::from(MAX_COLUMN) {
        return Err(SheetError::OutOfGrid { row, column });
    }
    let last = u32::try_from(row).unwrap_or(MAX_ROW);
    match after_row.checked_add(1) {
        Some(first) if first <= last => Ok((first, last)),
        Some(_) | None => Err(SheetError::NoRows),
    }
}

struct RowEncoder<'a> {
    prefix: &'a str,
    /// The row's number in the sheet.
    number: u32,
    /// The row's number among those given.
    given: u64,
}

impl RowEncoder<'_> {
    /// Writes one row and says what its cells cover.
    fn encode(&self, xml: &mut String, cells: &[Cell]) -> Result<Option<Extent>, SheetError> {
        let Self { prefix, number, .. } = self;
        let mut covered: Option<(u32, u32)> = None;
        let mut inner = String::new();
        for (column, cell) in (1_u32..).zip(cells) {
            if matches!(cell, Cell::Null) {
                continue;
            }
            self.cell(&mut inner, column, cell)?;
            covered = Some((covered.map_or(column, |(first, _)| first), column));
        }
        if inner.is_empty() {
            append(xml, format_args!("<{prefix}row r=\"{number}\"/>"));
        } else {
            append(
                xml,
                format_args!("<{prefix}row r=\"{number}\">{inner}</{prefix}row>"),
            );
        }
        Ok(covered.map(|(first, last)| Extent {
            first: (first, *number),
            last: (last, *number),
        }))
    }

    fn cell(&self, xml: &mut String, column: u32, cell: &Cell) -> Result<(), SheetError> {
        let Self {
            prefix: p, number, ..
        } = self;
        let letters = column_letters(column);
        match cell {
            Cell::Null => {}
            Cell::Bool(value) => {
                let value = u8::from(*value);
                append(
                    xml,
                    format_args!(
                        "<{p}c r=\"{letters}{number}\" t=\"b\"><{p}v>{value}</{p}v></{p}c>"
                    ),
                );
            }
            Cell::Number(value) if value.is_finite() => {
                let value = number_text(*value);
                append(
                    xml,
                    format_args!("<{p}c r=\"{letters}{number}\"><{p}v>{value}</{p}v></{p}c>"),
                );
            }
            Cell::Number(_) => return Err(self.bad(column, "a number is not finite")),
            Cell::Text(text) => {
                self.check_text(column, text)?;
                let space = if keeps_space(text) {
                    " xml:space=\"preserve\""
                } else {
                    ""
                };
                append(
                    xml,
                    format_args!(
                        "<{p}c r=\"{letters}{number}\" t=\"inlineStr\"><{p}is><{p}t{space}>"
                    ),
                );
                escape(xml, text);
                append(xml, format_args!("</{p}t></{p}is></{p}c>"));
            }
        }
        Ok(())
    }

    fn check_text(&self, column: u32, text: &str) -> Result<(), SheetError> {
        if text.encode_utf16().count() > MAX_TEXT_UNITS {
            return Err(self.bad(column, "a text is longer than 32767 characters"));
        }
        let allowed = |c: char| match c {
            '\t' | '\n' | '\r' => true,
            '\u{fffe}' | '\u{ffff}' => false,
            c => !c.is_ascii_control() || c == '\u{7f}',
        };
        if text.chars().all(allowed) {
            Ok(())
        } else {
            Err(self.bad(
                column,
                "a text holds a control character that XML cannot carry",
            ))
        }
    }

    fn bad(&self, column: u32, reason: &'static str) -> SheetError {
        SheetError::BadCell {
            row: self.given,
            column: u64::from(column),
            reason,
        }
    }
}

/// Whether a text's white space would be lost without being asked to stay.
fn keeps_space(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_whitespace());
    edge(text.chars().next()) || edge(text.chars().next_back()) || text.contains(['\n', '\t', '\r'])
}

/// Writes text so that a reader gets back exactly that text.
fn escape(xml: &mut String, text: &str) {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            // A bare carriage return would be read as a line feed.
            '\r' => xml.push_str("&#13;"),
            // `_x0041_` stands for a character in these texts, so a literal one is escaped itself.
            '_' if is_character_escape(rest.as_str()) => xml.push_str("_x005F_"),
            c => xml.push(c),
        }
    }
}

/// Whether what follows an underscore makes it `_xHHHH_` (ECMA-376 part 1, ST_Xstring).
fn is_character_escape(after: &str) -> bool {
    match after.as_bytes() {
        [b'x', a, b, c, d, b'_', ..] => [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()),
        _ => false,
    }
}

/// The letters of a column: 1 is `A`, 16384 is `XFD`.
pub(crate) fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = column;
    while let Some(index) = left.checked_sub(1) {
        letters.push(
            char::from_digit(index.rem_euclid(26).saturating_add(10), 36)
                .unwrap_or('?')
                .to_ascii_uppercase(),
        );
        left = index.div_euclid(26);
    }
    letters.iter().rev().collect()
}

fn append(xml: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let done = xml.write_fmt(text);
    debug_assert!(done.is_ok(), "a string takes any text");
}
