//! One FUSE connection of a view: takes requests, runs them, answers; what must ask somebody is
//! moved to a waiting thread, so that the serving threads never block.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use valetkey_fuse::{
    Attributes, Delivery, Entry, FileSystemStatistics, Handler, Interrupt, Negotiated, Notifier,
    Operation, Reply, Request, StatxAnswer, parse_request,
};

use crate::changes::HostChanges;
use crate::config::Connection;
use crate::handle::{DirectoryHandle, FileHandle, Handles};
use crate::host::stat_descriptor;
use crate::locks::lock;
use crate::node::{Node, Nodes};
use crate::operations::Counts;
use crate::view::Shared;
use crate::watch::Watch;

/// Bytes of a listing that is made on a waiting thread; the kernel asks again for the rest.
const LISTING_BYTES_MAX: usize = 64 * 1024;

/// Refused names that are remembered for the kernel's sake.
const REFUSED_NAMES_MAX: usize = 4096;

/// One connection.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Connection,
    pub(crate) root: Arc<OwnedFd>,
    pub(crate) nodes: Nodes,
    pub(crate) files: Handles<FileHandle>,
    pub(crate) directories: Handles<DirectoryHandle>,
    /// Directories that keep a descriptor, the oldest first.
    pub(crate) kept: Mutex<VecDeque<Weak<Node>>>,
    /// Nodes that keep a handle for a kernel that sends none, the oldest first.
    pub(crate) quiet: Mutex<VecDeque<Weak<Node>>>,
    /// How the names of files with several were counted, on a quiet connection.
    pub(crate) counts: Mutex<Counts>,
    /// When the root of a quiet tree was last seen in its place.
    pub(crate) root_seen: Mutex<Instant>,
    pub(crate) watch: OnceLock<Watch>,
    /// What the host changes; nothing where it cannot be heard.
    pub(crate) changes: Option<Arc<HostChanges>>,
    /// How often something was granted, or was granted no more.
    pub(crate) grants: AtomicU64,
    /// Whether the kernel leaves out `OPEN` and `OPENDIR`.
    pub(crate) without_opens: AtomicBool,
    /// Names lately answered as missing because they were refused: a grant makes them be asked again.
    pub(crate) refused_names: Mutex<VecDeque<(u64, OsString)>>,
    /// Directories that the kernel holds locked for requests which wait, with how many do.
    pub(crate) busy: Mutex<HashMap<u64, usize>>,
    this: Weak<Server>,
}

/// Why an operation gave no answer.
#[derive(Debug)]
pub(crate) enum Fail {
    /// It failed.
    Errno(Errno),
    /// The authority said no. A name that cannot be seen is answered as if it were not there.
    Refused { visible: bool },
    /// It must ask, on a thread that may wait.
    Defer,
    /// Whoever wanted it has gone, and has been answered.
    Interrupted,
}

impl From<Errno> for Fail {
    fn from(error: Errno) -> Self {
        Self::Errno(error)
    }
}

impl Fail {
    /// For what makes a new name: that it may not is no secret, whatever is or is not there.
    pub(crate) fn plainly(self) -> Self {
        match self {
            Self::Refused { .. } => Self::Refused { visible: true },
            other @ (Self::Errno(_) | Self::Defer | Self::Interrupted) => other,
        }
    }
}

/// The answer to a request. What it hands over is taken back when nobody takes it.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Entry(Entry),
    Attributes(Attributes, Duration),
    Statx(StatxAnswer),
    Opened {
        handle: u64,
        flags: u32,
    },
    OpenedDirectory {
        handle: u64,
        flags: u32,
    },
    Created {
        entry: Entry,
        handle: u64,
        flags: u32,
    },
    /// So many bytes of the thread's buffer.
    Scratch(usize),
    Bytes(Vec<u8>),
    Size(u32),
    Offset(u64),
    Statistics(FileSystemStatistics),
}

/// Who asks, and whether the answer may take its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) pid: u32,
    pub(crate) waiting: Option<&'a Waiting>,
}

/// A request on a waiting thread. While it waits for the authority, an interrupt answers it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) interrupt: Interrupt,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    reply: Option<Reply>,
    /// Whether an interrupt may answer now: only while nothing is being done.
    at_rest: bool,
}

