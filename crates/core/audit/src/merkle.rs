//! The RFC 6962 Merkle tree: hashing, the growing frontier, and a whole tree in memory.

mod gather;
mod proof;
mod selection;

pub use gather::{Consistency, Gathered, Inclusion, Prove};
pub(crate) use proof::range_root;
pub use proof::{
    NodeReader, ProofError, consistency_proof, inclusion_proof, verify_consistency,
    verify_inclusion,
};
pub use selection::Selection;

use sha2::{Digest as _, Sha256};
use valetkey_model::Digest;

/// The hash of a leaf: SHA-256 over a zero byte and the entry (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let hash = Sha256::new().chain_update([0]).chain_update(entry);
    Digest::from_bytes(hash.finalize().into())
}

/// The hash of an inner node: SHA-256 over a one byte and both children.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new()
        .chain_update([1])
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes());
    Digest::from_bytes(hash.finalize().into())
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// What is needed to go on with a tree: the roots of its complete subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From the size of a tree and the roots of its complete subtrees, largest first; none when their number does not fit the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        let fits = u32::try_from(peaks.len()).is_ok_and(|count| count == size.count_ones());
        fits.then_some(Self { size, peaks })
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Each trailing one of the size is a complete subtree of the same height as the new node.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size = self.size.wrapping_add(1);
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

/// A whole tree in memory, from which proofs can be made.
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    /// `levels[0]` are the leaves; each further level the complete nodes above.
    levels: Vec<Vec<Digest>>,
}

impl MerkleTree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        let leaves = self.levels.first().map_or(0, Vec::len);
        u64::try_from(leaves).unwrap_or(u64::MAX)
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        let mut depth: usize = 0;
        loop {
            if self.levels.len() == depth {
                self.levels.push(Vec::new());
            }
            let Some(level) = self.levels.get_mut(depth) else {
                return;
            };
            level.push(node);
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => node = node_hash(left, right),
                _ => return,
            }
            depth = depth.saturating_add(1);
        }
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        range_root(self, 0, self.size()).unwrap_or_else(|_| empty_root())
    }

    /// Proof that the leaf at `index` is in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// When there is no such leaf or no such tree.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, ProofError> {
        inclusion_proof(self, index, size)
    }

    /// Proof that the tree of the first `old` leaves is a prefix of that of the first `new`.
    ///
    /// # Errors
    /// When there are no such trees.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, ProofError> {
        consistency_proof(self, old, new)
    }
}

impl FromIterator<Digest> for MerkleTree {
    fn from_iter<I: IntoIterator<Item = Digest>>(leaves: I) -> Self {
        let mut tree = Self::new();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

impl NodeReader for MerkleTree {
    fn node(&self, level: u32, index: u64) -> Option<Digest> {
        self.levels
            .get(usize::try_from(level).ok()?)?
            .get(usize::try_from(index).ok()?)
            .copied()
    }
}

#[cfg(test)]
mod tests;
