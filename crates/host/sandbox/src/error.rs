//! What went wrong while a cell was built, why, and how the person can mend it.

use std::fmt;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// The step of building a cell that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The description of the cell makes no sense.
    Describe,
    /// Creating pid 1 in new namespaces.
    CreateNamespaces,
    /// Binding pid 1's life to its parent's.
    BindLife,
    /// Mapping the user into the cell's user namespace.
    MapUser,
    /// Limiting what the cell may take of the machine.
    Limit,
    /// Bringing up the loopback interface.
    Loopback,
    /// Naming the cell.
    NameHost,
    /// Cutting mount propagation from the host.
    CutPropagation,
    /// Taking a read-only copy of a host directory's mounts.
    BindSystem,
    /// Opening `/dev/fuse`.
    OpenFuse,
    /// Mounting the view.
    MountFuse,
    /// Mounting a fresh `/proc`.
    MountProc,
    /// Making a file system in memory.
    MountTmpfs,
    /// Putting a mount at its place in the tree.
    Attach,
    /// Entering the new root and leaving the old one.
    EnterRoot,
    /// Writing the cell's own files.
    WriteFiles,
    /// Mounting terminals, or opening one.
    Terminal,
    /// Binding the agent's socket.
    AgentSocket,
    /// Listening for what wants out to the network.
    NetworkSocket,
    /// Covering the parts of `/proc` that the profile does not name.
    MaskProc,
    /// Entering the second user namespace.
    SecondUserNamespace,
    /// Giving up capabilities.
    DropPrivilege,
    /// Enforcing Landlock.
    Landlock,
    /// Enforcing the seccomp filter.
    Seccomp,
    /// Starting the command.
    StartCommand,
    /// Talking with the cell's pid 1.
    Control,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Self::Describe => "cannot describe the cell",
            Self::CreateNamespaces => "cannot create the cell's namespaces",
            Self::BindLife => "cannot bind the cell's life to its guard",
            Self::MapUser => "cannot map the user into the cell",
            Self::Limit => "cannot limit the cell as it was asked for",
            Self::Loopback => "cannot bring up the cell's loopback interface",
            Self::NameHost => "cannot name the cell",
            Self::CutPropagation => "cannot cut the cell's mounts from the host's",
            Self::BindSystem => "cannot take a system directory into the cell",
            Self::OpenFuse => "cannot open /dev/fuse",
            Self::MountFuse => "cannot mount the view",
            Self::MountProc => "cannot mount a fresh /proc in the cell",
            Self::MountTmpfs => "cannot make a file system in memory",
            Self::Attach => "cannot put a mount in place",
            Self::EnterRoot => "cannot enter the cell's root",
            Self::WriteFiles => "cannot write the cell's own files",
            Self::Terminal => "cannot make the cell's terminal",
            Self::AgentSocket => "cannot bind the agent's socket",
            Self::NetworkSocket => "cannot listen for connections that want out",
            Self::MaskProc => "cannot cover parts of the cell's /proc",
            Self::SecondUserNamespace => "cannot enter the cell's second user namespace",
            Self::DropPrivilege => "cannot give up privilege",
            Self::Landlock => "cannot enforce Landlock",
            Self::Seccomp => "cannot enforce the system call filter",
            Self::StartCommand => "cannot start the command",
            Self::Control => "lost the cell's first process",
        }
    }
}

/// A failed step as pid 1 of the cell reports it: plain data, fit for the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) step: Step,
    pub(crate) errno: Option<i32>,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(step: Step, detail: impl Into<String>) -> Self {
        Self {
            step,
            errno: None,
            detail: detail.into(),
        }
    }
}

/// Says at which step, and on what, a system call failed.
pub(crate) trait AtStep<T> {
    fn at(self, step: Step, detail: impl fmt::Display) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn at(self, step: Step, detail: impl fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            let detail = match error.raw_os_error() {
                Some(_) => detail.to_string(),
                None => format!("{detail}: {error}"),
            };
            Fault {
                step,
                errno: error.raw_os_error(),
                detail,
            }
        })
    }
}

/// A cell could not be built or held; nothing runs in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}; {next_step}")]
pub struct SandboxError {
    /// The step that failed.
    pub step: Step,
    /// The kernel's answer, if it was the kernel that refused.
    pub errno: Option<i32>,
    /// What could not be done.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What the person can do about it.
    pub next_step: String,
}

impl From<Fault> for SandboxError {
    fn from(fault: Fault) -> Self {
        let reason = fault
            .errno
            .map(|errno| io::Error::from_raw_os_error(errno).to_string());
        let why = match (reason, fault.detail.is_empty()) {
            (Some(reason), true) => reason,
            (Some(reason), false) => format!("{}: {reason}", fault.detail),
            (None, _) => fault.detail.clone(),
        };
        Self {
            step: fault.step,
            errno: fault.errno,
            what: fault.step.what().to_owned(),
            why,
            next_step: next_step(&fault, &HostLimits::read()),
        }
    }
}

