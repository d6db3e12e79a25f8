//! Files that are open for writing while they get another name: what is open goes on only as far as the rights to that name do.
//!
//! Else whoever may make a name once, because a person said so, could write what is at that name for as long as a file is held
//! open by the name that it had before.

use std::path::Path;
use std::sync::{Arc, Weak};

use valetkey_model::ActionSet;

use crate::authority::{Identity, Limit, Limits, Permit, Use, Verdict};
use crate::connection::Server;
use crate::handle::{FileHandle, Writing};
use crate::locks::lock;
use crate::node::Node;

/// A right that is none: what is open by it is cut off, until it is open by others.
#[derive(Debug)]
struct Never;

impl Permit for Never {
    fn is_live(&self) -> bool {
        false
    }

    fn actions(&self) -> ActionSet {
        ActionSet::EMPTY
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn take_read(&self, _bytes: u64) -> Result<u64, Limit> {
        Err(Limit::Bytes)
    }

    fn return_read(&self, _bytes: u64) {}

    fn take_write(&self, _bytes: u64) -> Result<(), Limit> {
        Err(Limit::WriteBytes)
    }

    fn return_write(&self, _bytes: u64) {}

    fn begin(&self, _usage: &Use<'_>) -> Result<(), Limit> {
        Err(Limit::Operations)
    }

    fn abandon(&self, _new: u64) {}

    fn made(&self, _object: Identity) {}
}

impl Server {
    /// `node` is about to be known as `new` as well.
    pub(crate) fn carry_link(&self, node: &Node, new: &Path) {
        for handle in node.handles() {
            self.carry(&handle, new);
        }
    }

    /// What is at `old` or below it is about to be at `new`. Where that fails in the end, what was cut off here is let go on at
    /// its next use, by the names that it then has.
    pub(crate) fn carry_move(&self, old: &Path, new: &Path) {
        let standing = self.standing();
        let standing = standing.iter().filter_map(|node| lock(&node.quiet).clone());
        for handle in self.files.all().into_iter().chain(standing) {
            for name in handle.node.names() {
                let at = self.nodes.path_of_name(&name);
                let below = at.as_deref().and_then(|at| at.strip_prefix(old).ok());
                if let Some(below) = below {
                    let path = if below.as_os_str().is_empty() {
                        new.to_path_buf()
                    } else {
                        new.join(below)
                    };
                    self.carry(&handle, &path);
                }
            }
        }
    }

    /// What stands open for writing for a kernel that sends no opens, by a name that was moved, is opened anew by the name that it has now.
    pub(crate) fn reopen_below(&self, one: &Path, other: &Path) {
        if !self.is_quiet() {
            return;
        }
        for node in self.standing() {
            let moved = |path: &Path| path.starts_with(one) || path.starts_with(other);
            let is_moved = lock(&node.quiet)
                .as_ref()
                .is_some_and(|handle| moved(&handle.path));
            if is_moved {
                self.close_quiet(&node);
            }
        }
    }

    /// The nodes that have a standing handle.
    fn standing(&self) -> Vec<Arc<Node>> {
        let standing = lock(&self.quiet);
        standing.iter().filter_map(Weak::upgrade).collect()
    }

    fn carry(&self, handle: &FileHandle, path: &Path) {
        if handle.writing == Writing::No {
            return;
        }
        let verdict = if self.shared.host.is_hidden(path) {
            Verdict::Unknown
        } else {
            self.shared.authority.check(path, handle.wanted)
        };
        match verdict {
            // A limit in bytes cannot be put on a handle whose pages are cached.
            Verdict::Permitted(permit) if handle.counted || !permit.limits().bytes => {
                handle.join(permit);
            }
            Verdict::Permitted(_) | Verdict::Refused { .. } | Verdict::Unknown => {
                handle.join(Arc::new(Never));
            }
        }
    }
}
