//! From a sheet's name to the part that holds it, by way of the workbook part.

use std::io::{Read, Seek};

use crate::error::shown;
use crate::package::{Package, equivalent};
use crate::relationships::{ContentTypes, Relationship, relationships};
use crate::xml::{self, Node};
use crate::{SheetError, macros};

/// The main namespace of SpreadsheetML, transitional and strict.
pub(crate) const MAIN: [&str; 2] = [
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
];

/// The namespace of relationship ids, transitional and strict.
const RELATIONSHIP_IDS: [&str; 2] = [
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
];

const WORKSHEET_TYPE: &str =
    "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml";

/// Content types of a main part that can be changed; those with macros need the permission as well.
const WORKBOOK_TYPES: [&str; 5] = [
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml",
    "application/vnd.ms-excel.sheet.macroenabled.main+xml",
    "application/vnd.ms-excel.template.macroenabled.main+xml",
    "application/vnd.ms-excel.addin.macroenabled.main+xml",
];

/// A worksheet part of the package.
#[derive(Debug)]
pub(crate) struct SheetPart {
    /// Its index among the entries.
    pub(crate) index: usize,
    /// Its name.
    pub(crate) name: String,
}

/// Finds the part of the worksheet with that name, in a workbook that may be changed at all.
pub(crate) fn locate<R: Read + Seek>(
    package: &mut Package<R>,
    sheet: &str,
    allow_macros: bool,
) -> Result<SheetPart, SheetError> {
    let types = ContentTypes::read(package)?;
    let roots = relationships(package, "")?;
    let main = main_part(&roots)?;
    let of_workbook = relationships(package, &main)?;
    if !allow_macros
        && let Some(evidence) = macros::evidence(package.equivalent_names(), &types, &of_workbook)
    {
        return Err(SheetError::Macros { evidence });
    }
    check_workbook_type(&types, &main)?;
    if package
        .equivalent_names()
        .any(|name| name.starts_with("_xmlsignatures/"))
    {
        return Err(SheetError::Signed);
    }
    let id = sheet_id(package, &main, sheet)?;
    let name = sheet_part(&of_workbook, &main, &id, sheet)?;
    if !types
        .of(&name)
        .is_some_and(|kind| kind.eq_ignore_ascii_case(WORKSHEET_TYPE))
    {
        return Err(SheetError::NotAWorksheet {
            sheet: shown(sheet),
        });
    }
    let index = package
        .find(&name)
        .ok_or_else(|| SheetError::part(&name, "the part of the sheet is missing"))?;
    Ok(SheetPart { index, name })
}

/// The one main part, by the package's relationship to it.
fn main_part(roots: &[Relationship]) -> Result<String, SheetError> {
    let mut mains = roots
        .iter()
        .filter(|relationship| relationship.is("officeDocument"));
    match (mains.next(), mains.next()) {
        (Some(main), None) => main.part(""),
        (None, _) => Err(SheetError::package("no main part is named")),
        (Some(_), Some(_)) => Err(SheetError::package("more than one main part is named")),
    }
}

fn check_workbook_type(types: &ContentTypes, main: &str) -> Result<(), SheetError> {
    let kind = types.of(main).unwrap_or_default().to_ascii_lowercase();
    if WORKBOOK_TYPES.contains(&kind.as_str()) {
        return Ok(());
    }
    Err(SheetError::Unsupported {
        what: format!("its main part is of type `{}`", shown(&kind)),
    })
}

/// The relationship id of the sheet with that name.
fn sheet_id<R: Read + Seek>(
    package: &mut Package<R>,
    main: &str,
    sheet: &str,
) -> Result<String, SheetError> {
    let source = package.open_index_part(main)?;
    let mut in_sheets = false;
    let mut names: Vec<String> = Vec::new();
    let mut found = None;
    xml::walk(main, source, |node| {
        let element = match node {
            Node::Open(element) => element,
            Node::Close { depth: 2, .. } => {
                in_sheets = false;
                return Ok(());
            }
            Node::Close { .. } => return Ok(()),
        };
        match element.depth {
            1 if !element.is(&MAIN, "workbook") => {
                return Err(element.malformed("the main part is not a workbook"));
            }
            2 => in_sheets = element.is(&MAIN, "sheets") && !element.empty,
            3 if in_sheets && element.is(&MAIN, "sheet") => {
                let name = element.attribute("name")?;
                let id = element.attribute_in(&RELATIONSHIP_IDS, "id")?;
                let (Some(name), Some(id)) = (name, id) else {
                    return Err(element.malformed("a sheet lacks its name or relationship"));
                };
                if name == sheet {
                    found = Some(id);
                }
                names.push(name.to_lowercase());
            }
            _ => {}
        }
        Ok(())
    })?;
    names.sort_unstable();
    // Spreadsheets ignore case in the names of sheets, so two that differ in case are one name.
    if let Some([twice, _]) = names.array_windows().find(|[one, other]| one == other) {
        return Err(SheetError::AmbiguousSheet {
            sheet: shown(twice),
        });
    }
    found.ok_or_else(|| SheetError::SheetNotFound {
        sheet: shown(sheet),
    })
}

/// The part behind a sheet's relationship, which no other relationship may share.
fn sheet_part(
    of_workbook: &[Relationship],
    main: &str,
    id: &str,
    sheet: &str,
) -> Result<String, SheetError> {
    let relationship = of_workbook
        .iter()
        .find(|relationship| relationship.id == id)
        .ok_or_else(|| SheetError::part(main, "the relationship of the sheet is missing"))?;
    if !relationship.is("worksheet") {
        return Err(SheetError::NotAWorksheet {
            sheet: shown(sheet),
        });
    }
    let name = relationship.part(main)?;
    let same = equivalent(&name);
    let sharers = of_workbook
        .iter()
        .filter(|other| other.is("worksheet"))
        .filter(|other| other.part(main).is_ok_and(|part| equivalent(&part) == same));
    if sharers.count() > 1 {
        return Err(SheetError::AmbiguousSheet {
            sheet: shown(sheet),
        });
    }
    Ok(name)
}
