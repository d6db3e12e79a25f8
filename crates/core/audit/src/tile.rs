//! Tiles: the tree's nodes in files of a fixed form, as C2SP `tlog-tiles` has them.
//!
//! A tile of level `L` holds up to 256 consecutive nodes, each the root of a complete subtree of `256^L` leaves.

use std::fmt;

use valetkey_model::Digest;

use crate::merkle::{NodeReader, node_hash};

/// Nodes in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// The same, as a number of leaves.
const WIDTH: u64 = 256;

/// Levels of the tree that one tile spans.
const TILE_HEIGHT: u32 = 8;

/// Bytes of a node.
const HASH_BYTES: usize = 32;

/// Levels that a 64-bit tree can have tiles of.
const LEVELS_MAX: u8 = 8;

/// Which tile, and how many nodes of it are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Its level: 0 holds leaf hashes.
    pub level: u8,
    /// Its place in the level.
    pub index: u64,
    /// How many nodes: 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The path below the log's prefix: `tile/0/x001/234`, with `.p/W` where it is partial.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, Place(self.index, self.width))
    }

    /// The path of the entries whose hashes a tile of level 0 holds.
    #[must_use]
    pub fn entries_path(&self) -> String {
        format!("tile/entries/{}", Place(self.index, self.width))
    }

    /// The tiles of a tree of `size` leaves that a tree of `old` leaves does not have, lowest level first.
    pub fn new_between(old: u64, size: u64) -> impl Iterator<Item = Self> {
        (0..LEVELS_MAX).flat_map(move |level| {
            let shift = TILE_HEIGHT.saturating_mul(u32::from(level));
            let (had, has) = (old >> shift, size >> shift);
            let first = had / WIDTH;
            let full = has / WIDTH;
            let rest = u16::try_from(has % WIDTH).unwrap_or(0);
            let partial = (rest > 0 && has != had).then_some(Self {
                level,
                index: full,
                width: rest,
            });
            (first..full)
                .map(move |index| Self {
                    level,
                    index,
                    width: TILE_WIDTH,
                })
                .chain(partial)
        })
    }

    /// The nodes in the bytes of this tile; none when they are not as many as they must be.
    #[must_use]
    pub fn nodes(&self, bytes: &[u8]) -> Option<Vec<Digest>> {
        let (nodes, rest) = bytes.as_chunks::<HASH_BYTES>();
        let fits = rest.is_empty() && nodes.len() == usize::from(self.width);
        fits.then(|| nodes.iter().copied().map(Digest::from_bytes).collect())
    }
}

/// An index and a width as they stand in a path.
struct Place(u64, u16);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = vec![self.0 % 1000];
        let mut rest = self.0 / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() {
                write!(f, "{group:03}")?;
            } else {
                write!(f, "x{group:03}/")?;
            }
        }
        if self.1 < TILE_WIDTH {
            write!(f, ".p/{}", self.1)?;
        }
        Ok(())
    }
}

/// The root over the nodes of a tile, or over a part of it whose length is a power of two.
#[must_use]
pub fn subtree_root(nodes: &[Digest]) -> Option<Digest> {
    let mut level = nodes.to_vec();
    if !level.len().is_power_of_two() {
        return None;
    }
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    level.pop()
}

/// Makes tiles from leaves that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct Tiler {
    /// What is not yet a full tile, by level.
    open: Vec<Vec<Digest>>,
    size: u64,
}

impl Tiler {
    /// For a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with a tree of `size` leaves, whose partial tiles `read` gives; none when one of them is not there.
    #[must_use]
    pub fn resume(size: u64, mut read: impl FnMut(Tile) -> Option<Vec<Digest>>) -> Option<Self> {
        let mut open = Vec::new();
        for level in 0..LEVELS_MAX {
            let nodes = size >> TILE_HEIGHT.saturating_mul(u32::from(level));
            if nodes == 0 {
                break;
            }
            let width = u16::try_from(nodes % WIDTH).unwrap_or(0);
            open.push(match width {
                0 => Vec::new(),
                _ => read(Tile {
                    level,
                    index: nodes / WIDTH,
                    width,
                })?,
            });
        }
        Some(Self { open, size })
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; the tiles that it fills are appended to `full`.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<(Tile, Vec<u8>)>) {
        self.size = self.size.saturating_add(1);
        let mut node = leaf;
        for level in 0..LEVELS_MAX {
            let at = usize::from(level);
            if self.open.len() == at {
                self.open.push(Vec::new());
            }
            let Some(open) = self.open.get_mut(at) else {
                return;
            };
            open.push(node);
            if open.len() < usize::from(TILE_WIDTH) {
                return;
            }
            let nodes = std::mem::take(open);
            let shift = TILE_HEIGHT.saturating_mul(u32::from(level).saturating_add(1));
            let index = self.size.checked_shr(shift).unwrap_or(0).saturating_sub(1);
            let tile = Tile {
                level,
                index,
                width: TILE_WIDTH,
            };
            full.push((tile, bytes_of(&nodes)));
            let Some(root) = subtree_root(&nodes) else {
                return;
            };
            node = root;
        }
    }

    /// The tiles that are not full.
    #[must_use]
    pub fn partial(&self) -> Vec<(Tile, Vec<u8>)> {
        let open = self
            .open
            .iter()
            .zip(0_u8..)
            .filter(|(nodes, _)| !nodes.is_empty());
        open.map(|(nodes, level)| {
            let shift = TILE_HEIGHT.saturating_mul(u32::from(level).saturating_add(1));
            let tile = Tile {
                level,
                index: self.size.checked_shr(shift).unwrap_or(0),
                width: u16::try_from(nodes.len()).unwrap_or(u16::MAX),
            };
            (tile, bytes_of(nodes))
        })
        .collect()
    }
}

