//! Verification of a whole log from its files, on as many threads as there are processors.
//!
//! Each segment holds the tree before it, so segments are hashed side by side, and signatures are checked side by side. That is enough to say that a log is
//! whole. One that is not is gone through again in order, by the verifier that names what was done to it first.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use valetkey_audit::segment::SegmentHeader;
use valetkey_audit::{
    Checkpoint, EpochChain, Frontier, Intact, LogPublicKey, SignedNote, Verdict, Verifier,
};

use crate::{LogReader, StoreError};

/// Most threads: beyond that the disk is what one waits for.
const THREADS_MAX: usize = 16;

/// Signatures that are checked in one piece.
const NOTES_AT_ONCE: usize = 64;

/// A segment that hashed well by itself.
struct Part {
    before: Frontier,
    intact: Intact,
    notes: Vec<SignedNote>,
}

impl LogReader {
    /// Verifies the whole log from its files: every event against the checkpoints that `key` and the keys of its epochs signed, and against a checkpoint kept elsewhere, if one is given.
    ///
    /// # Errors
    /// When a file cannot be read. What is wrong with the log itself is in the verdict.
    pub fn verify(
        &self,
        key: &LogPublicKey,
        trusted: Option<Checkpoint>,
    ) -> Result<Verdict, StoreError> {
        self.verify_telling(key, trusted, &|_, _| {})
    }

    /// The same, telling how many bytes of how many are done.
    ///
    /// # Errors
    /// As [`LogReader::verify`].
    pub fn verify_telling(
        &self,
        key: &LogPublicKey,
        trusted: Option<Checkpoint>,
        tell: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Verdict, StoreError> {
        let paths = self.segment_paths()?;
        if let Some(intact) = side_by_side(&paths, key, trusted.as_ref(), tell)? {
            return Ok(Verdict::Intact(intact));
        }
        let mut verifier = Verifier::new(key);
        if let Some(trusted) = trusted {
            verifier = verifier.trusting(trusted);
        }
        for (first, path) in &paths {
            verifier.segment(*first, &read(path)?);
        }
        Ok(verifier.finish())
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| StoreError::io("read", path, error))
}

/// What the log holds, if all of it is as it was signed.
fn side_by_side(
    paths: &[(u64, PathBuf)],
    key: &LogPublicKey,
    trusted: Option<&Checkpoint>,
    tell: &(dyn Fn(u64, u64) + Sync),
) -> Result<Option<Intact>, StoreError> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX));
    let total: u64 = paths
        .iter()
        .map(|(_, path)| path.metadata().map_or(0, |data| data.len()))
        .sum();
    let done = AtomicU64::new(0);
    // The segment in which the trusted checkpoint's size is reached.
    let vouched = trusted.and_then(|trusted| {
        let before = paths.iter().rposition(|(first, _)| *first < trusted.size);
        before.map(|at| (at, trusted))
    });
    let mut whole: Option<Intact> = None;
    let mut chain = EpochChain::new(key.name());
    for (group, some) in paths.chunks(threads).enumerate() {
        let base = group.saturating_mul(threads);
        let parts = on_threads(threads, some.len(), |at| {
            let (first, path) = some.get(at)?;
            let bytes = match read(path) {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            };
            let vouched = vouched.filter(|(place, _)| *place == base.saturating_add(at));
            let part = part(*first, &bytes, key, vouched.map(|(_, trusted)| trusted));
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            tell(
                done.fetch_add(length, Ordering::Relaxed)
                    .saturating_add(length),
                total,
            );
            part.map(Ok)
        });
        let parts: Result<Vec<Option<Part>>, StoreError> =
            parts.into_iter().map(Option::transpose).collect();
        let Some(parts) = parts?.into_iter().collect::<Option<Vec<Part>>>() else {
            return Ok(None);
        };
        if !signatures_hold(&parts, key, &mut chain, threads) {
            return Ok(None);
        }
        for part in parts {
            match join(whole.take(), part) {
                Some(joined) => whole = Some(joined),
                None => return Ok(None),
            }
        }
    }
    if let Some(whole) = &mut whole {
        whole.epoch_keys = chain.keys();
    }
    Ok(whole.filter(|whole| trusted.is_none_or(|trusted| trusted.size <= whole.events)))
}

/// One segment by itself.
fn part(
    first: u64,
    bytes: &[u8],
    key: &LogPublicKey,
    trusted: Option<&Checkpoint>,
) -> Option<Part> {
    let (header, _) = SegmentHeader::read(bytes).ok()?;
    let before = header.before;
    let mut verifier = Verifier::after(key, before.clone()).leaving_signatures();
    if let Some(trusted) = trusted {
        verifier = verifier.trusting(trusted.clone());
    }
    verifier.segment(first, bytes);
    let notes = verifier.take_notes();
    match verifier.finish() {
        Verdict::Intact(intact) => Some(Part {
            before,
            intact,
            notes,
        }),
        Verdict::Tampered(_) => None,
    }
}

/// The log so far with the segment that continues it.
fn join(whole: Option<Intact>, part: Part) -> Option<Intact> {
    let Some(whole) = whole else {
        return (part.before.size() == 0).then_some(part.intact);
    };
    let continues = whole.torn_tail.is_none() && whole.frontier == part.before;
    continues.then(|| Intact {
        checkpoints: whole.checkpoints.saturating_add(part.intact.checkpoints),
        segments: whole.segments.saturating_add(part.intact.segments),
        last_batch: if part.intact.last_checkpoint.is_some() {
            part.intact.last_batch
        } else {
            whole.last_batch
        },
        last_checkpoint: part.intact.last_checkpoint.or(whole.last_checkpoint),
        ..part.intact
    })
}

/// Whether each checkpoint is signed with the log's key and that of its epoch, and the epochs follow each other.
fn signatures_hold(
    parts: &[Part],
    key: &LogPublicKey,
    chain: &mut EpochChain,
    threads: usize,
) -> bool {
    let mut notes: Vec<(&[u8], Option<LogPublicKey>)> = Vec::new();
    for signed in parts.iter().flat_map(|part| &part.notes) {
        notes.push((&signed.note, chain.signer(&signed.marks).cloned()));
        if chain.advance(&signed.marks).is_err() {
            return false;
        }
    }
    let pieces: Vec<_> = notes.chunks(NOTES_AT_ONCE).collect();
    let holds = on_threads(threads, pieces.len(), |at| {
        let notes = pieces.get(at).copied().unwrap_or_default();
        let hold = |(note, epoch): &(&[u8], Option<LogPublicKey>)| {
            let signed = |key| Checkpoint::open(note, key).is_ok();
            signed(key) && epoch.as_ref().is_none_or(signed)
        };
        Some(notes.iter().all(hold))
    });
    holds.into_iter().all(|holds| holds == Some(true))
}

/// Does `count` pieces of work on some threads; their results in order. A piece that panicked has none.
fn on_threads<T: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> Option<T> + Sync,
) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    thread::scope(|scope| {
        let run = || {
            let mut own = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return own;
                }
                own.push((at, work(at)));
            }
        };
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for other in others {
            // What a thread that panicked had to say is missing from the results, so nothing is taken for whole.
            all.extend(other.join().unwrap_or_default());
        }
        for (at, result) in all {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
    });
    results
}
