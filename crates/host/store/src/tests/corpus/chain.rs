//! The log that most programs keep: each line with the hash of the line before it. No key, no checkpoint kept elsewhere.

use valetkey_audit::leaf_hash;
use valetkey_model::Digest;

use super::Chain;

/// A line and the hash that binds it to all before.
type Links = Vec<(Vec<u8>, Digest)>;

fn bind(before: Option<&Digest>, line: &[u8]) -> Digest {
    let mut bytes = before.map_or(Vec::new(), |hash| hash.as_bytes().to_vec());
    bytes.extend_from_slice(line);
    leaf_hash(&bytes)
}

fn bound(lines: &[Vec<u8>]) -> Links {
    let mut links = Links::new();
    for line in lines {
        let hash = bind(links.last().map(|(_, hash)| hash), line);
        links.push((line.clone(), hash));
    }
    links
}

fn holds(links: &Links) -> bool {
    let mut before = None;
    for (line, hash) in links {
        if bind(before, line) != *hash {
            return false;
        }
        before = Some(hash);
    }
    true
}

/// What the chain makes of an attack on its lines; `again` where the attacker binds them anew, as anyone can.
pub(super) fn after(again: bool, attack: impl Fn(&mut Links)) -> Chain {
    let lines: Vec<Vec<u8>> = (0..40).map(|n| format!("event {n}").into_bytes()).collect();
    let mut links = bound(&lines);
    assert!(holds(&links));
    attack(&mut links);
    if again {
        let lines: Vec<Vec<u8>> = links.into_iter().map(|(line, _)| line).collect();
        links = bound(&lines);
    }
    if holds(&links) {
        Chain::Misses
    } else {
        Chain::Finds
    }
}
