//! Bundles as people name them: a directory, an archive, files, or one that is built in.

use std::path::{Path, PathBuf};

use valetkey_policy::{Bundle, BundleLimits, STARTER_NAMES, starter, starter_files};
use valetkey_rollout::SIGNATURES_FILE;

use super::archive;
use crate::commands::run::read_bundle;
use crate::fail::{Fail, Status};

/// What a built-in bundle is named by.
const STARTER: &str = "starter:";

/// A bundle's files, and what to put before their names when they are shown.
pub(super) struct Source {
    pub(super) shown: String,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Reads the bundle of a directory, or a built-in one.
pub(super) fn read(path: &Path) -> Result<Source, Fail> {
    if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(STARTER)) {
        let files = starter_files(name).ok_or_else(|| {
            let known = STARTER_NAMES.join(", ");
            Fail::new(
                Status::Usage,
                format!("there is no built-in policy `{name}`"),
            )
            .hinted(format!("there are: {known}"))
        })?;
        let files = files.iter();
        return Ok(Source {
            shown: format!("{STARTER}{name}/"),
            files: files
                .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        });
    }
    if archive::is_archive(path) {
        let files = archive::read_archive(path)?;
        return Ok(Source {
            shown: format!("{}/", path.display()),
            files: files
                .into_iter()
                .filter(|(name, _)| name != SIGNATURES_FILE)
                .collect(),
        });
    }
    if path.is_file() {
        return files(&[path.to_path_buf()]);
    }
    let files = read_bundle(path)?;
    let shown = format!("{}/", path.display().to_string().trim_end_matches('/'));
    Ok(Source {
        shown: if shown == "./" { String::new() } else { shown },
        files: files
            .into_iter()
            .map(|file| (file.path, file.text.into_bytes()))
            .collect(),
    })
}

/// Each directory is a bundle; the files together are one.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, Fail> {
    let (alone, dirs): (Vec<PathBuf>, Vec<PathBuf>) = paths
        .iter()
        .cloned()
        .partition(|path| path.is_file() && !archive::is_archive(path));
    let mut sources = Vec::new();
    if !alone.is_empty() {
        sources.push(files(&alone)?);
    }
    for dir in dirs {
        sources.push(read(&dir)?);
    }
    Ok(sources)
}

fn files(paths: &[PathBuf]) -> Result<Source, Fail> {
    let is_part = |path: &Path| {
        path.extension().is_some_and(|end| end == "rego")
            || path
                .file_name()
                .is_some_and(|name| name == "data.json" || name == ".manifest")
    };
    let files = paths.iter().map(|path| {
        if !is_part(path) {
            let why = format!("{} is no part of a policy", path.display());
            return Err(Fail::new(Status::Usage, why)
                .hinted("a policy is made of `.rego` files, `data.json` and `.manifest`"));
        }
        let text = std::fs::read(path).map_err(|error| {
            Fail::new(
                Status::Usage,
                format!("cannot read the policy {}: {error}", path.display()),
            )
        })?;
        let plain = path.components().filter_map(|part| {
            let std::path::Component::Normal(name) = part else {
                return None;
            };
            Some(name.to_string_lossy().into_owned())
        });
        Ok((plain.collect::<Vec<_>>().join("/"), text))
    });
    Ok(Source {
        shown: if paths.iter().any(|path| path.is_absolute()) {
            "/".to_owned()
        } else {
            String::new()
        },
        files: files.collect::<Result<_, Fail>>()?,
    })
}

/// The bundle of a directory, or a built-in one, loaded.
pub(super) fn load(path: &Path) -> Result<Bundle, Fail> {
    if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(STARTER)) {
        return starter(name).map_err(|error| Fail::new(Status::Usage, error));
    }
    let source = read(path)?;
    let shown = source.shown;
    Bundle::from_files(source.files, BundleLimits::default()).map_err(|error| {
        Fail::new(Status::Usage, format!("{shown}{error}"))
            .hinted("`valetkey policy check` says all that is wrong with it")
    })
}
