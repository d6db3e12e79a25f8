//! Whether a workbook carries macros or other active content, whatever its file name says.

use crate::error::shown;
use crate::relationships::{ContentTypes, Relationship};

/// Parts that hold active content, by what their equivalent name contains.
const PARTS: [&str; 6] = [
    // The VBA project, its data and its signatures.
    "vbaproject",
    "vbadata.xml",
    // Excel 4.0 macro sheets and dialog sheets.
    "macrosheets/",
    "dialogsheets/",
    // Controls that run code when the workbook opens.
    "activex/",
    "ctrlprops/activex",
];

/// Content types of active content, by what they contain in lower case.
const TYPES: [&str; 6] = [
    "vbaproject",
    "macroenabled",
    "macrosheet",
    "dialogsheet",
    "activex",
    "vbadata",
];

/// Relationship types of active content, by how they end in lower case.
const KINDS: [&str; 5] = [
    "/vbaproject",
    "/xlmacrosheet",
    "/xlintlmacrosheet",
    "/dialogsheet",
    "/wordvbadata",
];

/// The first sign of active content, in words.
pub(crate) fn evidence<'a>(
    parts: impl Iterator<Item = &'a str>,
    types: &ContentTypes,
    relationships: &[Relationship],
) -> Option<String> {
    // The least name, so that the same workbook always gets the same answer.
    let part = parts
        .filter(|part| PARTS.iter().any(|sign| part.contains(sign)))
        .min();
    if let Some(part) = part {
        return Some(format!("part `{}`", shown(part)));
    }
    let kind = types.all().find(|kind| {
        let kind = kind.to_ascii_lowercase();
        TYPES.iter().any(|sign| kind.contains(sign))
    });
    if let Some(kind) = kind {
        return Some(format!("content type `{}`", shown(kind)));
    }
    relationships
        .iter()
        .find(|relationship| {
            let kind = relationship.kind.to_ascii_lowercase();
            KINDS.iter().any(|sign| kind.ends_with(sign))
        })
        .map(|relationship| format!("relationship `{}`", shown(&relationship.kind)))
}
