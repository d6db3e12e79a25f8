//! The parts of `/proc` that the profile does not name: covered, or made read-only.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;

use super::tree::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, attach, copy_tree, memory};
use crate::error::{AtStep, Fault, Step};

/// Covered: each tells of the whole machine, or reaches into it. `/proc/1` is the cell's first
/// process: its command line is the guard's.
const COVERED: [&str; 20] = [
    "1/cmdline",
    "1/task",
    "acpi",
    "asound",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];
/// Readable by programs, but not to be written, whoever the user is.
const READ_ONLY_PARTS: [&str; 5] = ["bus", "driver", "fs", "irq", "sys"];
/// An empty directory needs no more.
const EMPTY_BYTES: u64 = 4096;

/// The covers, made and not yet in place: to make one takes a mount namespace of its own, of which
/// there may be no more once the limits are set, and to set the limits takes a writable `/proc/sys`.
pub(super) struct Covers(Vec<(PathBuf, OwnedFd)>);

/// Makes a cover for each part that is there.
pub(super) fn make() -> Result<Covers, Fault> {
    let proc = Path::new("/proc");
    let safe = READ_ONLY | NO_SUID | NO_DEV | NO_EXEC;
    let mut covers = Vec::new();
    for name in COVERED {
        let path = proc.join(name);
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let cover = if meta.is_dir() {
            memory("0555", EMPTY_BYTES, safe)?
        } else {
            copy_tree(CWD, Path::new("/dev/null"), READ_ONLY | NO_SUID | NO_EXEC)
                .at(Step::MaskProc, path.display())?
        };
        covers.push((path, cover));
    }
    for name in READ_ONLY_PARTS {
        let path = proc.join(name);
        if path.is_dir() {
            let tree = copy_tree(CWD, &path, safe).at(Step::MaskProc, path.display())?;
            covers.push((path, tree));
        }
    }
    Ok(Covers(covers))
}

impl Covers {
    /// Puts every cover in place; answers the paths.
    pub(super) fn attach(self) -> Result<Vec<String>, Fault> {
        let place = |(path, cover): (PathBuf, OwnedFd)| {
            attach(&cover, &path).map_err(|fault| Fault {
                step: Step::MaskProc,
                ..fault
            })?;
            Ok(path.display().to_string())
        };
        self.0.into_iter().map(place).collect()
    }
}
