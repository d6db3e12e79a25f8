//! The view itself: made once for a session, served on one or more connections.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;
use valetkey_fuse::{Device, Serving, Settings, Time};

use crate::authority::Authority;
use crate::config::{Connection, ViewConfig};
use crate::connection::Server;
use crate::host::Host;
use crate::keeper::Keeper;
use crate::links::Moves;
use crate::locks::{lock, read, write};
use crate::masks::{MaskWrites, Memory};
use crate::refusals::Refusals;
use crate::skeleton::Skeleton;
use crate::waiters::Waiters;

/// Why a view cannot be made or served.
#[derive(Debug, Error)]
pub enum ViewError {
    /// A path in the configuration is not absolute, or not normal.
    #[error("`{}` is not an absolute path without `.` and `..`", .0.display())]
    Path(PathBuf),
    /// The root, or `/proc`, cannot be opened.
    #[error("cannot open the view's root: {0}")]
    Root(#[source] io::Error),
    /// The connection cannot be served.
    #[error("cannot serve the view: {0}")]
    Serve(#[source] io::Error),
}

/// What all connections of one view share.
pub(crate) struct Shared {
    pub(crate) authority: Arc<dyn Authority>,
    /// What is told of each change before it is made.
    pub(crate) keeper: Option<Arc<dyn Keeper>>,
    pub(crate) host: Host,
    pub(crate) config: ViewConfig,
    pub(crate) skeleton: RwLock<Skeleton>,
    pub(crate) refusals: Refusals,
    pub(crate) waiters: Waiters,
    /// Names that are being moved.
    pub(crate) moves: Moves,
    /// What versions of masked files take.
    pub(crate) mask_memory: Memory,
    /// What is remembered of writes through masks.
    pub(crate) mask_writes: MaskWrites,
    /// When the view was made: the time of what has none of its own.
    pub(crate) made: Time,
    connections: Mutex<Vec<Weak<Server>>>,
    /// Where quiet trees are mounted: what leads there stays where it is.
    quiet_roots: RwLock<Vec<PathBuf>>,
}

impl Shared {
    /// Whether a quiet tree is mounted below `path`.
    pub(crate) fn leads_to_quiet(&self, path: &Path) -> bool {
        read(&self.quiet_roots)
            .iter()
            .any(|root| root.starts_with(path))
    }
}

/// The filtered file system of one session.
#[derive(Clone)]
pub struct View(Arc<Shared>);

impl View {
    /// A view of `config.root` in which `authority` decides.
    ///
    /// # Errors
    /// When a path is not absolute and normal, or the root or `/proc` cannot be opened.
    pub fn new(config: ViewConfig, authority: Arc<dyn Authority>) -> Result<Self, ViewError> {
        Self::keeping(config, authority, None)
    }

    /// The same, where `keeper` hears of each change before it is made, and may refuse it.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn keeping(
        config: ViewConfig,
        authority: Arc<dyn Authority>,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Result<Self, ViewError> {
        let paths = config
            .hidden
            .iter()
            .chain(config.skeleton.iter().map(|entry| &entry.path))
            .chain(config.grafts.iter().map(|graft| &graft.path));
        for path in paths {
            if !is_normal(path) {
                return Err(ViewError::Path(path.clone()));
            }
        }
        let mut host = Host::new(&config.root, &config.hidden).map_err(ViewError::Root)?;
        for graft in &config.grafts {
            host.graft(graft).map_err(ViewError::Root)?;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self(Arc::new(Shared {
            authority,
            keeper,
            host,
            skeleton: RwLock::new(Skeleton::new(config.skeleton.clone())),
            refusals: Refusals::new(config.refusal_memory),
            waiters: Waiters::new(config.waiting_max),
            moves: Moves::default(),
            mask_memory: Memory::default(),
            mask_writes: MaskWrites::default(),
            made: (
                i64::try_from(now.as_secs()).unwrap_or(0),
                now.subsec_nanos(),
            ),
            connections: Mutex::default(),
            quiet_roots: RwLock::default(),
            config,
        })))
    }

    /// Serves a mounted `/dev/fuse` on `threads` threads. `more` are freshly opened `/dev/fuse`
    /// descriptors that are attached to it, so that threads need not share one queue.
    ///
    /// # Errors
    /// When the connection's root cannot be opened or no thread can be started.
    pub fn serve(
        &self,
        mounted: OwnedFd,
        more: Vec<OwnedFd>,
        connection: Connection,
        threads: usize,
    ) -> Result<ViewHandle, ViewError> {
        if let Connection::Quiet { root } = &connection
            && !is_normal(root)
        {
            return Err(ViewError::Path(root.clone()));
        }
        let settings = Settings {
            without_opens: matches!(connection, Connection::Quiet { .. }),
            ..Settings::default()
        };
        let server = Server::new(Arc::clone(&self.0), connection).map_err(ViewError::Root)?;
        let device = Device::new(mounted, more).map_err(ViewError::Serve)?;
        if let Connection::Quiet { root } = &server.connection {
            write(&self.0.quiet_roots).push(root.clone());
        }
        {
            let mut connections = lock(&self.0.connections);
            connections.retain(|server| server.strong_count() > 0);
            connections.push(Arc::downgrade(&server));
        }
        let serving = device
            .serve(threads, settings, server)
            .map_err(ViewError::Serve)?;
        Ok(ViewHandle { serving })
    }

    /// Says that something at `path` (a file, or the top of a tree) is granted from now on: the way
    /// there is to be seen, and what the kernel remembers as missing is forgotten. Returns at once.
    pub fn notify_granted(&self, path: &Path) {
        if !is_normal(path) {
            return;
        }
        write(&self.0.skeleton).grant(path);
        self.0.refusals.clear();
        for server in self.servers() {
            if let Some(watch) = server.watch.get() {
                watch.granted(path);
            }
        }
    }

    /// Says that a grant of `path` has ended: what the kernel has cached of it is dropped, in open
    /// files and mappings too. Call it once for each [`View::notify_granted`], after the permit has
    /// died. Returns at once; the kernel has dropped everything within 100 ms.
    pub fn notify_revoked(&self, path: &Path) {
        write(&self.0.skeleton).revoke(path);
        for server in self.servers() {
            if let Some(watch) = server.watch.get() {
                watch.revoked(path);
            }
        }
    }

    /// Tells of everything that is open on quiet connections as closed: whoever had it open has ended.
    pub fn settle(&self) {
        for server in self.servers() {
            server.close_all_quiet();
        }
    }

    fn servers(&self) -> Vec<Arc<Server>> {
        lock(&self.0.connections)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("root", &self.0.config.root)
            .finish_non_exhaustive()
    }
}

/// A connection that is being served.
#[derive(Debug)]
pub struct ViewHandle {
    serving: Serving,
}

impl ViewHandle {
    /// Waits until the connection has ended: unmounted, or its mount namespace gone.
    ///
    /// # Errors
    /// When it ended otherwise.
    pub fn join(self) -> io::Result<()> {
        self.serving.join()
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.serving.is_finished()
    }
}

fn is_normal(path: &Path) -> bool {
    use std::path::Component;
    let text = path.as_os_str().as_encoded_bytes();
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && path
            .components()
            .collect::<PathBuf>()
            .as_os_str()
            .as_encoded_bytes()
            == text
}
