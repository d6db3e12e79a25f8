//! Where a broker keeps something of each of its users: in user mode one file, in system mode a directory with a file for each.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use valetkey_api::Mode;

/// Users of a system broker with files of their own, which are read at every start.
pub(crate) const MAX_USERS: usize = 10_000;

/// Where something is kept.
#[derive(Debug)]
pub(crate) enum PerUser {
    /// One file, for the one user.
    File(PathBuf),
    /// A file for each user, named by the user's id.
    Directory(PathBuf),
}

impl PerUser {
    /// The place of what is called `name`, and the files that may be there, each with its user's id.
    pub(crate) fn find(
        state: &Path,
        name: &str,
        mode: Mode,
    ) -> Result<(Self, Vec<(u32, PathBuf)>), String> {
        match mode {
            Mode::User => {
                let path = state.join(format!("{name}.json"));
                let uid = rustix::process::geteuid().as_raw();
                Ok((Self::File(path.clone()), vec![(uid, path)]))
            }
            Mode::System => {
                let path = state.join(name);
                let files = files(&path)?;
                Ok((Self::Directory(path), files))
            }
        }
    }

    /// The file of a user.
    pub(crate) fn of(&self, uid: u32) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Directory(path) => path.join(format!("{uid}.json")),
        }
    }
}

/// The files of a directory, which is made if it is not there. What is not named by a user's id is none.
fn files(directory: &Path) -> Result<Vec<(u32, PathBuf)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let uid = name
            .to_str()
            .and_then(|name| name.strip_suffix(".json"))
            .and_then(|uid| uid.parse().ok());
        if let Some(uid) = uid {
            files.push((uid, directory.join(name)));
        }
    }
    if files.len() > MAX_USERS {
        return Err(format!("{}: too many files", directory.display()));
    }
    Ok(files)
}
