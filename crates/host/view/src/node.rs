//! Nodes: the objects that the kernel knows by number, and the names by which it came to them.
//!
//! A node is an object, not a path, so that two hard links are one inode in the cell as on the host:
//! one page cache, one link count, one ctime. Rights go by name; for a node with several names they
//! must hold by every name that is known.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Instant;

use valetkey_fuse::{ROOT_NODE, Time};

use crate::handle::FileHandle;
use crate::host::{KIND_DIRECTORY, Key, Stat};
use crate::locks::{lock, read, write};
use crate::masks::NodeMask;

/// Parts of the tables, so that threads seldom meet at one lock.
const SHARDS: usize = 32;

/// An object that the kernel holds.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) key: Key,
    names: RwLock<Vec<Name>>,
    /// Changed only under the lock of the node's part of the table.
    lookups: AtomicU64,
    /// For directories: a descriptor that stands for it, and when that was last found true.
    pub(crate) kept: Mutex<Option<Kept>>,
    /// Whether `kept` was used since the last look at it.
    pub(crate) used: AtomicBool,
    /// Open handles, to reach an object that has no name any more.
    handles: Mutex<Vec<Weak<FileHandle>>>,
    /// What the file was like when its pages were last known to be good.
    pub(crate) cached: Mutex<Option<Stamp>>,
    /// What it was like when it lost its last name through the view.
    pub(crate) removed: Mutex<Option<Stat>>,
    /// For directories: the number of the watch on it, or nought.
    pub(crate) watch: AtomicI32,
    /// For directories: how often something was heard to have changed in it.
    pub(crate) changes: AtomicU64,
    /// For directories: the listing that the kernel may have kept.
    pub(crate) listed: Mutex<Option<Listed>>,
    /// The handle that stands in where the kernel opens files without a message.
    pub(crate) quiet: Mutex<Option<Arc<FileHandle>>>,
    /// What is masked of it.
    pub(crate) mask: NodeMask,
}

/// A directory's descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) descriptor: Arc<OwnedFd>,
    pub(crate) found_true: Instant,
}

/// A listing as it was begun: when, after how many changes in the directory, and after how many of what is granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) at: Instant,
    pub(crate) changes: u64,
    pub(crate) grants: u64,
}

/// Size and times of a file: equal when nobody changed it.
pub(crate) type Stamp = (u64, Time, Time);

/// A name in a directory.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) parent: Arc<Node>,
    pub(crate) name: OsString,
}

impl Name {
    fn is(&self, parent: &Node, name: &OsStr) -> bool {
        self.parent.id == parent.id && self.name == name
    }
}

impl Node {
    fn new(id: u64, key: Key) -> Self {
        Self {
            id,
            key,
            names: RwLock::default(),
            lookups: AtomicU64::new(0),
            kept: Mutex::default(),
            used: AtomicBool::new(false),
            handles: Mutex::default(),
            cached: Mutex::default(),
            removed: Mutex::default(),
            watch: AtomicI32::new(0),
            changes: AtomicU64::new(0),
            listed: Mutex::default(),
            quiet: Mutex::default(),
            mask: NodeMask::default(),
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(
            self.key,
            Key::Host {
                kind: KIND_DIRECTORY,
                ..
            }
        )
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self.key, Key::Virtual(_))
    }

