//! Building the cell's tree: everything of the host is taken first, then the new root is entered, and
//! the rest is put in place where no path can lead back.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::{chdir, fchdir, ioctl_tiocsctty, pivot_root};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, tcsetattr, tcsetwinsize};
use valetkey_sys::tree::{Reach, add_attributes};

use super::tree::{
    Directory, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, attach, copy_tree, memory, new_mount,
};
use super::{Plan, etc_tree};
use crate::cell::{DENIALS, NEXT_DENIALS};
use crate::commands::Commands;
use crate::error::{AtStep, Fault, Step};
use crate::etc::Entry;
use crate::spec::{self, CellSpec, Root};

/// The devices of a cell: each the host's own, read-only, so that the superuser's agent cannot change
/// the host's node (a device is written to all the same).
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Symbolic links in `/dev`.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Directories of the host where the new root may be put until it is entered.
const STAGING: [&str; 5] = ["/tmp", "/run", "/mnt", "/dev", "/etc"];
/// Enough for the cell's own small files.
const SMALL_BYTES: u64 = 64 << 20;
/// How many agents' connections may wait.
const BACKLOG: i32 = 128;

/// What only the guard's user may reach on the host, held by descriptor.
pub(super) struct Taken {
    fuse_devices: Vec<OwnedFd>,
    devices: Vec<(PathBuf, OwnedFd)>,
    /// Mounts with their places, in any order.
    further: Vec<(PathBuf, OwnedFd)>,
    asking_programs: Vec<(&'static str, OwnedFd)>,
}

/// Everything of the host that will be in the cell, and the mounts that the host's `/proc` and
/// devices are needed for, held by descriptor.
pub(super) struct Sources {
    root: OwnedFd,
    fuse_devices: Vec<OwnedFd>,
    proc: OwnedFd,
    devices: Vec<(PathBuf, OwnedFd)>,
    /// Quiet mounts with their places, as they are described.
    quiet: Vec<(PathBuf, OwnedFd)>,
    /// Mounts with their places, in any order.
    further: Vec<(PathBuf, OwnedFd)>,
    asking_programs: Vec<(&'static str, OwnedFd)>,
}

/// What the tree gave to hold.
pub(super) struct Built {
    pub(super) listener: OwnedFd,
    pub(super) bus_listener: Option<OwnedFd>,
    pub(super) notices: OwnedFd,
    pub(super) terminal: Option<OpenTerminal>,
}

/// A terminal of the cell.
pub(super) struct OpenTerminal {
    pub(super) master: OwnedFd,
    pub(super) slave: OwnedFd,
}

impl Sources {
    /// The view's, then the quiet ones.
    pub(super) fn fuse_descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.fuse_devices.iter().map(AsFd::as_fd).collect()
    }

    /// Closes this process's copies: when the guard's are closed too, the view ends.
    pub(super) fn forget_fuse_devices(self) -> Self {
        Self {
            fuse_devices: Vec::new(),
            ..self
        }
    }

