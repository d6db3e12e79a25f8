//! Quiet trees: the kernel opens files without a message, by the permission bits that it was shown. So what may be done to a file is found
//! out when its name is looked up, and the file is opened here at the first read or write.
//!
//! Invariant (nobody waits on data): pages are locked while data moves, so nothing is asked then. Whatever is not known at once is refused.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;
use valetkey_fuse::Time;
use valetkey_model::ActionSet;

use super::data::Need;
use super::open::How;
use crate::authority::{EXECUTE, Identity, LIST, Permit, Purpose, READ, Verdict};
use crate::config::Connection;
use crate::connection::{Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::{KIND_DIRECTORY, KIND_REGULAR, Stat};
use crate::locks::lock;
use crate::node::Node;
use crate::sight::Place;

/// Handles that stand in for a kernel which sends none.
const HANDLES_MAX: usize = 1024;
/// How long a handle that may write stands without being used: as long as it stands the host cannot run the file.
pub(crate) const WRITER_RESTS: Duration = Duration::from_millis(500);
/// Files with several names of which is remembered how their names were counted.
const COUNTS_MAX: usize = 65_536;
/// How long a count of names is good: as long as names are kept by the kernel.
const COUNTED: Duration = Duration::from_secs(60);
/// How long a refusal for the sake of other names is remembered.
const REFUSED: Duration = Duration::from_secs(10);

/// What came of counting the names of files, until something changes of them or of what is granted.
pub(crate) type Counts = HashMap<Identity, Counted>;

/// What came of counting the names of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    may_read: bool,
    changed: Time,
    grants: u64,
    at: Instant,
}

impl Server {
    /// The standing handle of a file in a quiet tree: opened at the first read or write.
    pub(super) fn quiet_file(&self, node: u64, need: Need) -> Result<Arc<FileHandle>, Fail> {
        let node = self.node(node)?;
        let kept = lock(&node.quiet).clone();
        let serves = |handle: &FileHandle| match need {
            Need::Read => handle.readable,
            Need::Write => handle.writing == Writing::Anywhere,
            Need::Either => true,
        };
        if let Some(handle) = kept.as_ref().filter(|handle| serves(handle)) {
            return Ok(Arc::clone(handle));
        }
        let writes_already = kept.is_some_and(|kept| kept.writing != Writing::No);
        self.open_quiet(&node, need, writes_already)
    }

    fn open_quiet(
        &self,
        node: &Arc<Node>,
        need: Need,
        writes_already: bool,
    ) -> Result<Arc<FileHandle>, Fail> {
        let caller = Caller {
            pid: 0,
            waiting: None,
        };
        let (read, write) = (OFlags::RDONLY.bits(), OFlags::RDWR.bits());
        let tries: &[u32] = match need {
            Need::Read if writes_already => &[write, read, read | 0x20],
            Need::Read | Need::Either => &[read, read | 0x20],
            Need::Write => &[write, OFlags::WRONLY.bits()],
        };
        let mut refused = Fail::Errno(Errno::ACCESS);
        for flags in tries {
            match self.open_node(&caller, node, How::from_flags(*flags), false) {
                Ok((handle, _)) => {
                    self.stand(node, &handle);
                    return Ok(handle);
                }
                // Nothing may wait while data moves.
                Err(Fail::Defer) => refused = Fail::Errno(Errno::ACCESS),
                Err(fail) => refused = fail,
            }
        }
        Err(refused)
    }

    /// Lets a handle stand in for the kernel's; the one before it is closed.
    fn stand(&self, node: &Arc<Node>, handle: &Arc<FileHandle>) {
        let before = lock(&node.quiet).replace(Arc::clone(handle));
        if let Some(before) = before {
            self.report_closed(&before);
        }
        let mut quiet = lock(&self.quiet);
        quiet.push_back(Arc::downgrade(node));
        let mut tries = quiet.len();
        while quiet.len() > HANDLES_MAX && tries > 0 {
            tries = tries.saturating_sub(1);
            let Some(node) = quiet.pop_front().and_then(|node| node.upgrade()) else {
                continue;
            };
            // What has no name any more could not be opened again; it goes when the kernel forgets it.
            if node.names().is_empty() {
                quiet.push_back(Arc::downgrade(&node));
            } else {
                self.close_quiet(&node);
            }
        }
    }

    /// Opens the standing handle of a file that is about to lose its last name, for whoever has it open. Nothing is told of it before it is
    /// used.
    pub(super) fn quiet_hold(&self, node: &Arc<Node>) {
        if self.quiet_file(node.id, Need::Write).is_err() {
            // Whoever may neither write nor read has nothing to go on with.
            drop(self.quiet_file(node.id, Need::Read));
        }
    }

    /// Closes the handle that stands in for a kernel which sends none.
    pub(crate) fn close_quiet(&self, node: &Node) {
        let handle = lock(&node.quiet).take();
        if let Some(handle) = handle {
            self.report_closed(&handle);
        }
    }

