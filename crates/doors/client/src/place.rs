//! Where the agent door is: in the cell, or the person's broker outside of one.

use std::env;
use std::path::{Path, PathBuf};

use valetkey_api::{HomeError, Paths};

/// The agent door in a cell.
pub const IN_CELL: &str = "/run/valetkey/agent.sock";
/// Names another socket; for tests and for agents that are handed one.
const VARIABLE: &str = "VALETKEY_AGENT_SOCKET";

/// The socket of the agent door: the one that `VALETKEY_AGENT_SOCKET` names, the cell's, or the one of the person's broker.
///
/// # Errors
/// When none of them is there to be named: no home directory is known.
pub fn default_socket() -> Result<PathBuf, HomeError> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    if Path::new(IN_CELL).exists() {
        return Ok(IN_CELL.into());
    }
    Paths::from_env().map(|paths| paths.agent_socket())
}
