//! The log as C2SP `tlog-tiles`: written beside the segments or anywhere else, and verified from there alone.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use valetkey_audit::tile::{TILE_WIDTH, Tile, Tiler, read_entries, write_entry};
use valetkey_audit::{
    Checkpoint, CheckpointError, Frontier, LogPublicKey, Record, TamperKind, leaf_hash,
};
use valetkey_model::{Digest, EventId};

use crate::file::{parent, write_atomically};
use crate::{LogReader, StoreError};

/// Leaves below a full tile of level 0.
const TILE_LEAVES: u64 = 256;

/// The name of the file with the signed checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many events the tiles held before.
    pub before: u64,
    /// How many they hold now.
    pub events: u64,
    /// How many files were written.
    pub files: u64,
}

/// What was done to tiles, at the first place where it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileFault {
    /// What was done.
    pub kind: TamperKind,
    /// The first event that it touches, where that can be told.
    pub first_bad_seq: Option<u64>,
    /// That event's id, as far as its bytes still tell.
    pub event_id: Option<EventId>,
    /// The file.
    pub place: String,
    /// More, in words.
    pub detail: String,
}

impl fmt::Display for TileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe())?;
        if let Some(seq) = self.first_bad_seq {
            write!(f, " at event {seq}")?;
        }
        if let Some(id) = &self.event_id {
            write!(f, " ({id})")?;
        }
        write!(f, " in {}: {}", self.place, self.detail)
    }
}

/// Tiles on disk.
#[derive(Clone, Debug)]
pub struct TileLog {
    directory: PathBuf,
}

