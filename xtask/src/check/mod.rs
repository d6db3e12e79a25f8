//! The checks: that the tree is as its documents say. Each is a function from files to findings; a finding is one line.

pub mod layers;
pub mod licences;
pub mod links;
pub mod source;
pub mod tests_named;
pub mod weight;

use crate::cargo::Cargo;
use crate::schemas;
use crate::tree::Tree;

/// Every check.
#[must_use]
pub fn all(cargo: &Cargo) -> Vec<String> {
    let mut findings = quick(cargo);
    findings.extend(schemas::stale(cargo));
    findings
}

/// Every check that builds nothing.
#[must_use]
pub fn quick(cargo: &Cargo) -> Vec<String> {
    let mut findings = match Tree::read(cargo.root()) {
        Ok(tree) => of_tree(&tree),
        Err(reason) => vec![reason],
    };
    findings.extend(found(cargo.workspace().map(|it| layers::misplaced(&it))));
    findings.extend(found(weight::broker(cargo)));
    findings.extend(found(weight::verifier(cargo)));
    findings.extend(found(licences::refused(cargo)));
    findings
}

/// The checks that need nothing but the files.
#[must_use]
pub fn of_tree(tree: &Tree) -> Vec<String> {
    let checks: [fn(&Tree) -> Vec<String>; 8] = [
        source::without_opening,
        source::too_long,
        source::without_forbid,
        source::not_listed,
        source::foreign_words,
        links::broken,
        links::missing_documents,
        tests_named::missing,
    ];
    checks.iter().flat_map(|check| check(tree)).collect()
}

fn found(result: Result<Vec<String>, String>) -> Vec<String> {
    result.unwrap_or_else(|reason| vec![reason])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo test` alone tells whether the tree is as its documents say.
    #[test]
    fn the_tree_is_tidy() {
        let found = quick(&Cargo::find().unwrap());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
