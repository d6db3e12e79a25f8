//! Mounts a view in which everything is allowed, for conformance tests and for measuring.
//!
//! `allow_all HOST MOUNT [quiet]`, as root. Ends when MOUNT is unmounted.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, mount};
use valetkey_model::{Action, ActionSet};
use valetkey_view::{
    Authority, Connection, Facts, IdMap, Identity, Interrupt, Kinds, Limit, Limits, Observation,
    Permit, Use, Verdict, View, ViewConfig, Why,
};

#[derive(Debug)]
struct Everything;

impl Permit for Everything {
    fn is_live(&self) -> bool {
        true
    }

    fn actions(&self) -> ActionSet {
        Action::ALL.into_iter().collect()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn take_read(&self, bytes: u64) -> Result<u64, Limit> {
        Ok(bytes)
    }

    fn return_read(&self, _bytes: u64) {}

    fn take_write(&self, _bytes: u64) -> Result<(), Limit> {
        Ok(())
    }

    fn return_write(&self, _bytes: u64) {}

    fn begin(&self, _usage: &Use<'_>) -> Result<(), Limit> {
        Ok(())
    }

    fn abandon(&self, _new: u64) {}

    fn made(&self, _object: Identity) {}
}

struct AllowAll(Arc<Everything>);

impl Authority for AllowAll {
    fn check(&self, _path: &Path, _wanted: ActionSet) -> Verdict {
        Verdict::Permitted(Arc::clone(&self.0) as Arc<dyn Permit>)
    }

    fn resolve(
        &self,
        path: &Path,
        wanted: ActionSet,
        _facts: &Facts,
        _why: Why,
        _interrupt: &Interrupt,
    ) -> Verdict {
        self.check(path, wanted)
    }

    fn covers_tree(&self, _path: &Path, _wanted: ActionSet) -> bool {
        true
    }

    fn names(&self, _object: Identity, _anew: bool) -> Vec<PathBuf> {
        Vec::new()
    }

    fn forbids(&self, _path: &Path, _wanted: ActionSet, _may_wait: bool) -> Option<bool> {
        Some(false)
    }

    fn trusts(&self, _path: &Path, _wanted: ActionSet) -> bool {
        true
    }

    fn redacts(&self, _path: &Path) -> Kinds {
        Kinds::NONE
    }

    fn report(&self, _observation: Observation) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (host, target, connection) = match arguments.as_slice() {
        [host, target] => (host, target, Connection::Watched),
        [host, target, quiet] if quiet.as_os_str() == "quiet" => (
            host,
            target,
            Connection::Quiet {
                root: PathBuf::from("/"),
            },
        ),
        _ => return Err("use: allow_all HOST MOUNT [quiet]".into()),
    };
    let device = fuse()?;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
        device.as_raw_fd()
    );
    let options = CString::new(options)?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    mount("valetkey", target, "fuse", flags, options.as_c_str())?;
    let config = ViewConfig::new(host.clone(), IdMap::to_root(0, vec![0]));
    let view = View::new(config, Arc::new(AllowAll(Arc::new(Everything))))?;
    let handle = view.serve(device, vec![fuse()?], connection, 4)?;
    handle.join()?;
    Ok(())
}

fn fuse() -> rustix::io::Result<OwnedFd> {
    open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}
