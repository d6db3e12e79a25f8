//! A read-only tree in memory behind a FUSE descriptor: just enough of the protocol to be a cell's
//! root, so that the cell can be tested without the real view.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use valetkey_sandbox::{CellSpec, mount_points, root_links};

/// What a node is.
#[derive(Debug, Clone)]
enum Node {
    Directory(BTreeMap<Vec<u8>, u64>),
    File(Vec<u8>),
    Link(Vec<u8>),
}

/// Nodes by number, less one: the root is 1.
#[derive(Debug, Clone)]
pub(crate) struct Tree(Vec<Node>);

impl Tree {
    /// What a view of `spec` has to show, and a file to find in each further place.
    pub(crate) fn for_view(spec: &CellSpec) -> Self {
        let mut tree = Self(vec![Node::Directory(BTreeMap::new())]);
        for path in mount_points(spec) {
            tree.add(&path, Node::Directory(BTreeMap::new()));
        }
        for (path, target) in root_links(spec) {
            tree.add(&path, Node::Link(target.as_os_str().as_bytes().to_vec()));
        }
        for path in &spec.shown_through {
            tree.add(path, Node::Directory(BTreeMap::new()));
            tree.add(&path.join("note"), Node::File(b"shown through\n".to_vec()));
        }
        tree.add(Path::new("/note"), Node::File(b"watched\n".to_vec()));
        tree
    }

    /// A tree for a quiet mount.
    pub(crate) fn quiet() -> Self {
        let mut tree = Self(vec![Node::Directory(BTreeMap::new())]);
        tree.add(Path::new("/note"), Node::File(b"quiet\n".to_vec()));
        tree
    }

    fn add(&mut self, path: &Path, node: Node) {
        let mut at = 1;
        let names: Vec<&OsStr> = path.iter().skip(1).collect();
        for (index, name) in names.iter().enumerate() {
            let last = index.saturating_add(1) == names.len();
            let next = u64::try_from(self.0.len()).unwrap_or(0).saturating_add(1);
            let Some(Node::Directory(entries)) = self.node_mut(at) else {
                return;
            };
            let number = *entries.entry(name.as_bytes().to_vec()).or_insert(next);
            if number == next {
                let empty = Node::Directory(BTreeMap::new());
                self.0.push(if last { node.clone() } else { empty });
            }
            at = number;
        }
    }

    fn node(&self, number: u64) -> Option<&Node> {
        usize::try_from(number.checked_sub(1)?)
            .ok()
            .and_then(|index| self.0.get(index))
    }

    fn node_mut(&mut self, number: u64) -> Option<&mut Node> {
        usize::try_from(number.checked_sub(1)?)
            .ok()
            .and_then(|index| self.0.get_mut(index))
    }

    /// `struct fuse_attr`.
    fn attributes(&self, number: u64) -> Option<Vec<u8>> {
        let (mode, size): (u32, usize) = match self.node(number)? {
            Node::Directory(_) => (0o40755, 0),
            Node::File(bytes) => (0o100_644, bytes.len()),
            Node::Link(target) => (0o120_777, target.len()),
        };
        let mut bytes = Vec::new();
        for word in [number, u64::try_from(size).ok()?, 0, 0, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32] {
            bytes.extend(word.to_ne_bytes());
        }
        Some(bytes)
    }
}

/// Answers requests until the mount is gone.
pub(crate) fn serve(device: &OwnedFd, tree: &Tree) {
    let mut buffer = vec![0; 1 << 17];
    loop {
        match rustix::io::read(device, &mut buffer) {
            Ok(size) => {
                let request = buffer.get(..size).unwrap_or_default();
                if let Some(answer) = answer(tree, request) {
                    // A request that was taken back wants no answer any more.
                    let _answered = rustix::io::write(device, &answer);
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::NOENT) => {}
            Err(_) => return,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end)?.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    bytes.get(at..end)?.try_into().ok().map(u64::from_ne_bytes)
}

/// The whole reply to a request, or none to those that want none.
fn answer(tree: &Tree, request: &[u8]) -> Option<Vec<u8>> {
    let (code, unique, node) = (word(request, 4)?, long(request, 8)?, long(request, 16)?);
    let body = request.get(40..)?;
    let result = match code {
        2 | 36 | 42 => return None, // FORGET, INTERRUPT, BATCH_FORGET
        1 => lookup(tree, node, body),
        3 => tree
            .attributes(node)
            .map(|attributes| [valid(), attributes].concat()),
        5 => match tree.node(node) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        },
        14 | 27 => Some(vec![0; 16]), // OPEN, OPENDIR: no handle, no flags
        15 => read(tree, node, body),
        17 => Some(vec![0; 80]),               // STATFS
        18 | 25 | 29 | 34 => Some(Vec::new()), // RELEASE, FLUSH, RELEASEDIR, ACCESS
        26 => Some(initialise(body)?),
        28 => list(tree, node, body),
        _ => None,
    };
    let (error, data): (i32, Vec<u8>) = match (code, result) {
        (_, Some(data)) => (0, data),
        (1 | 3 | 5 | 15 | 28, None) => (-NOT_THERE, Vec::new()),
        (_, None) => (-38, Vec::new()), // ENOSYS
    };
    let length = u32::try_from(data.len()).ok()?.checked_add(16)?;
    Some(
        [
            &length.to_ne_bytes()[..],
            &error.to_ne_bytes(),
            &unique.to_ne_bytes(),
            &data,
        ]
        .concat(),
    )
}

/// `ENOENT`.
const NOT_THERE: i32 = 2;

/// How long attributes are valid, and a padding.
fn valid() -> Vec<u8> {
    [&60_u64.to_ne_bytes()[..], &[0; 8]].concat()
}

fn initialise(body: &[u8]) -> Option<Vec<u8>> {
    let minor = word(body, 4)?.min(31);
    let mut out = Vec::new();
    for value in [7, minor, 65536, 0, 0, 1 << 16, 1] {
        out.extend(value.to_ne_bytes());
    }
    out.resize(64, 0);
    Some(out)
}

fn lookup(tree: &Tree, parent: u64, body: &[u8]) -> Option<Vec<u8>> {
    let name = body.split(|byte| *byte == 0).next()?;
    let Node::Directory(entries) = tree.node(parent)? else {
        return None;
    };
    let number = *entries.get(name)?;
    let mut out = Vec::new();
    for value in [number, 0, 60, 60, 0] {
        out.extend(value.to_ne_bytes());
    }
    out.extend(tree.attributes(number)?);
    Some(out)
}

fn read(tree: &Tree, number: u64, body: &[u8]) -> Option<Vec<u8>> {
    let Node::File(bytes) = tree.node(number)? else {
        return None;
    };
    let offset = usize::try_from(long(body, 8)?).ok()?;
    let size = usize::try_from(word(body, 16)?).ok()?;
    Some(bytes.iter().skip(offset).take(size).copied().collect())
}

fn list(tree: &Tree, number: u64, body: &[u8]) -> Option<Vec<u8>> {
    let Node::Directory(entries) = tree.node(number)? else {
        return None;
    };
    let offset = long(body, 8)?;
    let mut out = Vec::new();
    for ((name, child), next) in entries.iter().zip(1_u64..) {
        if next <= offset {
            continue;
        }
        out.extend(child.to_ne_bytes());
        out.extend(next.to_ne_bytes());
        out.extend(u32::try_from(name.len()).ok()?.to_ne_bytes());
        out.extend(0_u32.to_ne_bytes());
        out.extend(name);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    Some(out)
}
