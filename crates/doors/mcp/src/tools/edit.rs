//! Replacing passages of a text, and showing what changed.

use serde::Deserialize;
use serde_json::Value;

use super::files::{store, whole};
use super::{Done, read};
use crate::diff::unified;
use crate::fail::Fail;
use crate::name::resolve;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edits {
    path: String,
    edits: Vec<Edit>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edit {
    old_text: String,
    new_text: String,
}

pub(super) fn edit(arguments: Value) -> Result<Done, Fail> {
    let wanted: Edits = read(arguments)?;
    let path = resolve(&wanted.path)?;
    let before = normal(&whole(&path)?);
    let after = wanted.edits.iter().try_fold(before.clone(), apply)?;
    let shown = fenced(&unified(&path.to_string_lossy(), &before, &after));
    if !wanted.dry_run {
        store(&path, after.as_bytes())?;
    }
    Ok(Done::text(shown))
}

fn normal(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Between as many backquotes as do not occur in it.
fn fenced(diff: &str) -> String {
    let mut fence = "```".to_owned();
    while diff.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}diff\n{diff}{fence}\n\n")
}

fn apply(text: String, edit: &Edit) -> Result<String, Fail> {
    let (old, new) = (normal(&edit.old_text), normal(&edit.new_text));
    if text.contains(&old) {
        return Ok(text.replacen(&old, &new, 1));
    }
    by_lines(&text, &old, &new).ok_or_else(|| {
        Fail::said(format!(
            "Could not find exact match for edit:\n{}",
            edit.old_text
        ))
    })
}

/// Whole lines that are the same but for the spaces around them; the file's own indentation is kept.
fn by_lines(text: &str, old: &str, new: &str) -> Option<String> {
    let old: Vec<&str> = old.split('\n').collect();
    let lines: Vec<&str> = text.split('\n').collect();
    let is_here = |window: &[&str]| {
        let mut pairs = window.iter().zip(&old);
        pairs.all(|(line, old)| line.trim() == old.trim())
    };
    let at = lines.windows(old.len()).position(is_here)?;
    let (before, rest) = lines.split_at_checked(at)?;
    let (replaced, after) = rest.split_at_checked(old.len())?;
    let indent = replaced.first().map_or("", |line| indentation(line));
    let put = new.split('\n').enumerate().map(|(number, line)| {
        if number == 0 {
            return format!("{indent}{}", line.trim_start());
        }
        let was = old.get(number).map_or("", |line| indentation(line));
        let is = indentation(line);
        if was.is_empty() || is.is_empty() {
            return line.to_owned();
        }
        let further = " ".repeat(is.chars().count().saturating_sub(was.chars().count()));
        format!("{indent}{further}{}", line.trim_start())
    });
    let all: Vec<String> = before
        .iter()
        .map(|line| (*line).to_owned())
        .chain(put)
        .chain(after.iter().map(|line| (*line).to_owned()))
        .collect();
    Some(all.join("\n"))
}

fn indentation(line: &str) -> &str {
    let rest = line.trim_start();
    line.strip_suffix(rest).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, old: &str, new: &str) -> Option<String> {
        let edit = Edit {
            old_text: old.to_owned(),
            new_text: new.to_owned(),
        };
        apply(text.to_owned(), &edit).ok()
    }

    #[test]
    fn a_passage_is_replaced_once_and_its_indentation_kept() {
        assert_eq!(edited("a b a", "a", "$&").expect("found"), "$& b a");
        let text = "fn f() {\n    if x {\n        y();\n    }\n}\n";
        let found = edited(text, "if x {\n    y();\n}", "if z {\n    y();\n    w();\n}");
        assert_eq!(
            found.expect("found"),
            "fn f() {\n    if z {\n    y();\n    w();\n}\n}\n"
        );
        assert_eq!(edited("a", "b", "c"), None);
    }

    #[test]
    fn a_fence_is_longer_than_any_within() {
        assert!(fenced("a ``` b").starts_with("````diff\n"));
    }
}