impl TileLog {
    /// The tiles in, or to be written to, `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.directory.join(name);
        std::fs::read(&path).map_err(|error| StoreError::io("read", &path, error))
    }

    /// The signed checkpoint; none before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        match self.read(CHECKPOINT) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The nodes of a tile: as wide as asked, or the first of a tile that has grown since.
    #[must_use]
    pub fn nodes(&self, tile: Tile) -> Option<Vec<Digest>> {
        if let Ok(bytes) = self.read(&tile.path()) {
            return tile.nodes(&bytes);
        }
        let full = Tile {
            width: TILE_WIDTH,
            ..tile
        };
        let mut nodes = full.nodes(&self.read(&full.path()).ok()?)?;
        nodes.truncate(usize::from(tile.width));
        Some(nodes)
    }

    /// Writes what the log has and the tiles have not. The checkpoint comes last, and only if the tiles lead to it, so that a reader never
    /// finds one without its tiles.
    ///
    /// # Errors
    /// When the log does not lead to its own checkpoint, it does not continue the tiles that are there, or the system refuses.
    pub fn publish(&self, log: &LogReader, key: &LogPublicKey) -> Result<Published, StoreError> {
        let damaged = |kind, detail: String| {
            StoreError::Tiles(Box::new(fault(kind, None, "the log", &detail)))
        };
        let wrong =
            |error: CheckpointError| damaged(TamperKind::CheckpointAltered, error.to_string());
        let Some(note) = log.checkpoint()? else {
            return Ok(Published {
                before: 0,
                events: 0,
                files: 0,
            });
        };
        let signed = Checkpoint::open(note.as_bytes(), key).map_err(wrong)?;
        let before = match self.checkpoint()? {
            Some(note) => Checkpoint::open(note.as_bytes(), key).map_err(wrong)?.size,
            None => 0,
        };
        if before > signed.size {
            let detail = format!("the tiles hold {before} events, the log {}", signed.size);
            return Err(damaged(TamperKind::Truncated, detail));
        }
        let mut writer = TileWriter::resume(self, before)?;
        for entry in log.entries(before)? {
            if writer.tiler.size() >= signed.size {
                break;
            }
            let entry = entry?;
            writer.push(&entry.bytes, entry.leaf)?;
        }
        writer.finish()?;
        // The tree is made from the tiles on disk, so that a tile of the past that was changed shows here too.
        let root = self.root(signed.size);
        if root != Some(signed.root) {
            let detail = "the tiles do not lead to the signed root: `valetkey audit verify` the log, and write the tiles anew elsewhere";
            return Err(damaged(TamperKind::HistoryRewritten, detail.to_owned()));
        }
        let files = writer.files.saturating_add(1);
        write_atomically(&self.directory.join(CHECKPOINT), note.as_bytes(), 0o600)?;
        Ok(Published {
            before,
            events: signed.size,
            files,
        })
    }

    /// The root over the leaf hashes in the tiles.
    fn root(&self, size: u64) -> Option<Digest> {
        let mut frontier = Frontier::new();
        for tile in Tile::new_between(0, size).filter(|tile| tile.level == 0) {
            self.nodes(tile)?
                .into_iter()
                .for_each(|leaf| frontier.push(leaf));
        }
        (frontier.size() == size).then(|| frontier.root())
    }

    /// The root over the entries, whatever the tiles say.
    fn entries_root(&self, size: u64) -> Option<Digest> {
        let mut frontier = Frontier::new();
        for tile in Tile::new_between(0, size).filter(|tile| tile.level == 0) {
            let bundle = self.read(&tile.entries_path()).ok()?;
            let entries = read_entries(&bundle)?;
            entries
                .into_iter()
                .for_each(|entry| frontier.push(leaf_hash(entry)));
        }
        (frontier.size() == size).then(|| frontier.root())
    }

    /// Verifies every entry, tile and the checkpoint. `trusted` was kept elsewhere; the tiles must continue it.
    ///
    /// # Errors
    /// The first thing that is not as it was signed.
    pub fn verify(
        &self,
        key: &LogPublicKey,
        trusted: Option<&Checkpoint>,
    ) -> Result<Checkpoint, Box<TileFault>> {
        let missing = |what: &str| {
            Box::new(fault(
                TamperKind::TileMissing,
                None,
                what,
                "it is not there",
            ))
        };
        let note = self.read(CHECKPOINT).map_err(|_| missing(CHECKPOINT))?;
        let signed = Checkpoint::open(&note, key).map_err(|error| {
            let kind = match error {
                CheckpointError::WrongKey | CheckpointError::Origin => TamperKind::WrongKey,
                CheckpointError::Malformed(_) | CheckpointError::Signature => {
                    TamperKind::CheckpointAltered
                }
            };
            Box::new(fault(kind, None, CHECKPOINT, &error.to_string()))
        })?;
        let mut check = Check::default();
        for tile in Tile::new_between(0, signed.size).filter(|tile| tile.level == 0) {
            if let Err(mut found) = self.check_bundle(tile, trusted, &mut check) {
                // Which of the two files was changed, the signed root tells: it follows from the entries, or it does not.
                if found.kind == TamperKind::EventAltered
                    && self.entries_root(signed.size) == Some(signed.root)
                {
                    found.kind = TamperKind::TileAltered;
                    found.place = tile.path();
                    "the entries lead to the signed root, and the tile does not"
                        .clone_into(&mut found.detail);
                }
                return Err(found);
            }
        }
        self.check_upper(&signed, &check)?;
        let bad = |kind, detail: &str| Err(Box::new(fault(kind, None, CHECKPOINT, detail)));
        if let Some(trusted) = trusted {
            if trusted.size > signed.size {
                return bad(
                    TamperKind::Truncated,
                    "it covers fewer events than the trusted one",
                );
            }
            if check.trusted_root != Some(trusted.root) {
                return bad(
                    TamperKind::HistoryRewritten,
                    "the events that the trusted checkpoint covers are others",
                );
            }
        }
        if check.frontier.root() == signed.root {
            Ok(signed)
        } else {
            bad(
                TamperKind::EventsRewritten,
                "the entries and tiles agree, but not with the signed root",
            )
        }
    }

    /// One bundle of entries against its tile.
    fn check_bundle(
        &self,
        tile: Tile,
        trusted: Option<&Checkpoint>,
        check: &mut Check,
    ) -> Result<(), Box<TileFault>> {
        let first = tile.index.saturating_mul(TILE_LEAVES);
        let bad = |kind, seq: u64, place: &str, detail: &str| {
            Box::new(fault(kind, Some(seq), place, detail))
        };
        let nodes = match self.read(&tile.path()) {
            Err(_) => {
                return Err(bad(
                    TamperKind::TileMissing,
                    first,
                    &tile.path(),
                    "it is not there",
                ));
            }
            Ok(bytes) => tile.nodes(&bytes),
        };
        let Some(nodes) = nodes else {
            return Err(bad(
                TamperKind::TileAltered,
                first,
                &tile.path(),
                "it has not the bytes of its width",
            ));
        };
        let place = tile.entries_path();
        let Ok(bytes) = self.read(&place) else {
            return Err(bad(
                TamperKind::TileMissing,
                first,
                &place,
                "it is not there",
            ));
        };
        let entries = read_entries(&bytes).unwrap_or_default();
        if entries.len() != nodes.len() {
            let detail = format!("{} entries, and {} hashes", entries.len(), nodes.len());
            return Err(bad(TamperKind::FrameAltered, first, &place, &detail));
        }
        let wrong = (first..)
            .zip(entries.iter().zip(&nodes))
            .find(|(_, (entry, node))| leaf_hash(entry) != **node);
        if let Some((seq, _)) = wrong {
            return Err(Self::name(&place, &entries, &nodes, first, seq));
        }
        for (seq, (entry, node)) in (first..).zip(entries.iter().zip(&nodes)) {
            let told = Record::parse(entry).map(|record| record.seq);
            if told.ok() != Some(seq) {
                return Err(bad(
                    TamperKind::EventReordered,
                    seq,
                    &place,
                    "another event, or none, stands in this place",
                ));
            }
            check.push(*node, trusted);
        }
        check.bottom.push((tile, nodes));
        Ok(())
    }

    /// What was done to entries that do not have their hashes.
    fn name(
        place: &str,
        entries: &[&[u8]],
        nodes: &[Digest],
        first: u64,
        seq: u64,
    ) -> Box<TileFault> {
        let at = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        let entry = entries.get(at).copied().unwrap_or_default();
        let told = Record::parse(entry).ok();
        let elsewhere = nodes.contains(&leaf_hash(entry));
        let (kind, detail) = match &told {
            _ if elsewhere => (
                TamperKind::EventReordered,
                "it stands in the place of another",
            ),
            Some(record) if record.seq != seq => (
                TamperKind::EventReordered,
                "an event of another place stands here",
            ),
            Some(_) | None => (
                TamperKind::EventAltered,
                "the entry does not have the hash in its tile",
            ),
        };
        let mut found = fault(kind, Some(seq), place, detail);
        found.event_id = told.map(|record| record.event_id);
        Box::new(found)
    }

    /// The tiles above the leaves against those below.
    fn check_upper(&self, signed: &Checkpoint, check: &Check) -> Result<(), Box<TileFault>> {
        let (mut tiler, mut made) = (Tiler::new(), Vec::new());
        for (_, nodes) in &check.bottom {
            nodes.iter().for_each(|node| tiler.push(*node, &mut made));
        }
        made.extend(tiler.partial());
        let made: HashMap<Tile, Vec<u8>> = made.into_iter().collect();
        for tile in Tile::new_between(0, signed.size).filter(|tile| tile.level > 0) {
            let height = u32::from(tile.level).saturating_add(1).saturating_mul(8);
            let first = tile.index.checked_shl(height);
            let (kind, detail) = match self.read(&tile.path()) {
                Err(_) => (TamperKind::TileMissing, "it is not there"),
                Ok(bytes) if made.get(&tile) != Some(&bytes) => (
                    TamperKind::TileAltered,
                    "it does not follow from the tiles below",
                ),
                Ok(_) => continue,
            };
            return Err(Box::new(fault(kind, first, &tile.path(), detail)));
        }
        Ok(())
    }
}

