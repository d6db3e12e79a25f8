//! A control group for each cell: made before its first process begins, removed when it has ended, and swept by the next one if its guard
//! was killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;

use crate::error::{Fault, Step};
use crate::limits::{Held, Limit, Limits};

/// What the names of the groups begin with. Each is locked by its guard while that lives.
const PREFIX: &str = "valetkey-cell-";
/// The group into which a guard goes that has a whole subtree to itself, so that the cell's can be beside it.
const GUARD: &str = "valetkey-guard";
/// The kernel's own period, in microseconds, for which processor time is counted.
const PERIOD_US: u64 = 100_000;
/// How often it is tried to remove a group whose last process has just ended.
const REMOVALS: u32 = 50;
/// How long is waited between two of those.
const PAUSE: Duration = Duration::from_millis(5);
/// How much sooner than others the processes of a cell are ended where the whole machine has no memory left, of 1000.
const ENDED_SOONER: &str = "500";

/// The groups of one cell: one, or with the first version one for each controller.
#[derive(Debug)]
pub(crate) struct Group {
    /// Each with its lock.
    made: Vec<(PathBuf, File)>,
    held: Held,
}

/// A controller of the kernel, under its two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Pids,
    Cpu,
    Io,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Io];

    fn name(self, unified: bool) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Io if unified => "io",
            Self::Io => "blkio",
        }
    }

    fn limit(self, limits: &Limits) -> Limit {
        match self {
            Self::Memory => limits.memory_bytes,
            Self::Pids => limits.processes,
            Self::Cpu => limits.cpu_percent,
            Self::Io => limits.io_weight,
        }
    }
}

impl Group {
    /// Makes the group and puts `pid` into it, which has not begun yet.
    ///
    /// What was asked for and cannot be had is an error; what is only preferred is left out, and [`Group::held`] says so.
    pub(crate) fn make(limits: &Limits, pid: Pid) -> Result<Self, Fault> {
        prefer_to_end(pid);
        let mut group = Self {
            made: Vec::new(),
            held: Held::default(),
        };
        let place = Places::find();
        for controller in Controller::ALL {
            let limit = controller.limit(limits);
            let Some(value) = limit.value() else { continue };
            let done = group.hold(&place, controller, value, pid);
            if let (Err(error), true) = (done, limit.is_required()) {
                let name = controller.name(true);
                return Err(Fault {
                    step: Step::Limit,
                    errno: error.raw_os_error(),
                    detail: format!("{name}: {error}"),
                });
            }
        }
        Ok(group)
    }

    /// What the kernel holds.
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    fn hold(
        &mut self,
        places: &Places,
        controller: Controller,
        value: u64,
        pid: Pid,
    ) -> io::Result<()> {
        let (parent, unified) = places.of(controller).ok_or_else(no_group)?;
        let directory = match self
            .made
            .iter()
            .find(|(path, _)| path.parent() == Some(parent))
        {
            Some((path, _)) => path.clone(),
            None => self.make_in(parent, pid)?,
        };
        let held = if unified {
            set_unified(&directory, controller, value)?
        } else {
            set_first_version(&directory, controller, value)?
        };
        let slot = match controller {
            Controller::Memory => &mut self.held.memory_bytes,
            Controller::Pids => &mut self.held.processes,
            Controller::Cpu => &mut self.held.cpu_percent,
            Controller::Io => &mut self.held.io_weight,
        };
        *slot = Some(held);
        Ok(())
    }

    /// A group in `parent`, with `pid` in it.
    fn make_in(&mut self, parent: &Path, pid: Pid) -> io::Result<PathBuf> {
        sweep(parent);
        let own = rustix::process::getpid().as_raw_pid();
        let path = parent.join(format!("{PREFIX}{own}-{}", pid.as_raw_pid()));
        fs::create_dir(&path)?;
        let entered = File::open(&path).and_then(|lock| {
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            fs::write(path.join("cgroup.procs"), pid.as_raw_pid().to_string())?;
            Ok(lock)
        });
        match entered {
            Ok(lock) => {
                self.made.push((path.clone(), lock));
                Ok(path)
            }
            Err(error) => {
                // An empty group that stays does no harm; the next start tries again.
                let _removed = fs::remove_dir(&path);
                Err(error)
            }
        }
    }
}

