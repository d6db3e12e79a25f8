//! A reference taken apart: where it begins, and each step with its place.

use std::ops::Range;

use regorus::unstable::{Expr, ExprRef, Span};

/// One step of a reference.
pub(crate) enum Step<'a> {
    /// A member by its name.
    Name(String, &'a Span),
    /// Whatever a variable or an expression says.
    Any,
}

/// The name that a reference begins with, and its steps; nothing for one that begins otherwise.
pub(crate) fn steps(chain: &ExprRef) -> Option<(String, Vec<Step<'_>>)> {
    let mut steps = Vec::new();
    let mut at = chain;
    loop {
        if let Expr::RefDot { refr, field, .. } = at.as_ref() {
            steps.push(Step::Name(field.0.text().to_owned(), &field.0));
            at = refr;
        } else if let Expr::RefBrack { refr, index, .. } = at.as_ref() {
            steps.push(match text_of(index) {
                Some(name) => Step::Name(name, index.span()),
                None => Step::Any,
            });
            at = refr;
        } else if let Expr::Var { span, .. } = at.as_ref() {
            steps.reverse();
            return Some((span.text().to_owned(), steps));
        } else {
            return None;
        }
    }
}

/// The bytes of a span in its source, with the quotation marks that the engine leaves out where a text begins or ends it.
pub(crate) fn whole(span: &Span) -> Range<usize> {
    let bytes = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let source = span.source.contents().as_bytes();
    let is_mark = |at: Option<usize>| {
        at.and_then(|at| source.get(at))
            .is_some_and(|byte| matches!(byte, b'"' | b'`'))
    };
    let (mut start, mut end) = (bytes(span.start), bytes(span.end));
    // No expression stands right beside a mark that is not its own.
    if is_mark(start.checked_sub(1)) {
        start = start.saturating_sub(1);
    }
    if is_mark(Some(end)) {
        end = end.saturating_add(1);
    }
    start..end
}

/// The text of a span, whole.
pub(crate) fn written(span: &Span) -> &str {
    span.source.contents().get(whole(span)).unwrap_or_default()
}

/// The text that a literal is.
pub(crate) fn text_of(expr: &ExprRef) -> Option<String> {
    if let Expr::String { value, .. } | Expr::RawString { value, .. } = expr.as_ref() {
        value.as_string().ok().map(|text| text.to_string())
    } else {
        None
    }
}

/// The name of the function that a call calls, and its arguments.
pub(crate) fn call_of(expr: &ExprRef) -> Option<(String, &[ExprRef])> {
    let Expr::Call { fcn, params, .. } = expr.as_ref() else {
        return None;
    };
    let (first, rest) = steps(fcn)?;
    let mut name = first;
    for step in rest {
        let Step::Name(part, _) = step else {
            return None;
        };
        name.push('.');
        name.push_str(&part);
    }
    Some((name, params))
}

/// Of these names the one that was most likely meant, if any is close.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = match name.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    names
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, other)| other.to_owned())
}

/// How many letters must be put in, taken out, changed or swapped with the next to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (line, letter) in a.chars().enumerate() {
        let mut next = vec![line.saturating_add(1)];
        for (column, other) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let change = at(&row, column).saturating_add(usize::from(letter != *other));
            let takes = at(&row, column.saturating_add(1)).saturating_add(1);
            let puts = at(&next, column).saturating_add(1);
            let mut least = change.min(takes).min(puts);
            let previous = column.checked_sub(1).and_then(|column| b.get(column));
            if let Some(earlier) = column.checked_sub(1)
                && last == Some(*other)
                && previous == Some(&letter)
            {
                least = least.min(at(&before, earlier).saturating_add(1));
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let names = ["agent", "session", "user"];
        let meant = |name| nearest(name, names.into_iter());
        assert_eq!(meant("agnet").as_deref(), Some("agent"));
        assert_eq!(meant("usr").as_deref(), Some("user"));
        assert_eq!(meant("sesion").as_deref(), Some("session"));
        assert_eq!(meant("weather"), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
