//! Taking every right from a process that already holds the descriptors that it needs.

use std::os::fd::BorrowedFd;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use valetkey_sys::privilege::drop_bounding_set;
use valetkey_sys::{descriptors, fork};

use crate::error::{AtStep, Fault, SandboxError, Step};
use crate::init::privilege;
use crate::landlocked::Version;
use crate::seccomp::Profile;

/// How much a worker may use before the kernel stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Address space.
    pub memory_bytes: u64,
    /// Processor time.
    pub cpu_seconds: u64,
    /// The size of any file that it writes.
    pub file_bytes: u64,
}

/// Confines this process for good to computing on `keep`: every other descriptor is closed, no file
/// can be named, no process started, nobody spoken to; what `profile` does not allow is answered as
/// the profile says.
///
/// Call it first thing, with one thread. After an error the process is confined in part and must end.
///
/// # Errors
///
/// Says which wall could not be put up. Nothing less is ever accepted.
pub fn confine_worker(
    profile: &Profile,
    limits: WorkerLimits,
    keep: &[BorrowedFd<'_>],
) -> Result<(), SandboxError> {
    confine(profile, limits, keep).map_err(SandboxError::from)
}

fn confine(profile: &Profile, limits: WorkerLimits, keep: &[BorrowedFd<'_>]) -> Result<(), Fault> {
    if fork::thread_count().at(Step::BindLife, "threads")? != 1 {
        return Err(Fault::new(
            Step::BindLife,
            "the worker has more than one thread",
        ));
    }
    let version = Version::current()?;
    let filters = profile.compile()?;
    set_parent_process_death_signal(Some(Signal::KILL)).at(Step::BindLife, "")?;
    descriptors::close_all_except(keep).at(Step::BindLife, "descriptors")?;
    limit(Resource::As, limits.memory_bytes)?;
    limit(Resource::Cpu, limits.cpu_seconds)?;
    limit(Resource::Fsize, limits.file_bytes)?;
    limit(Resource::Core, 0)?;
    // The superuser is not held by the limit on processes; the filter holds everyone.
    limit(Resource::Nproc, 0)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropPrivilege, "dumpable")?;
    // Without CAP_SETPCAP there is nothing in the set that could be gained: no_new_privs follows.
    match drop_bounding_set() {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => {
            return Err(error).at(Step::DropPrivilege, "bounding set");
        }
        _ => {}
    }
    privilege::clear_capabilities()?;
    version.confine_to_nothing()?;
    // Landlock's ruleset is a descriptor too; it is closed by now, and no other can be opened.
    limit(Resource::Nofile, 0)?;
    filters.install()
}

fn limit(resource: Resource, most: u64) -> Result<(), Fault> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).at(Step::DropPrivilege, format!("limit {resource:?}"))
}