impl Drop for Group {
    /// The cell's processes have ended by now, and the kernel forgets them within milliseconds.
    fn drop(&mut self) {
        for (path, _lock) in &self.made {
            for _ in 0..REMOVALS {
                match fs::remove_dir(path) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => sleep(PAUSE),
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

/// Removes what guards left that were killed. A group with a living guard is locked, one with a process is refused by the kernel.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let free = File::open(&path)
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            // Somebody else's, or not empty: it stays.
            let _removed = fs::remove_dir(&path);
        }
    }
}

/// Where the machine has no memory left, a cell's processes are ended before the guard and everything else.
fn prefer_to_end(pid: Pid) {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_pid());
    // What the guard's own score is above is refused, and then it is as good.
    let _raised = fs::write(path, ENDED_SOONER);
}

/// Where groups can be made: for each controller, or for all at one place.
#[derive(Debug, Default)]
struct Places {
    first_version: Vec<(Controller, PathBuf)>,
    unified: Option<(PathBuf, Vec<Controller>)>,
}

impl Places {
    fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut places = Self::default();
        for mount in mounts.lines().filter_map(Mount::read) {
            if mount.kind == "cgroup2" {
                let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
                    continue;
                };
                places.unified = places
                    .unified
                    .or_else(|| unified(&mount.directory(own), mount.point));
                continue;
            }
            for controller in Controller::ALL {
                let name = controller.name(false);
                if mount.options.split(',').any(|option| option == name) {
                    let directory = mount.directory(own_group(&own, name).unwrap_or("/"));
                    places.first_version.push((controller, directory));
                }
            }
        }
        places
    }

    /// The directory, and whether it is of the unified hierarchy.
    fn of(&self, controller: Controller) -> Option<(&Path, bool)> {
        let first = self
            .first_version
            .iter()
            .find(|(one, _)| *one == controller);
        if let Some((_, path)) = first {
            return Some((path, false));
        }
        let (path, controllers) = self.unified.as_ref()?;
        controllers.contains(&controller).then_some((path, true))
    }
}

/// A mounted hierarchy.
struct Mount<'a> {
    root: &'a str,
    point: &'a Path,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let kind = after.next()?;
        let options = after.nth(1)?;
        kind.starts_with("cgroup").then_some(Self {
            root,
            point: Path::new(point),
            kind,
            options,
        })
    }

    /// Where the group `own` is; the top of what is mounted, where it is not below that.
    fn directory(&self, own: &str) -> PathBuf {
        let below = Path::new(own).strip_prefix(self.root);
        let inside = below.map(|below| self.point.join(below));
        inside
            .ok()
            .filter(|path| path.is_dir())
            .unwrap_or_else(|| self.point.to_owned())
    }
}

/// This process's group of a hierarchy of the first version.
fn own_group<'a>(table: &'a str, controller: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let controllers = fields.nth(1)?;
        let path = fields.next()?;
        controllers
            .split(',')
            .any(|one| one == controller)
            .then_some(path)
    })
}

/// Where in the unified hierarchy a group with controllers can be made: beside this process's own group, or in it where it has that to
/// itself. The kernel wants no process in a group that hands controllers down.
fn unified(own: &Path, top: &Path) -> Option<(PathBuf, Vec<Controller>)> {
    let beside = own.parent().filter(|parent| parent.starts_with(top));
    let candidates = [beside, Some(own)];
    candidates.into_iter().flatten().find_map(|place| {
        if place == own && place != top && !alone_in(own) {
            return None;
        }
        let controllers = handed_down(place);
        let writable = rustix::fs::access(place.join("cgroup.procs"), rustix::fs::Access::WRITE_OK)
            .is_ok()
            && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok();
        (writable && !controllers.is_empty()).then(|| (place.to_owned(), controllers))
    })
}

/// Puts this process into a group below its own, if it is the only one there.
fn alone_in(own: &Path) -> bool {
    let number = rustix::process::getpid().as_raw_pid().to_string();
    let members = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
    let leaf = own.join(GUARD);
    members.trim() == number
        && (leaf.is_dir() || fs::create_dir(&leaf).is_ok())
        && fs::write(leaf.join("cgroup.procs"), number).is_ok()
}

/// The controllers that groups in `place` have, after it was tried to get all.
fn handed_down(place: &Path) -> Vec<Controller> {
    let table = place.join("cgroup.subtree_control");
    for controller in Controller::ALL {
        // One that is not there, or not for this user, is found missing below.
        let _handed = fs::write(&table, format!("+{}", controller.name(true)));
    }
    let there = fs::read_to_string(&table).unwrap_or_default();
    let has = |controller: &Controller| {
        there
            .split_ascii_whitespace()
            .any(|one| one == controller.name(true))
    };
    Controller::ALL.into_iter().filter(has).collect()
}

