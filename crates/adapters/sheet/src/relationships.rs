//! Relationships and content types (ECMA-376 part 2): which part is what, and where it is.

use std::io::{Read, Seek};

use crate::SheetError;
use crate::error::shown;
use crate::package::Package;
use crate::xml::{self, Node};

const RELATIONSHIPS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const CONTENT_TYPES: &str = "http://schemas.openxmlformats.org/package/2006/content-types";
const CONTENT_TYPES_PART: &str = "[Content_Types].xml";

/// One relationship of a part.
#[derive(Debug)]
pub(crate) struct Relationship {
    /// Its id within the part.
    pub(crate) id: String,
    /// Its type, a URI.
    pub(crate) kind: String,
    /// Its target as written.
    target: String,
    /// Whether the target lies outside the package.
    external: bool,
}

impl Relationship {
    /// Whether this is a relationship of that type, in the transitional or the strict namespace.
    pub(crate) fn is(&self, kind: &str) -> bool {
        let bases = [
            "http://schemas.openxmlformats.org/officeDocument/2006/relationships/",
            "http://purl.oclc.org/ooxml/officeDocument/relationships/",
        ];
        bases
            .iter()
            .any(|base| self.kind.strip_prefix(base) == Some(kind))
    }

    /// The name of the part that it points to, seen from the part that owns it.
    pub(crate) fn part(&self, owner: &str) -> Result<String, SheetError> {
        if self.external {
            return Err(SheetError::part(owner, "a sheet lies outside the workbook"));
        }
        resolve(owner, &self.target)
    }
}

/// Reads the relationships of a part; of the package itself where the owner is empty.
pub(crate) fn relationships<R: Read + Seek>(
    package: &mut Package<R>,
    owner: &str,
) -> Result<Vec<Relationship>, SheetError> {
    let (folder, file) = owner
        .rsplit_once('/')
        .map_or(("", owner), |(folder, file)| (folder, file));
    let slash = if folder.is_empty() { "" } else { "/" };
    let name = format!("{folder}{slash}_rels/{file}.rels");
    let source = package.open_index_part(&name)?;
    let mut found: Vec<Relationship> = Vec::new();
    xml::walk(&name, source, |node| {
        let Node::Open(element) = node else {
            return Ok(());
        };
        if !element.is(&[RELATIONSHIPS], "Relationship") {
            return Ok(());
        }
        let required = |attribute: &str| {
            element
                .attribute(attribute)?
                .ok_or_else(|| element.malformed("a relationship lacks its id, type or target"))
        };
        let id = required("Id")?;
        if found.iter().any(|other| other.id == id) {
            return Err(element.malformed("two relationships have the same id"));
        }
        let external = match element.attribute("TargetMode")?.as_deref() {
            None | Some("Internal") => false,
            Some("External") => true,
            Some(_) => return Err(element.malformed("a target mode is unknown")),
        };
        found.push(Relationship {
            id,
            kind: required("Type")?,
            target: required("Target")?,
            external,
        });
        Ok(())
    })?;
    Ok(found)
}

/// Resolves a target against the part that owns the relationship, never out of the package.
fn resolve(owner: &str, target: &str) -> Result<String, SheetError> {
    let refused = || {
        SheetError::part(
            owner,
            format!("the target `{}` is not a part", shown(target)),
        )
    };
    if target.is_empty()
        || target.contains(|c: char| matches!(c, '\\' | '?' | '#' | '%' | ':') || c.is_control())
    {
        return Err(refused());
    }
    let (base, relative) = match target.strip_prefix('/') {
        Some(absolute) => ("", absolute),
        None => (
            owner.rsplit_once('/').map_or("", |(folder, _)| folder),
            target,
        ),
    };
    let mut segments: Vec<&str> = base
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    for segment in relative.split('/') {
        match segment {
            "" => return Err(refused()),
            "." => {}
            ".." => {
                segments.pop().ok_or_else(refused)?;
            }
            name => segments.push(name),
        }
    }
    if segments.is_empty() {
        Err(refused())
    } else {
        Ok(segments.join("/"))
    }
}

/// The content types that the package declares.
#[derive(Debug, Default)]
pub(crate) struct ContentTypes {
    /// By file name extension, in lower case.
    defaults: Vec<(String, String)>,
    /// By part, in the form of [`crate::package::equivalent`].
    overrides: Vec<(String, String)>,
}

impl ContentTypes {
    /// Reads `[Content_Types].xml`.
    pub(crate) fn read<R: Read + Seek>(package: &mut Package<R>) -> Result<Self, SheetError> {
        let source = package.open_index_part(CONTENT_TYPES_PART)?;
        let mut types = Self::default();
        xml::walk(CONTENT_TYPES_PART, source, |node| {
            let Node::Open(element) = node else {
                return Ok(());
            };
            let (key, list) = if element.is(&[CONTENT_TYPES], "Default") {
                ("Extension", &mut types.defaults)
            } else if element.is(&[CONTENT_TYPES], "Override") {
                ("PartName", &mut types.overrides)
            } else {
                return Ok(());
            };
            let (Some(key), Some(kind)) =
                (element.attribute(key)?, element.attribute("ContentType")?)
            else {
                return Err(element.malformed("a content type lacks its name or value"));
            };
            let key = crate::package::equivalent(key.strip_prefix('/').unwrap_or(&key));
            if list.iter().any(|(other, _)| *other == key) {
                return Err(element.malformed("two content types are given for one part"));
            }
            list.push((key, kind));
            Ok(())
        })?;
        Ok(types)
    }

    /// Every content type declared, used or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.defaults
            .iter()
            .chain(&self.overrides)
            .map(|(_, kind)| kind.as_str())
    }

    /// The content type of a part.
    pub(crate) fn of(&self, part: &str) -> Option<&str> {
        let name = crate::package::equivalent(part);
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        let given = self.overrides.iter().find(|(other, _)| *other == name);
        given
            .or_else(|| {
                self.defaults
                    .iter()
                    .find(|(other, _)| Some(other.as_str()) == extension)
            })
            .map(|(_, kind)| kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_resolve_within_the_package_only() {
        let owner = "xl/workbook.xml";
        for (target, part) in [
            ("worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("/xl/worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("./worksheets/../sheet1.xml", "xl/sheet1.xml"),
            ("../other/sheet1.xml", "other/sheet1.xml"),
        ] {
            assert_eq!(resolve(owner, target).unwrap(), part);
        }
        for target in [
            "",
            "/",
            "..",
            "../../etc/passwd",
            "/../x",
            "a//b",
            "file:///etc/passwd",
            "C:\\x",
            "worksheets\\sheet1.xml",
            "sheet%31.xml",
            "sheet1.xml#a",
            "sheet1.xml?b",
            "a\0b",
            "//host/x",
        ] {
            assert!(resolve(owner, target).is_err(), "{target:?} was accepted");
        }
    }
}
