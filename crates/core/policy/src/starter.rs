//! The starter bundles, built into the program from `policies/`.

use crate::{Bundle, BundleLimits, PolicyError};

/// The names of the starter bundles.
pub const STARTER_NAMES: [&str; 6] = [
    "base",
    "coding-agent",
    "documents",
    "finance",
    "guardrails",
    "lockdown",
];

macro_rules! files {
    ($name:literal: $($file:literal),+) => {
        &[$((
            $file,
            include_str!(concat!("../../../../policies/", $name, "/", $file)),
        )),+]
    };
}

const BASE: &[(&str, &str)] = files!("base": ".manifest", "base.rego", "base_test.rego");
const CODING_AGENT: &[(&str, &str)] = files!(
    "coding-agent": ".manifest", "coding_agent.rego", "coding_agent_test.rego"
);
const DOCUMENTS: &[(&str, &str)] = files!(
    "documents": ".manifest", "documents.rego", "documents_test.rego"
);
const FINANCE: &[(&str, &str)] =
    files!("finance": ".manifest", "finance.rego", "finance_test.rego");
const GUARDRAILS: &[(&str, &str)] = files!(
    "guardrails": ".manifest", "data.json", "guardrails.rego", "guardrails_test.rego"
);
const LOCKDOWN: &[(&str, &str)] =
    files!("lockdown": ".manifest", "lockdown.rego", "lockdown_test.rego");

/// The files of the starter bundle of this name: path below its root, and text.
#[must_use]
pub fn starter_files(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match name {
        "base" => Some(BASE),
        "coding-agent" => Some(CODING_AGENT),
        "documents" => Some(DOCUMENTS),
        "finance" => Some(FINANCE),
        "guardrails" => Some(GUARDRAILS),
        "lockdown" => Some(LOCKDOWN),
        _ => None,
    }
}

/// What the starter bundle of this name is for, in one sentence.
#[must_use]
pub fn starter_purpose(name: &str) -> Option<&'static str> {
    Some(match name {
        "base" => "the workspace and what the person granted; the rest of the home is asked for",
        "coding-agent" => {
            "the workspace, tools and caches of build tools; the rest of the home and package hosts are asked for"
        }
        "documents" => "documents of one folder: read and made; changes are asked for, macros off",
        "finance" => "reports of one folder: read, and rows appended with the owner's consent",
        "guardrails" => "what no other policy can give away; always in force",
        "lockdown" => "only what the person granted; each change is asked for, with a reason",
        _ => return None,
    })
}

/// The starter bundle of this name, with its tests.
///
/// # Errors
/// When there is none; a starter bundle itself is always sound.
pub fn starter(name: &str) -> Result<Bundle, PolicyError> {
    let files = starter_files(name).ok_or_else(|| PolicyError::NoSuchStarter {
        name: name.chars().take(64).collect(),
    })?;
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    Bundle::from_files(files, BundleLimits::default())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;
