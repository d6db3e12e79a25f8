//! Taking from a daemon every right that it does not need: its own directories and Unix sockets stay.

use std::path::{Path, PathBuf};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use valetkey_sys::fork;
use valetkey_sys::privilege::drop_bounding_set;

use crate::error::{AtStep, Fault, SandboxError, Step};
use crate::init::privilege;
use crate::landlocked::Version;
use crate::seccomp::Profile;

/// Where a daemon may go.
#[derive(Debug, Clone, Default)]
pub struct ServicePlaces {
    /// Directories in which it keeps files.
    pub own: Vec<PathBuf>,
    /// Directories that it only looks at.
    pub seen: Vec<PathBuf>,
}

/// Confines this process for good to `places` and to what `profile` allows: no capability, no program started, no network.
///
/// Call it with one thread, before the process reads or hears anything that it did not write itself. After an error the process is
/// confined in part and must end.
///
/// # Errors
///
/// Says which wall could not be put up. Nothing less is ever accepted.
pub fn confine_service(profile: &Profile, places: &ServicePlaces) -> Result<(), SandboxError> {
    confine(profile, places).map_err(SandboxError::from)
}

fn confine(profile: &Profile, places: &ServicePlaces) -> Result<(), Fault> {
    if fork::thread_count().at(Step::BindLife, "threads")? != 1 {
        return Err(Fault::new(
            Step::BindLife,
            "the service has more than one thread",
        ));
    }
    let version = Version::current()?;
    let filters = profile.compile()?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).at(Step::DropPrivilege, "limit Core")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropPrivilege, "dumpable")?;
    match drop_bounding_set() {
        // Without CAP_SETPCAP there is nothing in the set that could be gained: no_new_privs follows.
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => {
            return Err(error).at(Step::DropPrivilege, "bounding set");
        }
        _ => {}
    }
    privilege::clear_capabilities()?;
    version.confine_service(&borrowed(&places.own), &borrowed(&places.seen))?;
    filters.install()
}

fn borrowed(paths: &[PathBuf]) -> Vec<&Path> {
    paths.iter().map(PathBuf::as_path).collect()
}
