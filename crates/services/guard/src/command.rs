//! The command to run: found as a shell would find it, and hashed from the very file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use valetkey_model::{AgentId, Digest};
use valetkey_sandbox::Commands;

use crate::error::RunError;

/// A command on the host.
#[derive(Debug)]
pub(crate) struct Found {
    /// The executable, by its real path.
    pub(crate) path: PathBuf,
    /// The name by which the agent is known.
    pub(crate) agent: AgentId,
    /// The digest of the executable, where it can be read.
    pub(crate) digest: Option<Digest>,
}

/// Finds a command on a search path, or by its own path.
///
/// # Errors
/// When there is no such executable file.
pub(crate) fn find(program: &OsStr, path: &OsStr, cwd: &Path) -> Result<Found, RunError> {
    let named = Path::new(program);
    let found = if named.components().count() > 1 {
        Some(cwd.join(named)).filter(|path| is_executable(path))
    } else {
        std::env::split_paths(path)
            .map(|dir| cwd.join(dir).join(named))
            .find(|path| is_executable(path))
    };
    let found = found.ok_or_else(|| RunError::NoCommand(named.to_path_buf()))?;
    let real =
        std::fs::canonicalize(&found).map_err(|_| RunError::NoCommand(named.to_path_buf()))?;
    let name = found
        .file_name()
        .map_or_else(OsString::new, OsStr::to_owned);
    Ok(Found {
        digest: digest(&real).ok(),
        agent: AgentId::sanitised(&name.to_string_lossy()),
        path: real,
    })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The only commands of the system that the cell executes: what the person named, if anything, and the command that is started.
pub(crate) fn narrowed(
    names: &[String],
    agent: &Found,
    path: &OsStr,
    system_dirs: &[PathBuf],
) -> Result<Option<Commands>, RunError> {
    if names.is_empty() {
        return Ok(None);
    }
    let started = system_dirs.iter().any(|dir| agent.path.starts_with(dir));
    let started = started.then(|| agent.path.to_string_lossy().into_owned());
    let names: Vec<String> = names.iter().cloned().chain(started).collect();
    Commands::find(&names, path, system_dirs)
        .map(Some)
        .map_err(RunError::Commands)
}

fn digest(path: &Path) -> io::Result<Digest> {
    use valetkey_model::DigestStream;
    let mut file = File::open(path)?;
    let mut stream = DigestStream::default();
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(stream.finish()),
            read => stream.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}