fn bytes_of(nodes: &[Digest]) -> Vec<u8> {
    nodes.iter().flat_map(|node| *node.as_bytes()).collect()
}

/// Reads nodes of a tree of `size` leaves out of its tiles.
pub struct TileReader<F> {
    size: u64,
    read: F,
}

impl<F: Fn(Tile) -> Option<Vec<Digest>>> TileReader<F> {
    /// `read` gives the nodes of a tile. A tile that is partial in this tree may have become full since: either will do.
    pub fn new(size: u64, read: F) -> Self {
        Self { size, read }
    }
}

impl<F> fmt::Debug for TileReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TileReader({})", self.size)
    }
}

impl<F: Fn(Tile) -> Option<Vec<Digest>>> NodeReader for TileReader<F> {
    fn node(&self, level: u32, index: u64) -> Option<Digest> {
        let tile_level = u8::try_from(level / TILE_HEIGHT).ok()?;
        let within = level % TILE_HEIGHT;
        let first = index
            .checked_shl(within)
            .filter(|first| first >> within == index)?;
        let at = usize::try_from(first % WIDTH).ok()?;
        let count = 1_usize << within;
        let nodes = self
            .size
            .checked_shr(TILE_HEIGHT.saturating_mul(u32::from(tile_level)))?;
        let tile_index = first / WIDTH;
        let before = tile_index.saturating_mul(WIDTH);
        let width = nodes.saturating_sub(before).min(WIDTH);
        let tile = Tile {
            level: tile_level,
            index: tile_index,
            width: u16::try_from(width).ok().filter(|width| *width > 0)?,
        };
        let nodes = (self.read)(tile)?;
        subtree_root(nodes.get(at..at.checked_add(count)?)?)
    }
}

/// Adds an entry to a bundle of entries: its length in two bytes, and itself.
///
/// # Errors
/// Gives back the length of an entry that is too long for a bundle.
pub fn write_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), usize> {
    let length = u16::try_from(entry.len()).map_err(|_| entry.len())?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle; none when the bytes are not exactly that.
#[must_use]
pub fn read_entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    bundle.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{MerkleTree, inclusion_proof, leaf_hash};

    fn leaf(number: u64) -> Digest {
        leaf_hash(&number.to_be_bytes())
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Tile {
            level,
            index,
            width,
        };
        assert_eq!(tile(0, 1_234_067, 256).path(), "tile/0/x001/x234/067");
        assert_eq!(tile(2, 0, 1).path(), "tile/2/000.p/1");
        assert_eq!(tile(0, 273, 112).entries_path(), "tile/entries/273.p/112");
    }

    #[test]
    fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() {
        let tiles: Vec<_> = Tile::new_between(0, 70_000).collect();
        let count = |level, full: bool| {
            tiles
                .iter()
                .filter(|tile| tile.level == level && (tile.width == 256) == full)
                .count()
        };
        assert_eq!((count(0, true), count(0, false)), (273, 1));
        assert_eq!((count(1, true), count(1, false)), (1, 1));
        assert_eq!((count(2, true), count(2, false)), (0, 1));
        let partial: Vec<_> = tiles
            .iter()
            .filter(|tile| tile.width < 256)
            .map(|tile| tile.width)
            .collect();
        assert_eq!(partial, [112, 17, 1]);
        assert_eq!(Tile::new_between(70_000, 70_000).count(), 0);
        assert_eq!(Tile::new_between(0, 256).collect::<Vec<_>>().len(), 2);
    }

    #[test]
    fn tiles_made_at_once_or_in_parts_are_the_same_and_prove_what_the_tree_proves() {
        let size = 66_000;
        let tree: MerkleTree = (0..size).map(leaf).collect();
        let (mut whole, mut full) = (Tiler::new(), Vec::new());
        (0..size).for_each(|number| whole.push(leaf(number), &mut full));
        let mut tiles: std::collections::BTreeMap<Tile, Vec<u8>> = full.into_iter().collect();
        tiles.extend(whole.partial());
        let expected: std::collections::BTreeSet<_> = Tile::new_between(0, size).collect();
        assert_eq!(
            tiles
                .keys()
                .copied()
                .collect::<std::collections::BTreeSet<_>>(),
            expected
        );
        let (mut parts, mut more) = (Tiler::new(), Vec::new());
        (0..1000).for_each(|number| parts.push(leaf(number), &mut more));
        let kept: std::collections::HashMap<_, _> = parts.partial().into_iter().collect();
        let mut parts = Tiler::resume(1000, |tile| tile.nodes(kept.get(&tile)?)).unwrap();
        (1000..size).for_each(|number| parts.push(leaf(number), &mut more));
        more.extend(parts.partial());
        assert_eq!(
            more.into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
            tiles
        );
        assert!(Tiler::resume(1000, |_| None).is_none());
        let reader = TileReader::new(size, |tile: Tile| tile.nodes(tiles.get(&tile)?));
        for index in [0, 1, 255, 256, 65_535, 65_536, size - 1] {
            assert_eq!(
                inclusion_proof(&reader, index, size),
                tree.prove_inclusion(index, size),
                "{index}"
            );
        }
    }

    #[test]
    fn bundles_are_read_as_they_were_written() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            write_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(read_entries(&bundle).unwrap(), [&b"one"[..], b"", b"three"]);
        for cut in 1..bundle.len() {
            let entries = read_entries(&bundle[..cut]);
            assert!(entries.is_none_or(|entries| entries.len() < 3), "{cut}");
        }
        assert_eq!(write_entry(&mut bundle, &[0; 65_536]), Err(65_536));
    }
}
