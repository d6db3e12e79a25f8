//! A unified diff of two texts, line by line (Myers), in the form that other tools write.

use std::rc::Rc;

/// Lines around each change.
const CONTEXT: usize = 4;
/// The most changed lines that are looked for one by one: beyond it everything between the first and the last change is shown as changed.
const EDITS_MAX: isize = 2_000;

/// What becomes of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Same,
    Removed,
    Added,
}

/// A run of lines of one kind.
#[derive(Clone, Debug)]
struct Run {
    change: Change,
    count: usize,
    before: Option<Rc<Run>>,
}

/// The difference under one name.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let runs = runs(&old, &new);
    let mut text = format!(
        "Index: {name}\n{}\n--- {name}\toriginal\n+++ {name}\tmodified\n",
        "=".repeat(67)
    );
    for hunk in hunks(&runs, &old, &new) {
        text.push_str(&hunk.text());
    }
    text
}

/// The best path to a diagonal so far.
#[derive(Clone, Debug)]
struct Path {
    /// Lines of the old text that it has passed.
    passed: usize,
    last: Option<Rc<Run>>,
}

impl Path {
    fn step(&self, change: Change, passed: usize) -> Self {
        let (count, before) = match &self.last {
            Some(last) if last.change == change => {
                (last.count.saturating_add(1), last.before.clone())
            }
            last => (1, last.clone()),
        };
        let run = Run {
            change,
            count,
            before,
        };
        Self {
            passed,
            last: Some(Rc::new(run)),
        }
    }

    /// Goes along lines that are the same; answers how many of the new text it has passed then.
    fn follow(&mut self, old: &[&str], new: &[&str], diagonal: isize) -> usize {
        let mut in_new = self
            .passed
            .checked_add_signed(diagonal.saturating_neg())
            .unwrap_or(0);
        let mut same = 0_usize;
        while let (Some(one), Some(other)) = (old.get(self.passed), new.get(in_new)) {
            if one != other {
                break;
            }
            self.passed = self.passed.saturating_add(1);
            in_new = in_new.saturating_add(1);
            same = same.saturating_add(1);
        }
        if same > 0 {
            let run = Run {
                change: Change::Same,
                count: same,
                before: self.last.clone(),
            };
            self.last = Some(Rc::new(run));
        }
        in_new
    }
}

/// The runs in order.
fn runs(old: &[&str], new: &[&str]) -> Vec<(Change, usize)> {
    let mut runs = Vec::new();
    let mut last = shortest(old, new).unwrap_or_else(|| wholesale(old, new));
    while let Some(run) = last {
        runs.push((run.change, run.count));
        last = run.before.clone();
    }
    runs.reverse();
    runs
}

/// The last run of a path with the fewest changes; nothing when there are too many to look for.
fn shortest(old: &[&str], new: &[&str]) -> Option<Option<Rc<Run>>> {
    let mut first = Path {
        passed: 0,
        last: None,
    };
    let in_new = first.follow(old, new, 0);
    if first.passed >= old.len() && in_new >= new.len() {
        return Some(first.last);
    }
    let mut best = std::collections::HashMap::from([(0_isize, first)]);
    let (mut least, mut most) = (isize::MIN, isize::MAX);
    for edits in 1..=EDITS_MAX {
        let mut diagonal = edits.saturating_neg();
        while diagonal <= edits {
            if diagonal < least || diagonal > most {
                diagonal = diagonal.saturating_add(2);
                continue;
            }
            let remove = best.remove(&diagonal.saturating_sub(1));
            let add = best.get(&diagonal.saturating_add(1));
            let can_add = add.is_some_and(|path| {
                let in_new = path.passed.checked_add_signed(diagonal.saturating_neg());
                // One step before this diagonal.
                in_new.is_some_and(|at| at >= 1 && at <= new.len())
            });
            let remove = remove.filter(|path| path.passed < old.len());
            let mut path = match (remove, add.filter(|_| can_add)) {
                (None, None) => {
                    best.remove(&diagonal);
                    diagonal = diagonal.saturating_add(2);
                    continue;
                }
                (Some(remove), Some(add)) if remove.passed < add.passed => {
                    add.step(Change::Added, add.passed)
                }
                (Some(remove), _) => remove.step(Change::Removed, remove.passed.saturating_add(1)),
                (None, Some(add)) => add.step(Change::Added, add.passed),
            };
            let in_new = path.follow(old, new, diagonal);
            let (old_over, new_over) = (path.passed >= old.len(), in_new >= new.len());
            if old_over && new_over {
                return Some(path.last);
            }
            if old_over {
                most = most.min(diagonal.saturating_sub(1));
            }
            if new_over {
                least = least.max(diagonal.saturating_add(1));
            }
            best.insert(diagonal, path);
            diagonal = diagonal.saturating_add(2);
        }
    }
    None
}

/// What is the same at both ends, and everything between as changed.
fn wholesale(old: &[&str], new: &[&str]) -> Option<Rc<Run>> {
    let same = |(one, other): &(&&str, &&str)| one == other;
    let start = old.iter().zip(new).take_while(same).count();
    let rest = old.len().min(new.len()).saturating_sub(start);
    let ends = old.iter().rev().zip(new.iter().rev());
    let end = ends.take(rest).take_while(same).count();
    let between = |all: usize| all.saturating_sub(start).saturating_sub(end);
    let mut last = None;
    for (change, count) in [
        (Change::Same, start),
        (Change::Removed, between(old.len())),
        (Change::Added, between(new.len())),
        (Change::Same, end),
    ] {
        if count > 0 {
            last = Some(Rc::new(Run {
                change,
                count,
                before: last,
            }));
        }
    }
    last
}

