//! Content by lines, and which lines of two contents are the same.

/// Lines that are compared at most beyond what is alike at both ends; more is refused.
const LINES_MAX: usize = 2000;

/// Content by lines, each with its end.
pub(crate) struct Lines<'a> {
    content: &'a [u8],
    /// Where each begins, and the end of all.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(content: &'a [u8]) -> Self {
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

    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.content.len())
    }

    /// The line without its end: what is written last may have none.
    pub(crate) fn get(&self, line: usize) -> &'a [u8] {
        let whole = self
            .content
            .get(self.start(line)..self.start(line.saturating_add(1)))
            .unwrap_or_default();
        whole.strip_suffix(b"\n").unwrap_or(whole)
    }

    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }
}

/// For each line of `old` the line of `new` that it is, in order (the longest common subsequence); `None` if there are too many.
pub(crate) fn alike(old: &Lines<'_>, new: &Lines<'_>) -> Option<Vec<Option<usize>>> {
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