/// What has been checked so far.
#[derive(Default)]
struct Check {
    frontier: Frontier,
    trusted_root: Option<Digest>,
    bottom: Vec<(Tile, Vec<Digest>)>,
}

impl Check {
    fn push(&mut self, leaf: Digest, trusted: Option<&Checkpoint>) {
        self.frontier.push(leaf);
        if trusted.is_some_and(|trusted| trusted.size == self.frontier.size()) {
            self.trusted_root = Some(self.frontier.root());
        }
    }
}

fn fault(kind: TamperKind, seq: Option<u64>, place: &str, detail: &str) -> TileFault {
    TileFault {
        kind,
        first_bad_seq: seq,
        event_id: None,
        place: place.to_owned(),
        detail: detail.to_owned(),
    }
}

/// Writes tiles and bundles as events come.
struct TileWriter<'a> {
    log: &'a TileLog,
    tiler: Tiler,
    bundle: Vec<u8>,
    bundled: u16,
    full: Vec<(Tile, Vec<u8>)>,
    files: u64,
}

impl<'a> TileWriter<'a> {
    fn resume(log: &'a TileLog, size: u64) -> Result<Self, StoreError> {
        let unreadable = |path: String| StoreError::Unreadable {
            path: log.directory.join(path),
            why: "it is not there, or not as it was written: write the tiles anew elsewhere"
                .to_owned(),
        };
        let tiler = Tiler::resume(size, |tile| log.nodes(tile))
            .ok_or_else(|| unreadable("tile".to_owned()))?;
        let width = u16::try_from(size % TILE_LEAVES).unwrap_or(0);
        let mut bundle = Vec::new();
        if width > 0 {
            let tile = Tile {
                level: 0,
                index: size / TILE_LEAVES,
                width,
            };
            bundle = log.read(&tile.entries_path())?;
            if read_entries(&bundle).is_none_or(|entries| entries.len() != usize::from(width)) {
                return Err(unreadable(tile.entries_path()));
            }
        }
        Ok(Self {
            log,
            tiler,
            bundle,
            bundled: width,
            full: Vec::new(),
            files: 0,
        })
    }

    fn push(&mut self, bytes: &[u8], leaf: Digest) -> Result<(), StoreError> {
        // An event is at most 60 KiB, so it always fits.
        if let Err(length) = write_entry(&mut self.bundle, bytes) {
            return Err(StoreError::Unreadable {
                path: self.log.directory.clone(),
                why: format!("an event of {length} bytes does not fit into a tile's entries"),
            });
        }
        self.bundled = self.bundled.saturating_add(1);
        self.tiler.push(leaf, &mut self.full);
        for (tile, nodes) in std::mem::take(&mut self.full) {
            if tile.level == 0 {
                let bundle = std::mem::take(&mut self.bundle);
                self.bundled = 0;
                self.put(&tile.entries_path(), &bundle)?;
            }
            self.put(&tile.path(), &nodes)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        for (tile, nodes) in self.tiler.partial() {
            if tile.level == 0 {
                let bundle = std::mem::take(&mut self.bundle);
                self.put(&tile.entries_path(), &bundle)?;
            }
            self.put(&tile.path(), &nodes)?;
        }
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.log.directory.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let above = parent(&path);
        std::fs::create_dir_all(above).map_err(|error| StoreError::io("create", above, error))?;
        write_atomically(&path, bytes, 0o600)?;
        self.files = self.files.saturating_add(1);
        Ok(())
    }
}
