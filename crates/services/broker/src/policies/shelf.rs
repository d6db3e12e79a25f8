//! Installed bundles on the disk: each in a file named by its digest, and one file that says which of them decides.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use valetkey_api::BundleFile;
use valetkey_policy::{Bundle, BundleLimits};
use valetkey_rollout::{Installed, Rollout};

use super::file_name;

/// The file that says which bundle decides.
const ROLLOUT: &str = "rollout.json";

/// A directory of its own, private.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    pub(super) fn open(state: &Path) -> Result<Self, String> {
        let directory = state.join("policy");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self { directory })
    }

    /// What is installed; nothing where there is no file.
    pub(super) fn rollout(&self) -> Result<Rollout, String> {
        let path = self.directory.join(ROLLOUT);
        let bytes = match valetkey_store::read_private(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => return Ok(Rollout::default()),
            Err(error) => return Err(error.to_string()),
        };
        let rollout: Rollout = valetkey_model::read_json(&bytes)
            .map_err(|error| format!("{} does not read: {error}", path.display()))?;
        if !rollout.is_sound() {
            return Err(format!("{} says what cannot be", path.display()));
        }
        Ok(rollout)
    }

    /// An installed bundle, if it is still what was installed.
    pub(super) fn bundle(&self, installed: Installed) -> Result<Bundle, String> {
        let files = self.files(installed)?;
        let files = files.into_iter();
        let files = files.map(|file| (file.path, file.text.into_bytes()));
        let bundle = Bundle::from_files(files.collect(), BundleLimits::default())
            .map_err(|error| error.to_string())?;
        if bundle.digest() == installed.bundle {
            Ok(bundle)
        } else {
            let path = self.directory.join(file_name(&installed.bundle));
            Err(format!("{} is not what was installed", path.display()))
        }
    }

    /// Its files, as they lie there.
    pub(super) fn files(&self, installed: Installed) -> Result<Vec<BundleFile>, String> {
        let path = self.directory.join(file_name(&installed.bundle));
        let bytes = valetkey_store::read_private(&path).map_err(|error| error.to_string())?;
        valetkey_model::read_json(&bytes)
            .map_err(|error| format!("{} does not read: {error}", path.display()))
    }

    /// Keeps the files of a bundle that is about to be installed.
    pub(super) fn add(&self, bundle: &Bundle, files: &[BundleFile]) -> Result<(), String> {
        let path = self.directory.join(file_name(&bundle.digest()));
        let bytes = serde_json::to_vec(files).map_err(|error| error.to_string())?;
        valetkey_store::write_atomically(&path, &bytes, 0o600).map_err(|error| error.to_string())
    }

    /// Says which bundle decides, durably, and forgets those that nothing leads to any more.
    pub(super) fn keep(&self, rollout: &Rollout) -> Result<(), String> {
        let bytes = serde_json::to_vec_pretty(rollout).map_err(|error| error.to_string())?;
        valetkey_store::write_atomically(&self.directory.join(ROLLOUT), &bytes, 0o600)
            .map_err(|error| error.to_string())?;
        let named: BTreeSet<String> = rollout
            .bundles()
            .map(|one| file_name(&one.bundle))
            .collect();
        let there = std::fs::read_dir(&self.directory).into_iter().flatten();
        for entry in there.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("sha256-") && !named.contains(&name) {
                // A file that stays is in nobody's way.
                drop(std::fs::remove_file(entry.path()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<BundleFile> {
        vec![BundleFile {
            path: "team.rego".to_owned(),
            text: text.to_owned(),
        }]
    }

    #[test]
    fn a_bundle_that_was_changed_on_the_disk_is_not_taken() {
        let state = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::open(state.path()).expect("a shelf");
        assert_eq!(shelf.rollout(), Ok(Rollout::default()));
        let own = files("package valetkey\n\ndefault decision := {\"effect\": \"deny\"}\n");
        let read = |files: &[BundleFile]| {
            let files = files.iter();
            let files = files.map(|file| (file.path.clone(), file.text.clone().into_bytes()));
            Bundle::from_files(files.collect(), BundleLimits::default()).expect("a bundle")
        };
        let bundle = read(&own);
        shelf.add(&bundle, &own).expect("added");
        let installed = Installed {
            bundle: bundle.digest(),
            revision: 1,
        };
        assert_eq!(
            shelf.bundle(installed).map(|one| one.digest()),
            Ok(bundle.digest())
        );
        let other = read(&files(
            "package valetkey\n\ndefault decision := {\"effect\": \"allow\"}\n",
        ));
        let path = state
            .path()
            .join("policy")
            .join(file_name(&bundle.digest()));
        let forged = serde_json::to_vec(&files(
            "package valetkey\n\ndefault decision := {\"effect\": \"allow\"}\n",
        ));
        valetkey_store::write_atomically(&path, &forged.expect("JSON"), 0o600).expect("write");
        assert_ne!(other.digest(), bundle.digest());
        assert!(
            shelf
                .bundle(installed)
                .expect_err("forged")
                .contains("not what was installed")
        );
        std::fs::remove_file(&path).expect("remove");
        assert!(shelf.bundle(installed).is_err());
    }

    #[test]
    fn a_state_that_does_not_read_or_cannot_be_is_refused() {
        let state = tempfile::tempdir().expect("a directory");
        let shelf = Shelf::open(state.path()).expect("a shelf");
        let path = state.path().join("policy").join(ROLLOUT);
        for bad in ["", "[]", "{}", r#"{"sequence":0,"mark":5,"live":null}"#] {
            valetkey_store::write_atomically(&path, bad.as_bytes(), 0o600).expect("write");
            assert!(shelf.rollout().is_err(), "{bad}");
        }
        valetkey_store::write_atomically(&path, br#"{"sequence":1,"mark":5,"live":null}"#, 0o644)
            .expect("write");
        assert!(shelf.rollout().is_err(), "open to others");
    }
}
