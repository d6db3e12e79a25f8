//! Where Valetkey keeps its files: XDG directories, or all below `VALETKEY_HOME`.

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The directories and sockets of one user's Valetkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Configuration: approver key, policies.
    pub config: PathBuf,
    /// State: log, keys, ledger.
    pub state: PathBuf,
    /// Sockets and locks.
    pub run: PathBuf,
}

/// The directories cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// Neither `VALETKEY_HOME` nor `HOME` is an absolute path.
    #[error("there is no home directory: set HOME or VALETKEY_HOME to an absolute path")]
    NoHome,
    /// A directory cannot be made or is not private.
    #[error("cannot use {}: {reason}; set VALETKEY_HOME to a directory that you can write to", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The longest socket path that the kernel takes: `sun_path` less its NUL.
const SUN_PATH_MAX: usize = 107;

impl Paths {
    /// The directories as the environment says.
    ///
    /// # Errors
    /// [`HomeError::NoHome`] when nothing in the environment says where.
    pub fn from_env() -> Result<Self, HomeError> {
        if let Some(home) = absolute("VALETKEY_HOME") {
            return Ok(Self {
                config: home.join("config"),
                state: home.join("state"),
                run: home.join("run"),
            });
        }
        let home = absolute("HOME").ok_or(HomeError::NoHome)?;
        let state = absolute("XDG_STATE_HOME")
            .unwrap_or_else(|| home.join(".local/state"))
            .join("valetkey");
        // Without a runtime directory (no login session) the sockets live beside the state.
        let run = absolute("XDG_RUNTIME_DIR")
            .map_or_else(|| state.join("run"), |dir| dir.join("valetkey"));
        let config = absolute("XDG_CONFIG_HOME")
            .unwrap_or_else(|| home.join(".config"))
            .join("valetkey");
        Ok(Self { config, state, run })
    }

    /// Makes the directories, private to this user.
    ///
    /// # Errors
    /// [`HomeError::Unusable`] when one cannot be made, belongs to another user, or lets others in.
    pub fn create(&self) -> Result<(), HomeError> {
        for path in [&self.config, &self.state, &self.run] {
            private_dir(path).map_err(|reason| HomeError::Unusable {
                path: path.clone(),
                reason,
            })?;
        }
        let socket = self.operator_socket();
        if socket.as_os_str().len() > SUN_PATH_MAX {
            let reason = format!("a socket path may have {SUN_PATH_MAX} bytes");
            return Err(HomeError::Unusable {
                path: socket,
                reason,
            });
        }
        Ok(())
    }

    /// The agent door.
    #[must_use]
    pub fn agent_socket(&self) -> PathBuf {
        self.run.join("agent.sock")
    }

    /// The guard door.
    #[must_use]
    pub fn guard_socket(&self) -> PathBuf {
        self.run.join("guard.sock")
    }

    /// The operator door.
    #[must_use]
    pub fn operator_socket(&self) -> PathBuf {
        self.run.join("operator.sock")
    }

    /// The audit log's directory.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The public key of the log, for verification without the broker.
    #[must_use]
    pub fn log_public_key(&self) -> PathBuf {
        self.state.join("log.vkey")
    }

    /// What no view may ever show.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        vec![self.config.clone(), self.state.clone(), self.run.clone()]
    }
}

fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn private_dir(path: &Path) -> Result<(), String> {
    match std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
    {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.to_string()),
    }
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".to_owned());
    }
    if meta.mode() & 0o022 != 0 {
        return Err("other users may write to it".to_owned());
    }
    Ok(())
}