/// The host's switches that most often stand in the way.
#[derive(Debug, Default)]
struct HostLimits {
    apparmor_restricts_user_namespaces: bool,
    user_namespaces_off: bool,
    user_namespaces_max_zero: bool,
}

impl HostLimits {
    fn read() -> Self {
        let is = |path: &str, value: &str| {
            fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
        };
        Self {
            apparmor_restricts_user_namespaces: is(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ),
            user_namespaces_off: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            user_namespaces_max_zero: is("/proc/sys/user/max_user_namespaces", "0"),
        }
    }
}

fn next_step(fault: &Fault, host: &HostLimits) -> String {
    let text = match (fault.step, fault.errno) {
        (Step::Describe, _) => "correct the call",
        (Step::CreateNamespaces, Some(libc::EDEADLK)) => {
            "launch the cell before starting any thread"
        }
        (step, Some(libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS))
            if namespaces_decide(step) =>
        {
            return user_namespaces_next_step(fault.errno, host);
        }
        (Step::CreateNamespaces, Some(libc::ENOSYS | libc::EINVAL)) => {
            "use a kernel of 5.13 or later with user, pid, network and cgroup namespaces built in"
        }
        (Step::OpenFuse, Some(libc::ENOENT | libc::ENXIO | libc::ENODEV)) => {
            "load the module as root with `modprobe fuse`"
        }
        (Step::OpenFuse, Some(libc::EACCES | libc::EPERM)) => {
            "let users open it: install `udev`, or run `chmod 0666 /dev/fuse` as root"
        }
        (Step::MountFuse, _) => "load the module as root with `modprobe fuse`",
        (Step::MountProc, _) => {
            "parts of the host's /proc are covered, as in some containers: start the container \
             with an unmasked /proc (docker: `--security-opt systempaths=unconfined`)"
        }
        (Step::Landlock, _) => {
            "use a kernel of 5.13 or later, started with `landlock` in its `lsm=` list"
        }
        (Step::Seccomp, _) => "use a kernel with CONFIG_SECCOMP_FILTER",
        (Step::Control, _) => "see the system log for what ended it",
        _ => {
            "use Linux 6.9 or later, outside of a container that filters system calls or hides mounts"
        }
    };
    text.to_owned()
}

/// Whether a refusal at this step most likely means that user namespaces are restricted: AppArmor,
/// for one, lets them be created and then refuses every use of their capabilities.
fn namespaces_decide(step: Step) -> bool {
    matches!(
        step,
        Step::CreateNamespaces
            | Step::MapUser
            | Step::Loopback
            | Step::NameHost
            | Step::CutPropagation
            | Step::SecondUserNamespace
    )
}

fn user_namespaces_next_step(errno: Option<i32>, host: &HostLimits) -> String {
    let text = if host.apparmor_restricts_user_namespaces {
        "AppArmor keeps user namespaces from programs without a profile: give this program one that \
         says `userns,`, or run `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root"
    } else if host.user_namespaces_off {
        "run `sysctl kernel.unprivileged_userns_clone=1` as root"
    } else if host.user_namespaces_max_zero || errno == Some(libc::ENOSPC) {
        "allow user namespaces: run `sysctl user.max_user_namespaces=10000` as root"
    } else {
        "allow user namespaces here: something (a container's seccomp filter, perhaps) refuses them"
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(step: Step, errno: i32) -> Fault {
        Fault {
            step,
            errno: Some(errno),
            detail: String::new(),
        }
    }

    #[test]
    fn every_refusal_of_user_namespaces_names_its_switch() {
        let apparmor = HostLimits {
            apparmor_restricts_user_namespaces: true,
            ..HostLimits::default()
        };
        assert!(next_step(&fault(Step::MapUser, libc::EPERM), &apparmor).contains("AppArmor"));
        let off = HostLimits {
            user_namespaces_off: true,
            ..HostLimits::default()
        };
        assert!(
            next_step(&fault(Step::CreateNamespaces, libc::EPERM), &off)
                .contains("unprivileged_userns_clone=1")
        );
        let none = HostLimits::default();
        assert!(
            next_step(&fault(Step::CreateNamespaces, libc::ENOSPC), &none)
                .contains("max_user_namespaces")
        );
    }

    #[test]
    fn a_closed_fuse_device_is_one_line_with_the_mend() {
        let error = SandboxError::from(fault(Step::OpenFuse, libc::EACCES));
        assert_eq!(
            error.to_string(),
            "cannot open /dev/fuse: Permission denied (os error 13); let users open it: install \
             `udev`, or run `chmod 0666 /dev/fuse` as root"
        );
    }
}
