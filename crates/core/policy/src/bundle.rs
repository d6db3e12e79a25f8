//! An OPA bundle as checked text: modules, data and manifest, bounded and digested.

use std::collections::{BTreeMap, BTreeSet};

use regorus::{Engine, Value};
use serde::Deserialize;
use valetkey_model::Digest;

use crate::rules::RulePath;
use crate::strict_json::read_strictly;
use crate::{PolicyError, admission, glob, rules, scan};

/// The domain of a bundle's digest. The hashed bytes are, for each file in order of its path's bytes: the path's length and
/// the content's length as big-endian 64-bit numbers, the path, the content.
const DIGEST_DOMAIN: &str = "valetkey-policy-bundle-v1";
/// The longest path of a file in a bundle, in bytes.
const MAX_PATH_BYTES: usize = 256;

/// How large a bundle may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleLimits {
    /// Files of a kind that counts: modules, data, manifest.
    pub max_files: usize,
    /// Bytes of all of them together.
    pub max_total_bytes: usize,
}

impl Default for BundleLimits {
    /// 256 files and 1 MiB: a hundred times the starter bundles, and still parsed within a second.
    fn default() -> Self {
        Self {
            max_files: 256,
            max_total_bytes: 1 << 20,
        }
    }
}

/// The bundle's `.manifest`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The bundle's own name for its version.
    #[serde(default)]
    pub revision: String,
    /// The parts of `data` that the bundle owns, as paths such as `valetkey/team`; empty or `""` is all of it.
    #[serde(default)]
    pub roots: Vec<String>,
    /// The version of the language; only 1 is taken.
    #[serde(default = "rego_v1")]
    pub rego_version: u8,
    /// Whatever else the author wants to say; never looked at.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            revision: String::new(),
            roots: Vec::new(),
            rego_version: rego_v1(),
            metadata: serde_json::Map::new(),
        }
    }
}

fn rego_v1() -> u8 {
    1
}

/// A bundle that was read and found sound: every module parses, nothing in it is refused, data and manifest are well formed.
#[derive(Clone, Debug)]
pub struct Bundle {
    modules: BTreeMap<String, String>,
    data: Value,
    manifest: Manifest,
    digest: Digest,
}

impl Bundle {
    /// Reads a bundle from its files, each a path relative to the bundle's directory and its content.
    ///
    /// `.rego` modules (Rego v1), `data.json` (at the root, or below a directory that gives its place in `data`) and
    /// `.manifest` count; YAML data is refused, since it would silently be missing; other files are passed over and are
    /// not part of the digest.
    ///
    /// # Errors
    /// When a limit is passed, a path is not plain, a file is malformed, or a module uses what a policy may not.
    pub fn from_files(
        files: Vec<(String, Vec<u8>)>,
        limits: BundleLimits,
    ) -> Result<Self, PolicyError> {
        let files = checked(files, limits)?;
        let digest = digest_of(&files);
        let mut modules = BTreeMap::new();
        let mut manifest = Manifest::default();
        let mut data = serde_json::Value::Object(serde_json::Map::new());
        for (path, content) in files {
            let text = String::from_utf8(content).map_err(|_| PolicyError::File {
                file: path.clone(),
                message: "the file is not UTF-8 text".to_owned(),
            })?;
            match Kind::of(&path) {
                Kind::Module => {
                    scan::check(&path, &text)?;
                    modules.insert(path, text);
                }
                Kind::Data => merge_data(&mut data, &path, &text)?,
                Kind::Manifest => manifest = read_manifest(&path, &text)?,
                Kind::Yaml | Kind::Other => {}
            }
        }
        let bundle = Self {
            modules,
            data: Value::from(data),
            manifest,
            digest,
        };
        let mut engine = bundle.engine(Modules::All)?;
        let rules = bundle.rule_paths(&mut engine)?;
        rules::check_against(&bundle.data, &rules)?;
        admission::check(&mut engine, &rules)?;
        bundle.check_roots(&engine)?;
        Ok(bundle)
    }

