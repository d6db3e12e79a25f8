//! Where Valetkey keeps its files, and which broker is used: a person's own (XDG directories, or all below `VALETKEY_HOME`), or the system's.

use std::env;
use std::fmt;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// In which way a broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As the person whom it serves.
    User,
    /// Under a user id of its own, for every person of its group.
    System,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::System => "system",
        })
    }
}

/// The directories and sockets of a broker and of whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// How the broker runs that they lead to.
    pub mode: Mode,
    /// Configuration: of a person, their approver key; of a system broker, its own.
    pub config: PathBuf,
    /// State: log, keys, ledger.
    pub state: PathBuf,
    /// Sockets and locks.
    pub run: PathBuf,
    /// What this process makes and owns, with the mode to make it with.
    own: Vec<(PathBuf, u32)>,
    /// What no view may show beside the three above.
    further: Vec<PathBuf>,
    /// The state of the person, whoever's the broker is.
    personal: PathBuf,
}

/// The directories cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// Neither `VALETKEY_HOME` nor `HOME` is an absolute path.
    #[error("there is no home directory: set HOME or VALETKEY_HOME to an absolute path")]
    NoHome,
    /// `VALETKEY_MODE` says neither `user` nor `system`.
    #[error("VALETKEY_MODE is `{0}`: set it to `user` or `system`, or not at all")]
    NoSuchMode(String),
    /// A directory cannot be made or is not private.
    #[error("cannot use {}: {reason}; set VALETKEY_HOME to a directory that you can write to", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The mode of a directory that nobody else may look into.
const PRIVATE: u32 = 0o700;
/// The mode of the directory with a system broker's sockets: its group finds them, others do not.
const GROUP_MAY_PASS: u32 = 0o750;

/// The longest socket path that the kernel takes: `sun_path` less its NUL.
const SUN_PATH_MAX: usize = 107;

impl Paths {
    /// The broker that this process is to use, as the environment says, and this person's own directories.
    ///
    /// `VALETKEY_HOME` means a person's own broker below it. Otherwise `VALETKEY_MODE` chooses, and without it the system's broker is used
    /// where there is one: a person's own is weaker, and must be asked for.
    ///
    /// # Errors
    /// [`HomeError::NoHome`] when nothing in the environment says where, [`HomeError::NoSuchMode`] for another mode.
    pub fn from_env() -> Result<Self, HomeError> {
        if let Some(home) = absolute("VALETKEY_HOME") {
            return Ok(Self::below(&home));
        }
        let user = Self::of_user()?;
        let system = Self::of_system_broker();
        let said = env::var_os("VALETKEY_MODE");
        let said = said.as_ref().map(|mode| mode.to_string_lossy());
        Ok(match chosen(said.as_deref(), system.is_there())? {
            Mode::User => user,
            Mode::System => system.used_by(&user),
        })
    }

    /// The directories of the broker itself.
    ///
    /// # Errors
    /// As [`Paths::from_env`].
    pub fn of_broker(mode: Mode) -> Result<Self, HomeError> {
        match (mode, absolute("VALETKEY_HOME")) {
            (Mode::System, _) => Ok(Self::of_system_broker()),
            (Mode::User, Some(home)) => Ok(Self::below(&home)),
            (Mode::User, None) => Self::of_user(),
        }
    }

    /// A person's broker with everything below one directory.
    #[must_use]
    pub fn below(home: &Path) -> Self {
        Self::private(home.join("config"), home.join("state"), home.join("run"))
    }

    fn of_user() -> Result<Self, HomeError> {
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
        Ok(Self::private(config, state, run))
    }

    fn private(config: PathBuf, state: PathBuf, run: PathBuf) -> Self {
        let own = [&config, &state, &run].map(|path| (path.clone(), PRIVATE));
        Self {
            mode: Mode::User,
            own: own.to_vec(),
            further: Vec::new(),
            personal: state.clone(),
            config,
            state,
            run,
        }
    }

    /// The system's broker: below `/`, or below `VALETKEY_SYSTEM_ROOT` for a trial.
    fn of_system_broker() -> Self {
        let root = absolute("VALETKEY_SYSTEM_ROOT").unwrap_or_else(|| PathBuf::from("/"));
        let state = root.join("var/lib/valetkey");
        let run = root.join("run/valetkey");
        Self {
            mode: Mode::System,
            config: root.join("etc/valetkey"),
            own: vec![(state.clone(), PRIVATE), (run.clone(), GROUP_MAY_PASS)],
            further: Vec::new(),
            personal: state.clone(),
            state,
            run,
        }
    }

