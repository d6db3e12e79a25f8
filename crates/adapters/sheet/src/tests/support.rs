//! Workbooks to test with, and ways to look into them.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::{AppendReport, AppendRows, Cell, Limits, SheetError, append_rows};

pub(super) const QUARTERLY_REPORT: &[u8] = include_bytes!("../../fixtures/QuarterlyReport.xlsx");
pub(super) const LEDGER: &[u8] = include_bytes!("../../fixtures/Ledger.xlsm");
/// The part of the sheet `Sales` in the quarterly report.
pub(super) const SALES_PART: &str = "xl/worksheets/sheet2.xml";
/// The part of the sheet `Data` in a [`Book`].
pub(super) const SHEET_PART: &str = "xl/worksheets/sheet1.xml";

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const SPREADSHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/// A job on a sheet, with no limit but the ceilings.
pub(super) fn job(sheet: &str, rows: Vec<Vec<Cell>>) -> AppendRows {
    AppendRows {
        sheet: sheet.to_owned(),
        rows,
        limits: Limits::default(),
    }
}

/// So many rows of a text and a number.
pub(super) fn rows(count: usize) -> Vec<Vec<Cell>> {
    (0..count)
        .map(|n| {
            vec![
                Cell::from("North"),
                Cell::from(f64::from(u32::try_from(n).unwrap())),
            ]
        })
        .collect()
}

/// Does the job in memory.
pub(super) fn run(book: &[u8], job: &AppendRows) -> Result<(Vec<u8>, AppendReport), SheetError> {
    let mut output = Cursor::new(Vec::new());
    let report = append_rows(Cursor::new(book), &mut output, job)?;
    Ok((output.into_inner(), report))
}

/// The kind of error of one row on the sheet `Data`.
pub(super) fn refusal(book: &[u8]) -> &'static str {
    match run(book, &job("Data", rows(1))) {
        Ok(_) => "accepted",
        Err(error) => error.kind(),
    }
}

/// An entry as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) method: CompressionMethod,
    pub(super) crc: u32,
    pub(super) size: u64,
    pub(super) modified: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// Every entry as it is stored, in order.
pub(super) fn stored(book: &[u8]) -> Vec<Stored> {
    let mut archive = ZipArchive::new(Cursor::new(book)).unwrap();
    (0..archive.len())
        .map(|at| {
            let mut entry = archive.by_index_raw(at).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            Stored {
                name: entry.name().unwrap().into_owned(),
                method: entry.compression(),
                crc: entry.crc32(),
                size: entry.size(),
                modified: entry.last_modified().map(|time| time.to_string()),
                bytes,
            }
        })
        .collect()
}

/// A part's text.
pub(super) fn part(book: &[u8], name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(book)).unwrap();
    let mut text = String::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// A small workbook with one sheet, `Data`, any part of which can be changed.
#[derive(Debug, Clone)]
pub(super) struct Book {
    parts: Vec<(String, Vec<u8>)>,
}

impl Book {
    pub(super) fn new() -> Self {
        let overrides = format!(
            "<Override PartName=\"/xl/workbook.xml\" ContentType=\"{SPREADSHEET}.sheet.main+xml\"/>\
             <Override PartName=\"/{SHEET_PART}\" ContentType=\"{SPREADSHEET}.worksheet+xml\"/>"
        );
        Self { parts: Vec::new() }
            .with("[Content_Types].xml", &content_types(&overrides))
            .with(
                "_rels/.rels",
                &relationships(&[("rId1", "officeDocument", "xl/workbook.xml")]),
            )
            .with("xl/workbook.xml", &workbook(&[("Data", "rId1")]))
            .with(
                "xl/_rels/workbook.xml.rels",
                &relationships(&[("rId1", "worksheet", "worksheets/sheet1.xml")]),
            )
            .sheet("<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>")
    }

    /// Sets or adds a part.
    pub(super) fn with(mut self, name: &str, bytes: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let bytes = bytes.as_ref().to_vec();
        match self.parts.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = bytes,
            None => self.parts.push((name.to_owned(), bytes)),
        }
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.parts.retain(|(other, _)| other != name);
        self
    }

    /// Changes the text of a part.
    pub(super) fn edit(self, name: &str, from: &str, to: &str) -> Self {
        let text = self.text(name);
        assert!(text.contains(from), "{name} has no {from}");
        let text = text.replace(from, to);
        self.with(name, &text)
    }

    pub(super) fn text(&self, name: &str) -> String {
        let (_, bytes) = self.parts.iter().find(|(other, _)| other == name).unwrap();
        String::from_utf8(bytes.clone()).unwrap()
    }

    /// Sets the rows of the sheet.
    pub(super) fn sheet(self, rows: &str) -> Self {
        self.sheet_around(&format!(
            "<dimension ref=\"A1\"/><sheetData>{rows}</sheetData>"
        ))
    }

    /// Sets what is in the sheet.
    pub(super) fn sheet_around(self, inner: &str) -> Self {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
             <worksheet xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\">{inner}</worksheet>"
        );
        self.with(SHEET_PART, &text)
    }

    pub(super) fn build(&self) -> Vec<u8> {
        self.build_with(|_| SimpleFileOptions::default())
    }

    /// Builds the package with options for each part.
    pub(super) fn build_with(&self, options: impl Fn(&str) -> SimpleFileOptions) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &self.parts {
            writer.start_file(name, options(name)).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }
}

pub(super) fn content_types(overrides: &str) -> String {
    format!(
        "<Types xmlns=\"{PACKAGE}/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>{overrides}</Types>"
    )
}

pub(super) fn relationships(list: &[(&str, &str, &str)]) -> String {
    let list: String = list
        .iter()
        .map(|(id, kind, target)| {
            format!("<Relationship Id=\"{id}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>")
        })
        .collect();
    format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{list}</Relationships>")
}

pub(super) fn workbook(sheets: &[(&str, &str)]) -> String {
    let sheets: String = (1..)
        .zip(sheets)
        .map(|(n, (name, id))| format!("<sheet name=\"{name}\" sheetId=\"{n}\" r:id=\"{id}\"/>"))
        .collect();
    format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>{sheets}</sheets></workbook>")
}
