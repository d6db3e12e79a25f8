//! Carrying grants and revocations to the kernel's caches and to open files.
//!
//! Invariant (revocation reaches open handles): a permit that dies is noticed within
//! [`LOOK_EVERY`] whoever says so or not; from then on nothing cached through it is served. The
//! kernel takes locks of the nodes concerned while it handles a notification, so these are never
//! sent from a thread that answers requests. Names and pages have a thread each: a name
//! waits for its directory, which a request under decision may hold for minutes; pages wait for reads
//! and writes only, and those never wait for anybody.
//!
//! Names are made to expire, never thrown out: with an entry the kernel throws out whatever the cell
//! has mounted below it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use valetkey_fuse::{Negotiated, Notifier};

use crate::changes;
use crate::connection::Server;
use crate::locks::lock;
use crate::node::Node;
use crate::operations::WRITER_RESTS;

/// How often open files are looked at for permits that have died.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// How long it may take to drop the pages of one file.
const DROP_MAX: Duration = Duration::from_secs(5);

enum Pages {
    /// Whatever is cached of what is at this path or below it.
    Below(PathBuf),
    /// Listings that have a name on the way to this path.
    Listings(PathBuf),
    /// Whatever is cached of this node, which is masked more than before.
    Masked(Arc<Node>),
    /// Whatever is cached of this node, and say so.
    Of(Arc<Node>, Sender<()>),
    Stop,
}

enum Entries {
    Expire(Vec<(u64, OsString)>),
    Stop,
}

/// The two threads that tell the kernel what to forget.
#[derive(Debug)]
pub(crate) struct Watch {
    server: Weak<Server>,
    pages: Sender<Pages>,
    entries: Sender<Entries>,
    /// Whether what the host changes is heard, and told to the kernel.
    listens: bool,
}

impl Watch {
    pub(crate) fn start(
        server: &Arc<Server>,
        notifier: Notifier,
        negotiated: Negotiated,
    ) -> io::Result<Self> {
        let (pages, pages_received) = channel();
        let (entries, entries_received) = channel();
        let weak = Arc::downgrade(server);
        let (watched, page_notifier) = (weak.clone(), notifier.clone());
        thread::Builder::new()
            .name("view-pages".to_owned())
            .spawn(move || watch_pages(&watched, &page_notifier, &pages_received))?;
        let listens = listen(server, &notifier, negotiated)?;
        let expirer = Expirer {
            server: weak.clone(),
            notifier,
            negotiated,
        };
        thread::Builder::new()
            .name("view-entries".to_owned())
            .spawn(move || expirer.run(&entries_received))?;
        Ok(Self {
            server: weak,
            pages,
            entries,
            listens,
        })
    }

    /// Whether what the host changes is heard, and told to the kernel.
    pub(crate) fn listens(&self) -> bool {
        self.listens
    }

    /// Makes the kernel ask for these names again.
    pub(crate) fn expire(&self, names: Vec<(u64, OsString)>) {
        // A closed channel means that the connection has ended, and with it every cache.
        drop(self.entries.send(Entries::Expire(names)));
    }

    /// Something is granted at `path`: names on the way, and names that were refused lately.
    pub(crate) fn granted(&self, path: &Path) {
        let Some(server) = self.server.upgrade() else {
            return;
        };
        let mut names = names_on_the_way(&server, path);
        names.extend(lock(&server.refused_names).drain(..));
        server.grants.fetch_add(1, Ordering::AcqRel);
        self.expire(names);
        // Where opens send no message, permission bits come from what is granted.
        let told = if server.is_quiet() {
            Pages::Below(path.to_path_buf())
        } else {
            Pages::Listings(path.to_path_buf())
        };
        drop(self.pages.send(told));
    }

    /// Something at `path` is granted no more.
    pub(crate) fn revoked(&self, path: &Path) {
        let Some(server) = self.server.upgrade() else {
            return;
        };
        server.grants.fetch_add(1, Ordering::AcqRel);
        drop(self.pages.send(Pages::Below(path.to_path_buf())));
        let mut names = names_on_the_way(&server, path);
        names.extend(server.names_below(path));
        self.expire(names);
    }

    /// Has the kernel drop every page of `node`, reads that are under way included; whether it has. To be called on a thread that may wait.
    pub(crate) fn drop_pages(&self, node: &Arc<Node>) -> bool {
        let (done, dropped) = channel();
        self.pages.send(Pages::Of(Arc::clone(node), done)).is_ok()
            && dropped.recv_timeout(DROP_MAX).is_ok()
    }

    /// Has the kernel drop every page of `node`, which is masked more than before.
    pub(crate) fn mask_again(&self, node: &Arc<Node>) {
        // A closed channel means that the connection has ended, and with it every cache.
        drop(self.pages.send(Pages::Masked(Arc::clone(node))));
    }

    /// Has the kernel drop every page of `node` soon.
    pub(crate) fn forget_pages(&self, node: &Arc<Node>) {
        let (done, _) = channel();
        // A closed channel means that the connection has ended, and with it every cache.
        drop(self.pages.send(Pages::Of(Arc::clone(node), done)));
    }

    pub(crate) fn stop(&self) {
        drop(self.pages.send(Pages::Stop));
        drop(self.entries.send(Entries::Stop));
    }
}

/// The names that lead to `path`, in those directories that the kernel holds.
fn names_on_the_way(server: &Server, path: &Path) -> Vec<(u64, OsString)> {
    let directories = server
        .nodes
        .all()
        .into_iter()
        .filter(|node| node.is_directory() || node.is_virtual());
    directories
        .filter_map(|node| {
            let directory = server.nodes.path(&node)?;
            let name = path.strip_prefix(directory).ok()?.components().next()?;
            Some((node.id, name.as_os_str().to_owned()))
        })
        .collect()
}

