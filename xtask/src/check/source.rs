//! Checks of single source files: how they open, how long they are, what they may not say.

use crate::tree::Tree;

/// Lines that a production file may have at most: past this, the next thing starts a new module.
const LINES_MAX: usize = 600;

/// The one crate that may write `unsafe`: it makes the system calls by hand.
const UNSAFE: &str = "crates/host/sys/";

/// Words that have no place in the project. Written in two parts, so that this file has none of them itself.
const FOREIGN: [&str; 3] = [
    concat!("../", "shared"),
    concat!("/work/", "shared"),
    concat!("closing", " note"),
];

/// Rust files that do not open with a `//!` sentence, and Rego files that do not open with a comment.
#[must_use]
pub fn without_opening(tree: &Tree) -> Vec<String> {
    let rust = tree
        .ending(".rs")
        .filter(|(_, text)| !opens_with_sentence(text, "//!"))
        .map(|(path, _)| format!("{path}: does not open with a `//!` sentence"));
    let rego = tree
        .ending(".rego")
        .filter(|(_, text)| !opens_with_sentence(text, "#"))
        .map(|(path, _)| format!("{path}: does not open with a `#` sentence"));
    rust.chain(rego).collect()
}

/// Whether the first paragraph of comment is a sentence: words with a stop at their end.
fn opens_with_sentence(text: &str, mark: &str) -> bool {
    let paragraph: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix(mark))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let words = paragraph.join(" ");
    words.split_whitespace().count() >= 2 && words.ends_with(['.', ':', '!'])
}

/// Production files that are too long.
#[must_use]
pub fn too_long(tree: &Tree) -> Vec<String> {
    tree.ending(".rs")
        .filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/"))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines, more than {LINES_MAX}; split it"))
        .collect()
}

/// Crate roots that do not forbid `unsafe`, neither themselves nor by their manifest.
#[must_use]
pub fn without_forbid(tree: &Tree) -> Vec<String> {
    let by_manifest = |path: &str| {
        path.split_once("src/")
            .and_then(|(directory, _)| tree.text(&format!("{directory}Cargo.toml")))
            .is_some_and(|manifest| {
                manifest
                    .lines()
                    .any(|line| line == "unsafe_code = \"forbid\"")
            })
    };
    tree.ending(".rs")
        .filter(|(path, _)| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
        .filter(|(path, _)| !path.starts_with(UNSAFE) && !by_manifest(path))
        .filter(|(_, text)| !text.lines().any(|line| line == "#![forbid(unsafe_code)]"))
        .map(|(path, _)| format!("{path}: no `#![forbid(unsafe_code)]`"))
        .collect()
}

/// Crates without a line in `crates/README.md`, and lines without a crate.
#[must_use]
pub fn not_listed(tree: &Tree) -> Vec<String> {
    const LIST: &str = "crates/README.md";
    let Some(list) = tree.text(LIST) else {
        return vec![format!("{LIST}: not there")];
    };
    let listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| [`")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let own: Vec<&str> = tree
        .crates()
        .into_iter()
        .filter_map(|path| path.strip_prefix("crates/"))
        .collect();
    let without_line = own
        .iter()
        .filter(|name| !listed.contains(name))
        .map(|name| format!("{LIST}: no line for `{name}`"));
    let without_crate = listed
        .iter()
        .filter(|name| !own.contains(name))
        .map(|name| format!("{LIST}: a line for `{name}`, which is not there"));
    without_line.chain(without_crate).collect()
}

/// Files with a word that has no place here.
#[must_use]
pub fn foreign_words(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.to_lowercase();
            for word in FOREIGN.iter().filter(|word| line.contains(*word)) {
                findings.push(format!("{path}:{number}: `{word}` does not belong here"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_sentence_is_found() {
        let tree = Tree::of(&[
            ("a/src/good.rs", "//! Says what it is for.\n\nfn f() {}\n"),
            (
                "a/src/two_lines.rs",
                "//! Says what it is for,\n//! on two lines.\n",
            ),
            ("a/src/none.rs", "fn f() {}\n"),
            ("a/src/word.rs", "//! placeholder\n"),
            ("a/src/late.rs", "use std::fs;\n//! Says what it is for.\n"),
            ("p/good.rego", "# Base: default deny.\npackage p\n"),
            ("p/none.rego", "package p\n"),
        ]);
        let found = without_opening(&tree);
        assert_eq!(found.len(), 4, "{found:?}");
        for path in ["none.rs", "word.rs", "late.rs", "none.rego"] {
            assert!(found.iter().any(|line| line.contains(path)), "{path}");
        }
    }

    #[test]
    fn a_file_that_grew_too_long_is_found() {
        let long = "x\n".repeat(LINES_MAX + 1);
        let fits = "x\n".repeat(LINES_MAX);
        let tree = Tree::of(&[
            ("crates/core/a/src/long.rs", &long),
            ("crates/core/a/src/fits.rs", &fits),
            ("crates/core/a/tests/long.rs", &long),
        ]);
        let found = too_long(&tree);
        assert_eq!(found.len(), 1);
        assert!(
            found
                .iter()
                .all(|line| line.starts_with("crates/core/a/src/long.rs"))
        );
    }

    #[test]
    fn a_root_that_does_not_forbid_unsafe_is_found() {
        let tree = Tree::of(&[
            (
                "crates/core/a/src/lib.rs",
                "//! A.\n#![forbid(unsafe_code)]\n",
            ),
            (
                "crates/core/b/src/lib.rs",
                "//! B.\n// #![forbid(unsafe_code)]\n",
            ),
            ("crates/core/b/src/main.rs", "fn main() {}\n"),
            ("crates/host/sys/src/lib.rs", "//! Sys.\n"),
            ("crates/core/b/src/inner.rs", "//! Not a root.\n"),
            ("tests/src/lib.rs", "//! By manifest.\n"),
            (
                "tests/Cargo.toml",
                "[lints.rust]\nunsafe_code = \"forbid\"\n",
            ),
        ]);
        let found = without_forbid(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|line| line.starts_with("crates/core/b/")));
    }

    #[test]
    fn a_crate_without_a_line_and_a_line_without_a_crate_are_found() {
        let tree = Tree::of(&[
            (
                "crates/README.md",
                "| [`core/a`](core/a) | A. |\n| [`core/gone`](core/gone) | Gone. |\n",
            ),
            ("crates/core/a/Cargo.toml", ""),
            ("crates/core/b/Cargo.toml", ""),
        ]);
        let found = not_listed(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .any(|line| line.contains("no line for `core/b`"))
        );
        assert!(
            found
                .iter()
                .any(|line| line.contains("`core/gone`, which is not there"))
        );
    }

    #[test]
    fn words_from_elsewhere_are_found_with_their_line() {
        let planted = format!("fine\nsee {}/design\n", FOREIGN[0]);
        let tree = Tree::of(&[("a.md", &planted), ("b.md", "fine\n")]);
        assert_eq!(
            foreign_words(&tree),
            [format!("a.md:2: `{}` does not belong here", FOREIGN[0])]
        );
    }
}
