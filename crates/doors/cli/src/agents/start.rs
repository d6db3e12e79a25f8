//! `valetkey cell-start`: in the cell, before the agent: makes the agent's own directory, and becomes the agent.
//!
//! It is one more program of the cell and has no right that the agent has not: every file that it copies is opened through the view, and
//! what policy does not give is not there.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use valetkey_client::IN_CELL;

use crate::fail::{Fail, Status};
use crate::out;

/// What is to be there before the agent starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The agent's own directory.
    pub(crate) own: PathBuf,
    /// Directories below it.
    pub(crate) directories: Vec<PathBuf>,
    /// Files of the view, and the copies below it.
    pub(crate) copy: Vec<(PathBuf, PathBuf)>,
    /// Directories of the view, and the links to them.
    pub(crate) link: Vec<(PathBuf, PathBuf)>,
}

/// Prepares the place and executes the command; returns only when that fails.
pub(crate) fn run(place: &str, command: &[OsString]) -> Result<u8, Fail> {
    if !Path::new(IN_CELL).exists() {
        return Err(Fail::new(Status::Usage, "this is for the inside of a cell"));
    }
    let place: Place = serde_json::from_str(place)
        .map_err(|error| Fail::new(Status::Usage, format!("the place does not read: {error}")))?;
    make(&place).map_err(|error| {
        let message = format!("cannot make {}: {error}", place.own.display());
        Fail::new(Status::Failed, message)
    })?;
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Fail::new(Status::Usage, "there is no command"))?;
    let error = std::process::Command::new(program).args(arguments).exec();
    let is_absent = error.kind() == std::io::ErrorKind::NotFound;
    let message = format!("cannot run {} in the cell: {error}", program.display());
    Err(Fail::new(Status::Failed, message).with_status(if is_absent { 127 } else { 126 }))
}

fn make(place: &Place) -> std::io::Result<()> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&place.own)?;
    for directory in &place.directories {
        private.create(place.own.join(directory))?;
    }
    for (from, to) in &place.copy {
        let to = place.own.join(to);
        private.create(to.parent().unwrap_or(&place.own))?;
        // The agent does without what it is not given, as it would on a new machine.
        if let Err(error) = copy(from, &to) {
            out::error(&format!(
                "valetkey: {} is not given: {error}",
                from.display()
            ));
        }
    }
    for (to, link) in &place.link {
        let link = place.own.join(link);
        private.create(link.parent().unwrap_or(&place.own))?;
        symlink(to, link)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let content = fs::read(from)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    file.write_all(&content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_copies_and_links_and_does_without_what_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below);
        fs::create_dir(path("skills")).unwrap();
        fs::write(path("settings"), "{}").unwrap();
        let place = Place {
            own: path("run/agent"),
            directories: vec!["cache".into()],
            copy: vec![
                (path("settings"), "a/settings.json".into()),
                (path("absent"), "absent".into()),
            ],
            link: vec![(path("skills"), "skills".into())],
        };
        make(&place).unwrap();
        assert_eq!(fs::read(path("run/agent/a/settings.json")).unwrap(), b"{}");
        assert_eq!(
            fs::read_link(path("run/agent/skills")).unwrap(),
            path("skills")
        );
        assert!(path("run/agent/cache").is_dir() && !path("run/agent/absent").exists());
    }
}
