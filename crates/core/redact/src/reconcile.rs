//! Putting back what a mask hides, where a writer left the mask as it was.
//!
//! What a writer was shown is compared with what it wrote. Lines that are the same stand for the same lines of the original; a line that was
//! moved is known by its text, and a mask in a line that was changed by its own, as long as there is one way alone to read it.
//! Three things must hold of the outcome, and are looked at and not assumed: every place that was masked is in it, whole and once; no other
//! line of it is that of a mask; and every byte that is put back is masked again when the outcome is masked. So nobody destroys what they
//! cannot see, and nobody brings it to where it could be seen.
//!
//! Nothing but masks is compared with what is written, never what they hide: whoever writes a guess is answered alike, right or wrong.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use crate::lines::{Lines, alike};
use crate::{Kinds, Masked, mask};

/// Why a write is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Something that is masked would be destroyed.
    Destroys,
    /// Something that is masked would come to be where it is not.
    Uncovers,
    /// What was written cannot be compared: which mask is which cannot be told, it is too different in too many lines, or it cannot be
    /// looked into.
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
    let mut search = Search::new(original, masked, written)?;
    search.same_lines()?;
    search.moved_lines()?;
    search.changed_lines()?;
    search.no_copies()?;
    let mut outcome = written.to_vec();
    let mut put_back = Vec::with_capacity(masked.ranges.len());
    for (range, place) in masked.ranges.iter().zip(&search.places) {
        let begin = place.ok_or(Refusal::Destroys)?;
        let place = begin..begin.saturating_add(range.len());
        let (Some(from), Some(to)) = (original.get(range.clone()), outcome.get_mut(place.clone()))
        else {
            return Err(Refusal::Unclear);
        };
        to.copy_from_slice(from);
        put_back.push(place);
    }
    if overlap(&put_back) {
        return Err(Refusal::Unclear);
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

/// Whether all that `before` hides is hidden at the same places of `content` too.
#[must_use]
pub fn hides_as_much(before: &Masked, content: &[u8], kinds: Kinds) -> bool {
    mask(content, kinds).is_ok_and(|after| {
        before
            .ranges
            .iter()
            .all(|range| after.content.get(range.clone()) == before.content.get(range.clone()))
    })
}

/// Whether one place was taken for two.
fn overlap(places: &[Range<usize>]) -> bool {
    let mut places: Vec<_> = places
        .iter()
        .map(|place| (place.start, place.end))
        .collect();
    places.sort_unstable();
    places
        .windows(2)
        .any(|two| matches!(two, [(_, end), (start, _)] if start < end))
}

/// What a mask looks like: the lines that it is in, and where in them it begins.
type Shown<'a> = (Vec<&'a [u8]>, usize);

/// The search for the places of what was masked in what was written.
struct Search<'a> {
    original: &'a [u8],
    masked: &'a Masked,
    written: &'a [u8],
    shown: Lines<'a>,
    new: Lines<'a>,
    /// For each line that was shown the line of what was written that it is.
    pairs: Vec<Option<usize>>,
    /// Whether a line of what was written is one that was shown.
    taken: Vec<bool>,
    /// For each masked range where it begins in what was written.
    places: Vec<Option<usize>>,
}

impl<'a> Search<'a> {
    fn new(original: &'a [u8], masked: &'a Masked, written: &'a [u8]) -> Result<Self, Refusal> {
        let shown = Lines::of(&masked.content);
        let new = Lines::of(written);
        let pairs = alike(&shown, &new).ok_or(Refusal::Unclear)?;
        let mut taken = vec![false; new.len()];
        for to in pairs.iter().flatten() {
            if let Some(taken) = taken.get_mut(*to) {
                *taken = true;
            }
        }
        let places = vec![None; masked.ranges.len()];
        Ok(Self {
            original,
            masked,
            written,
            shown,
            new,
            pairs,
            taken,
            places,
        })
    }

    /// The lines that a range is in, the first and the last.
    fn lines_of(&self, range: &Range<usize>) -> (usize, usize) {
        (
            self.shown.line_of(range.start),
            self.shown.line_of(range.end.saturating_sub(1)),
        )
    }