impl Waiting {
    fn new(mut reply: Reply) -> Arc<Self> {
        let interrupt = reply.interrupt();
        let slot = Mutex::new(Slot {
            reply: Some(reply),
            at_rest: true,
        });
        let waiting = Arc::new(Self { interrupt, slot });
        let hooked = Arc::clone(&waiting);
        waiting.interrupt.on_raise(move || {
            let mut slot = lock(&hooked.slot);
            if slot.at_rest
                && let Some(reply) = slot.reply.take()
            {
                reply.error(Errno::INTR);
            }
        });
        waiting
    }

    /// Begins to wait: from now on an interrupt answers.
    pub(crate) fn begin(&self) -> Result<(), Fail> {
        let mut slot = lock(&self.slot);
        slot.at_rest = true;
        if self.interrupt.is_raised() {
            slot.at_rest = false;
            return Err(Fail::Errno(Errno::INTR));
        }
        Ok(())
    }

    /// Ends the wait: from now on what is done is done.
    pub(crate) fn end(&self) -> Result<(), Fail> {
        let mut slot = lock(&self.slot);
        slot.at_rest = false;
        if slot.reply.is_none() {
            return Err(Fail::Interrupted);
        }
        // Raised, but the hook that would have answered comes too late: answer here.
        if self.interrupt.is_raised() {
            return Err(Fail::Errno(Errno::INTR));
        }
        Ok(())
    }

    fn take(&self) -> Option<Reply> {
        lock(&self.slot).reply.take()
    }
}

/// Counts a request that waits against the directories that it keeps locked in the kernel.
struct Busy {
    server: Arc<Server>,
    directories: [Option<u64>; 2],
}

