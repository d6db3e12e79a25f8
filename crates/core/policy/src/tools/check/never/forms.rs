//! Texts whose form is known, held against literals: a path never ends in `/`, what is in small letters has no capital.

use regorus::unstable::ExprRef;

use super::{CODE, Names, shape_of};
use crate::tools::Finding;
use crate::tools::check::at;
use crate::tools::schema::Shape;
use crate::tools::steps::{call_of, text_of, written};

/// What every resource begins with.
const SCHEMES: [&str; 7] = [
    "file:/", "exec:/", "https://", "tcp:", "tool:", "secret:", "bus:",
];
/// The names of schemes alone, as `input.resource.scheme` has them.
const SCHEME_NAMES: [&str; 7] = ["file", "exec", "https", "tcp", "tool", "secret", "bus"];

/// What is known of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A resource in canonical form.
    Resource,
    /// An absolute path.
    Path,
    /// A scheme.
    Scheme,
    /// Without capital letters.
    Lower,
    /// Without small letters.
    Upper,
}

fn form_of(names: &Names, expr: &ExprRef) -> Option<Form> {
    if let Some((name, _)) = call_of(expr) {
        return match name.as_str() {
            "lower" => Some(Form::Lower),
            "upper" => Some(Form::Upper),
            _ => None,
        };
    }
    let shape = shape_of(names, expr)?;
    if shape.is_definition("Resource") {
        return Some(Form::Resource);
    }
    let facts = Shape::input().member("resource")?;
    let is = |name: &str| facts.member(name).is_some_and(|member| member.is(shape));
    match () {
        () if is("path") => Some(Form::Path),
        () if is("scheme") => Some(Form::Scheme),
        () => None,
    }
}

/// Why no text of this form is equal to the literal.
fn not_equal(form: Form, text: &str) -> Option<String> {
    let plain =
        |text: &str| text.contains("//") || text.split('/').any(|part| part == "." || part == "..");
    let why = match form {
        Form::Scheme => {
            return (!SCHEME_NAMES.contains(&text))
                .then(|| format!("it is one of {}", SCHEME_NAMES.join(", ")));
        }
        Form::Resource if not_beginning(form, text).is_some() => return not_beginning(form, text),
        Form::Resource
            if text.starts_with("file:/")
                && (plain(text) || (text.ends_with('/') && text != "file:/")) =>
        {
            "it is a path in canonical form, without `.`, `..`, empty parts or a `/` at its end"
        }
        Form::Path if not_beginning(form, text).is_some() => return not_beginning(form, text),
        Form::Path if plain(text) || (text.ends_with('/') && text != "/") => {
            "it is a path in canonical form, without `.`, `..`, empty parts or a `/` at its end"
        }
        Form::Lower | Form::Upper => return not_within(form, text),
        Form::Resource | Form::Path => return None,
    };
    Some(why.to_owned())
}

/// Why no text of this form begins with the literal.
fn not_beginning(form: Form, text: &str) -> Option<String> {
    let why = match form {
        Form::Resource => {
            let possible = SCHEMES
                .iter()
                .any(|scheme| scheme.starts_with(text) || text.starts_with(scheme));
            (!possible).then_some("a resource begins with its scheme, such as `file:/`")
        }
        Form::Path => (!text.is_empty() && !text.starts_with('/'))
            .then_some("it is an absolute path, which begins with `/`"),
        Form::Scheme => (!SCHEME_NAMES.iter().any(|name| name.starts_with(text)))
            .then_some("no scheme begins so"),
        Form::Lower | Form::Upper => return not_within(form, text),
    };
    why.map(str::to_owned)
}

/// Why no text of this form ends with the literal.
fn not_ending(form: Form, text: &str) -> Option<String> {
    match form {
        Form::Resource | Form::Path if text.ends_with('/') && text.len() > 1 => {
            Some("it has no `/` at its end".to_owned())
        }
        Form::Lower | Form::Upper => not_within(form, text),
        Form::Resource | Form::Path | Form::Scheme => None,
    }
}

