//! Inclusion and consistency proofs of RFC 6962, made from stored nodes and verified as RFC 9162 says.

use thiserror::Error;
use valetkey_model::Digest;

use super::{empty_root, node_hash};

/// Where the nodes of a tree are stored: in memory, or in tiles.
pub trait NodeReader {
    /// The root of the complete subtree of `2^level` leaves that begins at leaf `index * 2^level`.
    fn node(&self, level: u32, index: u64) -> Option<Digest>;
}

/// Why a proof cannot be made, or does not hold.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// The leaf or the tree asked for does not exist.
    #[error("there is no such leaf or tree")]
    Range,
    /// A stored node is missing.
    #[error("a node of the tree is missing")]
    MissingNode,
    /// The proof has too many or too few hashes.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Largest power of two below `n`, for `n` of at least 2.
fn split(n: u64) -> u64 {
    let below = n.saturating_sub(1).max(1);
    1 << below.ilog2()
}

/// The root over leaves `start..end`, where `start` is a multiple of the largest power of two not above the width.
pub(crate) fn range_root(
    nodes: &impl NodeReader,
    start: u64,
    end: u64,
) -> Result<Digest, ProofError> {
    let width = end.checked_sub(start).ok_or(ProofError::Range)?;
    if width == 0 {
        return Ok(empty_root());
    }
    if width.is_power_of_two() {
        let level = width.ilog2();
        return nodes
            .node(level, start >> level)
            .ok_or(ProofError::MissingNode);
    }
    let middle = start.saturating_add(split(width));
    Ok(node_hash(
        &range_root(nodes, start, middle)?,
        &range_root(nodes, middle, end)?,
    ))
}

/// The audit path of the leaf at `index` in the tree of the first `size` leaves (RFC 6962, section 2.1.1).
///
/// # Errors
/// When there is no such leaf, or a node is missing.
pub fn inclusion_proof(
    nodes: &impl NodeReader,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut start, mut end) = (0_u64, size);
    let mut path = Vec::new();
    while end.saturating_sub(start) > 1 {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if index < middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree of the first `old` leaves is a prefix of that of the first `new` (RFC 6962, section 2.1.2).
///
/// # Errors
/// When `old` is zero or more than `new`, or a node is missing.
pub fn consistency_proof(
    nodes: &impl NodeReader,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::Range);
    }
    let (mut start, mut end) = (0_u64, new);
    let mut path = Vec::new();
    // The old root itself is known to the verifier as long as the walk has kept to the left edge.
    let mut known = true;
    while end != old {
        let middle = start.saturating_add(split(end.saturating_sub(start)));
        if old <= middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        path.push(range_root(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks an inclusion proof (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// When the proof does not show that `leaf` is at `index` in the tree of `size` leaves with `root`.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut at, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks a consistency proof (RFC 9162, section 2.1.4.2). Any tree continues the empty one, with an empty proof.
///
/// # Errors
/// When the proof does not show that the tree with `new_root` continues that with `old_root`.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range);
    }
    if old == new || old == 0 {
        let holds = if old == new {
            old_root == new_root
        } else {
            *old_root == empty_root()
        };
        return match (proof.is_empty(), holds) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    let (mut at, mut last) = (old.saturating_sub(1), new.saturating_sub(1));
    let shift = at.trailing_ones();
    at >>= shift;
    last >>= shift;
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}
