//! Patterns of file names as clients write them: `*`, `?`, `**`, `[a-z]`, `{a,b}`; names that begin with a dot are as others.

/// The most alternatives that the braces of one pattern make: more would be a way to keep this process busy.
const ALTERNATIVES_MAX: usize = 256;

/// A pattern, ready to be compared.
#[derive(Debug)]
pub(crate) struct Glob {
    /// Each alternative as its segments.
    alternatives: Vec<Vec<Vec<char>>>,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let segments = |text: String| text.split('/').map(|part| part.chars().collect()).collect();
        let alternatives = braces(pattern).into_iter().map(segments).collect();
        Self { alternatives }
    }

    /// Whether a relative path is meant.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let parts: Vec<Vec<char>> = path.split('/').map(|part| part.chars().collect()).collect();
        let is_meant = |pattern: &Vec<Vec<char>>| segments_match(pattern, &parts);
        self.alternatives.iter().any(is_meant)
    }
}

/// The alternatives that a pattern's braces stand for.
fn braces(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_owned()];
    while let Some(text) = waiting.pop() {
        match first_braces(&text) {
            Some((before, inner, after))
                if waiting.len().saturating_add(inner.len()) <= ALTERNATIVES_MAX =>
            {
                waiting.extend(inner.iter().map(|one| format!("{before}{one}{after}")));
            }
            _ => done.push(text),
        }
        if done.len() >= ALTERNATIVES_MAX {
            break;
        }
    }
    done
}

/// What is before, within and after the first braces that have a comma.
fn first_braces(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = text.find('{')?;
    let (before, rest) = text.split_at_checked(open)?;
    let rest = rest.strip_prefix('{')?;
    let mut depth = 0_usize;
    let mut inner = Vec::new();
    let mut from = 0_usize;
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth = depth.saturating_add(1),
            '}' if depth > 0 => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                inner.push(rest.get(from..at)?);
                from = at.saturating_add(1);
            }
            '}' => {
                inner.push(rest.get(from..at)?);
                let after = rest.get(at.saturating_add(1)..)?;
                return (inner.len() > 1).then_some((before, inner, after));
            }
            _ => {}
        }
    }
    None
}

/// Compares segment by segment; `**` is any number of them. A table, so that no pattern takes more time than both lengths multiplied.
fn segments_match(pattern: &[Vec<char>], path: &[Vec<char>]) -> bool {
    let mut reached = vec![false; path.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in pattern {
        let any = part.as_slice() == ['*', '*'];
        let mut next = vec![false; reached.len()];
        let mut above = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reached.get(at).copied().unwrap_or(false);
            if any {
                above |= here;
                *slot = above;
                continue;
            }
            let before = at.checked_sub(1);
            let was = before
                .and_then(|before| reached.get(before))
                .copied()
                .unwrap_or(false);
            let name = before.and_then(|before| path.get(before));
            *slot = was && name.is_some_and(|name| name_matches(part, name));
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// One element of a segment's pattern.
enum Piece<'a> {
    Any,
    One,
    Class(&'a [char]),
    Letter(char),
}

fn pieces(pattern: &[char]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let piece = match first {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => match after.split_first() {
                Some((next, further)) => {
                    rest = further;
                    Piece::Letter(*next)
                }
                None => Piece::Letter('\\'),
            },
            '[' => match class(after) {
                Some((class, further)) => {
                    rest = further;
                    Piece::Class(class)
                }
                None => Piece::Letter('['),
            },
            other => Piece::Letter(*other),
        };
        pieces.push(piece);
    }
    pieces
}

fn class(after: &[char]) -> Option<(&[char], &[char])> {
    let end = after.iter().skip(1).position(|letter| *letter == ']')?;
    let end = end.checked_add(1)?;
    let (class, further) = after.split_at_checked(end)?;
    Some((class, further.split_first()?.1))
}

fn name_matches(pattern: &[char], name: &[char]) -> bool {
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for piece in pieces(pattern) {
        let mut next = vec![false; reached.len()];
        let mut above = false;
        for (at, slot) in next.iter_mut().enumerate() {
            if matches!(piece, Piece::Any) {
                above |= reached.get(at).copied().unwrap_or(false);
                *slot = above;
                continue;
            }
            let Some(before) = at.checked_sub(1) else {
                continue;
            };
            let was = reached.get(before).copied().unwrap_or(false);
            let letter = name.get(before);
            *slot = was && letter.is_some_and(|letter| one_matches(&piece, *letter));
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

fn one_matches(piece: &Piece<'_>, letter: char) -> bool {
    match piece {
        Piece::Any | Piece::One => true,
        Piece::Letter(own) => *own == letter,
        Piece::Class(class) => {
            let (negated, class) = match class.split_first() {
                Some(('!' | '^', rest)) => (true, rest),
                _ => (false, *class),
            };
            let range = class
                .windows(3)
                .any(|three| matches!(three, [low, '-', high] if (*low..=*high).contains(&letter)));
            (range || class.contains(&letter)) != negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        let cases = [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("**/*.txt", "a.txt", true),
            ("**/*.txt", "d/e/a.txt", true),
            ("**", "d/e/a.txt", true),
            ("d/**", "d/e/a.txt", true),
            ("d/**/a.txt", "d/a.txt", true),
            ("?.md", "ab.md", false),
            ("[a-c].md", "b.md", true),
            ("[!a-c].md", "b.md", false),
            ("*.{txt,md}", "a.md", true),
            ("*.{txt,md}", "a.rs", false),
            ("{a,b{c,d}}", "bd", true),
            ("{a}", "{a}", true),
            (".*", ".env", true),
            ("*", ".env", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[", "[", true),
        ];
        for (pattern, path, is_meant) in cases {
            assert_eq!(
                Glob::new(pattern).matches(path),
                is_meant,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let stars = "*a".repeat(200);
        assert!(!Glob::new(&stars).matches(&"a".repeat(150)));
        let braces = "{a,b}".repeat(60);
        assert!(!Glob::new(&braces).matches("c"));
    }
}
