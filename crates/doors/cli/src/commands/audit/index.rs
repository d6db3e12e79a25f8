//! `valetkey audit index`, and queries that use it: an index beside the log that is made from it at any time, and never believed.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use valetkey_store::{Entry, LogReader, SegmentPlace};
use valetkey_trail::Filter;
use valetkey_trail::index::{Covers, Index, IndexWriter, Terms, groups};

use super::unreadable;
use crate::args::IndexArgs;
use crate::fail::{Fail, Status};
use crate::out;

/// An index that covers no more than this of a full segment is made anew rather than read beside a long rest.
const REST_MAX_BYTES: u64 = 8 << 20;

/// Where more than one event in so many may match, going through the segment is faster than reading each at its place.
const WORTH_IT: usize = 8;

/// Makes the index anew, or what is missing of it.
pub(super) fn index(args: &IndexArgs) -> Result<(), Fail> {
    let (reader, dir) = super::open(&args.log)?;
    let index = directory(&dir);
    if args.rebuild && index.exists() {
        std::fs::remove_dir_all(&index).map_err(|error| failed(&index, &error))?;
    }
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(&index)
        .map_err(|error| failed(&index, &error))?;
    let (mut made, mut events, mut bytes) = (0_u64, 0_u64, 0_u64);
    for segment in reader.segments().map_err(unreadable)? {
        let file = file_of(&index, &segment);
        let current = File::open(&file)
            .ok()
            .and_then(|file| usable(&file, &segment).map(|index| index.covers().bytes));
        let length = segment.bytes().map_err(unreadable)?;
        if current.is_none_or(|covered| length.saturating_sub(covered) > 0) {
            make(&file, &segment)?;
            made = made.saturating_add(1);
        }
        if let Ok(open) = File::open(&file) {
            events = events.saturating_add(
                usable(&open, &segment).map_or(0, |index| u64::from(index.covers().events)),
            );
            bytes = bytes.saturating_add(open.metadata().map_or(0, |metadata| metadata.len()));
        }
    }
    if args.json {
        out::json(&json!({"events": events, "bytes": bytes, "segments_made": made}));
    } else {
        out::line(&format!(
            "{events} events indexed in {}, {bytes} bytes; {made} segments made anew",
            index.display()
        ));
    }
    Ok(())
}

/// Beside the log: it can be thrown away at any time.
fn directory(log: &Path) -> PathBuf {
    log.with_file_name(match log.file_name() {
        Some(name) => format!("{}-index", name.to_string_lossy()),
        None => "log-index".to_owned(),
    })
}

fn file_of(index: &Path, segment: &SegmentPlace) -> PathBuf {
    index.join(format!("{:020}", segment.first()))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Fail {
    Fail::new(
        Status::Failed,
        format!("cannot write the index {}: {error}", path.display()),
    )
}

/// Indexes one segment. Memory is bounded by the segment's size.
fn make(file: &Path, segment: &SegmentPlace) -> Result<(), Fail> {
    let mut writer = IndexWriter::default();
    let mut all = true;
    let read = segment
        .scan(0, |at, entry| all &= writer.push(at, &entry.record))
        .map_err(unreadable)?;
    let (Some(read), true) = (read, all) else {
        return Ok(());
    };
    let bytes = writer.finish(Covers {
        first: segment.first(),
        bytes: read.bytes,
        checkpoint_at: read.checkpoint_at,
        checkpoint: read.checkpoint,
        events: 0,
        first_ms: 0,
        last_ms: 0,
    });
    valetkey_store::write_atomically(file, &bytes, 0o600).map_err(|error| failed(file, &error))
}

/// The index of a segment, if it is whole and of this very segment.
fn usable<'a>(file: &'a File, segment: &SegmentPlace) -> Option<Index<'a>> {
    let index = Index::open(move |at, length| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    })
    .ok()?;
    let covers = index.covers();
    let events = segment.open().ok()?;
    let there = events.digest(covers.checkpoint_at, covers.bytes).ok()??;
    (covers.first == segment.first() && there == covers.checkpoint).then_some(index)
}