    /// Whether whatever changes in this directory is heard of.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.load(Ordering::Acquire) != 0
    }

    pub(crate) fn has_name(&self, parent: &Node, name: &OsStr) -> bool {
        read(&self.names).iter().any(|known| known.is(parent, name))
    }

    /// The known names.
    pub(crate) fn names(&self) -> Vec<Name> {
        read(&self.names).clone()
    }

    pub(crate) fn first_name(&self) -> Option<Name> {
        read(&self.names).first().cloned()
    }

    pub(crate) fn add_name(&self, parent: &Arc<Node>, name: &OsStr) {
        if self.has_name(parent, name) {
            return;
        }
        let mut names = write(&self.names);
        if self.is_directory() {
            names.clear();
        }
        names.push(Name {
            parent: Arc::clone(parent),
            name: name.to_owned(),
        });
    }

    pub(crate) fn remove_name(&self, parent: &Node, name: &OsStr) {
        write(&self.names).retain(|known| !known.is(parent, name));
    }

    pub(crate) fn add_handle(&self, handle: &Arc<FileHandle>) {
        let mut handles = lock(&self.handles);
        handles.retain(|handle| handle.strong_count() > 0);
        handles.push(Arc::downgrade(handle));
    }

    pub(crate) fn remove_handle(&self, gone: &Arc<FileHandle>) {
        lock(&self.handles).retain(|handle| !std::ptr::eq(handle.as_ptr(), Arc::as_ptr(gone)));
    }

    pub(crate) fn handles(&self) -> Vec<Arc<FileHandle>> {
        lock(&self.handles)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

/// The nodes of one connection.
#[derive(Debug)]
pub(crate) struct Nodes {
    by_id: Vec<RwLock<HashMap<u64, Arc<Node>>>>,
    by_key: Vec<Mutex<HashMap<Key, Arc<Node>>>>,
    next: AtomicU64,
    hasher: RandomState,
    root_path: PathBuf,
}

impl Nodes {
    /// A table with the root, whose path in the view is `root_path`.
    pub(crate) fn new(root_key: Key, root_path: &Path) -> Self {
        let nodes = Self {
            by_id: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_key: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(ROOT_NODE.wrapping_add(1)),
            hasher: RandomState::new(),
            root_path: root_path.to_path_buf(),
        };
        let root = Arc::new(Node::new(ROOT_NODE, root_key.clone()));
        // One lookup that is never forgotten.
        root.lookups.store(1, Ordering::Relaxed);
        nodes.with_key(&root_key, |keys| {
            drop(keys.insert(root_key.clone(), Arc::clone(&root)))
        });
        if let Some(shard) = nodes.id_shard(ROOT_NODE) {
            write(shard).insert(ROOT_NODE, root);
        }
        nodes
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Node>> {
        read(self.id_shard(id)?).get(&id).cloned()
    }

    /// The node of an object, if the kernel holds it.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Node>> {
        self.with_key(key, |keys| keys.get(key).cloned())
    }

    /// The node of an object that is now known as `name` in `parent`, with one lookup more.
    pub(crate) fn remember(&self, key: Key, parent: &Arc<Node>, name: &OsStr) -> Arc<Node> {
        let node = self.hold(key);
        if node.id != ROOT_NODE {
            node.add_name(parent, name);
        }
        node
    }

    /// The node of an object, with one lookup more and no name.
    pub(crate) fn hold(&self, key: Key) -> Arc<Node> {
        self.with_key(&key, |keys| {
            let node = keys.entry(key.clone()).or_insert_with(|| {
                let id = self.next.fetch_add(1, Ordering::Relaxed);
                let node = Arc::new(Node::new(id, key.clone()));
                if let Some(shard) = self.id_shard(id) {
                    write(shard).insert(id, Arc::clone(&node));
                }
                node
            });
            node.lookups.fetch_add(1, Ordering::Relaxed);
            Arc::clone(node)
        })
    }

    /// Takes back `lookups`; a node without any is gone, and is given back.
    pub(crate) fn forget(&self, id: u64, lookups: u64) -> Option<Arc<Node>> {
        if id == ROOT_NODE {
            return None;
        }
        let node = self.get(id)?;
        let gone = self.with_key(&node.key, |keys| {
            let before = node.lookups.load(Ordering::Relaxed);
            let after = before.saturating_sub(lookups);
            node.lookups.store(after, Ordering::Relaxed);
            if after > 0 {
                return false;
            }
            if keys.get(&node.key).is_some_and(|found| found.id == id) {
                keys.remove(&node.key);
            }
            if let Some(shard) = self.id_shard(id) {
                write(shard).remove(&id);
            }
            true
        });
        gone.then_some(node)
    }

    /// The object has lost its last name: a new object with its inode number is another node.
    pub(crate) fn bury(&self, node: &Node) {
        self.with_key(&node.key, |keys| {
            if keys.get(&node.key).is_some_and(|found| found.id == node.id) {
                keys.remove(&node.key);
            }
        });
    }

    /// The path of a directory, or of an object by its first name. `None`: it has no name any more.
    pub(crate) fn path(&self, node: &Node) -> Option<PathBuf> {
        if node.id == ROOT_NODE {
            return Some(self.root_path.clone());
        }
        self.path_of_name(&node.first_name()?)
    }

    pub(crate) fn path_of_name(&self, name: &Name) -> Option<PathBuf> {
        let mut segments = vec![name.name.clone()];
        let mut at = Arc::clone(&name.parent);
        while at.id != ROOT_NODE {
            let above = at.first_name()?;
            segments.push(above.name);
            at = above.parent;
        }
        let mut path = self.root_path.clone();
        path.extend(segments.iter().rev());
        Some(path)
    }

    /// Every node that the kernel holds.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        self.by_id
            .iter()
            .flat_map(|shard| read(shard).values().cloned().collect::<Vec<_>>())
            .collect()
    }

    fn id_shard(&self, id: u64) -> Option<&RwLock<HashMap<u64, Arc<Node>>>> {
        self.by_id.get(shard_of(id))
    }

    fn with_key<T>(&self, key: &Key, act: impl FnOnce(&mut HashMap<Key, Arc<Node>>) -> T) -> T {
        let at = shard_of(self.hasher.hash_one(key));
        match self.by_key.get(at) {
            Some(shard) => act(&mut lock(shard)),
            // `shard_of` is always within the table; an empty map is the closed answer.
            None => act(&mut HashMap::new()),
        }
    }
}