    /// Closes what stands open for writing and was not used since the last time that this was called.
    pub(crate) fn rest_writers(&self) {
        let standing: Vec<_> = lock(&self.quiet).iter().cloned().collect();
        for node in standing.iter().filter_map(std::sync::Weak::upgrade) {
            let rests = lock(&node.quiet).as_ref().is_some_and(|handle| {
                handle.writing != Writing::No && !handle.used.swap(false, Ordering::AcqRel)
            });
            if rests && !node.names().is_empty() {
                self.close_quiet(&node);
            }
        }
    }

    /// Closes everything that stands in for the kernel's handles, so that it is told of.
    pub(crate) fn close_all_quiet(&self) {
        // A standing handle and its node hold each other.
        for node in self.nodes.all() {
            self.close_quiet(&node);
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.without_opens.load(Ordering::Acquire)
    }

    /// Whether a right is good for a connection whose opens are not seen: it counts nothing and judges nothing.
    pub(crate) fn suits(&self, permit: &Arc<dyn Permit>) -> bool {
        let limits = permit.limits();
        matches!(self.connection, Connection::Watched)
            || !(limits.bytes || limits.uses || limits.content)
    }

    /// Finds out what the bits of `place` depend on, before they are shown. Policy alone is asked: what people would be asked about is
    /// not given here.
    pub(super) fn acquaint(&self, caller: &Caller<'_>, place: &Place) -> Result<(), Fail> {
        if !self.is_quiet() {
            return Ok(());
        }
        let stat = &place.stat;
        if let Some(wanted) = self.wants_word(stat, &place.path) {
            let facts = || stat.facts();
            match self.permit(caller, &place.path, wanted, Purpose::Lookup, facts) {
                Ok(_) | Err(Fail::Refused { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        if !self.wants_count(stat) {
            return Ok(());
        }
        let grants = self.grants.load(Ordering::Acquire);
        let places = std::slice::from_ref(place);
        let may_read = match self.by_every_name(caller, places, READ) {
            Ok(()) => true,
            Err(Fail::Refused { .. }) => false,
            Err(other) => return Err(other),
        };
        let mut counts = lock(&self.counts);
        if counts.len() >= COUNTS_MAX {
            counts.clear();
        }
        let counted = Counted {
            may_read,
            changed: stat.attributes.ctime,
            grants,
            at: Instant::now(),
        };
        counts.insert(stat.identity(), counted);
        Ok(())
    }

    /// Whether something is to be found out of `place` before its bits can be shown.
    pub(super) fn is_stranger(&self, stat: &Stat, path: &std::path::Path) -> bool {
        self.is_quiet() && (self.wants_word(stat, path).is_some() || self.wants_count(stat))
    }

    /// What to ask the authority about a name of which nothing is known at once.
    fn wants_word(&self, stat: &Stat, path: &std::path::Path) -> Option<ActionSet> {
        let wanted = match stat.kind() {
            KIND_REGULAR if stat.attributes.mode & 0o111 != 0 => READ.union(EXECUTE),
            KIND_REGULAR => READ,
            KIND_DIRECTORY => LIST,
            _ => return None,
        };
        let is_new = matches!(self.shared.authority.check(path, wanted), Verdict::Unknown);
        (is_new && self.shared.refusals.recent(path, wanted).is_none()).then_some(wanted)
    }

    /// Whether the bits of a file are unknown until its names have been counted, and so are not to be believed.
    pub(super) fn is_uncounted(&self, stat: &Stat) -> bool {
        self.is_quiet() && self.wants_count(stat)
    }

    fn wants_count(&self, stat: &Stat) -> bool {
        has_more(stat) && self.counted(stat).is_none()
    }

    /// Whether the file may be read, as far as its other names go; nothing where they were not counted.
    fn counted(&self, stat: &Stat) -> Option<bool> {
        // Empty on a watched connection.
        let counted = *lock(&self.counts).get(&stat.identity())?;
        let life = if counted.may_read { COUNTED } else { REFUSED };
        let is_good = counted.changed == stat.attributes.ctime
            && counted.grants == self.grants.load(Ordering::Acquire)
            && counted.at.elapsed() < life;
        is_good.then_some(counted.may_read)
    }

    /// Whether a file with several names was found to be one that may be read.
    pub(crate) fn may_be_read_by_every_name(&self, stat: &Stat) -> bool {
        !has_more(stat) || self.counted(stat) == Some(true)
    }

    /// Whether the root of the tree is still where it was. Else paths below it would be those of something else.
    pub(crate) fn root_stands(&self, now: Instant) -> bool {
        let Connection::Quiet { root } = &self.connection else {
            return true;
        };
        let mut seen = lock(&self.root_seen);
        if now.saturating_duration_since(*seen) <= self.shared.config.valid {
            return true;
        }
        let found = self.shared.host.open_root(root).ok();
        let key = |descriptor: &std::os::fd::OwnedFd| {
            crate::host::stat_descriptor(descriptor.as_fd())
                .ok()
                .map(|stat| stat.key())
        };
        let stands = found
            .and_then(|found| key(&found))
            .is_some_and(|found| Some(found) == key(&self.root));
        if stands {
            *seen = now;
        }
        stands
    }
}

fn has_more(stat: &Stat) -> bool {
    stat.kind() == KIND_REGULAR && stat.attributes.nlink > 1
}
