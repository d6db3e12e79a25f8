//! Masked content: files whose secrets or personal data the agent does not see.
//!
//! Invariant (one node, one mask): the kernel keeps pages by node, so all that is read of a node is masked alike, through whatever
//! handle and name. The mask of a node only grows: it is what any name of the file asks for, and stays while the kernel
//! knows the node. Where it grows after pages were given out, those are dropped before the open that made it grow is answered.
//!
//! A mask is made over the whole file, once for each version of it. While the host changes the file, what is served is the mask of
//! one version or of another, and never the file itself: no read of a masked node reaches the host's bytes but through [`Version`].
//! What is written is held until it is whole ([`draft`]).

mod draft;
mod heritage;
mod merge;
mod names;
mod replace;
mod version;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use rustix::io::Errno;
use valetkey_redact::Kinds;

use crate::authority::Observation;
use crate::connection::{Caller, Fail, Server};
use crate::handle::FileHandle;
use crate::locks::lock;
use crate::node::Node;

use draft::{Current, Draft};
pub(crate) use heritage::MaskWrites;
pub(crate) use merge::Side;
pub use names::MaskRefusal;
pub(crate) use version::{Memory, Version};

/// What is masked of a node.
#[derive(Debug, Default)]
pub(crate) struct NodeMask {
    kinds: AtomicU8,
    pages: Mutex<Pages>,
    version: Mutex<Option<Arc<Version>>>,
    /// What was written and is not in the file yet.
    draft: Mutex<Option<Draft>>,
    /// The file that has taken this one's place.
    current: Mutex<Option<Arc<Current>>>,
    /// Held while what was written is put in place.
    committing: Mutex<()>,
}

/// What the kernel may keep of a node.
#[derive(Debug, Default)]
struct Pages {
    /// Whether it was ever opened.
    opened: bool,
    /// The mask that every page kept has at least.
    kinds: Kinds,
}

impl NodeMask {
    /// What is masked now.
    pub(crate) fn kinds(&self) -> Kinds {
        Kinds::from_bits(self.kinds.load(Ordering::SeqCst))
    }

    pub(crate) fn is_masked(&self) -> bool {
        !self.kinds().is_none()
    }

    fn grow(&self, kinds: Kinds) -> Kinds {
        let before = self.kinds.fetch_or(kinds.bits(), Ordering::SeqCst);
        Kinds::from_bits(before).union(kinds)
    }

    /// Nothing of it is open any more: the version that is kept is let go.
    pub(crate) fn rest(&self) {
        *lock(&self.version) = None;
    }
}

impl Server {
    /// Puts on `node` what is to be masked of it, before it is opened. On return no page of it that is masked less is kept.
    pub(crate) fn put_mask(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        kinds: Kinds,
    ) -> Result<Kinds, Fail> {
        let mut pages = match node.mask.pages.try_lock() {
            Ok(pages) => pages,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody has pages dropped at this moment, which takes its time.
            Err(TryLockError::WouldBlock) => {
                let waiting = caller.waiting.ok_or(Fail::Defer)?;
                waiting.begin()?;
                let pages = lock(&node.mask.pages);
                waiting.end()?;
                pages
            }
        };
        let kinds = node.mask.kinds().union(kinds);
        if pages.opened && pages.kinds != kinds {
            if self.is_quiet() {
                // This is a read already: it fails, and a later one finds the pages dropped.
                node.mask.grow(kinds);
                drop(pages);
                self.watch.get().ok_or(Errno::IO)?.mask_again(node);
                return Err(Errno::ACCESS.into());
            }
            // Pages are dropped by another thread, which waits for reads that are under way.
            if caller.waiting.is_none() {
                return Err(Fail::Defer);
            }
            node.mask.grow(kinds);
            let watch = self.watch.get().ok_or(Errno::IO)?;
            if !watch.drop_pages(node) {
                return Err(Errno::BUSY.into());
            }
        }
        let kinds = node.mask.grow(kinds);
        *pages = Pages {
            opened: true,
            kinds,
        };
        Ok(kinds)
    }

    /// Puts on a node what its names ask for now, where the kernel sends no opens that would. To be followed by [`Notifier::invalidate_node`]:
    /// until then pages may be kept that are masked less.
    ///
    /// [`Notifier::invalidate_node`]: valetkey_fuse::Notifier::invalidate_node
    pub(crate) fn mask_again(&self, node: &Node) {
        if !self.is_quiet() || node.is_directory() {
            return;
        }
        let mut kinds = Kinds::NONE;
        for name in node.names() {
            if let Some(path) = self.nodes.path_of_name(&name) {
                kinds = kinds.union(self.shared.authority.redacts(&path));
            }
        }
        // Whoever has pages dropped at this moment does it for a greater mask than was there.
        let kinds = node.mask.grow(kinds);
        if let Ok(mut pages) = node.mask.pages.try_lock() {
            pages.kinds = kinds;
        }
    }

    /// Reads of a masked node into `place`: so many bytes.
    pub(crate) fn read_masked(
        &self,
        handle: &FileHandle,
        offset: u64,
        place: &mut [u8],
    ) -> Result<usize, Fail> {
        if let Some(count) = handle.node.mask.read_draft(offset, place) {
            return Ok(count);
        }
        let version = self.version(&handle.node, &handle.file)?;
        let content = &version.masked.content;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let rest = content.get(start..).unwrap_or_default();
        let count = rest.len().min(place.len());
        let (Some(from), Some(to)) = (rest.get(..count), place.get_mut(..count)) else {
            return Err(Errno::IO.into());
        };
        to.copy_from_slice(from);
        Ok(count)
    }

    /// Refuses something because of a mask, and says why.
    pub(crate) fn refuse_masked(
        &self,
        path: &std::path::Path,
        wanted: valetkey_model::ActionSet,
        why: MaskRefusal,
    ) -> Fail {
        self.shared.authority.report(Observation::Masked {
            path: path.to_path_buf(),
            wanted,
            why,
        });
        Fail::Errno(why.errno())
    }
}
