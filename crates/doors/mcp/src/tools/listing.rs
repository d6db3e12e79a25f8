//! Listing directories, whole trees of them, and searching by name.

use std::fs::{self, FileType};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Done, read};
use crate::fail::Fail;
use crate::glob::Glob;
use crate::name::resolve;

/// The most entries of one answer: a tree of more is to be asked for in parts.
const ENTRIES_MAX: usize = 100_000;

/// One name in a directory.
struct Entry {
    name: String,
    path: PathBuf,
    is_directory: bool,
}

fn entries(directory: &Path) -> Result<Vec<Entry>, Fail> {
    let fail = |error| Fail::of("scandir", directory)(error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        entries.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            path: entry.path(),
            is_directory: entry.file_type().is_ok_and(|kind: FileType| kind.is_dir()),
        });
        if entries.len() > ENTRIES_MAX {
            return Err(too_many());
        }
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn too_many() -> Fail {
    Fail::said(format!(
        "there are more than {ENTRIES_MAX} entries: ask for a directory further down"
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    path: String,
    #[serde(default)]
    sort_by: SortBy,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SortBy {
    #[default]
    Name,
    Size,
}

pub(super) fn list(arguments: Value) -> Result<Done, Fail> {
    let path = resolve(&read::<List>(arguments)?.path)?;
    let lines: Vec<String> = entries(&path)?
        .iter()
        .map(|entry| format!("{} {}", mark(entry.is_directory), entry.name))
        .collect();
    Ok(Done::text(lines.join("\n")))
}

fn mark(is_directory: bool) -> &'static str {
    if is_directory { "[DIR]" } else { "[FILE]" }
}

pub(super) fn list_with_sizes(arguments: Value) -> Result<Done, Fail> {
    let wanted: List = read(arguments)?;
    let path = resolve(&wanted.path)?;
    let size = |entry: &Entry| fs::metadata(&entry.path).map_or(0, |meta| meta.len());
    let mut all: Vec<(Entry, u64)> = entries(&path)?
        .into_iter()
        .map(|entry| {
            let size = size(&entry);
            (entry, size)
        })
        .collect();
    match wanted.sort_by {
        SortBy::Name => all.sort_by_key(|(entry, _)| collation(&entry.name)),
        SortBy::Size => all.sort_by_key(|(_, size)| std::cmp::Reverse(*size)),
    }
    let mut lines: Vec<String> = all
        .iter()
        .map(|(entry, size)| {
            let size = if entry.is_directory {
                String::new()
            } else {
                format!("{:>10}", in_units(*size))
            };
            format!("{} {:<30} {size}", mark(entry.is_directory), entry.name)
        })
        .collect();
    let files = all.iter().filter(|(entry, _)| !entry.is_directory);
    let sum = files
        .clone()
        .fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    let count = files.count();
    let directories = all.len().saturating_sub(count);
    lines.push(String::new());
    lines.push(format!("Total: {count} files, {directories} directories"));
    lines.push(format!("Combined size: {}", in_units(sum)));
    Ok(Done::text(lines.join("\n")))
}

/// Bytes in the largest unit of which there is at least one, with two digits after the point.
fn in_units(bytes: u64) -> String {
    let mut unit = 1_u64;
    let mut name = "B";
    for larger in ["KB", "MB", "GB", "TB"] {
        let next = unit.saturating_mul(1024);
        if bytes < next {
            break;
        }
        (unit, name) = (next, larger);
    }
    if unit == 1 {
        return format!("{bytes} B");
    }
    let hundredths = u128::from(bytes)
        .saturating_mul(100)
        .saturating_add(u128::from(unit / 2))
        .checked_div(u128::from(unit))
        .unwrap_or_default();
    format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
}

/// In which order people expect names: marks, digits, letters without regard to case; small letters first among like ones.
fn collation(name: &str) -> (Vec<(u8, char)>, Vec<bool>) {
    let class = |letter: char| match letter {
        _ if letter.is_alphabetic() => 2,
        _ if letter.is_numeric() => 1,
        _ => 0,
    };
    const MARKS: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    let weight = |letter: char| {
        let mark = MARKS.chars().position(|mark| mark == letter);
        let mark = mark.and_then(|at| u32::try_from(at).ok());
        mark.and_then(char::from_u32).unwrap_or(letter)
    };
    let primary = name
        .chars()
        .flat_map(char::to_lowercase)
        .map(|letter| (class(letter), weight(letter)))
        .collect();
    (primary, name.chars().map(char::is_uppercase).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tree {
    path: String,
    #[serde(default)]
    exclude_patterns: Vec<String>,
}

/// One name of a tree, in the order in which its members are written.
#[derive(Serialize)]
struct Branch {
    name: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Vec<Branch>>,
    /// What kept its entries back, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

pub(super) fn tree(arguments: Value) -> Result<Done, Fail> {
    let wanted: Tree = read(arguments)?;
    let root = resolve(&wanted.path)?;
    let with_names = |pattern: &String| {
        let mut all = vec![Glob::new(pattern)];
        if !pattern.contains('*') {
            all.push(Glob::new(&format!("**/{pattern}")));
            all.push(Glob::new(&format!("**/{pattern}/**")));
        }
        all
    };
    let excluded: Vec<Glob> = wanted
        .exclude_patterns
        .iter()
        .flat_map(with_names)
        .collect();
    let mut left = ENTRIES_MAX;
    let branches = grow(&root, &root, &excluded, &mut left)?;
    let text = serde_json::to_string_pretty(&branches);
    Ok(Done::text(
        text.map_err(|error| Fail::said(error.to_string()))?,
    ))
}

fn grow(
    root: &Path,
    directory: &Path,
    excluded: &[Glob],
    left: &mut usize,
) -> Result<Vec<Branch>, Fail> {
    let mut branches = Vec::new();
    for entry in entries(directory)? {
        if is_among(excluded, root, &entry.path) {
            continue;
        }
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        let (children, refused) = if entry.is_directory {
            // One directory that may not be listed does not hide the others.
            match grow(root, &entry.path, excluded, left) {
                Ok(children) => (Some(children), None),
                Err(Fail::System { error, .. }) => (Some(Vec::new()), Some(error.to_string())),
                Err(other) => return Err(other),
            }
        } else {
            (None, None)
        };
        branches.push(Branch {
            name: entry.name,
            r#type: if entry.is_directory {
                "directory"
            } else {
                "file"
            },
            children,
            refused,
        });
    }
    Ok(branches)
}

fn is_among(patterns: &[Glob], root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    patterns.iter().any(|pattern| pattern.matches(&below))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    path: String,
    pattern: String,
    #[serde(default)]
    exclude_patterns: Vec<String>,
}

pub(super) fn search(arguments: Value) -> Result<Done, Fail> {
    let wanted: Search = read(arguments)?;
    let root = resolve(&wanted.path)?;
    let pattern = [Glob::new(&wanted.pattern)];
    let excluded: Vec<Glob> = wanted
        .exclude_patterns
        .iter()
        .map(|text| Glob::new(text))
        .collect();
    let mut found = Vec::new();
    let mut left = ENTRIES_MAX;
    look(
        &root,
        entries(&root)?,
        &pattern,
        &excluded,
        &mut found,
        &mut left,
    )?;
    Ok(Done::text(if found.is_empty() {
        "No matches found".to_owned()
    } else {
        found.join("\n")
    }))
}

fn look(
    root: &Path,
    here: Vec<Entry>,
    pattern: &[Glob],
    excluded: &[Glob],
    found: &mut Vec<String>,
    left: &mut usize,
) -> Result<(), Fail> {
    for entry in here {
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        if is_among(excluded, root, &entry.path) {
            continue;
        }
        if is_among(pattern, root, &entry.path) {
            found.push(entry.path.to_string_lossy().into_owned());
        }
        if entry.is_directory
            && let Ok(below) = entries(&entry.path)
        {
            look(root, below, pattern, excluded, found, left)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KB"),
            (1536, "1.50 KB"),
            (5 << 20, "5.00 MB"),
            (3 << 40, "3.00 TB"),
            (2000 << 40, "2000.00 TB"),
        ] {
            assert_eq!(in_units(bytes), text);
        }
    }

    #[test]
    fn names_are_in_the_order_that_people_expect() {
        let mut names = ["b.txt", "A.txt", "a.txt", "_z", "10", "9", "B"];
        names.sort_by_key(|name| collation(name));
        assert_eq!(names, ["_z", "10", "9", "a.txt", "A.txt", "B", "b.txt"]);
    }
}