    /// The same broker as a person uses it, who has a key and a configuration of their own.
    fn used_by(self, user: &Self) -> Self {
        Self {
            own: vec![(user.config.clone(), PRIVATE)],
            further: vec![self.config, user.state.clone(), user.run.clone()],
            personal: user.state.clone(),
            config: user.config.clone(),
            ..self
        }
    }

    /// Whether a guard door is there, or lies where this process may not look: then it is there for others.
    fn is_there(&self) -> bool {
        match std::fs::symlink_metadata(self.guard_socket()) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    /// Makes those of the directories that are this process's own.
    ///
    /// # Errors
    /// [`HomeError::Unusable`] when one cannot be made, belongs to another user, or lets others write.
    pub fn create(&self) -> Result<(), HomeError> {
        for (path, mode) in &self.own {
            own_dir(path, *mode).map_err(|reason| HomeError::Unusable {
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

    /// Where a new broker takes the sockets over from the old one.
    #[must_use]
    pub fn handover_socket(&self) -> PathBuf {
        self.run.join("handover.sock")
    }

    /// The broker's own diagnostics.
    #[must_use]
    pub fn diagnostics(&self) -> PathBuf {
        self.state.join("diagnostics")
    }

    /// What is kept of sessions, to undo them: the person's own, since the guard that keeps it is theirs.
    #[must_use]
    pub fn undo(&self) -> PathBuf {
        self.personal.join("undo")
    }

    /// What sessions have changed and the person has not taken yet: the person's own.
    #[must_use]
    pub fn staged(&self) -> PathBuf {
        self.personal.join("staged")
    }

    /// The audit log's directory.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The thresholds of alerts of this home, where they are not those built in.
    #[must_use]
    pub fn alerts(&self) -> PathBuf {
        self.state.join("alerts.json")
    }

    /// The originals that policy keeps of the log, sealed.
    #[must_use]
    pub fn sealed(&self) -> PathBuf {
        self.state.join("sealed")
    }

    /// The key of the keyed hashes in the log.
    #[must_use]
    pub fn log_privacy_key(&self) -> PathBuf {
        self.state.join("keys/log-privacy.key")
    }

    /// The reviewers' log: of what this person opened as an auditor.
    #[must_use]
    pub fn reviewer(&self) -> PathBuf {
        self.personal.join("reviewer")
    }

    /// The public key of the log, for verification without the broker.
    #[must_use]
    pub fn log_public_key(&self) -> PathBuf {
        self.state.join("log.vkey")
    }

    /// What no view may ever show.
    #[must_use]
    pub fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.config.clone(), self.state.clone(), self.run.clone()];
        all.extend(self.further.iter().cloned());
        all
    }
}

/// The mode that the environment names; without a word the system's, where there is one.
fn chosen(said: Option<&str>, system_is_there: bool) -> Result<Mode, HomeError> {
    match said {
        Some("user") => Ok(Mode::User),
        Some("system") => Ok(Mode::System),
        Some(other) => Err(HomeError::NoSuchMode(other.to_owned())),
        None if system_is_there => Ok(Mode::System),
        None => Ok(Mode::User),
    }
}

fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn own_dir(path: &Path, mode: u32) -> Result<(), String> {
    match std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_broker_is_used_unless_another_is_asked_for() {
        assert_eq!(chosen(None, true).unwrap(), Mode::System);
        assert_eq!(chosen(None, false).unwrap(), Mode::User);
        assert_eq!(chosen(Some("user"), true).unwrap(), Mode::User);
        assert_eq!(chosen(Some("system"), false).unwrap(), Mode::System);
        for other in ["", "User", "both"] {
            assert!(chosen(Some(other), true).is_err(), "{other}");
        }
    }

    #[test]
    fn a_person_makes_and_hides_their_own_directories_and_the_system_brokers_stay() {
        let user = Paths::below(Path::new("/home/alice/v"));
        let system = Paths::of_system_broker().used_by(&user);
        assert_eq!(system.own, [(user.config.clone(), PRIVATE)]);
        assert_eq!(system.config, user.config);
        for hidden in [
            "/etc/valetkey",
            "/var/lib/valetkey",
            "/run/valetkey",
            "/home/alice/v/config",
            "/home/alice/v/state",
            "/home/alice/v/run",
        ] {
            assert!(system.all().contains(&PathBuf::from(hidden)), "{hidden}");
        }
    }
}
