//! The description of a cell, and what it asks of the file system that will be its root.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::termios::{Termios, Winsize};

use crate::commands::Commands;
use crate::error::{Fault, Step};
use crate::limits::Limits;

/// Where the cell's network door listens on its loopback interface: beyond the ports that a kernel gives out by itself.
pub const NETWORK_PORT: u16 = 61_080;
/// The most further ports at which a cell listens: what a person names, with room; their descriptors fit into one message.
pub const LOCAL_PORTS_MAX: usize = 16;
/// Ports below this one are for the privileged, also in the cell.
const FIRST_PLAIN_PORT: u16 = 1024;

/// Where the cell's root file system comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// A FUSE mount that the caller serves.
    Fuse,
    /// An empty read-only file system in memory: to measure a cell, or to attack one, without a view.
    Tmpfs,
}

/// What one of the command's standard streams is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// The cell's own terminal.
    Pty,
    /// A pipe of which the caller keeps the other end.
    Pipe,
    /// The cell's `/dev/null`.
    Null,
}

/// The shape that the cell's terminal starts with.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Rows and columns.
    pub size: Winsize,
    /// Modes to start with; the kernel's defaults if `None`.
    pub modes: Option<Termios>,
}

/// Everything that is true of a cell before it starts.
#[derive(Debug, Clone)]
pub struct CellSpec {
    /// Where the root comes from.
    pub root: Root,
    /// The command and its arguments; the first is looked up on the `PATH` of `env`.
    pub command: Vec<OsString>,
    /// The command's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, if the view has it; `/` if not.
    pub cwd: PathBuf,
    /// The user id that processes in the cell have.
    pub uid: u32,
    /// The group id that processes in the cell have.
    pub gid: u32,
    /// The user's name in the cell's `/etc/passwd`.
    pub user_name: String,
    /// The user's home in the cell's `/etc/passwd`.
    pub home: PathBuf,
    /// The user's shell in the cell's `/etc/passwd`.
    pub shell: PathBuf,
    /// Standard input, output and error.
    pub stdio: [Stdio; 3],
    /// The terminal, if a stream is one.
    pub terminal: Option<Terminal>,
    /// Directories of the host, programs and libraries, that are in the cell read-only. Those that
    /// are not there, or are symbolic links, are left to the view.
    pub system_dirs: Vec<PathBuf>,
    /// Directories of the view over which a FUSE connection of its own is mounted.
    pub quiet_mounts: Vec<PathBuf>,
    /// Directories or files of the view that lie where the cell puts a file system of its own
    /// (below `/tmp`, say) and that show through it.
    pub shown_through: Vec<PathBuf>,
    /// Further directories of the host that are in the cell read-only, at their own places.
    pub extra_ro_binds: Vec<PathBuf>,
    /// Ports of the cell's loopback interface at which it listens beside [`NETWORK_PORT`], for whoever serves them from outside.
    pub local_ports: Vec<u16>,
    /// The text of `/run/valetkey/README.md`.
    pub readme: String,
    /// Programs of the host that are in the cell under `/run/valetkey/bin`, with their names there: how agents ask. One that is not
    /// there is left out.
    pub asking_programs: Vec<(&'static str, PathBuf)>,
    /// The only commands that are executed, where they are narrowed. Then nothing of the view and of the cell's own file systems is.
    pub commands: Option<Commands>,
    /// Whether there is a socket for a session bus, at `/run/valetkey/bus.sock`.
    pub session_bus: bool,
    /// What it may take of the machine.
    pub limits: Limits,
    /// The size limit of each of `/tmp`, `/dev/shm` and the user's runtime directory; a quarter of the cell's memory, where that is less.
    pub tmp_bytes: u64,
}

/// The cell's own file systems at the top of the tree.
const OWN_MOUNTS: [&str; 5] = ["/etc", "/dev", "/proc", "/tmp", "/run"];

/// Whether a cell can listen at this port for somebody outside.
#[must_use]
pub const fn can_listen_at(port: u16) -> bool {
    port >= FIRST_PLAIN_PORT && port != NETWORK_PORT
}

impl CellSpec {
    /// A cell for the user of this process, with the standard system directories, a FUSE root and no
    /// input.
    #[must_use]
    pub fn new(command: Vec<OsString>) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let user = valetkey_sys::account::by_uid(uid);
        Self {
            root: Root::Fuse,
            command,
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            uid,
            gid: rustix::process::getegid().as_raw(),
            user_name: user.name,
            home: user.home,
            shell: user.shell,
            stdio: [Stdio::Null, Stdio::Pipe, Stdio::Pipe],
            terminal: None,
            system_dirs: default_system_dirs(),
            quiet_mounts: Vec::new(),
            shown_through: Vec::new(),
            extra_ro_binds: Vec::new(),
            local_ports: Vec::new(),
            readme: String::new(),
            asking_programs: Vec::new(),
            commands: None,
            session_bus: false,
            limits: Limits::default(),
            tmp_bytes: 1 << 30,
        }
    }

