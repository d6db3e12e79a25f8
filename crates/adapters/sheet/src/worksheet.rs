//! The first pass over a worksheet part: where rows go, and whether they may.

use std::io::Read;
use std::ops::Range;

use crate::SheetError;
use crate::encode::{MAX_COLUMN, MAX_ROW, column_letters};
use crate::workbook::MAIN;
use crate::xml::{self, Element, Node};

/// What the first pass found.
#[derive(Debug)]
pub(crate) struct SheetScan {
    /// The prefix of the main namespace at `sheetData`, with its colon, or empty.
    pub(crate) prefix: String,
    /// Where new rows are inserted.
    pub(crate) place: Place,
    /// The declared extent of the sheet.
    pub(crate) dimension: Option<Dimension>,
    /// The number of the last row, 0 for none.
    pub(crate) last_row: u32,
    /// Whether the sheet is protected against changes.
    pub(crate) protected: bool,
}

/// Where new rows go in the part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before the end tag of `sheetData`, which begins at this byte.
    Before(u64),
    /// In place of the `/>` that these bytes of the tag `<sheetData/>` end with.
    Empty(Range<u64>),
}

/// The `ref` of the `dimension` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dimension {
    /// Where the raw value lies in the part.
    pub(crate) span: Range<u64>,
    /// The extent: first column, first row, last column, last row.
    pub(crate) extent: Extent,
}

/// A rectangle of cells, all bounds inclusive and counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The first column and row.
    pub(crate) first: (u32, u32),
    /// The last column and row.
    pub(crate) last: (u32, u32),
}

impl Extent {
    /// The smallest rectangle that holds both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            first: (
                self.first.0.min(other.first.0),
                self.first.1.min(other.first.1),
            ),
            last: (self.last.0.max(other.last.0), self.last.1.max(other.last.1)),
        }
    }

    /// The text of a `ref`.
    pub(crate) fn text(self) -> String {
        let cell = |(column, row): (u32, u32)| format!("{}{row}", column_letters(column));
        if self.first == self.last {
            cell(self.first)
        } else {
            format!("{}:{}", cell(self.first), cell(self.last))
        }
    }
}

/// Walks over the whole part once.
pub(crate) fn scan(part: &str, source: impl Read) -> Result<SheetScan, SheetError> {
    let mut scanner = Scanner::default();
    xml::walk(part, source, |node| match node {
        Node::Open(element) => scanner.open(&element),
        Node::Close { depth, at } => {
            scanner.close(depth, at);
            Ok(())
        }
    })?;
    let missing = || SheetError::part(part, "the worksheet has no sheetData");
    Ok(SheetScan {
        place: scanner.place.ok_or_else(missing)?,
        prefix: scanner.prefix,
        dimension: scanner.dimension,
        last_row: scanner.last_row,
        protected: scanner.protected,
    })
}

#[derive(Default)]
struct Scanner {
    in_data: bool,
    seen_data: bool,
    row: u32,
    column: u32,
    prefix: String,
    place: Option<Place>,
    dimension: Option<Dimension>,
    last_row: u32,
    protected: bool,
}

impl Scanner {
    fn open(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        match element.depth {
            1 if !element.is(&MAIN, "worksheet") => {
                Err(element.malformed("the part is not a worksheet"))
            }
            2 if element.is(&MAIN, "sheetData") => self.open_data(element),
            2 if element.is(&MAIN, "dimension") => self.open_dimension(element),
            2 if element.is(&MAIN, "sheetProtection") => self.open_protection(element),
            3 if self.in_data => self.open_row(element),
            4 if self.in_data => self.open_cell(element),
            _ => Ok(()),
        }
    }

    fn close(&mut self, depth: usize, at: u64) {
        if self.in_data && depth == 2 {
            self.in_data = false;
            self.place = Some(Place::Before(at));
        }
    }

    fn open_data(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        if std::mem::replace(&mut self.seen_data, true) {
            return Err(element.malformed("there is more than one sheetData"));
        }
        if !element.prefix.is_empty() {
            self.prefix = format!("{}:", element.prefix);
        }
        if element.empty {
            self.place = Some(Place::Empty(element.span.clone()));
        } else {
            self.in_data = true;
        }
        Ok(())
    }