/// Changes that lie close together, with the lines around them.
#[derive(Debug, Default)]
struct Hunk {
    old_start: usize,
    new_start: usize,
    lines: Vec<String>,
}

impl Hunk {
    fn push(&mut self, sign: char, lines: &[&str]) {
        for line in lines {
            self.lines.push(format!("{sign}{line}"));
        }
    }

    fn text(&self) -> String {
        let count = |signs: [char; 2]| {
            let of = |line: &&String| line.starts_with(signs);
            self.lines.iter().filter(of).count()
        };
        let (old, new) = (count([' ', '-']), count([' ', '+']));
        // A hunk without lines on one side begins after the line before it.
        let start = |start: usize, lines: usize| {
            if lines == 0 {
                start.saturating_sub(1)
            } else {
                start
            }
        };
        let mut text = format!(
            "@@ -{},{old} +{},{new} @@\n",
            start(self.old_start, old),
            start(self.new_start, new)
        );
        for line in &self.lines {
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
        text
    }
}

fn hunks(runs: &[(Change, usize)], old: &[&str], new: &[&str]) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let mut open: Option<Hunk> = None;
    let (mut in_old, mut in_new) = (0_usize, 0_usize);
    for (number, (change, count)) in runs.iter().enumerate() {
        let slice = |all: &[&'_ str], from: usize| -> Vec<String> {
            let lines = all.iter().skip(from).take(*count);
            lines.map(|line| (*line).to_owned()).collect()
        };
        match change {
            Change::Same => {
                let lines = slice(old, in_old);
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let is_last = number.saturating_add(1) == runs.len();
                if let Some(hunk) = &mut open {
                    if *count <= CONTEXT.saturating_mul(2) && !is_last {
                        hunk.push(' ', &lines);
                    } else {
                        hunk.push(' ', lines.get(..CONTEXT.min(*count)).unwrap_or(&lines));
                        hunks.extend(open.take());
                    }
                }
                in_old = in_old.saturating_add(*count);
                in_new = in_new.saturating_add(*count);
            }
            Change::Removed | Change::Added => {
                let hunk = open.get_or_insert_with(|| begin(old, in_old, in_new));
                let (sign, lines) = if *change == Change::Removed {
                    ('-', slice(old, in_old))
                } else {
                    ('+', slice(new, in_new))
                };
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                hunk.push(sign, &lines);
                if *change == Change::Removed {
                    in_old = in_old.saturating_add(*count);
                } else {
                    in_new = in_new.saturating_add(*count);
                }
            }
        }
    }
    hunks.extend(open);
    hunks
}

/// A hunk with the lines before its first change; all of them are the same in both texts.
fn begin(old: &[&str], in_old: usize, in_new: usize) -> Hunk {
    let from = in_old.saturating_sub(CONTEXT);
    let before = in_old.saturating_sub(from);
    let mut hunk = Hunk {
        old_start: from.saturating_add(1),
        new_start: in_new.saturating_sub(before).saturating_add(1),
        lines: Vec::new(),
    };
    hunk.push(' ', old.get(from..in_old).unwrap_or_default());
    hunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(old: &str, new: &str) -> String {
        let text = unified("f", old, new);
        let header = "+++ f\tmodified\n";
        text[text.find(header).expect("a header") + header.len()..].to_owned()
    }

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = "1\n2\n3\n4\n5\nsix\n7\n8\n9\n";
        assert_eq!(
            body(old, new),
            "@@ -2,8 +2,8 @@\n 2\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n"
        );
        assert_eq!(body("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(
            body("a", "b"),
            "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
        );
        assert_eq!(body("a\n", "a\n"), "");
    }

    #[test]
    fn what_is_too_different_is_shown_as_changed_whole() {
        let old = (0..3000).map(|n| format!("o{n}\n")).collect::<String>();
        let new = (0..3000).map(|n| format!("n{n}\n")).collect::<String>();
        let text = body(&format!("same\n{old}"), &format!("same\n{new}"));
        assert!(
            text.starts_with("@@ -1,3001 +1,3001 @@\n same\n-o0\n"),
            "{text}"
        );
    }

    #[test]
    fn every_diff_can_be_applied() {
        let mut state = 7_u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..300 {
            let mut text = || {
                let lines = next(12);
                (0..lines)
                    .map(|_| format!("{}\n", next(4)))
                    .collect::<String>()
            };
            let (old, new) = (text(), text());
            let old: Vec<&str> = old.split_inclusive('\n').collect();
            let new: Vec<&str> = new.split_inclusive('\n').collect();
            let (mut at_old, mut at_new, mut made) = (0, 0, Vec::new());
            for (change, count) in runs(&old, &new) {
                match change {
                    Change::Same => {
                        made.extend_from_slice(&old[at_old..at_old + count]);
                        assert_eq!(old[at_old..at_old + count], new[at_new..at_new + count]);
                        at_old += count;
                        at_new += count;
                    }
                    Change::Removed => at_old += count,
                    Change::Added => {
                        made.extend_from_slice(&new[at_new..at_new + count]);
                        at_new += count;
                    }
                }
            }
            assert_eq!((made, at_old), (new, old.len()));
        }
    }
}