/// Why no text of this form contains the literal.
fn not_within(form: Form, text: &str) -> Option<String> {
    match form {
        Form::Lower if text.chars().any(char::is_uppercase) => {
            Some("what `lower` gives has no capital letters".to_owned())
        }
        Form::Upper if text.chars().any(char::is_lowercase) => {
            Some("what `upper` gives has no small letters".to_owned())
        }
        Form::Resource | Form::Path if text.contains("//") && !text.starts_with("https://") => {
            Some("it has no empty parts".to_owned())
        }
        Form::Lower | Form::Upper | Form::Resource | Form::Path | Form::Scheme => None,
    }
}

/// `one == other`, where the literal `other` is not of the form of `one`.
pub(super) fn equal(names: &Names, one: &ExprRef, other: &ExprRef) -> Option<Finding> {
    let text = text_of(other)?;
    let why = not_equal(form_of(names, one)?, &text)?;
    Some(never(one, other, "equal to", &why))
}

/// A function that compares, with a literal that cannot be there or a pattern that matches nothing.
pub(super) fn of_call(names: &Names, name: &str, arguments: &[ExprRef]) -> Option<Finding> {
    let (first, second) = (arguments.first()?, arguments.get(1)?);
    if matches!(
        name,
        "regex.match" | "regex.find_n" | "regex.split" | "regex.find_all_string_submatch_n"
    ) {
        return pattern(first);
    }
    let text = text_of(second)?;
    let form = form_of(names, first)?;
    let (why, how) = match name {
        "startswith" => (not_beginning(form, &text), "beginning with"),
        "endswith" => (not_ending(form, &text), "ending with"),
        "contains" => (not_within(form, &text), "containing"),
        _ => return None,
    };
    Some(never(first, second, how, &why?))
}

fn never(one: &ExprRef, other: &ExprRef, how: &str, why: &str) -> Finding {
    let message = format!(
        "`{}` is never {how} {}: {why}",
        written(one.span()),
        written(other.span())
    );
    Finding::error(CODE, at(other.span()), message)
}

/// A regular expression that does not parse, or that nothing matches.
fn pattern(pattern: &ExprRef) -> Option<Finding> {
    let text = text_of(pattern)?;
    let place = at(pattern.span());
    match regex_syntax::Parser::new().parse(&text) {
        Err(error) => {
            let words = error.to_string();
            let reason = words.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            let message = format!("the pattern is not a regular expression: {reason}");
            Some(Finding::error("regex", place, message))
        }
        Ok(hir) if matches_nothing(&hir) => {
            let message = format!("the pattern `{text}` matches nothing");
            Some(Finding::error(CODE, place, message))
        }
        Ok(_) => None,
    }
}

/// Whether no text matches: an empty class, text before the beginning or after the end.
fn matches_nothing(hir: &regex_syntax::hir::Hir) -> bool {
    use regex_syntax::hir::{HirKind, Look};
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => false,
        HirKind::Class(_) => hir.properties().minimum_len().is_none(),
        HirKind::Repetition(repeated) => repeated.min > 0 && matches_nothing(&repeated.sub),
        HirKind::Capture(capture) => matches_nothing(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().all(matches_nothing),
        HirKind::Concat(parts) => {
            let needs_text = |part: &regex_syntax::hir::Hir| {
                part.properties().minimum_len().is_some_and(|len| len > 0)
            };
            let looks = |part: &regex_syntax::hir::Hir, look: Look| matches!(part.kind(), HirKind::Look(this) if *this == look);
            let mut text_before = false;
            let mut ended = false;
            for part in parts {
                if matches_nothing(part)
                    || (text_before && looks(part, Look::Start))
                    || (ended && needs_text(part))
                {
                    return true;
                }
                text_before |= needs_text(part);
                ended |= looks(part, Look::End);
            }
            false
        }
    }
}
