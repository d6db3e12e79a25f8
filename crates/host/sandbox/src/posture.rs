//! What a cell really enforces, as measured from inside before the command starts.

use serde::{Deserialize, Serialize};

/// How strong a cell is. Below [`Level::Standard`] there is no cell at all, only an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Namespaces, no capability, seccomp, and Landlock of any version.
    Standard,
    /// Besides: Landlock with scopes and device control (ABI 6), no further namespace possible even
    /// without seccomp, and a keyring of its own.
    Strict,
}

/// What is enforced, each fact read back from the kernel where it can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// The kernel's release.
    pub kernel: String,
    /// The namespaces that the cell has to itself.
    pub namespaces: Vec<String>,
    /// The Landlock ABI that is enforced: the highest that both the kernel and this program know.
    pub landlock_abi: i32,
    /// The name of the seccomp profile that the command runs under.
    pub seccomp_profile: String,
    /// How many system calls that profile lets through (some of them with conditions).
    pub seccomp_allowed: usize,
    /// Whether `no_new_privs` is set.
    pub no_new_privs: bool,
    /// Whether the permitted, effective, inheritable, bounding and ambient sets are all empty.
    pub no_capabilities: bool,
    /// Whether the kernel's own limits forbid any further namespace.
    pub namespaces_frozen: bool,
    /// Whether the session keyring of the host was left for an empty one.
    pub own_keyring: bool,
    /// Files and directories of `/proc` that are covered or read-only.
    pub covered_proc: Vec<String>,
    /// How many FUSE connections make up the view.
    pub fuse_connections: usize,
}

impl Posture {
    /// How strong this cell is.
    #[must_use]
    pub fn level(&self) -> Level {
        let strict = self.landlock_abi >= 6
            && self.namespaces_frozen
            && self.own_keyring
            && self.no_new_privs
            && self.no_capabilities;
        if strict {
            Level::Strict
        } else {
            Level::Standard
        }
    }
}