impl Busy {
    fn new(server: &Arc<Server>, request: &Request<'_>) -> Self {
        let second = if let Operation::Rename { new_parent, .. } = *request.operation() {
            Some(new_parent)
        } else {
            None
        };
        let directories = [Some(request.header().node), second];
        let mut busy = lock(&server.busy);
        for directory in directories.into_iter().flatten() {
            let count = busy.entry(directory).or_default();
            *count = count.saturating_add(1);
        }
        drop(busy);
        Self {
            server: Arc::clone(server),
            directories,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = lock(&self.server.busy);
        for directory in self.directories.into_iter().flatten() {
            if let Some(count) = busy.get_mut(&directory) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    busy.remove(&directory);
                }
            }
        }
    }
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>, connection: Connection) -> io::Result<Arc<Self>> {
        let path = match &connection {
            Connection::Watched => Path::new("/"),
            Connection::Quiet { root } => root,
        };
        let root = shared.host.open_root(path)?;
        let key = stat_descriptor(std::os::fd::AsFd::as_fd(&root))?.key();
        let nodes = Nodes::new(key, path);
        Ok(Arc::new_cyclic(|this| Self {
            shared,
            nodes,
            root,
            files: Handles::new(),
            directories: Handles::new(),
            kept: Mutex::default(),
            quiet: Mutex::default(),
            counts: Mutex::default(),
            root_seen: Mutex::new(Instant::now()),
            watch: OnceLock::new(),
            changes: HostChanges::new().ok().map(Arc::new),
            grants: AtomicU64::new(0),
            without_opens: AtomicBool::new(false),
            refused_names: Mutex::default(),
            busy: Mutex::default(),
            this: this.clone(),
            connection,
        }))
    }

    /// Remembers that `name` was answered as missing because it was refused.
    pub(crate) fn refused_name(&self, parent: u64, name: &OsStr) {
        let mut names = lock(&self.refused_names);
        if names.len() >= REFUSED_NAMES_MAX {
            names.pop_front();
        }
        names.push_back((parent, name.to_owned()));
    }

    pub(crate) fn is_busy(&self, directory: u64) -> bool {
        lock(&self.busy).contains_key(&directory)
    }

    pub(crate) fn node(&self, id: u64) -> Result<Arc<Node>, Errno> {
        self.nodes.get(id).ok_or(Errno::STALE)
    }

    /// Runs a request on a waiting thread from its beginning: nothing was done before it deferred.
    fn defer(&self, request: &Request<'_>, reply: Reply) {
        let Some(server) = self.this.upgrade() else {
            return;
        };
        let bytes = request.bytes().to_vec();
        let waiting = Waiting::new(reply);
        let refused = Arc::clone(&waiting);
        let busy = Busy::new(&server, request);
        let job = Box::new(move || {
            // Until the request is answered, which is the last thing done here.
            let _busy = busy;
            if let Err(fail) = waiting.end() {
                if let Some(reply) = waiting.take() {
                    server.answer(reply, Err(fail), &[]);
                }
                return;
            }
            let Ok(request) = parse_request(&bytes) else {
                return;
            };
            let caller = Caller {
                pid: request.header().pid,
                waiting: Some(&waiting),
            };
            // Of what can be put off, only a listing fills a buffer.
            let mut scratch = Vec::new();
            if let Operation::ReadDirectory { size, .. } = *request.operation() {
                let wanted = usize::try_from(size).unwrap_or(0);
                scratch.resize(wanted.min(LISTING_BYTES_MAX), 0);
            }
            let outcome = server.run(&request, &caller, &mut scratch);
            if let Some(reply) = waiting.take() {
                server.answer(reply, outcome, &scratch);
            }
        });
        if self.shared.waiters.run(job).is_err()
            && let Some(reply) = refused.take()
        {
            reply.error(Errno::AGAIN);
        }
    }

    fn answer(&self, reply: Reply, outcome: Result<Answer, Fail>, scratch: &[u8]) {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(Fail::Errno(error)) => return reply.error(error),
            Err(Fail::Refused { visible: true }) => return reply.error(Errno::ACCESS),
            Err(Fail::Refused { visible: false }) => return reply.error(Errno::NOENT),
            // Only what waits is interrupted, and it never defers again.
            Err(Fail::Defer | Fail::Interrupted) => return reply.error(Errno::INTR),
        };
        let delivery = match &answer {
            Answer::Done => reply.done(),
            Answer::Entry(entry) => reply.entry(entry),
            Answer::Attributes(attributes, valid) => reply.attributes(attributes, *valid),
            Answer::Statx(answer) => reply.statx(answer),
            Answer::Opened { handle, flags } | Answer::OpenedDirectory { handle, flags } => {
                reply.opened(*handle, *flags)
            }
            Answer::Created {
                entry,
                handle,
                flags,
            } => reply.created(entry, *handle, *flags),
            Answer::Scratch(count) => reply.data(scratch.get(..*count).unwrap_or_default()),
            Answer::Bytes(bytes) => reply.data(bytes),
            Answer::Size(size) => reply.size(*size),
            Answer::Offset(offset) => reply.offset(*offset),
            Answer::Statistics(statistics) => reply.statistics(statistics),
        };
        if delivery == Delivery::Gone {
            self.take_back(&answer);
        }
    }

    fn take_back(&self, answer: &Answer) {
        match answer {
            Answer::Entry(entry) => drop(self.nodes.forget(entry.node, 1)),
            Answer::Opened { handle, .. } => self.release(*handle),
            Answer::OpenedDirectory { handle, .. } => drop(self.directories.remove(*handle)),
            Answer::Created { entry, handle, .. } => {
                drop(self.nodes.forget(entry.node, 1));
                self.release(*handle);
            }
            Answer::Done
            | Answer::Attributes(..)
            | Answer::Statx(_)
            | Answer::Scratch(_)
            | Answer::Bytes(_)
            | Answer::Size(_)
            | Answer::Offset(_)
            | Answer::Statistics(_) => {}
        }
    }
}

impl Handler for Server {
    fn started(&self, negotiated: Negotiated, notifier: Notifier) {
        self.without_opens
            .store(negotiated.without_opens(), Ordering::Release);
        if let Some(server) = self.this.upgrade()
            && let Ok(watch) = Watch::start(&server, notifier, negotiated)
        {
            // Started once only: the kernel sends one INIT.
            drop(self.watch.set(watch));
        }
    }

    fn handle(&self, request: &Request<'_>, reply: Reply, scratch: &mut [u8]) {
        let caller = Caller {
            pid: request.header().pid,
            waiting: None,
        };
        // Without the watch a revocation would not reach the kernel's caches: nothing is served.
        if self.watch.get().is_none() {
            return reply.error(Errno::IO);
        }
        match self.run(request, &caller, scratch) {
            Err(Fail::Defer) => self.defer(request, reply),
            outcome => self.answer(reply, outcome, scratch),
        }
    }

    fn forget(&self, node: u64, lookups: u64) {
        if let Some(node) = self.nodes.forget(node, lookups) {
            self.close_quiet(&node);
            if let Some(changes) = &self.changes {
                changes.unwatch(&node);
            }
        }
    }

    fn ended(&self) {
        if let Some(watch) = self.watch.get() {
            watch.stop();
        }
        self.close_all_quiet();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
