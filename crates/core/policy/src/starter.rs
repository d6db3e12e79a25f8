//! The starter bundles, built into the program from `policies/`.

use crate::{Bundle, BundleLimits, PolicyError};

/// The names of the starter bundles.
pub const STARTER_NAMES: [&str; 3] = ["base", "finance", "guardrails"];

macro_rules! files {
    ($name:literal: $($file:literal),+) => {
        &[$((
            $file,
            include_str!(concat!("../../../../policies/", $name, "/", $file)),
        )),+]
    };
}

const BASE: &[(&str, &str)] = files!("base": ".manifest", "base.rego", "base_test.rego");
const FINANCE: &[(&str, &str)] =
    files!("finance": ".manifest", "finance.rego", "finance_test.rego");
const GUARDRAILS: &[(&str, &str)] = files!(
    "guardrails": ".manifest", "data.json", "guardrails.rego", "guardrails_test.rego"
);

/// The files of the starter bundle of this name: path below its root, and text.
#[must_use]
pub fn starter_files(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match name {
        "base" => Some(BASE),
        "finance" => Some(FINANCE),
        "guardrails" => Some(GUARDRAILS),
        _ => None,
    }
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