    /// The size limit of each file system in memory that the agent may write. What lies there is the cell's memory: together they leave
    /// room in it for processes, so that a full one is an error and no end.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        let memory = self.limits.memory_bytes.value();
        memory.map_or(self.tmp_bytes, |bytes| self.tmp_bytes.min(bytes / 4))
    }

    /// Whether any standard stream is the cell's terminal.
    pub(crate) fn wants_terminal(&self) -> bool {
        self.stdio.contains(&Stdio::Pty)
    }

    /// Refuses what could not be carried out as described.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let refuse = |detail: String| Err(Fault::new(Step::Describe, detail));
        match self.command.first() {
            None => return refuse("no command".to_owned()),
            Some(program) if program.is_empty() => return refuse("empty command".to_owned()),
            Some(_) => {}
        }
        let words = self.command.iter();
        let pairs = self.env.iter().flat_map(|(name, value)| [name, value]);
        if words.chain(pairs).any(|word| word.as_bytes().contains(&0)) {
            return refuse("NUL in the command or its environment".to_owned());
        }
        for (name, _) in &self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return refuse(format!("`{}` is no name for a variable", name.display()));
            }
        }
        if self.local_ports.len() > LOCAL_PORTS_MAX {
            return refuse(format!("more than {LOCAL_PORTS_MAX} ports to listen at"));
        }
        if let Some(port) = self.local_ports.iter().find(|port| !can_listen_at(**port)) {
            return refuse(format!("a cell does not listen at port {port}"));
        }
        let account = [
            self.user_name.as_bytes(),
            self.home.as_os_str().as_bytes(),
            self.shell.as_os_str().as_bytes(),
        ];
        if account
            .iter()
            .any(|field| field.iter().any(|byte| matches!(byte, b':' | b'\n' | 0)))
        {
            return refuse(
                "a colon, line break or NUL in the user's name, home or shell".to_owned(),
            );
        }
        let lists = [
            &self.system_dirs,
            &self.quiet_mounts,
            &self.shown_through,
            &self.extra_ro_binds,
        ];
        for path in lists.into_iter().flatten().chain([&self.cwd]) {
            if !is_plain_absolute(path) {
                return refuse(format!("`{}` is not a plain absolute path", path.display()));
            }
        }
        for path in lists.into_iter().flatten() {
            if path.parent().is_none() {
                return refuse("the root cannot be mounted over".to_owned());
            }
        }
        Ok(())
    }

    /// The system directories that are really there and are directories themselves.
    pub(crate) fn real_system_dirs(&self) -> Vec<PathBuf> {
        self.system_dirs
            .iter()
            .filter(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()))
            .cloned()
            .collect()
    }
}

/// The directories that hold a distribution's programs and libraries.
#[must_use]
pub fn default_system_dirs() -> Vec<PathBuf> {
    [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt",
    ]
    .map(PathBuf::from)
    .to_vec()
}

/// What the view must show as directories, so that mounts can be put over them. Directories that lie
/// inside another of them on a file system of the cell's own are made by the cell.
#[must_use]
pub fn mount_points(spec: &CellSpec) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = OWN_MOUNTS.map(PathBuf::from).to_vec();
    points.extend(spec.real_system_dirs());
    let further = spec.quiet_mounts.iter().chain(&spec.extra_ro_binds);
    points.extend(
        further
            .filter(|path| own_mount_above(path).is_none())
            .cloned(),
    );
    points.sort();
    points.dedup();
    points
}

/// The system directories that are symbolic links on the host, with their targets: the view shows
/// them as they are.
#[must_use]
pub fn root_links(spec: &CellSpec) -> Vec<(PathBuf, PathBuf)> {
    spec.system_dirs
        .iter()
        .filter_map(|path| {
            fs::read_link(path)
                .ok()
                .map(|target| (path.clone(), target))
        })
        .collect()
}

/// The file system of the cell's own under which `path` lies, if any.
pub(crate) fn own_mount_above(path: &Path) -> Option<&'static Path> {
    OWN_MOUNTS
        .iter()
        .map(Path::new)
        .find(|own| path.starts_with(own))
}

fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute()
        && !path.as_os_str().as_bytes().contains(&0)
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crooked_descriptions_are_refused() {
        let good = CellSpec::new(vec!["true".into()]);
        assert!(good.check().is_ok());
        let bad = [
            CellSpec {
                command: vec![],
                ..good.clone()
            },
            CellSpec {
                command: vec!["".into()],
                ..good.clone()
            },
            CellSpec {
                command: vec!["a\0b".into()],
                ..good.clone()
            },
            CellSpec {
                cwd: "relative".into(),
                ..good.clone()
            },
            CellSpec {
                quiet_mounts: vec!["/a/../b".into()],
                ..good.clone()
            },
            CellSpec {
                quiet_mounts: vec!["/".into()],
                ..good.clone()
            },
            CellSpec {
                user_name: "a:b".into(),
                ..good.clone()
            },
            CellSpec {
                env: vec![("A=B".into(), "c".into())],
                ..good.clone()
            },
        ];
        for spec in bad {
            assert_eq!(spec.check().expect_err("refused").step, Step::Describe);
        }
    }

    #[test]
    fn mount_points_name_each_directory_once_and_leave_out_what_the_cell_makes() {
        let mut spec = CellSpec::new(vec!["true".into()]);
        spec.quiet_mounts = vec!["/home/a/work".into(), "/tmp/work".into()];
        let points = mount_points(&spec);
        assert!(points.contains(&PathBuf::from("/usr")));
        assert!(points.contains(&PathBuf::from("/home/a/work")));
        assert!(!points.contains(&PathBuf::from("/tmp/work")));
        let mut unique = points.clone();
        unique.dedup();
        assert_eq!(points, unique);
    }
}