    /// Keeps the quiet mounts that are wanted; the others end here.
    pub(super) fn with_quiet(mut self, wanted: &[bool]) -> Self {
        let mut wanted = wanted.iter();
        self.quiet.retain(|_| wanted.next().is_some_and(|is| *is));
        self
    }
}

/// How many FUSE connections the view is made of.
pub(super) fn fuse_connections(spec: &CellSpec) -> usize {
    let root = usize::from(spec.root == Root::Fuse);
    spec.quiet_mounts.len().saturating_add(root)
}

/// Takes hold of what lies on the host, as the guard's user.
pub(super) fn take_from_host(plan: &Plan<'_>) -> Result<Taken, Fault> {
    let spec = plan.spec;
    let fuse_devices = (0..fuse_connections(spec))
        .map(|_| {
            open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).at(Step::OpenFuse, "")
        })
        .collect::<Result<_, _>>()?;
    let mut further = Vec::new();
    let system = READ_ONLY | NO_SUID | NO_DEV;
    let mut take = |path: &Path, attributes: MountAttrFlags| {
        let tree = copy_tree(CWD, path, attributes).at(Step::BindSystem, path.display())?;
        further.push((path.to_owned(), tree));
        Ok(())
    };
    for path in &spec.real_system_dirs() {
        take_system(spec, path, system, &mut take)?;
    }
    let narrowed = spec.commands.iter().flat_map(|commands| &commands.places);
    for path in narrowed.chain(&spec.extra_ro_binds) {
        take(path, system)?;
    }
    for entry in &plan.etc {
        if let Entry::Bind(name) = entry {
            let path = Path::new("/etc").join(name);
            // What the user may not even look at is left out, like what is not there.
            if let Ok(tree) = copy_tree(CWD, &path, system | NO_EXEC) {
                further.push((path, tree));
            }
        }
    }
    let mut devices = Vec::new();
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        let node = copy_tree(CWD, &path, READ_ONLY | NO_SUID | NO_EXEC)
            .at(Step::BindSystem, path.display())?;
        devices.push((path, node));
    }
    // Without it a script asks over the socket; a program that was replaced while it runs is no reason not to start.
    let asking_programs = spec
        .asking_programs
        .iter()
        .filter_map(|(name, path)| Some((*name, copy_tree(CWD, path, system).ok()?)))
        .collect();
    Ok(Taken {
        fuse_devices,
        devices,
        further,
        asking_programs,
    })
}

/// Takes a system directory: whole, or where commands are narrowed with only its libraries executable.
fn take_system(
    spec: &CellSpec,
    path: &Path,
    system: MountAttrFlags,
    take: &mut dyn FnMut(&Path, MountAttrFlags) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if spec.commands.is_none() || Commands::is_library(path) {
        return take(path, system);
    }
    take(path, system | NO_EXEC)?;
    for part in Commands::libraries_in(path) {
        take(&part, system)?;
    }
    Ok(())
}

/// Makes the file systems of the cell's own, as the user who owns them, while the host's tree is still there.
pub(super) fn open_sources(plan: &Plan<'_>, taken: Taken) -> Result<Sources, Fault> {
    let spec = plan.spec;
    let mut devices = taken.fuse_devices.iter();
    let mut fuse = || {
        let device = devices.next();
        let device = device.ok_or_else(|| Fault::new(Step::MountFuse, "a device is missing"))?;
        fuse_mount(device, no_exec(spec))
    };
    let root = match spec.root {
        Root::Fuse => fuse()?,
        Root::Tmpfs => bare_root(spec)?,
    };
    let mut quiet = Vec::with_capacity(spec.quiet_mounts.len());
    for path in &spec.quiet_mounts {
        quiet.push((path.clone(), fuse()?));
    }
    let proc = new_mount("proc", &[], NO_SUID | NO_DEV | NO_EXEC).at(Step::MountProc, "")?;
    Ok(Sources {
        root,
        fuse_devices: taken.fuse_devices,
        proc,
        devices: taken.devices,
        quiet,
        further: taken.further,
        asking_programs: taken.asking_programs,
    })
}

/// Enters the new root and completes it.
pub(super) fn build(plan: &Plan<'_>, sources: Sources) -> Result<Built, Fault> {
    let spec = plan.spec;
    enter(&sources.root)?;
    let mut further = sources.further;
    let shown_through = spec.shown_through.iter().filter(|path| {
        // What is quiet is shown by its own mount.
        let mut quiet = sources.quiet.iter();
        !quiet.any(|(place, _)| path.starts_with(place))
    });
    for path in shown_through {
        let tree = copy_tree(CWD, path, NO_SUID | NO_DEV).at(Step::Attach, path.display())?;
        further.push((path.clone(), tree));
    }

    let etc = etc_tree::write(&plan.etc)?;
    attach(&etc, Path::new("/etc"))?;
    attach(&sources.proc, Path::new("/proc"))?;
    let dev = device_directory(spec, sources.devices)?;
    attach(&scratch(spec, "1777")?, Path::new("/tmp"))?;
    let run = memory("0755", SMALL_BYTES, NO_SUID | NO_DEV | NO_EXEC)?;
    attach(&run, Path::new("/run"))?;
    let (listener, bus_listener, notices) = notice_directory(spec, &sources.asking_programs)?;
    let runtime = PathBuf::from(format!("run/user/{}", spec.uid));
    let root = root_directory()?;
    let top = Directory(root.as_fd());
    top.make_all(&runtime)?;
    attach(&scratch(spec, "0700")?, &Path::new("/").join(&runtime))?;

    further.extend(sources.quiet);
    // A mount inside another comes after it.
    further.sort_by_key(|(path, _)| path.components().count());
    for (path, tree) in &further {
        if spec::own_mount_above(path).is_some() {
            let below_root = path.strip_prefix("/").unwrap_or(path);
            top.make_place_for(below_root, tree)?;
        }
        attach(tree, path)?;
    }
    for own in [&etc, &dev, &run] {
        add_attributes(own.as_fd(), Reach::Mount, READ_ONLY).at(Step::Attach, "read-only")?;
    }
    let terminal = open_terminal(spec)?;
    null_streams()?;
    Ok(Built {
        listener,
        bus_listener,
        notices,
        terminal,
    })
}