/// Makes the kernel ask for names again.
struct Expirer {
    server: Weak<Server>,
    notifier: Notifier,
    negotiated: Negotiated,
}

impl Expirer {
    fn run(&self, received: &Receiver<Entries>) {
        let mut left: Vec<(u64, OsString)> = Vec::new();
        loop {
            let message = if left.is_empty() {
                received.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                received.recv_timeout(LOOK_EVERY)
            };
            match message {
                Ok(Entries::Expire(names)) => left.extend(names),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Entries::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let Some(server) = self.server.upgrade() else {
                return;
            };
            // A directory that a waiting request keeps locked is left for later: whoever waits for
            // that lock in the meantime keeps everybody else out of the directory.
            left.retain(|(parent, name)| {
                let busy = server.is_busy(*parent);
                if !busy {
                    self.expire(&server, *parent, name);
                }
                busy
            });
        }
    }

    fn expire(&self, server: &Server, parent: u64, name: &OsStr) {
        if self.negotiated.expires_entries() {
            self.notifier.expire_entry(parent, name);
        } else if !server.knows(parent, name) {
            // Before Linux 6.2 an entry can only be thrown out, with whatever is mounted below it. So
            // that is done to names that are missing only; others expire by themselves.
            self.notifier.invalidate_entry(parent, name);
        }
    }
}

impl Server {
    /// The names that the kernel knows at `path` and below it.
    pub(crate) fn names_below(&self, path: &Path) -> Vec<(u64, OsString)> {
        let all = self.nodes.all();
        let names = all.iter().flat_map(|node| node.names());
        names
            .filter(|name| {
                let at = self.nodes.path_of_name(name);
                at.is_none_or(|at| at.starts_with(path))
            })
            .map(|name| (name.parent.id, name.name))
            .collect()
    }

    /// Whether the kernel knows something by this name.
    fn knows(&self, parent: u64, name: &OsStr) -> bool {
        let all = self.nodes.all();
        all.iter().any(|node| {
            node.names()
                .iter()
                .any(|known| known.parent.id == parent && known.name == name)
        })
    }
}

fn watch_pages(server: &Weak<Server>, notifier: &Notifier, received: &Receiver<Pages>) {
    let mut rested = Instant::now();
    loop {
        let message = received.recv_timeout(LOOK_EVERY);
        let Some(server) = server.upgrade() else {
            return;
        };
        match message {
            Ok(Pages::Below(path)) => drop_below(&server, notifier, &path),
            Ok(Pages::Listings(path)) => drop_listings(&server, notifier, &path),
            Ok(Pages::Masked(node)) => {
                server.mask_again(&node);
                forget_pages(&node, notifier);
            }
            Ok(Pages::Of(node, done)) => {
                forget_pages(&node, notifier);
                // Whoever waited may have given up.
                let _unheard = done.send(());
            }
            Ok(Pages::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => cut_off_dead(&server, notifier),
        }
        if server.is_quiet() && rested.elapsed() >= WRITER_RESTS {
            server.rest_writers();
            rested = Instant::now();
        }
    }
}

/// Starts to listen to what the host changes; answers whether anybody does. Where names cannot be made to expire, nothing is
/// kept long, and nobody needs to.
fn listen(server: &Arc<Server>, notifier: &Notifier, negotiated: Negotiated) -> io::Result<bool> {
    let Some(changes) = server.changes.clone() else {
        return Ok(false);
    };
    if !negotiated.expires_entries() {
        return Ok(false);
    }
    let (server, notifier) = (Arc::downgrade(server), notifier.clone());
    thread::Builder::new()
        .name("view-changes".to_owned())
        .spawn(move || changes::listen(&server, &notifier, &changes))?;
    Ok(true)
}

/// Drops the listings that the kernel keeps of directories on the way to `path`.
fn drop_listings(server: &Server, notifier: &Notifier, path: &Path) {
    for node in server.nodes.all() {
        let leads_there = || {
            let at = server.nodes.path(&node);
            at.is_none_or(|at| path.starts_with(at))
        };
        if lock(&node.listed).is_some() && leads_there() {
            notifier.invalidate_node(node.id, 0, 0);
        }
    }
}

/// Drops what is cached of every node at or below `path`.
fn drop_below(server: &Server, notifier: &Notifier, path: &Path) {
    for node in server.nodes.all() {
        let below = node.names().iter().any(|name| {
            server
                .nodes
                .path_of_name(name)
                .is_none_or(|at| at.starts_with(path))
        });
        if below {
            // What stands in for the kernel's handles is opened anew, by what is granted and masked now.
            server.close_quiet(&node);
            server.mask_again(&node);
            forget_pages(&node, notifier);
        }
    }
    drop_listings(server, notifier, path);
    cut_off_dead(server, notifier);
}

/// Cuts open files off whose permits have died and are not renewed.
fn cut_off_dead(server: &Server, notifier: &Notifier) {
    for node in server.nodes.all() {
        let quiet = lock(&node.quiet).clone();
        if quiet
            .as_ref()
            .is_some_and(|handle| !handle.is_live() && !server.renew(handle))
        {
            server.close_quiet(&node);
            forget_pages(&node, notifier);
        }
    }
    for handle in server.files.all() {
        if handle.is_live() || handle.cut_off.load(Ordering::Acquire) || server.renew(&handle) {
            continue;
        }
        handle.cut_off.store(true, Ordering::Release);
        forget_pages(&handle.node, notifier);
    }
}

fn forget_pages(node: &Node, notifier: &Notifier) {
    *lock(&node.cached) = None;
    notifier.invalidate_node(node.id, 0, 0);
}