/// Sets a limit in the unified hierarchy; answers what the kernel made of it.
fn set_unified(group: &Path, controller: Controller, value: u64) -> io::Result<u64> {
    match controller {
        Controller::Memory => {
            // Without swap for it there is nothing to forbid.
            let _absent = fs::write(group.join("memory.swap.max"), "0");
            write_and_read(group, "memory.max", value)
        }
        Controller::Pids => write_and_read(group, "pids.max", value),
        Controller::Cpu => {
            let quota = value.saturating_mul(PERIOD_US / 100);
            fs::write(group.join("cpu.max"), format!("{quota} {PERIOD_US}"))?;
            let text = fs::read_to_string(group.join("cpu.max"))?;
            percent(text.split_ascii_whitespace().next())
        }
        Controller::Io => {
            fs::write(group.join("io.weight"), format!("default {value}"))?;
            let text = fs::read_to_string(group.join("io.weight"))?;
            number(text.split_ascii_whitespace().nth(1))
        }
    }
}

/// The same in a hierarchy of the first version.
fn set_first_version(group: &Path, controller: Controller, value: u64) -> io::Result<u64> {
    match controller {
        Controller::Memory => {
            let held = write_and_read(group, "memory.limit_in_bytes", value)?;
            // Memory and swap together; a kernel that does not count swap has no such file.
            if group.join("memory.memsw.limit_in_bytes").exists() {
                write_and_read(group, "memory.memsw.limit_in_bytes", value)?;
            }
            Ok(held)
        }
        Controller::Pids => write_and_read(group, "pids.max", value),
        Controller::Cpu => {
            fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
            let quota = value.saturating_mul(PERIOD_US / 100);
            let held = write_and_read(group, "cpu.cfs_quota_us", quota)?;
            percent(Some(&held.to_string()))
        }
        Controller::Io => {
            let names = ["blkio.bfq.weight", "blkio.weight"];
            let name = names.into_iter().find(|name| group.join(name).exists());
            write_and_read(group, name.ok_or_else(no_group)?, value)
        }
    }
}

fn write_and_read(group: &Path, name: &str, value: u64) -> io::Result<u64> {
    let path = group.join(name);
    fs::write(&path, value.to_string())?;
    let text = fs::read_to_string(&path)?;
    let held = number(Some(text.trim()))?;
    if held > value {
        return Err(io::Error::other(format!("{name} stays at {held}")));
    }
    Ok(held)
}

fn percent(quota_us: Option<&str>) -> io::Result<u64> {
    Ok(number(quota_us)? / (PERIOD_US / 100))
}

fn number(text: Option<&str>) -> io::Result<u64> {
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| io::Error::other("the kernel answers with no number"))
}

fn no_group() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "no control group may be made here",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_where_they_are_mounted() {
        let line =
            "35 25 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let mount = Mount::read(line).expect("a hierarchy");
        assert_eq!((mount.kind, mount.options), ("cgroup", "rw,cpu,cpuacct"));
        assert_eq!(
            mount.directory("/no/such/group"),
            Path::new("/sys/fs/cgroup/cpu")
        );
        assert!(Mount::read("36 25 0:32 / /proc rw - proc proc rw").is_none());
        assert!(Mount::read("nonsense").is_none());
        let table = "4:memory:/a/b\n2:cpu,cpuacct:/c:d\n0::/user.slice\n";
        assert_eq!(own_group(table, "memory"), Some("/a/b"));
        assert_eq!(own_group(table, "cpu"), Some("/c:d"));
        assert_eq!(own_group(table, "pids"), None);
    }

    #[test]
    fn a_limit_that_the_kernel_does_not_take_is_no_limit() {
        let group = tempfile::tempdir().expect("a directory");
        assert_eq!(
            write_and_read(group.path(), "pids.max", 7).expect("held"),
            7
        );
        assert!(number(Some("max")).is_err() && number(None).is_err());
        let held = set_unified(group.path(), Controller::Cpu, 150).expect("held");
        assert_eq!(held, 150);
        assert_eq!(
            fs::read_to_string(group.path().join("cpu.max")).expect("read"),
            "150000 100000"
        );
        assert_eq!(
            set_unified(group.path(), Controller::Io, 50).expect("held"),
            50
        );
        assert_eq!(
            set_unified(group.path(), Controller::Memory, 1 << 30).expect("held"),
            1 << 30
        );
        assert_eq!(
            fs::read_to_string(group.path().join("memory.swap.max")).expect("read"),
            "0"
        );
    }
}
