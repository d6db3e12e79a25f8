//! What the host changes underneath, heard of as it happens: so the kernel may keep what it knows of a directory for longer than
//! a moment.
//!
//! Kept long is only what is certain to be heard of: names and attributes in a directory that is watched, on a file system of
//! this machine, of files that have no other name. An answer that was on its way when a change was heard of may be older than
//! the change; so each is told to the kernel twice, the second time when such answers have long arrived.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstatfs;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use valetkey_fuse::Notifier;

use crate::connection::Server;
use crate::host::Host;
use crate::locks::lock;
use crate::node::Node;

/// How long the kernel may keep what it knows of a watched directory. What is not heard of (a mapping that the host writes
/// through, which changes a file's times alone) is seen after this at the latest.
pub(crate) const WATCHED_VALID: Duration = Duration::from_secs(60);
/// How long it may go on by a listing: while the attributes that came with it are still good, since one by one they cost more
/// than the listing.
pub(crate) const LISTING_VALID: Duration = Duration::from_secs(30);
/// Directories that are watched at one time: each costs the kernel about a kilobyte.
const WATCHES_MAX: usize = 16_384;
/// How soon a change is told a second time.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How often the thread looks whether the view is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Changes are collected for so long, so that a file under work is told of once and not at each write.
const COLLECT: Duration = Duration::from_millis(2);
/// Bytes of changes that are read at one time.
const EVENT_BYTES: usize = 16 * 1024;

/// File systems on which whatever changes is heard of, by `statfs` magic.
const HEARD_OF: &[i64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x794c_7630, // overlayfs
];

const WATCHED: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// The directories of a connection that are watched.
#[derive(Debug)]
pub(crate) struct HostChanges {
    inotify: OwnedFd,
    /// By the number of the watch; a directory that is mounted at two places is two nodes with one watch.
    watched: Mutex<HashMap<i32, Vec<Weak<Node>>>>,
}

impl HostChanges {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        Ok(Self {
            inotify: inotify::init(flags)?,
            watched: Mutex::default(),
        })
    }

    /// Watches a directory, if whatever changes in it is sure to be heard of.
    pub(crate) fn watch(&self, node: &Arc<Node>, directory: BorrowedFd<'_>) {
        if node.is_watched() {
            return;
        }
        let heard_of = fstatfs(directory).is_ok_and(|found| HEARD_OF.contains(&found.f_type));
        let mut watched = lock(&self.watched);
        if !heard_of || watched.len() >= WATCHES_MAX {
            return;
        }
        let path = Host::path_to(directory);
        if let Ok(number) = inotify::add_watch(&self.inotify, path, WATCHED) {
            watched
                .entry(number)
                .or_default()
                .push(Arc::downgrade(node));
            node.watch.store(number, Ordering::Release);
        }
    }

    /// The kernel has forgotten the directory, and everything in it.
    pub(crate) fn unwatch(&self, node: &Node) {
        let number = node.watch.swap(0, Ordering::AcqRel);
        if number == 0 {
            return;
        }
        let mut watched = lock(&self.watched);
        let Some(nodes) = watched.get_mut(&number) else {
            return;
        };
        nodes.retain(|other| other.upgrade().is_some_and(|other| other.id != node.id));
        if nodes.is_empty() {
            watched.remove(&number);
            // Gone already when the directory is.
            let _gone = inotify::remove_watch(&self.inotify, number);
        }
    }

    fn nodes(&self, number: i32) -> Vec<Arc<Node>> {
        let watched = lock(&self.watched);
        let nodes = watched.get(&number).into_iter().flatten();
        nodes.filter_map(Weak::upgrade).collect()
    }

    /// Reads what there is to be heard.
    fn read(&self) -> Heard {
        let mut heard = Heard::default();
        let mut bytes = [MaybeUninit::<u8>::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(&self.inotify, &mut bytes);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => return heard,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                heard.lost = true;
                continue;
            }
            let name = event.file_name().map(|name| name.to_bytes());
            let change = Change {
                watch: event.wd(),
                name: OsStr::from_bytes(name.unwrap_or_default()).to_owned(),
                moved: flags.contains(ReadFlags::MOVE_SELF)
                    || (flags.contains(ReadFlags::ISDIR)
                        && flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE)),
            };
            heard.changes.insert(change);
        }
    }
}