    fn text(&self, (first, last): (usize, usize)) -> Vec<&'a [u8]> {
        (first..=last).map(|line| self.shown.get(line)).collect()
    }

    /// Where `range` begins if its first line, `first`, is the line `to` of what was written.
    fn place(&self, range: &Range<usize>, first: usize, to: usize) -> usize {
        let offset = range.start.saturating_sub(self.shown.start(first));
        self.new.start(to).saturating_add(offset)
    }

    fn put(&mut self, at: usize, place: usize) {
        if let Some(found) = self.places.get_mut(at) {
            *found = Some(place);
        }
    }

    fn hidden(&self, at: usize) -> Option<&'a [u8]> {
        self.original.get(self.masked.ranges.get(at)?.clone())
    }

    /// Lines that stayed in their order.
    fn same_lines(&mut self) -> Result<(), Refusal> {
        let ambiguous = self.ambiguous();
        for (at, range) in self.masked.ranges.iter().enumerate() {
            let (first, last) = self.lines_of(range);
            let Some(to) = self.pairs.get(first).copied().flatten() else {
                continue;
            };
            // A range over several lines is one if they still follow each other.
            let follows = (first..=last)
                .zip(to..)
                .all(|(line, to)| self.pairs.get(line).copied().flatten() == Some(to));
            if !follows {
                continue;
            }
            if ambiguous.get(at) == Some(&true) && !self.is_anchored((first, last), to) {
                return Err(Refusal::Unclear);
            }
            self.put(at, self.place(range, first, to));
        }
        Ok(())
    }

    /// For each range whether lines with the same text hide something else elsewhere.
    fn ambiguous(&self) -> Vec<bool> {
        let mut hidden: HashMap<Shown<'_>, Vec<&[u8]>> = HashMap::new();
        let keys: Vec<_> = self
            .masked
            .ranges
            .iter()
            .map(|range| {
                let (first, last) = self.lines_of(range);
                let offset = range.start.saturating_sub(self.shown.start(first));
                (self.text((first, last)), offset)
            })
            .collect();
        for (at, key) in keys.iter().enumerate() {
            let found = hidden.entry(key.clone()).or_default();
            found.extend(self.hidden(at));
        }
        keys.iter()
            .map(|key| {
                let found = hidden.get(key).map(Vec::as_slice).unwrap_or_default();
                found.windows(2).any(|two| two.first() != two.last())
            })
            .collect()
    }

    /// Whether what stands before or after lines that look like others is what stood there.
    fn is_anchored(&self, (first, last): (usize, usize), to: usize) -> bool {
        let end = to.saturating_add(last.saturating_sub(first));
        let text = self.shown.get(first);
        let is_plain = |line: &[u8]| !line.trim_ascii().is_empty() && line != text;
        let before = |lines: &Lines<'_>, from: usize| {
            (0..from).rev().find(|line| is_plain(lines.get(*line)))
        };
        let after = |lines: &Lines<'_>, from: usize| {
            (from.saturating_add(1)..lines.len()).find(|line| is_plain(lines.get(*line)))
        };
        let same = |old: Option<usize>, new: Option<usize>| match old {
            Some(old) => new.is_some() && self.pairs.get(old).copied().flatten() == new,
            None => new.is_none(),
        };
        same(before(&self.shown, first), before(&self.new, to))
            || same(after(&self.shown, last), after(&self.new, end))
    }

    /// Ranges that have no place yet, by `key`.
    fn lost<K: std::hash::Hash + Eq>(
        &self,
        key: impl Fn(&Self, &Range<usize>) -> K,
    ) -> HashMap<K, Vec<usize>> {
        let mut lost: HashMap<K, Vec<usize>> = HashMap::new();
        for (at, range) in self.masked.ranges.iter().enumerate() {
            if self.places.get(at) == Some(&None) {
                lost.entry(key(self, range)).or_default().push(at);
            }
        }
        lost
    }

    /// Whether it does not matter which of these goes where.
    fn are_one(&self, ranges: &[usize]) -> bool {
        let mut hidden = ranges.iter().map(|at| self.hidden(*at));
        let first = hidden.next();
        hidden.all(|other| Some(other) == first)
    }

    /// Lines that went elsewhere as they were.
    fn moved_lines(&mut self) -> Result<(), Refusal> {
        let lost = self.lost(|search, range| {
            let (first, last) = search.lines_of(range);
            let offset = range.start.saturating_sub(search.shown.start(first));
            (search.text((first, last)), offset)
        });
        let mut used = Vec::new();
        for ((text, _), ranges) in lost {
            let found: Vec<usize> = (0..self.new.len())
                .filter(|to| {
                    text.iter().zip(*to..).all(|(line, to)| {
                        self.taken.get(to) == Some(&false) && self.new.get(to) == *line
                    })
                })
                .collect();
            if found.len() < ranges.len() {
                continue;
            }
            if found.len() > ranges.len() || !self.are_one(&ranges) {
                return Err(Refusal::Unclear);
            }
            for (at, to) in ranges.iter().zip(found) {
                let Some(range) = self.masked.ranges.get(*at) else {
                    continue;
                };
                let (first, _) = self.lines_of(range);
                self.put(*at, self.place(range, first, to));
                used.extend((to..).take(text.len()));
            }
        }
        // Of one line several ranges may be masked: it is taken when all of them are there.
        for to in used {
            if let Some(taken) = self.taken.get_mut(to) {
                *taken = true;
            }
        }
        Ok(())
    }

    /// Masks that are whole in lines that were changed around them.
    fn changed_lines(&mut self) -> Result<(), Refusal> {
        let lost = self.lost(|search, range| search.masked.content.get(range.clone()));
        for (text, ranges) in lost {
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                return Err(Refusal::Unclear);
            };
            let found = self.standing(text, &ranges);
            if found.len() < ranges.len() {
                return Err(Refusal::Destroys);
            }
            if found.len() > ranges.len() || !self.are_one(&ranges) {
                return Err(Refusal::Unclear);
            }
            for (at, place) in ranges.into_iter().zip(found) {
                self.put(at, place);
            }
        }
        Ok(())
    }

    /// Where `text` stands for itself in lines that are none of those that were shown.
    fn standing(&self, text: &[u8], ranges: &[usize]) -> Vec<usize> {
        let mut found = Vec::new();
        for to in (0..self.new.len()).filter(|to| self.taken.get(*to) == Some(&false)) {
            let (start, end) = (self.new.start(to), self.new.start(to.saturating_add(1)));
            for place in start..end {
                let stands = self
                    .written
                    .get(place..)
                    .is_some_and(|rest| rest.starts_with(text));
                if stands && ranges.iter().any(|at| self.is_bounded(*at, place)) {
                    found.push(place);
                }
            }
        }
        found
    }

    /// Whether what is beside the mask at `place` is what was beside it, or no part of a word.
    fn is_bounded(&self, at: usize, place: usize) -> bool {
        let Some(range) = self.masked.ranges.get(at) else {
            return false;
        };
        let beside = |old: Option<usize>, new: Option<usize>| {
            let old = old.and_then(|at| self.masked.content.get(at));
            let new = new.and_then(|at| self.written.get(at));
            new.is_none_or(|byte| Some(byte) == old || !byte.is_ascii_alphanumeric())
        };
        beside(range.start.checked_sub(1), place.checked_sub(1))
            && beside(Some(range.end), place.checked_add(range.len()))
    }

    /// No line that is left is that of a mask: nobody could tell which of the two is the real one.
    fn no_copies(&self) -> Result<(), Refusal> {
        let masks: std::collections::HashSet<&[u8]> = self
            .masked
            .ranges
            .iter()
            .map(|range| self.shown.get(self.lines_of(range).0))
            .collect();
        let is_copy =
            |to: &usize| self.taken.get(*to) == Some(&false) && masks.contains(self.new.get(*to));
        if (0..self.new.len()).any(|to| is_copy(&to)) {
            return Err(Refusal::Unclear);
        }
        Ok(())
    }
}
