//! What the probes aim at: things that the doctor plants on the host, and things that are always there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// What is in the planted files: who reads it has come out.
pub(super) const DECOY: &str = "valetkey-doctor-decoy";
const POLICY: &str = include_str!("policy.rego");
/// A variable that looks like a credential.
pub(super) const VARIABLE: &str = "DOCTOR_SECRET_ACCESS_KEY";
/// The kinds of namespace that a cell has to itself.
pub(super) const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Everything that a probe must know, passed to it as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Aim {
    /// A directory outside of the workspace, with `decoy` and `socket` in it.
    pub(super) outside: PathBuf,
    /// The workspace, with what leads out of it.
    pub(super) workspace: PathBuf,
    /// A process of the host, and when it was started.
    pub(super) process: u32,
    pub(super) started: String,
    /// A listener on loopback.
    pub(super) port: u16,
    /// The name of an abstract socket.
    pub(super) abstract_socket: String,
    /// The host's namespaces.
    pub(super) namespaces: BTreeMap<String, String>,
    /// Valetkey's own directories.
    pub(super) own: Vec<PathBuf>,
    /// Sockets of the host that give much away, as far as they are there.
    pub(super) sockets: Vec<PathBuf>,
}

/// What was planted; taken away when dropped.
pub(super) struct Planted {
    pub(super) aim: Aim,
    /// The policy of the session: its workspace, and nobody is asked.
    pub(super) policy: PathBuf,
    _folder: TempDir,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Planted {
    /// Plants everything below `place`.
    pub(super) fn new(own: Vec<PathBuf>, sockets: Vec<PathBuf>) -> io::Result<Self> {
        // Not in `/tmp`, of which a cell has its own: there the view would not be put to the test.
        let place = Path::new("/var/tmp");
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("valetkey-doctor-");
        let folder = builder.tempdir_in(place).or_else(|_| builder.tempdir())?;
        let top = fs::canonicalize(folder.path())?;
        let (outside, workspace) = (top.join("outside"), top.join("workspace"));
        fs::create_dir(&outside)?;
        fs::create_dir(&workspace)?;
        fs::create_dir(top.join("policy"))?;
        fs::write(top.join("policy/doctor.rego"), POLICY)?;
        let decoy = outside.join("decoy");
        fs::write(&decoy, DECOY)?;
        fs::write(workspace.join(".env"), format!("TOKEN={DECOY}\n"))?;
        fs::write(workspace.join("plain"), "plain\n")?;
        std::os::unix::fs::symlink(&decoy, workspace.join("symlink"))?;
        fs::hard_link(&decoy, workspace.join("hardlink"))?;
        fs::hard_link(
            workspace.join(".env"),
            workspace.join("env-by-another-name"),
        )?;
        let tcp = TcpListener::bind(("127.0.0.1", 0))?;
        let unix = UnixListener::bind(outside.join("socket"))?;
        let name = format!("valetkey-doctor-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name)?;
        Ok(Self {
            aim: Aim {
                outside,
                workspace,
                process: std::process::id(),
                started: started(std::process::id())?,
                port: tcp.local_addr()?.port(),
                abstract_socket: name,
                namespaces: namespaces(),
                own,
                sockets,
            },
            _listeners: (tcp, unix, UnixListener::bind_addr(&address)?),
            policy: top.join("policy"),
            _folder: folder,
        })
    }

    /// An open descriptor of the decoy, for a child to inherit.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(fs::File::open(self.aim.outside.join("decoy"))?.into())
    }
}

/// When a process was started, in ticks since the machine was.
pub(super) fn started(process: u32) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything, the 20th field.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
    let started = fields.and_then(|rest| rest.split_whitespace().nth(19));
    Ok(started.unwrap_or_default().to_owned())
}

/// The namespaces of this process.
pub(super) fn namespaces() -> BTreeMap<String, String> {
    let link = |kind: &str| {
        let target = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        Some((kind.to_owned(), target.to_string_lossy().into_owned()))
    };
    NAMESPACES.iter().filter_map(|kind| link(kind)).collect()
}
