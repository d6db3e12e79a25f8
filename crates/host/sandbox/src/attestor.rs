//! Confining the processes that read other processes' executables: the attestor and its keeper.
//!
//! Landlock is not for them: a process in a Landlock domain may not look at a process outside of it, and looking is what they are for.
//! What holds them is that they have no capability but the one to look, one socket, and a filter under which nothing can be written,
//! connected to, executed or signalled.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};
use valetkey_sys::privilege::drop_bounding_set;

use crate::error::{AtStep, Fault, SandboxError, Step};
use crate::seccomp::{ATTESTOR, ATTESTOR_KEEPER};

/// Address space: the program, its libraries and one chunk of a file.
const MEMORY_BYTES: u64 = 512 << 20;
/// Descriptors: the socket, and those of one request.
const DESCRIPTORS: u64 = 80;

/// Confines the keeper for good. It has to see for itself when its parent ends: a signal at the parent's death does not leave the
/// parent's Landlock domain.
///
/// Of the capabilities only `CAP_SYS_PTRACE` stays, and only where the process has it: as root, since a process may otherwise not look
/// at one that has more capabilities than itself. An ordinary user's keeper has none.
///
/// # Errors
/// Says which wall could not be put up; the process must end then.
pub fn confine_attestor_keeper() -> Result<(), SandboxError> {
    keeper().map_err(SandboxError::from)
}

/// Confines an attestor, started by a confined keeper, for good. It ends with its keeper.
///
/// # Errors
/// Says which wall could not be put up; the process must end then.
pub fn confine_attestor() -> Result<(), SandboxError> {
    attestor().map_err(SandboxError::from)
}

fn keeper() -> Result<(), Fault> {
    let filters = ATTESTOR_KEEPER.compile()?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::As, MEMORY_BYTES)?;
    limit(Resource::Nofile, DESCRIPTORS)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropPrivilege, "dumpable")?;
    // Without CAP_SETPCAP there is nothing in the set that could be gained: no_new_privs follows.
    match drop_bounding_set() {
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => {
            return Err(error).at(Step::DropPrivilege, "bounding set");
        }
        _ => {}
    }
    keep_looking_alone()?;
    set_no_new_privs(true).at(Step::DropPrivilege, "no_new_privs")?;
    filters.install()
}

fn attestor() -> Result<(), Fault> {
    let filters = ATTESTOR.compile()?;
    set_parent_process_death_signal(Some(Signal::KILL)).at(Step::BindLife, "")?;
    filters.install()
}

/// Empties the capability sets but for the one to look at other processes, where that is held.
fn keep_looking_alone() -> Result<(), Fault> {
    clear_ambient_capability_set().at(Step::DropPrivilege, "ambient set")?;
    let held = capabilities(None).at(Step::DropPrivilege, "capabilities")?;
    let looking = held.permitted & CapabilitySet::SYS_PTRACE;
    let kept = CapabilitySets {
        effective: looking,
        permitted: looking,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept).at(Step::DropPrivilege, "capabilities")
}

fn limit(resource: Resource, most: u64) -> Result<(), Fault> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).at(Step::DropPrivilege, format!("limit {resource:?}"))
}
