//! The weight of the broker: its dependency tree stays short enough to read, so growth is a decision.

use std::collections::BTreeSet;

use crate::cargo::Cargo;

/// Crates that the broker is built from at most, its own and those that only run while it is compiled included.
///
/// As counted on 2026-11-23: 36 of them are the policy engine and what it brings, ten the project's own. Raise it only in a change
/// that says why: decision 0006 brought two, for paths of macOS;
/// 0041 one of our own, `valetkey-rollout`;
/// 0047 twelve, to seal what the log does not say and to find secrets in what it says.
pub const BROKER_CRATES_MAX: usize = 104;

/// What the broker must never be built from, and why.
const NEVER: [(&str, &str); 9] = [
    ("rustls", "the broker speaks no TLS"),
    ("openssl-sys", "the broker speaks no TLS"),
    ("native-tls", "the broker speaks no TLS"),
    ("reqwest", "the broker opens no connection"),
    ("ureq", "the broker opens no connection"),
    ("hickory-resolver", "the broker resolves no names"),
    ("zip", "the broker parses no documents"),
    ("quick-xml", "the broker parses no documents"),
    ("clap", "the broker has no command line"),
];

/// What is wrong with the broker's tree.
///
/// # Errors
/// When cargo cannot tell it.
pub fn broker(cargo: &Cargo) -> Result<Vec<String>, String> {
    let args = [
        "tree",
        "--package",
        "valetkey-broker",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    Ok(findings(&cargo.output(&args)?, BROKER_CRATES_MAX))
}

/// What the static verifier must never be built from: it is for those who want to read all of it.
const NEVER_IN_VERIFIER: [(&str, &str); 6] = [
    ("valetkey-broker", "the verifier has no code of the broker"),
    ("valetkey-store", "the verifier writes nothing"),
    ("valetkey-policy", "the verifier decides nothing"),
    (
        "valetkey-sys",
        "the verifier makes no system calls of its own",
    ),
    ("tokio", "the verifier waits for nothing"),
    ("clap", "the verifier's command line is read by hand"),
];

/// Crates that the static verifier is built from at most, those that only run while it is compiled included.
pub const VERIFIER_CRATES_MAX: usize = 36;

/// What is wrong with the static verifier's tree.
///
/// # Errors
/// When cargo cannot tell it.
pub fn verifier(cargo: &Cargo) -> Result<Vec<String>, String> {
    let args = [
        "tree",
        "--package",
        "valetkey-verify",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    let tree = cargo.output(&args)?;
    let crates = crates(&tree);
    let forbidden = NEVER_IN_VERIFIER
        .iter()
        .filter(|(name, _)| crates.iter().any(|(own, _)| own == name))
        .map(|(name, reason)| format!("valetkey-verify: depends on `{name}`: {reason}"));
    let mut findings: Vec<String> = forbidden.collect();
    if crates.len() > VERIFIER_CRATES_MAX {
        findings.push(format!(
            "valetkey-verify: {} crates, more than {VERIFIER_CRATES_MAX}; see `cargo tree -p valetkey-verify -e normal`",
            crates.len()
        ));
    }
    Ok(findings)
}

/// The same for the text that `cargo tree` prints.
#[must_use]
pub fn findings(tree: &str, most: usize) -> Vec<String> {
    let crates = crates(tree);
    let forbidden = NEVER
        .iter()
        .filter(|(name, _)| crates.iter().any(|(own, _)| own == name))
        .map(|(name, reason)| format!("valetkey-broker: depends on `{name}`: {reason}"));
    let mut findings: Vec<String> = forbidden.collect();
    if crates.len() > most {
        findings.push(format!(
            "valetkey-broker: {} crates, more than {most}; see `cargo tree -p valetkey-broker -e normal`",
            crates.len()
        ));
    }
    findings
}

/// Names and versions, each once.
fn crates(tree: &str) -> BTreeSet<(&str, &str)> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "valetkey-broker v0.1.0 (/w/crates/services/broker)\nserde v1.0.1\nserde_derive v1.0.1 (proc-macro)\n\
        syn v2.0.1\nsyn v3.0.1\nserde v1.0.1 (*)\n\n";

    #[test]
    fn each_crate_counts_once_and_each_version_by_itself() {
        assert!(findings(TREE, 5).is_empty());
        let found = findings(TREE, 4);
        assert!(
            found
                .iter()
                .any(|line| line.contains("5 crates, more than 4")),
            "{found:?}"
        );
    }

    #[test]
    fn what_the_broker_must_never_use_is_found() {
        let found = findings(&format!("{TREE}rustls v0.23.0\n"), 100);
        assert_eq!(
            found,
            ["valetkey-broker: depends on `rustls`: the broker speaks no TLS"]
        );
    }
}