/// Points the standard streams of this process at `/dev/null`.
pub(super) fn null_streams() -> Result<(), Fault> {
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .at(Step::BindLife, "/dev/null")?;
    // When the streams are closed, the descriptor may be one of them itself.
    let above = rustix::io::fcntl_dupfd_cloexec(&null, 3).at(Step::BindLife, "/dev/null")?;
    drop(null);
    rustix::stdio::dup2_stdin(&above).at(Step::BindLife, "standard input")?;
    rustix::stdio::dup2_stdout(&above).at(Step::BindLife, "standard output")?;
    rustix::stdio::dup2_stderr(&above).at(Step::BindLife, "standard error")
}

fn fuse_mount(device: &OwnedFd, further: MountAttrFlags) -> Result<OwnedFd, Fault> {
    let descriptor = device.as_raw_fd().to_string();
    let options = [
        ("source", "valetkey"),
        ("fd", descriptor.as_str()),
        ("rootmode", "40755"),
        ("user_id", "0"),
        ("group_id", "0"),
        ("default_permissions", ""),
        ("allow_other", ""),
    ];
    new_mount("fuse", &options, NO_SUID | NO_DEV | further).at(Step::MountFuse, "")
}

/// An empty root with nothing but the places of the mounts.
fn bare_root(spec: &CellSpec) -> Result<OwnedFd, Fault> {
    let root = memory("0755", SMALL_BYTES, NO_SUID | NO_DEV)?;
    let directory = Directory(root.as_fd());
    for path in spec::mount_points(spec) {
        directory.make_all(path.strip_prefix("/").unwrap_or(&path))?;
    }
    for (path, target) in spec::root_links(spec) {
        directory.link(path.strip_prefix("/").unwrap_or(&path), &target)?;
    }
    add_attributes(root.as_fd(), Reach::Mount, READ_ONLY).at(Step::MountTmpfs, "read-only")?;
    Ok(root)
}

/// Makes `root` the root, and leaves nothing of the old one in reach.
fn enter(root: &OwnedFd) -> Result<(), Fault> {
    let staging = STAGING
        .iter()
        .find(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()))
        .ok_or_else(|| Fault::new(Step::EnterRoot, "no directory to put the new root on"))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(root, "", CWD, *staging, flags).at(Step::EnterRoot, staging)?;
    fchdir(root).at(Step::EnterRoot, "change directory")?;
    // Stacks the old root on the new one, from where it is detached at once.
    pivot_root(".", ".").at(Step::EnterRoot, "pivot")?;
    unmount(".", UnmountFlags::DETACH).at(Step::EnterRoot, "detach the old root")?;
    chdir("/").at(Step::EnterRoot, "change directory")
}

fn root_directory() -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open("/", flags, Mode::empty()).at(Step::EnterRoot, "/")
}

/// A file system in memory that the agent may write.
fn scratch(spec: &CellSpec, mode: &str) -> Result<OwnedFd, Fault> {
    memory(mode, spec.scratch_bytes(), NO_SUID | NO_DEV | no_exec(spec))
}

/// What mounts have besides where commands are narrowed: nothing that could be written is executed or mapped as code.
fn no_exec(spec: &CellSpec) -> MountAttrFlags {
    match spec.commands {
        Some(_) => NO_EXEC,
        None => MountAttrFlags::empty(),
    }
}

