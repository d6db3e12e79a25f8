//! Checks of what one file says of another: relative links in Markdown, and documents that code names.

use crate::tree::Tree;

/// Links in Markdown files that lead to no file, or to no heading.
#[must_use]
pub fn broken(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (number, target) in links(text) {
            if let Some(reason) = why_broken(tree, path, target) {
                findings.push(format!("{path}:{number}: `{target}` {reason}"));
            }
        }
    }
    findings
}

fn why_broken(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    let elsewhere = ["http://", "https://", "mailto:"];
    if elsewhere.iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(file) = resolve(from, file) else {
        return Some("leads out of the project");
    };
    if !tree.has(&file) {
        return Some("leads to no file");
    }
    let known = |text: &str| headings(text).any(|own| own == heading);
    match tree.text(&file) {
        Some(text) if !heading.is_empty() && !known(text) => Some("leads to no heading"),
        _ => None,
    }
}

/// The path that a link in `from` leads to; nothing if it leads out.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The targets of inline links, with their lines; none from code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (number, line) in (1_usize..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("](") {
            let in_code = before.matches('`').count() % 2 == 1 && !before.ends_with('`');
            let Some((target, behind)) = after.split_once(')') else {
                break;
            };
            if !in_code {
                found.push((number, target));
            }
            rest = behind;
        }
    }
    found
}

/// The anchors of the headings, as hosts of Markdown make them: lower case, spaces as `-`, without other signs.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
}

/// Documents below `docs/` and schemas that a source file or document names, and that are not there.
#[must_use]
pub fn missing_documents(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let sources = [".rs", ".md", ".toml", ".rego"];
    for (path, text) in tree.texts() {
        // This file's own tests name documents that are not there.
        if !sources.iter().any(|end| path.ends_with(end)) || path.starts_with("xtask/") {
            continue;
        }
        for (number, line) in (1_usize..).zip(text.lines()) {
            for name in named(line).filter(|name| !tree.has(name)) {
                findings.push(format!(
                    "{path}:{number}: names `{name}`, which is not there"
                ));
            }
        }
    }
    findings
}

fn named(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    line.split(move |c| !is_part(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| {
            word.starts_with("docs/") && word.ends_with(".md")
                || word.starts_with("schemas/") && word.ends_with(".json")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found_and_others_are_not() {
        let text = "# One two\n[a](b.md) [c](#one-two) [d](../x/y.rs#L3) [e](https://example.com/)\n\
            [f](gone.md) [g](b.md#nowhere) [h](../../out.md)\n`[i](gone.md)`\n```\n[j](gone.md)\n```\n";
        let tree = Tree::of(&[("docs/a.md", text), ("docs/b.md", "# B\n"), ("x/y.rs", "")]);
        let found = broken(&tree);
        assert_eq!(
            found,
            [
                "docs/a.md:2: `../x/y.rs#L3` leads to no heading",
                "docs/a.md:3: `gone.md` leads to no file",
                "docs/a.md:3: `b.md#nowhere` leads to no heading",
                "docs/a.md:3: `../../out.md` leads out of the project",
            ]
        );
    }

    #[test]
    fn a_document_that_is_named_and_not_there_is_found() {
        let tree = Tree::of(&[
            ("src/a.rs", "//! See `docs/here.md` and docs/gone.md.\n"),
            ("docs/here.md", "The form is in `schemas/gone.json`.\n"),
        ]);
        let found = missing_documents(&tree);
        assert_eq!(
            found,
            [
                "docs/here.md:1: names `schemas/gone.json`, which is not there",
                "src/a.rs:1: names `docs/gone.md`, which is not there",
            ]
        );
    }
}
