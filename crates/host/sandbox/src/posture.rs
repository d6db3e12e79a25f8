//! What a cell really enforces, as measured from inside before the command starts.

use serde::{Deserialize, Serialize};

use crate::host_user::HostUser;
use crate::limits::Held;

/// The Landlock ABI with which signals and abstract sockets cannot leave the cell, and devices are controlled.
const ABI_WITH_SCOPES: i32 = 6;

/// What a cell will enforce besides what every cell does, found out when its first process runs and before anything is built.
/// [`Launching::prepare`](crate::Launching::prepare) fails where less comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foresight {
    /// The kernel's release.
    pub kernel: String,
    /// The Landlock ABI that will be enforced.
    pub landlock_abi: i32,
    /// Whether the kernel's own limits will forbid any further namespace.
    pub namespaces_frozen: bool,
    /// Whether the session keyring of the host can be left for an empty one.
    pub own_keyring: bool,
    /// Whom the cell's processes are on the host.
    pub host_user: HostUser,
    /// What the cell is held to of the machine, as the guard read it back.
    pub limits: Held,
}

/// Something that a cell lacks on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// What is missing.
    pub what: String,
    /// What the person can do about it.
    pub next_step: &'static str,
}

impl Foresight {
    /// What cells of this machine lack of what the program could enforce on another.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<Shortfall> {
        let mut missing = Vec::new();
        if self.landlock_abi < ABI_WITH_SCOPES {
            missing.push(Shortfall {
                what: format!(
                    "Landlock with scopes and device control (ABI {ABI_WITH_SCOPES}; here it is {})",
                    self.landlock_abi
                ),
                next_step: "use Linux 6.12 or later",
            });
        }
        if !self.namespaces_frozen {
            missing.push(Shortfall {
                what: "the kernel's own limits on further namespaces".to_owned(),
                next_step: "mount /proc/sys writable where this runs (some containers do not)",
            });
        }
        if !self.own_keyring {
            missing.push(Shortfall {
                what: "a keyring of its own".to_owned(),
                next_step: "let `keyctl` through where this runs: some containers' filters refuse it",
            });
        }
        if self.host_user == HostUser::Superuser {
            missing.push(Shortfall {
                what: "a user of the host that nobody else is: the agent is root there, without capabilities".to_owned(),
                next_step: "start it as yourself, or as root with its capabilities and with ids to give",
            });
        }
        missing
    }

    /// What of the limits on memory and processes the cell lacks.
    #[must_use]
    pub fn lacks_limits(&self) -> Option<Shortfall> {
        let lacks = self.limits.memory_bytes.is_none() || self.limits.processes.is_none();
        lacks.then(|| Shortfall {
            what: format!("limits on memory and processes by a control group ({} here)", self.limits),
            next_step: "start it where a control group may be made: as root, or in a scope of the service manager (systemd-run --user --scope -p Delegate=yes)",
        })
    }
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
    /// Whom the cell's processes are on the host.
    pub host_user: HostUser,
    /// What the cell is held to of the machine, as the guard read it back.
    pub limits: Held,
    /// The most processes and threads that the cell may have at once, as the kernel counts them in its user namespace. Nothing
    /// where they are root's on the host: the kernel exempts those.
    pub processes_max: Option<u64>,
    /// Files and directories of `/proc` that are covered or read-only.
    pub covered_proc: Vec<String>,
    /// How many FUSE connections make up the view.
    pub fuse_connections: usize,
}

impl Posture {
    /// Whether all of what was foreseen is there.
    #[must_use]
    pub fn keeps(&self, foresight: &Foresight) -> bool {
        self.landlock_abi >= foresight.landlock_abi
            && (self.namespaces_frozen || !foresight.namespaces_frozen)
            && (self.own_keyring || !foresight.own_keyring)
            && self.host_user == foresight.host_user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Foresight {
        Foresight {
            kernel: "6.12.0".to_owned(),
            landlock_abi: ABI_WITH_SCOPES,
            namespaces_frozen: true,
            own_keyring: true,
            host_user: HostUser::Person,
            limits: Held::default(),
        }
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_its_mend() {
        assert!(full().shortfalls().is_empty());
        let lacking = [
            (
                Foresight {
                    landlock_abi: 3,
                    ..full()
                },
                "Landlock",
            ),
            (
                Foresight {
                    namespaces_frozen: false,
                    ..full()
                },
                "namespaces",
            ),
            (
                Foresight {
                    own_keyring: false,
                    ..full()
                },
                "keyring",
            ),
            (
                Foresight {
                    host_user: HostUser::Superuser,
                    ..full()
                },
                "root",
            ),
        ];
        for (foresight, named) in lacking {
            let missing = foresight.shortfalls();
            assert_eq!(missing.len(), 1);
            assert!(missing[0].what.contains(named) && !missing[0].next_step.is_empty());
        }
    }

    #[test]
    fn a_cell_that_is_weaker_than_foreseen_is_told() {
        let posture = Posture {
            kernel: "6.12.0".to_owned(),
            namespaces: Vec::new(),
            landlock_abi: ABI_WITH_SCOPES,
            seccomp_profile: "agent".to_owned(),
            seccomp_allowed: 1,
            no_new_privs: true,
            no_capabilities: true,
            namespaces_frozen: true,
            own_keyring: true,
            host_user: HostUser::Person,
            limits: Held::default(),
            processes_max: Some(1),
            covered_proc: Vec::new(),
            fuse_connections: 1,
        };
        assert!(posture.keeps(&full()));
        for weaker in [
            Posture {
                landlock_abi: 5,
                ..posture.clone()
            },
            Posture {
                namespaces_frozen: false,
                ..posture.clone()
            },
            Posture {
                own_keyring: false,
                ..posture.clone()
            },
            Posture {
                host_user: HostUser::Superuser,
                ..posture.clone()
            },
        ] {
            assert!(!weaker.keeps(&full()));
        }
        let none = Foresight {
            landlock_abi: 1,
            namespaces_frozen: false,
            own_keyring: false,
            ..full()
        };
        assert!(
            Posture {
                own_keyring: false,
                ..posture
            }
            .keeps(&none)
        );
    }
}
