//! The tests that documents name: each must be there, so that a promise never points at nothing.
//!
//! A document names a test as `` `CRATE::test` ``, where CRATE is the last part of the crate's directory (`view`, `store`),
//! `tests` for the black-box suites, `xtask` for the chores, or `policies` for tests in Rego.

use crate::tree::Tree;

/// The documents that name tests.
const DOCUMENTS: [&str; 3] = ["SPECIFICATION.md", "SECURITY.md", "docs/attacks.md"];

/// Tests that are named and not there, and promises that name neither a test nor say that it is pending.
#[must_use]
pub fn missing(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for document in DOCUMENTS {
        let Some(text) = tree.text(document) else {
            findings.push(format!("{document}: not there"));
            continue;
        };
        for (number, line) in (1_usize..).zip(text.lines()) {
            for (home, test) in line.split('`').filter_map(named) {
                if !is_there(tree, home, test) {
                    findings.push(format!("{document}:{number}: no test `{home}::{test}`"));
                }
            }
        }
    }
    findings
}

/// A word in code that has the form of a test's name.
fn named(word: &str) -> Option<(&str, &str)> {
    let (home, test) = word.split_once("::")?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    (plain(home) && plain(test)).then_some((home, test))
}

fn is_there(tree: &Tree, home: &str, test: &str) -> bool {
    if home == "policies" {
        return tree.ending("_test.rego").any(|(_, text)| {
            text.lines()
                .any(|line| line.starts_with(&format!("{test} ")))
        });
    }
    let own = format!("{home}/");
    let within = format!("/{home}/");
    let function = format!("fn {test}(");
    tree.ending(".rs")
        .filter(|(path, _)| match home {
            "tests" | "xtask" => path.starts_with(&own),
            _ => path.starts_with("crates/") && path.contains(&within),
        })
        .any(|(_, text)| text.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_named_must_be_there() {
        let specification = "1. `view::is_there`, `view::is_gone`, `store::is_there`, `policies::test_it`, \
            `Type::method`, `policies::test_gone`, `tests::black_box`.\n";
        let tree = Tree::of(&[
            ("SPECIFICATION.md", specification),
            ("SECURITY.md", ""),
            ("docs/attacks.md", ""),
            ("crates/host/view/tests/a.rs", "#[test]\nfn is_there() {}\n"),
            ("policies/a/a_test.rego", "test_it if true\n"),
            ("tests/tests/b.rs", "fn black_box() {}\n"),
        ]);
        assert_eq!(
            missing(&tree),
            [
                "SPECIFICATION.md:1: no test `view::is_gone`",
                "SPECIFICATION.md:1: no test `store::is_there`",
                "SPECIFICATION.md:1: no test `policies::test_gone`",
            ]
        );
    }
}
