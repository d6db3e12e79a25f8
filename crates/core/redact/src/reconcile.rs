//! Putting back what a mask hides, where a writer left the mask as it was.
//!
//! What a writer was shown is compared with what it wrote, line by line. Lines that are the same stand for the same lines of the original.
//! Two things must hold of the outcome, and are looked at and not assumed: every place that was masked is in it, whole; and every byte
//! that is put back is masked again when the outcome is masked. So nobody destroys what they cannot see, and nobody
//! brings it to where it could be seen.

use std::fmt;

use crate::{Kinds, Masked, mask};

/// Lines that are compared at most beyond what is alike at both ends; more is refused.
const LINES_MAX: usize = 2000;

/// Why a write is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something that is masked would be destroyed.
    Destroys,
    /// Something that is masked would come to be where it is not.
    Uncovers,
    /// What was written cannot be compared: it is too different in too many lines, or cannot be looked into.
    Unclear,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destroys => "it would destroy something that is masked",
            Self::Uncovers => "it would bring something that is masked to where it could be seen",
            Self::Unclear => "what was written cannot be compared with what was shown",
        })
    }
}

impl std::error::Error for Refusal {}

/// What is to be in the file when a writer who was shown `masked` in place of `original` has written `written`.
///
/// # Errors
/// When it would destroy or uncover something, or that cannot be told.
pub fn reconcile(
    original: &[u8],
    masked: &Masked,
    written: &[u8],
    kinds: Kinds,
) -> Result<Vec<u8>, Refusal> {
    if original.len() != masked.content.len() {
        return Err(Refusal::Unclear);
    }
    let shown = Lines::of(&masked.content);
    let new = Lines::of(written);
    let pairs = alike(&shown, &new).ok_or(Refusal::Unclear)?;
    let mut outcome = written.to_vec();
    let mut kept = vec![false; masked.ranges.len()];
    let mut put_back = Vec::new();
    for (at, range) in masked.ranges.iter().enumerate() {
        let (first, last) = (
            shown.line_of(range.start),
            shown.line_of(range.end.saturating_sub(1)),
        );
        let Some(to) = pairs.get(first).copied().flatten() else {
            continue;
        };
        // A range over several lines is one if they still follow each other.
        let follows = (first..=last)
            .zip(to..)
            .all(|(line, to)| pairs.get(line).copied().flatten() == Some(to));
        let offset = range.start.saturating_sub(shown.start(first));
        let begin = new.start(to).saturating_add(offset);
        let end = begin.saturating_add(range.len());
        if let (true, Some(from), Some(place)) = (
            follows,
            original.get(range.clone()),
            outcome.get_mut(begin..end),
        ) {
            place.copy_from_slice(from);
            put_back.push(begin..end);
            if let Some(kept) = kept.get_mut(at) {
                *kept = true;
            }
        }
    }
    if kept.contains(&false) {
        return Err(Refusal::Destroys);
    }
    let again = mask(&outcome, kinds).map_err(|_| Refusal::Unclear)?;
    let covered = put_back
        .iter()
        .all(|range| again.content.get(range.clone()) == written.get(range.clone()));
    if covered {
        Ok(outcome)
    } else {
        Err(Refusal::Uncovers)
    }
}

/// Content by lines, each with its end.
struct Lines<'a> {
    content: &'a [u8],
    /// Where each begins, and the end of all.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(content: &'a [u8]) -> Self {
        let mut starts = vec![0];
        let ends = content
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n');
        starts.extend(ends.map(|(at, _)| at.saturating_add(1)));
        if starts.last() != Some(&content.len()) {
            starts.push(content.len());
        }
        Self { content, starts }
    }

    fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.content.len())
    }

    /// The line without its end: what is written last may have none.
    fn get(&self, line: usize) -> &'a [u8] {
        let whole = self
            .content
            .get(self.start(line)..self.start(line.saturating_add(1)))
            .unwrap_or_default();
        whole.strip_suffix(b"\n").unwrap_or(whole)
    }

    fn line_of(&self, at: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }
}

/// For each line of `old` the line of `new` that it is, in order (the longest common subsequence); `None` if there are too many.
fn alike(old: &Lines<'_>, new: &Lines<'_>) -> Option<Vec<Option<usize>>> {
    let mut pairs = vec![None; old.len()];
    let shorter = old.len().min(new.len());
    let head = (0..shorter)
        .take_while(|line| old.get(*line) == new.get(*line))
        .count();
    let tail = (0..shorter.saturating_sub(head))
        .take_while(|back| {
            let from_end = |lines: &Lines<'_>| lines.len().saturating_sub(*back).saturating_sub(1);
            old.get(from_end(old)) == new.get(from_end(new))
        })
        .count();
    for line in 0..head {
        *pairs.get_mut(line)? = Some(line);
    }
    for back in 1..=tail {
        *pairs.get_mut(old.len().checked_sub(back)?)? = Some(new.len().checked_sub(back)?);
    }
    let (olds, news) = (
        old.len().saturating_sub(head).saturating_sub(tail),
        new.len().saturating_sub(head).saturating_sub(tail),
    );
    if olds == 0 || news == 0 {
        return Some(pairs);
    }
    if olds > LINES_MAX || news > LINES_MAX {
        return None;
    }
    // Lengths of what the rests have in common, from the end.
    let width = news.checked_add(1)?;
    let mut lengths = vec![0_u16; width.checked_mul(olds.checked_add(1)?)?];
    let at = |i: usize, j: usize| i.saturating_mul(width).saturating_add(j);
    let same =
        |i: usize, j: usize| old.get(head.saturating_add(i)) == new.get(head.saturating_add(j));
    for i in (0..olds).rev() {
        for j in (0..news).rev() {
            let length = if same(i, j) {
                lengths
                    .get(at(i.saturating_add(1), j.saturating_add(1)))?
                    .saturating_add(1)
            } else {
                (*lengths.get(at(i.saturating_add(1), j))?)
                    .max(*lengths.get(at(i, j.saturating_add(1)))?)
            };
            *lengths.get_mut(at(i, j))? = length;
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < olds && j < news {
        if same(i, j) {
            *pairs.get_mut(head.checked_add(i)?)? = Some(head.checked_add(j)?);
            (i, j) = (i.saturating_add(1), j.saturating_add(1));
        } else if lengths.get(at(i.saturating_add(1), j))?
            >= lengths.get(at(i, j.saturating_add(1)))?
        {
            i = i.saturating_add(1);
        } else {
            j = j.saturating_add(1);
        }
    }
    Some(pairs)
}
