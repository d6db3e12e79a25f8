//! Proofs out of leaves that come one after the other: which nodes a proof needs is found first, then they alone are kept.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use valetkey_model::Digest;

use super::{NodeReader, ProofError, node_hash};

/// The nodes that proofs will ask for, and as many of them as have been seen.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    nodes: HashMap<(u32, u64), Digest>,
    wanted: BTreeSet<(u32, u64)>,
    /// The roots of the complete subtrees at the right edge, as in a frontier.
    edge: Vec<Digest>,
    size: u64,
}

/// Answers every question with a hash of no meaning and remembers what was asked.
#[derive(Default)]
struct Asked(RefCell<BTreeSet<(u32, u64)>>);

impl NodeReader for Asked {
    fn node(&self, level: u32, index: u64) -> Option<Digest> {
        self.0.borrow_mut().insert((level, index));
        Some(Digest::from_bytes([0; 32]))
    }
}

/// What proofs are made from: any [`NodeReader`].
pub trait Prove {
    /// Makes the proofs.
    ///
    /// # Errors
    /// When there are no such leaves or trees.
    fn prove<N: NodeReader>(&self, nodes: &N) -> Result<Vec<Digest>, ProofError>;
}

impl Gathered {
    /// Ready to take the leaves that `proof` needs.
    ///
    /// # Errors
    /// When there is no such proof in any tree.
    pub fn for_proof(proof: &impl Prove) -> Result<Self, ProofError> {
        let asked = Asked::default();
        proof.prove(&asked)?;
        Ok(Self {
            wanted: asked.0.into_inner(),
            ..Self::default()
        })
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        let (mut node, mut level, mut index) = (leaf, 0_u32, self.size);
        loop {
            if self.wanted.contains(&(level, index)) {
                self.nodes.insert((level, index), node);
            }
            // A right child completes its parent; a left one waits at the edge.
            if index & 1 == 0 {
                break;
            }
            let Some(left) = self.edge.pop() else {
                break;
            };
            node = node_hash(&left, &node);
            level = level.saturating_add(1);
            index >>= 1;
        }
        self.edge.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// The number of leaves taken.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl NodeReader for Gathered {
    fn node(&self, level: u32, index: u64) -> Option<Digest> {
        self.nodes.get(&(level, index)).copied()
    }
}

/// The proof that one leaf is in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's place.
    pub index: u64,
    /// The tree's size.
    pub size: u64,
}

impl Prove for Inclusion {
    fn prove<N: NodeReader>(&self, nodes: &N) -> Result<Vec<Digest>, ProofError> {
        super::inclusion_proof(nodes, self.index, self.size)
    }
}

/// The proof that a tree continues another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// The earlier tree's size.
    pub old: u64,
    /// The later tree's size.
    pub new: u64,
}

impl Prove for Consistency {
    fn prove<N: NodeReader>(&self, nodes: &N) -> Result<Vec<Digest>, ProofError> {
        super::consistency_proof(nodes, self.old, self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{MerkleTree, leaf_hash};

    #[test]
    fn proofs_out_of_a_stream_are_those_of_the_whole_tree() {
        for size in 1..70_u64 {
            let leaves = || (0..size).map(|number| leaf_hash(&number.to_be_bytes()));
            let tree: MerkleTree = leaves().collect();
            for index in 0..size {
                let wanted = Inclusion { index, size };
                let mut gathered = Gathered::for_proof(&wanted).unwrap();
                leaves().for_each(|leaf| gathered.push(leaf));
                assert_eq!(wanted.prove(&gathered), tree.prove_inclusion(index, size));
                let wanted = Consistency {
                    old: index + 1,
                    new: size,
                };
                let mut gathered = Gathered::for_proof(&wanted).unwrap();
                leaves().for_each(|leaf| gathered.push(leaf));
                assert_eq!(
                    wanted.prove(&gathered),
                    tree.prove_consistency(index + 1, size)
                );
            }
        }
    }
}