/// What an index can answer of a filter, for one log; nothing where it can answer nothing.
pub(super) struct Asked<'a> {
    dir: PathBuf,
    filter: &'a Filter,
    groups: Vec<Terms>,
}

impl<'a> Asked<'a> {
    /// For a filter that has a part which an index knows, where there is an index.
    pub(super) fn of(log: &Path, filter: &'a Filter) -> Option<Self> {
        // A reader of the log of somebody else must not be led by files that they put beside it: the directory has to be ours.
        let dir = directory(log);
        let groups = groups(filter);
        (!groups.is_empty() && is_own(&dir)).then_some(Self {
            dir,
            filter,
            groups,
        })
    }

    /// Calls `f` with every event that matches, in order.
    pub(super) fn each(&self, reader: &LogReader, mut f: impl FnMut(Entry)) -> Result<(), Fail> {
        for segment in reader.segments().map_err(unreadable)? {
            self.of_segment(&segment, &mut f)?;
        }
        Ok(())
    }

    /// The last `count` events that match, oldest first.
    pub(super) fn last(&self, reader: &LogReader, count: usize) -> Result<Vec<Entry>, Fail> {
        let mut found: Vec<Entry> = Vec::new();
        for segment in reader.segments().map_err(unreadable)?.iter().rev() {
            if found.len() >= count {
                break;
            }
            let mut here = Vec::new();
            self.of_segment(segment, &mut |entry| here.push(entry))?;
            here.append(&mut found);
            found = here;
        }
        let surplus = found.len().saturating_sub(count);
        Ok(found.split_off(surplus))
    }

    fn of_segment(&self, segment: &SegmentPlace, f: &mut impl FnMut(Entry)) -> Result<(), Fail> {
        let file = File::open(file_of(&self.dir, segment));
        let indexed = file.ok().and_then(|file| self.by_index(&file, segment));
        let (found, from) = indexed.unwrap_or_default();
        found.into_iter().for_each(&mut *f);
        if segment.bytes().map_err(unreadable)? > from {
            let matching = |_, entry: Entry| {
                if self.filter.matches(&entry.record) {
                    f(entry);
                }
            };
            let _read = segment.scan(from, matching).map_err(unreadable)?;
        }
        Ok(())
    }

    /// The events that an index leads to, and up to where it covers the segment; nothing where it is not usable, whatever the reason.
    fn by_index(&self, file: &File, segment: &SegmentPlace) -> Option<(Vec<Entry>, u64)> {
        let index = usable(file, segment)?;
        let covers = index.covers();
        if segment.bytes().ok()?.saturating_sub(covers.bytes) > REST_MAX_BYTES {
            return None;
        }
        let too_early = self
            .filter
            .since
            .is_some_and(|since| covers.last_ms < since.unix_ms());
        let too_late = self
            .filter
            .until
            .is_some_and(|until| covers.first_ms >= until.unix_ms());
        if too_early || too_late {
            return Some((Vec::new(), covers.bytes));
        }
        let numbers = index.find(&self.groups).ok()?;
        let events = usize::try_from(covers.events).ok()?;
        if numbers.len().saturating_mul(WORTH_IT) > events.max(WORTH_IT.saturating_mul(64)) {
            return None;
        }
        let segment_events = segment.open().ok()?;
        let mut found = Vec::new();
        for number in numbers {
            let entry = segment_events.read(index.offset(number).ok()?).ok()??;
            // What stands there is the very event that was indexed, or the index is of no use.
            if entry.record.seq != covers.first.checked_add(u64::from(number))? {
                return None;
            }
            if self.filter.matches(&entry.record) {
                found.push(entry);
            }
        }
        Some((found, covers.bytes))
    }
}

/// Whether a directory is there that nobody else can write in.
fn is_own(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(dir).is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o022 == 0
    })
}