    /// The digest of everything that counts, paths and contents.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest, or what it would be if there were one.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The paths of the modules, tests included.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    /// The bundle's data.
    pub(crate) fn data(&self) -> &Value {
        &self.data
    }

    /// The same bundle with another text for one module, which is not checked.
    #[cfg(feature = "tools")]
    pub(crate) fn with_module(&self, path: &str, text: String) -> Self {
        let mut changed = self.clone();
        changed.modules.insert(path.to_owned(), text);
        changed
    }

    /// The engine's words with their place; `file` where it names none.
    pub(crate) fn engine_error(&self, file: &str, text: &str) -> PolicyError {
        PolicyError::from_engine(file, text, &self.modules)
    }

    /// An engine with the bundle's data and the modules asked for.
    pub(crate) fn engine(&self, which: Modules) -> Result<Engine, PolicyError> {
        let mut engine = Engine::new();
        engine.set_gather_prints(true);
        engine.set_strict_builtin_errors(true);
        glob::add_to(&mut engine).map_err(|error| self.engine_error("bundle", &error))?;
        for (path, text) in &self.modules {
            if which == Modules::Deciding && is_test_file(path) {
                continue;
            }
            engine
                .add_policy(path.clone(), text.clone())
                .map_err(|error| self.engine_error(path, &error.to_string()))?;
        }
        engine
            .add_data(self.data.clone())
            .map_err(|error| self.engine_error("data.json", &error.to_string()))?;
        Ok(engine)
    }

    /// The rules of the engine's modules by their paths.
    pub(crate) fn rule_paths(&self, engine: &mut Engine) -> Result<Vec<RulePath>, PolicyError> {
        rules::rule_paths(engine).map_err(|text| self.engine_error(".manifest", &text))
    }

    /// Modules and data must lie below the manifest's roots, so that two bundles cannot silently speak for one place; test
    /// modules, which decide nothing, may lie anywhere.
    fn check_roots(&self, engine: &Engine) -> Result<(), PolicyError> {
        let roots: Vec<Vec<&str>> = self
            .manifest
            .roots
            .iter()
            .map(|root| root.split('/').filter(|part| !part.is_empty()).collect())
            .collect();
        if roots.is_empty() || roots.iter().any(Vec::is_empty) {
            return Ok(());
        }
        let packages = engine
            .get_policy_package_components()
            .map_err(|error| self.engine_error(".manifest", &error.to_string()))?;
        for package in packages {
            let path: Vec<&str> = package.components.iter().map(String::as_str).collect();
            let free = is_test_file(&package.source_file);
            if !free && !roots.iter().any(|root| path.starts_with(root)) {
                return Err(PolicyError::File {
                    file: package.source_file,
                    message: format!(
                        "the package `{}` lies outside the manifest's roots",
                        path.join(".")
                    ),
                });
            }
        }
        if outside(&self.data, &roots) {
            return Err(PolicyError::File {
                file: "data.json".to_owned(),
                message: "some of the data lies outside the manifest's roots".to_owned(),
            });
        }
        Ok(())
    }
}

/// Which modules an engine gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modules {
    /// Those that decide: no `_test.rego` files.
    Deciding,
    /// All, to run the tests.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Data,
    Manifest,
    Yaml,
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        match path.rsplit('/').next().unwrap_or(path) {
            "data.json" => Self::Data,
            "data.yaml" | "data.yml" => Self::Yaml,
            ".manifest" if path == ".manifest" => Self::Manifest,
            name if name.ends_with(".rego") => Self::Module,
            _ => Self::Other,
        }
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("_test.rego")
}