/// Something that changed in a watched directory, or without a name the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Change {
    watch: i32,
    name: OsString,
    /// Whether names below lead elsewhere now.
    moved: bool,
}

#[derive(Debug, Default)]
struct Heard {
    changes: HashSet<Change>,
    /// Whether more happened than could be told.
    lost: bool,
}

/// Tells the kernel of what is heard, for as long as the server is there.
pub(crate) fn listen(server: &Weak<Server>, notifier: &Notifier, changes: &HostChanges) {
    let mut again: HashMap<Change, Instant> = HashMap::new();
    loop {
        let wait = if again.is_empty() {
            LOOK_EVERY
        } else {
            AGAIN_AFTER
        };
        let Ok(wait) = Timespec::try_from(wait) else {
            return;
        };
        let mut fds = [PollFd::new(&changes.inotify, PollFlags::IN)];
        let something = poll(&mut fds, Some(&wait)).is_ok_and(|ready| ready > 0);
        if something {
            thread::sleep(COLLECT);
        }
        let Some(server) = server.upgrade() else {
            return;
        };
        let now = Instant::now();
        let due = |at: &Instant| now.saturating_duration_since(*at) >= AGAIN_AFTER;
        for (change, _) in again.extract_if(|_, at| due(at)) {
            server.tell(notifier, changes, &change);
        }
        if !something {
            continue;
        }
        let heard = changes.read();
        if heard.lost {
            server.tell_everything(notifier);
        }
        for change in heard.changes {
            server.tell(notifier, changes, &change);
            again.insert(change, now);
        }
    }
}

impl Server {
    fn tell(&self, notifier: &Notifier, changes: &HostChanges, change: &Change) {
        for directory in changes.nodes(change.watch) {
            directory.changes.fetch_add(1, Ordering::AcqRel);
            notifier.invalidate_node(directory.id, ATTRIBUTES_ONLY, 0);
            if change.moved {
                self.expire_below(&directory, &change.name);
            }
            if !change.name.is_empty() {
                self.tell_of_name(notifier, &directory, &change.name);
            }
        }
    }

    fn tell_of_name(&self, notifier: &Notifier, directory: &Arc<Node>, name: &OsStr) {
        let known = self
            .directory(directory)
            .and_then(|at| self.shared.host.stat(at.as_fd(), name))
            .ok()
            .and_then(|stat| self.nodes.find(&stat.key()))
            .filter(|node| node.has_name(directory, name));
        match known {
            // What the name leads to is what it led to: only its state has changed.
            Some(node) => drop(notifier.invalidate_node(node.id, ATTRIBUTES_ONLY, 0)),
            None => self.expire(vec![(directory.id, name.to_owned())]),
        }
    }

    /// Makes the kernel ask again for the names at and below `name` of `directory`, or below the directory itself.
    fn expire_below(&self, directory: &Arc<Node>, name: &OsStr) {
        let Some(mut top) = self.nodes.path(directory) else {
            return;
        };
        if !name.is_empty() {
            top.push(name);
        }
        self.expire(self.names_below(&top));
    }

    /// Nobody knows what has changed: the kernel is made to ask for everything.
    fn tell_everything(&self, notifier: &Notifier) {
        for node in self.nodes.all() {
            node.changes.fetch_add(1, Ordering::AcqRel);
            notifier.invalidate_node(node.id, ATTRIBUTES_ONLY, 0);
        }
        self.expire(self.names_below(std::path::Path::new("/")));
    }

    fn expire(&self, names: Vec<(u64, OsString)>) {
        if let Some(watch) = self.watch.get() {
            watch.expire(names);
        }
    }
}

/// The offset that says so to the kernel.
const ATTRIBUTES_ONLY: i64 = -1;