pub(crate) fn shard_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ino: u64) -> Key {
        Key::Host {
            dev: 1,
            ino,
            birth: (0, 0),
            kind: 0o100_000,
            mount: 0,
        }
    }

    #[test]
    fn one_object_is_one_node_with_all_its_names() {
        let nodes = Nodes::new(key(1), Path::new("/"));
        let root = nodes.get(ROOT_NODE).expect("root");
        let a = nodes.remember(key(2), &root, OsStr::new("a"));
        let b = nodes.remember(key(2), &root, OsStr::new("b"));
        assert_eq!(a.id, b.id);
        assert_eq!(a.names().len(), 2);
        assert_eq!(nodes.path(&a), Some(PathBuf::from("/a")));
        a.remove_name(&root, OsStr::new("a"));
        assert_eq!(nodes.path(&a), Some(PathBuf::from("/b")));
        nodes.forget(a.id, 1);
        assert!(nodes.get(a.id).is_some());
        nodes.forget(a.id, 1);
        assert!(nodes.get(a.id).is_none() && nodes.find(&key(2)).is_none());
    }

    #[test]
    fn a_buried_object_and_its_successor_are_two_nodes() {
        let nodes = Nodes::new(key(1), Path::new("/"));
        let root = nodes.get(ROOT_NODE).expect("root");
        let old = nodes.remember(key(2), &root, OsStr::new("a"));
        nodes.bury(&old);
        let new = nodes.remember(key(2), &root, OsStr::new("a"));
        assert_ne!(old.id, new.id);
        nodes.forget(old.id, 1);
        assert_eq!(nodes.find(&key(2)).map(|node| node.id), Some(new.id));
    }

    #[test]
    fn the_root_is_never_forgotten() {
        let nodes = Nodes::new(key(1), Path::new("/srv/tree"));
        nodes.forget(ROOT_NODE, 100);
        let root = nodes.get(ROOT_NODE).expect("root");
        assert_eq!(nodes.path(&root), Some(PathBuf::from("/srv/tree")));
    }
}