/// Bounds the files, checks their paths, and puts those that count in order.
fn checked(
    files: Vec<(String, Vec<u8>)>,
    limits: BundleLimits,
) -> Result<BTreeMap<String, Vec<u8>>, PolicyError> {
    let mut kept = BTreeMap::new();
    let mut total: usize = 0;
    for (path, content) in files {
        check_path(&path)?;
        match Kind::of(&path) {
            Kind::Other => continue,
            Kind::Yaml => {
                return Err(PolicyError::File {
                    file: path,
                    message: "data is read from data.json only: convert the file".to_owned(),
                });
            }
            Kind::Module | Kind::Data | Kind::Manifest => {}
        }
        total = total.saturating_add(content.len());
        if total > limits.max_total_bytes {
            return Err(PolicyError::TooLarge {
                max: limits.max_total_bytes,
            });
        }
        if kept.insert(path.clone(), content).is_some() {
            return Err(PolicyError::Path {
                file: path,
                reason: "the bundle has this file twice",
            });
        }
    }
    if kept.len() > limits.max_files {
        return Err(PolicyError::TooManyFiles {
            count: kept.len(),
            max: limits.max_files,
        });
    }
    Ok(kept)
}

fn check_path(path: &str) -> Result<(), PolicyError> {
    let refuse = |reason| {
        Err(PolicyError::Path {
            file: path.chars().take(MAX_PATH_BYTES).collect(),
            reason,
        })
    };
    if path.len() > MAX_PATH_BYTES {
        return refuse("the path is longer than 256 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse("the path has a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("the path is not relative and plain");
    }
    Ok(())
}

fn digest_of(files: &BTreeMap<String, Vec<u8>>) -> Digest {
    let mut bytes = Vec::new();
    for (path, content) in files {
        for part in [path.as_bytes(), content.as_slice()] {
            // A usize is at most 64 bits wide on every platform that Rust knows.
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(path.as_bytes());
        bytes.extend(content);
    }
    Digest::tagged(DIGEST_DOMAIN, &bytes)
}

fn read_manifest(path: &str, text: &str) -> Result<Manifest, PolicyError> {
    let refuse = |message: String| PolicyError::File {
        file: path.to_owned(),
        message,
    };
    let manifest: Manifest =
        serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
    if manifest.rego_version != 1 {
        return Err(refuse("only Rego version 1 is read".to_owned()));
    }
    Ok(manifest)
}

/// Puts one `data.json` in its place: the directory that holds it is its path in `data`.
fn merge_data(data: &mut serde_json::Value, path: &str, text: &str) -> Result<(), PolicyError> {
    let refuse = |message: String| PolicyError::File {
        file: path.to_owned(),
        message,
    };
    // Read strictly first: the engine's own reader takes the last of two equal names.
    let mut value: serde_json::Value = read_strictly(text).map_err(&refuse)?;
    if !value.is_object() {
        return Err(refuse("the data is not an object".to_owned()));
    }
    let directories = path.rsplit('/').skip(1);
    for directory in directories {
        value = serde_json::Value::Object([(directory.to_owned(), value)].into_iter().collect());
    }
    merge(data, value).map_err(|name| refuse(format!("`{name}` is in another data.json too")))
}

/// Adds the members of one object to another; a member that both have must be an object in both.
fn merge(into: &mut serde_json::Value, from: serde_json::Value) -> Result<(), String> {
    let (serde_json::Value::Object(into), serde_json::Value::Object(from)) = (into, from) else {
        return Err(String::new());
    };
    for (name, member) in from {
        match into.get_mut(&name) {
            None => {
                into.insert(name, member);
            }
            Some(there) => merge(there, member).map_err(|below| match below.as_str() {
                "" => name,
                _ => format!("{name}.{below}"),
            })?,
        }
    }
    Ok(())
}

/// Whether some leaf of `data` lies below none of the roots.
fn outside(data: &Value, roots: &[Vec<&str>]) -> bool {
    let Ok(members) = data.as_object() else {
        return true;
    };
    let names: BTreeSet<&str> = roots
        .iter()
        .filter_map(|root| root.first().copied())
        .collect();
    members.iter().any(|(name, value)| {
        let Ok(name) = name.as_string() else {
            return true;
        };
        if !names.contains(name.as_ref()) {
            return true;
        }
        let below: Vec<Vec<&str>> = roots
            .iter()
            .filter_map(|root| match root.split_first() {
                Some((first, rest)) if *first == name.as_ref() => Some(rest.to_vec()),
                _ => None,
            })
            .collect();
        !below.iter().any(Vec::is_empty) && outside(value, &below)
    })
}

#[cfg(test)]
mod tests;
