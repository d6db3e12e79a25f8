//! Who may change policy: the file that says so, taken only if nobody else can have written it.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode as Permissions, OFlags};
use valetkey_api::Mode;
use valetkey_rollout::Governance;

/// The name of the file.
const FILE: &str = "governance.json";
/// Most bytes of it.
const MAX_BYTES: u64 = 64 << 10;
/// Permission bits with which anyone but the owner can change something.
const OTHERS_WRITE: u32 = 0o022;

/// Where the file lies, and what holds where it does not.
#[derive(Debug)]
pub(super) struct Governing {
    directory: PathBuf,
    mode: Mode,
}

impl Governing {
    pub(super) fn new(state: &Path, config: &Path, mode: Mode) -> Self {
        let directory = match mode {
            Mode::User => state,
            Mode::System => config,
        };
        Self {
            directory: directory.to_path_buf(),
            mode,
        }
    }

    /// What holds now: the file is read each time, so that a change of it needs no restart.
    pub(super) fn read(&self) -> Result<Governance, String> {
        let path = self.directory.join(FILE);
        let read = match read_trusted(&self.directory, &path) {
            Ok(Some(bytes)) => {
                Governance::read(&bytes).map_err(|error| format!("{}: {error}", path.display()))?
            }
            Ok(None) if self.mode == Mode::User => Governance::of_one_owner(),
            Ok(None) => {
                return Err(format!(
                    "there is no {}: nobody may change policy here",
                    path.display()
                ));
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        if self.mode == Mode::System && read.approvers.is_empty() {
            return Err(format!("{} names no approvers", path.display()));
        }
        Ok(read)
    }
}

/// The file's bytes, if it and its directory can be changed by nobody but root and this broker's own user. What is checked is what is read.
fn read_trusted(directory: &Path, path: &Path) -> Result<Option<Vec<u8>>, String> {
    // NONBLOCK: a pipe in its place must not hold the broker up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = |path: &Path, more: OFlags| {
        rustix::fs::open(path, flags | more, Permissions::empty()).map(File::from)
    };
    let file = match open(path, OFlags::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let above = open(directory, OFlags::DIRECTORY).map_err(|error| error.to_string())?;
    let own = rustix::process::geteuid().as_raw();
    for (what, one) in [("its directory", &above), ("it", &file)] {
        let metadata = one.metadata().map_err(|error| error.to_string())?;
        if metadata.uid() != 0 && metadata.uid() != own {
            return Err(format!("{what} belongs to user {}", metadata.uid()));
        }
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err(format!(
                "{what} can be changed by others: run `chmod go-w` on it"
            ));
        }
    }
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const GOOD: &str =
        r#"{"format":"valetkey governance v1","quorum":[{"role":"owner","count":2}]}"#;

    #[test]
    fn without_a_file_one_owner_approves_and_in_system_mode_nobody() {
        let place = tempfile::tempdir().expect("a directory");
        let user = Governing::new(place.path(), Path::new("/nowhere"), Mode::User);
        assert_eq!(user.read(), Ok(Governance::of_one_owner()));
        let system = Governing::new(Path::new("/nowhere"), place.path(), Mode::System);
        assert!(
            system
                .read()
                .expect_err("no file")
                .contains("nobody may change policy")
        );
        std::fs::write(place.path().join(FILE), GOOD).expect("write");
        assert_eq!(user.read().expect("it reads").quorum[0].count, 2);
        assert!(
            system
                .read()
                .expect_err("nobody")
                .contains("names no approvers")
        );
    }

    #[test]
    fn a_file_that_others_could_have_written_is_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join(FILE);
        let governing = Governing::new(place.path(), Path::new("/nowhere"), Mode::User);
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode));
        std::fs::write(&file, GOOD).expect("write");
        for bad in [0o666, 0o664, 0o622] {
            mode(&file, bad).expect("mode");
            assert!(governing.read().is_err(), "{bad:o}");
        }
        mode(&file, 0o644).expect("mode");
        assert!(governing.read().is_ok());
        mode(place.path(), 0o777).expect("mode");
        assert!(governing.read().is_err(), "its directory");
        mode(place.path(), 0o755).expect("mode");
        std::fs::rename(&file, place.path().join("other")).expect("rename");
        std::os::unix::fs::symlink("other", &file).expect("link");
        assert!(governing.read().is_err(), "a link");
        std::fs::remove_file(&file).expect("remove");
        std::fs::create_dir(&file).expect("a directory");
        assert!(governing.read().is_err(), "a directory");
        std::fs::remove_dir(&file).expect("remove");
        std::fs::write(&file, " ".repeat(70_000)).expect("write");
        assert!(governing.read().is_err(), "too long");
        std::fs::write(&file, "{}").expect("write");
        assert!(governing.read().is_err(), "it says nothing");
    }
}