/// Builds `/dev`.
fn device_directory(spec: &CellSpec, devices: Vec<(PathBuf, OwnedFd)>) -> Result<OwnedFd, Fault> {
    let dev = memory("0755", SMALL_BYTES, NO_SUID | NO_EXEC)?;
    let directory = Directory(dev.as_fd());
    for name in DEVICES {
        directory.write(Path::new(name), b"", 0o666)?;
    }
    for (name, target) in DEVICE_LINKS {
        directory.link(Path::new(name), Path::new(target))?;
    }
    directory.make_all(Path::new("pts"))?;
    directory.make_all(Path::new("shm"))?;
    attach(&dev, Path::new("/dev"))?;
    for (path, node) in &devices {
        attach(node, path)?;
    }
    let options = [("ptmxmode", "0666"), ("mode", "0620")];
    let pts = new_mount("devpts", &options, NO_SUID | NO_EXEC).at(Step::Terminal, "devpts")?;
    attach(&pts, Path::new("/dev/pts"))?;
    attach(&scratch(spec, "1777")?, Path::new("/dev/shm"))?;
    Ok(dev)
}

/// Makes `/run/valetkey`: writable for the guard through the descriptor, read-only for the agent.
fn notice_directory(
    spec: &CellSpec,
    asking_programs: &[(&'static str, OwnedFd)],
) -> Result<(OwnedFd, Option<OwnedFd>, OwnedFd), Fault> {
    let place = Path::new("/run/valetkey");
    let bin = Path::new("bin");
    let attributes = NO_SUID | NO_DEV | NO_EXEC;
    let notices = memory("0755", SMALL_BYTES, attributes)?;
    let directory = Directory(notices.as_fd());
    directory.write(Path::new("README.md"), spec.readme.as_bytes(), 0o644)?;
    for name in [DENIALS, NEXT_DENIALS] {
        directory.write(Path::new(name), b"[]\n", 0o644)?;
    }
    for (name, file) in asking_programs {
        directory.make_place_for(&bin.join(name), file)?;
    }
    let root = root_directory()?;
    Directory(root.as_fd()).make_all(Path::new("run/valetkey"))?;
    attach(&notices, place)?;
    let listener = listen_at(&place.join("agent.sock"))?;
    let bus_listener = if spec.session_bus {
        Some(listen_at(&place.join("bus.sock"))?)
    } else {
        None
    };
    let read_only: MountAttrFlags = attributes | READ_ONLY;
    let shown = copy_tree(CWD, place, read_only).at(Step::Attach, place.display())?;
    unmount(place, UnmountFlags::DETACH).at(Step::Attach, place.display())?;
    attach(&shown, place)?;
    for (name, file) in asking_programs {
        attach(file, &place.join(bin).join(name))?;
    }
    Ok((listener, bus_listener, notices))
}

fn listen_at(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .at(Step::AgentSocket, "socket")?;
    let address = SocketAddrUnix::new(path).at(Step::AgentSocket, "address")?;
    bind(&socket, &address).at(Step::AgentSocket, path.display())?;
    listen(&socket, BACKLOG).at(Step::AgentSocket, path.display())?;
    Ok(socket)
}

/// Opens a terminal of the cell and makes it this session's: the command becomes a group of the same
/// session, so that it can be stopped and continued from the keyboard.
fn open_terminal(spec: &CellSpec) -> Result<Option<OpenTerminal>, Fault> {
    if !spec.wants_terminal() {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = open("/dev/pts/ptmx", flags, Mode::empty()).at(Step::Terminal, "ptmx")?;
    unlockpt(&master).at(Step::Terminal, "unlock")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).at(Step::Terminal, "slave")?;
    if let Some(terminal) = &spec.terminal {
        tcsetwinsize(&slave, terminal.size).at(Step::Terminal, "size")?;
        if let Some(modes) = &terminal.modes {
            tcsetattr(&slave, OptionalActions::Now, modes).at(Step::Terminal, "modes")?;
        }
    }
    ioctl_tiocsctty(&slave).at(Step::Terminal, "controlling terminal")?;
    Ok(Some(OpenTerminal { master, slave }))
}