    fn open_dimension(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        // A splice needs the extent before the rows, where the schema puts it.
        if self.seen_data || self.dimension.is_some() {
            return Err(element.malformed("the dimension is out of place"));
        }
        let (text, span) = element
            .attribute_at("ref")?
            .ok_or_else(|| element.malformed("the dimension has no ref"))?;
        let extent = parse_extent(&text)
            .ok_or_else(|| element.malformed("the dimension is not a range of cells"))?;
        self.dimension = Some(Dimension { span, extent });
        Ok(())
    }

    fn open_protection(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        self.protected |= match element.attribute("sheet")?.as_deref() {
            None | Some("0" | "false") => false,
            // Whatever is not plainly off is on.
            Some(_) => true,
        };
        Ok(())
    }

    fn open_row(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        if !element.is(&MAIN, "row") {
            return Err(element.malformed("there is something else than rows in sheetData"));
        }
        let next = self.last_row.saturating_add(1);
        let row = match element.attribute("r")? {
            None => next,
            Some(text) => parse_number(&text)
                .ok_or_else(|| element.malformed("a row's number is not a number"))?,
        };
        if row < next || row > MAX_ROW {
            return Err(element.malformed("the rows are not in order or not in the sheet"));
        }
        self.last_row = row;
        self.row = row;
        self.column = 0;
        Ok(())
    }

    fn open_cell(&mut self, element: &Element<'_>) -> Result<(), SheetError> {
        if !element.is(&MAIN, "c") {
            return Ok(());
        }
        let next = self.column.saturating_add(1);
        let (column, row) = match element.attribute("r")? {
            None => (next, self.row),
            Some(text) => parse_cell(&text)
                .ok_or_else(|| element.malformed("a cell's reference is not one"))?,
        };
        if row != self.row || column < next || column > MAX_COLUMN {
            return Err(element.malformed("a cell is not where its reference says"));
        }
        self.column = column;
        Ok(())
    }
}

/// Parses `A1` or `A1:C3`.
fn parse_extent(text: &str) -> Option<Extent> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let (first, last) = (parse_cell(first)?, parse_cell(last)?);
    (first.0 <= last.0 && first.1 <= last.1).then_some(Extent { first, last })
}

/// Parses `C3` into column 3, row 3.
fn parse_cell(text: &str) -> Option<(u32, u32)> {
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let (letters, digits) = text.split_at_checked(digits)?;
    if letters.is_empty() || letters.len() > 3 {
        return None;
    }
    let column = letters.chars().try_fold(0_u32, |column, letter| {
        let digit = letter.to_ascii_uppercase().to_digit(36)?.checked_sub(9)?;
        column.checked_mul(26)?.checked_add(digit)
    })?;
    let row = parse_number(digits)?;
    (column <= MAX_COLUMN && row <= MAX_ROW).then_some((column, row))
}

/// Parses a positive decimal number without sign.
fn parse_number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_letters_that_mean_it() {
        for column in 1..=MAX_COLUMN {
            assert_eq!(
                parse_cell(&format!("{}7", column_letters(column))),
                Some((column, 7))
            );
        }
        for (column, letters) in [(1, "A"), (26, "Z"), (27, "AA"), (702, "ZZ"), (703, "AAA")] {
            assert_eq!(column_letters(column), letters);
        }
    }

    #[test]
    fn what_is_not_a_reference_is_not_parsed() {
        for text in [
            "", "A", "1", "A0", "A-1", "A+1", "A1B", "$A$1", "É1", "XFE1", "AAAA1", "A1048577",
        ] {
            assert_eq!(parse_cell(text), None, "{text:?}");
        }
        for text in ["A1:", ":A1", "B1:A1", "A2:A1", "A1:B2:C3", "A:B", "1:2"] {
            assert_eq!(parse_extent(text), None, "{text:?}");
        }
    }
}
