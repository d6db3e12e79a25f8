//! A long path folded in the middle, only where nothing operative is hidden.

/// Segments at the beginning that are always shown, and at the end.
const KEEP_FIRST: usize = 2;
const KEEP_LAST: usize = 1;

/// Folds a path that was made visible, until it is at most `width` columns wide if that can be: `/home/alice/<12-folded>/q3.xlsx`.
///
/// Never folded are the first two segments and the last, hidden ones, those with a `*`, and those in which something was made visible or could
/// be taken for a fold. Only segments next to each other are folded, and it says how many. What is left may be wider than wanted: then it is.
#[must_use]
pub fn folded(path: &str, width: usize) -> String {
    if columns(path) <= width {
        return path.to_owned();
    }
    let segments: Vec<&str> = path.split('/').collect();
    let best = foldable_runs(&segments)
        .into_iter()
        .map(|run| shortest(&segments, run, width))
        .min_by_key(|text| columns(text));
    match best {
        Some(text) if columns(&text) < columns(path) => text,
        _ => path.to_owned(),
    }
}

/// How many columns of a terminal a text takes.
pub(crate) fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// Runs of segments that may be folded, as first and count.
fn foldable_runs(segments: &[&str]) -> Vec<(usize, usize)> {
    // The first is what stands before the first slash: nothing, or a scheme.
    let first = KEEP_FIRST.saturating_add(1);
    let end = segments.len().saturating_sub(KEEP_LAST);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, segment) in segments.iter().enumerate().take(end).skip(first) {
        if !may_fold(segment) {
            continue;
        }
        match runs.last_mut() {
            Some((start, count)) if start.saturating_add(*count) == at => {
                *count = count.saturating_add(1);
            }
            _ => runs.push((at, 1)),
        }
    }
    runs
}

fn may_fold(segment: &str) -> bool {
    !segment.starts_with('.') && !segment.contains(['*', '<', '>', '%'])
}

/// The path with as few segments of the run folded as are enough, from the run's middle on.
fn shortest(segments: &[&str], (start, count): (usize, usize), width: usize) -> String {
    let mut text = segments.join("/");
    for folds in 1..=count {
        let from = start.saturating_add(count.saturating_sub(folds) / 2);
        let (before, rest) = segments.split_at_checked(from).unwrap_or((segments, &[]));
        let after = rest.get(folds..).unwrap_or_default();
        let fold = format!("<{folds}-folded>");
        let all: Vec<&str> = before
            .iter()
            .copied()
            .chain([fold.as_str()])
            .chain(after.iter().copied())
            .collect();
        text = all.join("/");
        if columns(&text) <= width {
            break;
        }
    }
    text
}
