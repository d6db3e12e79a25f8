//! Proof that some leaves, and no others of a range, are in a tree: the roots of all that lies between them.

use valetkey_model::Digest;

use super::gather::Prove;
use super::proof::range_root;
use super::{NodeReader, ProofError, node_hash};

/// Some leaves of a tree: their places, in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    places: Vec<u64>,
    size: u64,
}

/// Largest power of two below `n`, for `n` of at least 2.
fn split(n: u64) -> u64 {
    let below = n.saturating_sub(1).max(1);
    1 << below.ilog2()
}

impl Selection {
    /// The leaves at `places` of a tree of `size` leaves; none when they do not rise or are not all in it.
    #[must_use]
    pub fn new(places: Vec<u64>, size: u64) -> Option<Self> {
        let rising = places.is_sorted_by(|a, b| a < b);
        let within = places.last().is_none_or(|last| *last < size);
        (rising && within && size > 0).then_some(Self { places, size })
    }

    /// The places.
    #[must_use]
    pub fn places(&self) -> &[u64] {
        &self.places
    }

    /// The root of the tree that `leaves`, at these places, and the proof lead to.
    ///
    /// # Errors
    /// When there are too many or too few hashes.
    pub fn root(&self, leaves: &[Digest], proof: &[Digest]) -> Result<Digest, ProofError> {
        if leaves.len() != self.places.len() {
            return Err(ProofError::Length);
        }
        let (mut leaves, mut proof) = (leaves.iter(), proof.iter());
        let root = self.walk(0, self.size, &mut |start, end, selected| {
            let _range = (start, end);
            let next = if selected {
                leaves.next()
            } else {
                proof.next()
            };
            next.copied().ok_or(ProofError::Length)
        })?;
        if leaves.next().is_none() && proof.next().is_none() {
            Ok(root)
        } else {
            Err(ProofError::Length)
        }
    }

    /// Goes through the tree from left to right: `at` is asked for every selected leaf, and for the largest subtrees without one.
    fn walk(
        &self,
        start: u64,
        end: u64,
        at: &mut impl FnMut(u64, u64, bool) -> Result<Digest, ProofError>,
    ) -> Result<Digest, ProofError> {
        let from = self.places.partition_point(|place| *place < start);
        let selected = self.places.get(from).is_some_and(|place| *place < end);
        if !selected {
            return at(start, end, false);
        }
        let width = end.saturating_sub(start);
        if width == 1 {
            return at(start, end, true);
        }
        let middle = start.saturating_add(split(width));
        let left = self.walk(start, middle, at)?;
        let right = self.walk(middle, end, at)?;
        Ok(node_hash(&left, &right))
    }
}

impl Prove for Selection {
    fn prove<N: NodeReader>(&self, nodes: &N) -> Result<Vec<Digest>, ProofError> {
        let mut proof = Vec::new();
        // The hashes of selected leaves are not in the proof, and what is made of them here is of no meaning.
        self.walk(0, self.size, &mut |start, end, selected| {
            if selected {
                return Ok(Digest::from_bytes([0; 32]));
            }
            let root = range_root(nodes, start, end)?;
            proof.push(root);
            Ok(root)
        })?;
        Ok(proof)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::gather::Gathered;
    use crate::merkle::{MerkleTree, leaf_hash};

    fn leaf(number: u64) -> Digest {
        leaf_hash(&number.to_be_bytes())
    }

    proptest! {
        #[test]
        fn a_selection_leads_to_the_root_and_no_other_leaf_does(
            size in 1_u64..200,
            picks in proptest::collection::btree_set(0_u64..200, 0..60),
            wrong in any::<proptest::sample::Index>(),
        ) {
            let tree: MerkleTree = (0..size).map(leaf).collect();
            let places: Vec<u64> = picks.into_iter().filter(|place| *place < size).collect();
            let leaves: Vec<Digest> = places.iter().map(|place| leaf(*place)).collect();
            let selection = Selection::new(places.clone(), size).unwrap();
            let mut gathered = Gathered::for_proof(&selection).unwrap();
            (0..size).for_each(|number| gathered.push(leaf(number)));
            let proof = selection.prove(&gathered).unwrap();
            prop_assert_eq!(selection.prove(&tree).unwrap(), proof.clone());
            prop_assert_eq!(selection.root(&leaves, &proof), Ok(tree.root()));
            if !leaves.is_empty() {
                let mut changed = leaves.clone();
                changed[wrong.index(leaves.len())] = leaf(999);
                prop_assert_ne!(selection.root(&changed, &proof), Ok(tree.root()));
                prop_assert_eq!(selection.root(&leaves[1..], &proof), Err(ProofError::Length));
                let fewer = Selection::new(places[1..].to_vec(), size).unwrap();
                prop_assert_ne!(fewer.root(&leaves[1..], &proof), Ok(tree.root()));
            }
            let mut longer = proof;
            longer.push(leaf(1));
            prop_assert_eq!(selection.root(&leaves, &longer), Err(ProofError::Length));
        }
    }

    #[test]
    fn places_rise_and_lie_in_the_tree() {
        assert!(Selection::new(vec![1, 0], 2).is_none());
        assert!(Selection::new(vec![1, 1], 2).is_none());
        assert!(Selection::new(vec![2], 2).is_none());
        assert!(Selection::new(Vec::new(), 0).is_none());
    }
}
