//! Tests of the tree against the vectors of Certificate Transparency and against the definition.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a panic fails the test"
)]

use proptest::prelude::*;

use super::*;

/// The inputs of the test tree in certificate-transparency-go (`merkle` package), which RFC 6962 implementations share.
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots of the trees of the first 1 to 8 of [`INPUTS`].
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn digest(text: &str) -> Digest {
    format!("sha256:{text}").parse().unwrap()
}

fn known_leaves() -> Vec<Digest> {
    INPUTS.iter().map(|input| leaf_hash(&hex(input))).collect()
}

/// MTH of RFC 6962, section 2.1, word for word.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

/// PATH of RFC 6962, section 2.1.1, word for word.
fn naive_path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut path, other) = if m < k {
        (naive_path(m, &leaves[..k]), &leaves[k..])
    } else {
        (naive_path(m - k, &leaves[k..]), &leaves[..k])
    };
    path.push(naive_root(other));
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2, word for word.
fn naive_subproof(m: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if known {
            Vec::new()
        } else {
            vec![naive_root(leaves)]
        };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (mut proof, other) = if m <= k {
        (naive_subproof(m, &leaves[..k], known), &leaves[k..])
    } else {
        (naive_subproof(m - k, &leaves[k..], false), &leaves[..k])
    };
    proof.push(naive_root(other));
    proof
}

fn numbered(count: usize) -> Vec<Digest> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

#[test]
fn the_known_roots_come_out() {
    assert_eq!(
        empty_root(),
        digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), empty_root());
    for (leaf, root) in known_leaves().into_iter().zip(ROOTS) {
        frontier.push(leaf);
        assert_eq!(frontier.root(), digest(root), "size {}", frontier.size());
    }
}

#[test]
fn the_known_proofs_come_out() {
    let tree: MerkleTree = known_leaves().into_iter().collect();
    // The vectors of certificate-transparency-go: path of leaf 5 (counted from 0) in 8, and consistency of 6 with 8.
    let inclusion = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(
        tree.prove_inclusion(5, 8).unwrap(),
        inclusion.map(digest).to_vec()
    );
    let consistency = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(
        tree.prove_consistency(6, 8).unwrap(),
        consistency.map(digest).to_vec()
    );
}

#[test]
fn all_proofs_of_small_trees_hold_and_only_for_their_place() {
    const SIZE: usize = 33;
    let leaves = numbered(SIZE);
    let tree: MerkleTree = leaves.iter().copied().collect();
    for size in 1..=SIZE {
        let (n, root) = (size as u64, naive_root(&leaves[..size]));
        for index in 0..size {
            let proof = tree.prove_inclusion(index as u64, n).unwrap();
            assert_eq!(proof, naive_path(index, &leaves[..size]));
            for claimed in 0..size {
                let verdict = verify_inclusion(&leaves[index], claimed as u64, n, &proof, &root);
                assert_eq!(
                    verdict.is_ok(),
                    claimed == index,
                    "{index} as {claimed} in {size}"
                );
            }
        }
        for old in 1..=size {
            let old_root = naive_root(&leaves[..old]);
            let proof = tree.prove_consistency(old as u64, n).unwrap();
            assert_eq!(proof, naive_subproof(old, &leaves[..size], true));
            assert_eq!(
                verify_consistency(old as u64, &old_root, n, &root, &proof),
                Ok(())
            );
            for claimed in (1..=size).filter(|claimed| *claimed != old) {
                let verdict = verify_consistency(claimed as u64, &old_root, n, &root, &proof);
                assert!(verdict.is_err(), "{old} as {claimed} in {size}");
            }
        }
    }
}

#[test]
fn ranges_outside_the_tree_are_refused() {
    let tree: MerkleTree = numbered(3).into_iter().collect();
    assert_eq!(tree.prove_inclusion(3, 3), Err(ProofError::Range));
    assert_eq!(tree.prove_inclusion(0, 9), Err(ProofError::MissingNode));
    assert_eq!(tree.prove_consistency(0, 3), Err(ProofError::Range));
    assert_eq!(tree.prove_consistency(3, 2), Err(ProofError::Range));
    let huge = vec![empty_root(); 70];
    let root = empty_root();
    assert!(verify_inclusion(&root, u64::MAX - 1, u64::MAX, &huge, &root).is_err());
    assert!(verify_consistency(1, &root, u64::MAX, &root, &huge).is_err());
    assert!(Frontier::from_peaks(3, vec![root]).is_none());
}

proptest! {
    #[test]
    fn frontier_tree_and_definition_agree(count in 0_usize..400) {
        let leaves = numbered(count);
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        let tree: MerkleTree = leaves.iter().copied().collect();
        prop_assert_eq!(frontier.root(), naive_root(&leaves));
        prop_assert_eq!(tree.root(), naive_root(&leaves));
        let again = Frontier::from_peaks(frontier.size(), frontier.peaks().to_vec());
        prop_assert_eq!(again, Some(frontier));
    }

    #[test]
    fn a_changed_proof_does_not_hold(
        (count, index) in (2_usize..300).prop_flat_map(|count| (Just(count), 0..count)),
        old in 1_usize..300, hash in any::<prop::sample::Index>(), byte in 0_usize..32, bit in 0_u32..8,
    ) {
        let leaves = numbered(count);
        let tree: MerkleTree = leaves.iter().copied().collect();
        let (n, old) = (count as u64, (old % count).max(1));
        let change = |proof: &mut Vec<Digest>| {
            let place = hash.index(proof.len());
            let mut bytes = *proof[place].as_bytes();
            bytes[byte] ^= 1 << bit;
            proof[place] = Digest::from_bytes(bytes);
        };
        let mut proof = tree.prove_inclusion(index as u64, n).unwrap();
        change(&mut proof);
        prop_assert!(verify_inclusion(&leaves[index], index as u64, n, &proof, &tree.root()).is_err());
        let mut proof = tree.prove_consistency(old as u64, n).unwrap();
        change(&mut proof);
        let old_root = naive_root(&leaves[..old]);
        prop_assert!(verify_consistency(old as u64, &old_root, n, &tree.root(), &proof).is_err());
    }
}
