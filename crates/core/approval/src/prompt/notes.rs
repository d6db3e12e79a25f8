//! What is new against earlier approvals, and what should be looked at twice.

use std::collections::BTreeSet;

use unicode_script::{Script, UnicodeScript as _};
use valetkey_model::{Action, ActionSet, FileKind};

use crate::asked::{Asked, FileFacts};
use crate::risk::changes;
use crate::show::{SafeText, visible};

/// Marks that are named one by one; the others are counted.
const MAX_NAMED_MARKS: usize = 5;

/// What is new. Nothing is said where earlier approvals are not known.
pub(super) fn new(asked: &Asked) -> Vec<SafeText> {
    let Some(before) = &asked.before else {
        return Vec::new();
    };
    if before.approvals == 0 {
        return vec![SafeText::words(
            "nothing was approved for this agent before",
        )];
    }
    let mut new: Vec<SafeText> = Action::ALL
        .into_iter()
        .filter(|action| asked.grant.actions.allows(*action))
        .filter(|action| !before.actions.allows(*action))
        .map(|action| {
            let verb = verb(action);
            SafeText::words(format_args!(
                "the first time that this agent asks to {verb}"
            ))
        })
        .collect();
    if last_time(asked)
        .is_some_and(|(then, now)| is_edited(then, now) && then.difference(now).is_some())
    {
        new.push(SafeText::words(
            "what is in it changed since it was last approved",
        ));
    }
    if !before.is_near {
        let text = if asked.grant.resource.as_file().is_some() {
            "the first time outside of the folders approved before"
        } else {
            "the first time for this"
        };
        new.push(SafeText::words(text));
    }
    new
}

/// The file as it was when it was last approved, and as it is.
fn last_time(asked: &Asked) -> Option<(&FileFacts, &FileFacts)> {
    let then = asked.before.as_ref()?.file.as_ref()?;
    Some((then, asked.file.as_ref()?))
}

/// Whether nothing but its content can have changed, as a person's editor does all day, which puts another file in its place too.
fn is_edited(then: &FileFacts, now: &FileFacts) -> bool {
    then.kind == now.kind && then.owner == now.owner && then.mode == now.mode
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Write => "change what is there",
        Action::Append => "add to what is there",
        Action::Create => "make something",
        Action::Delete => "delete",
        Action::Execute => "run a program",
        Action::List => "list names",
        Action::Metadata => "see attributes",
        Action::Connect => "connect",
        Action::Call => "call a tool",
        Action::Use => "use a secret",
    }
}

/// What should be looked at twice.
pub(super) fn warnings(asked: &Asked) -> Vec<SafeText> {
    let mut warnings = Vec::new();
    names(asked, &mut warnings);
    files(asked, &mut warnings);
    let mut warn = |text: &str| warnings.push(SafeText::words(text));
    if asked
        .before
        .as_ref()
        .is_some_and(|before| before.other_program.is_some())
    {
        warn(
            "the agent's program is not the one of the last approval: it was changed, or another has its name",
        );
    }
    if asked.requirement.mfa_max_age_seconds.is_some() {
        warn("policy wants a second factor, which cannot be shown yet: a yes will not count");
    }
    if asked
        .justification
        .as_deref()
        .is_some_and(|words| SafeText::prose(words).has_marks())
    {
        warn("the agent's own words have characters that hide or imitate others");
    }
    warnings
}

/// Names with characters that mislead, and names that are written from right to left.
fn names(asked: &Asked, warnings: &mut Vec<SafeText>) {
    let mut odd = BTreeSet::new();
    let mut backwards = false;
    let mut encoded = false;
    let patterns = asked
        .resources()
        .map(|(resource, _)| resource)
        .chain(&asked.grant.except);
    for resource in patterns {
        let text = resource.to_string();
        odd.extend(marked_in(&text));
        backwards |= text.chars().any(is_right_to_left);
        encoded |= hides_in_percent(&text);
    }
    for c in odd.iter().take(MAX_NAMED_MARKS) {
        let script = c.script().full_name();
        let code = u32::from(*c);
        warnings.push(SafeText::words(format_args!(
            "<U+{code:04X}> in the name ({script}) is not what it would look like"
        )));
    }
    if let Some(more) = odd
        .len()
        .checked_sub(MAX_NAMED_MARKS)
        .filter(|more| *more > 0)
    {
        warnings.push(SafeText::words(format_args!(
            "and {more} more such characters"
        )));
    }
    if backwards {
        warnings.push(SafeText::words(
            "the name has letters that are written from right to left: its parts may appear in another order",
        ));
    }
    if encoded {
        warnings.push(SafeText::words(
            "the name has characters that would not be seen, written with %: look at it in the resource",
        ));
    }
}

/// The characters of a text that are shown as marks.
fn marked_in(text: &str) -> BTreeSet<char> {
    let shown = visible(text);
    shown
        .split("<U+")
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .filter_map(|(digits, _)| u32::from_str_radix(digits, 16).ok())
        .filter_map(char::from_u32)
        .collect()
}

/// Whether canonical text encodes more than spaces and signs of ASCII: controls, what is not seen, and what is no text.
fn hides_in_percent(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .is_some_and(|byte| !(0x20..0x7f).contains(&byte))
    })
}

fn is_right_to_left(c: char) -> bool {
    matches!(
        c.script(),
        Script::Hebrew
            | Script::Arabic
            | Script::Syriac
            | Script::Thaana
            | Script::Nko
            | Script::Samaritan
            | Script::Mandaic
            | Script::Adlam
            | Script::Hanifi_Rohingya
            | Script::Mende_Kikakui
    )
}

fn files(asked: &Asked, warnings: &mut Vec<SafeText>) {
    let actions: ActionSet = asked.grant.actions;
    for (_, facts) in asked.resources() {
        let Some(file) = facts else { continue };
        if file.kind == FileKind::File && file.links > 1 {
            let others = file.links.saturating_sub(1);
            let what = if changes(actions) {
                "what is changed here is changed there"
            } else {
                "what is read here may be known by another name"
            };
            warnings.push(SafeText::words(format_args!(
                "the file has {others} other names (hard links): {what}"
            )));
        }
    }
    if let Some((then, now)) = last_time(asked)
        && let Some(what) = then.difference(now)
        && !is_edited(then, now)
    {
        warnings.push(SafeText::words(format_args!(
            "its {what} changed since it was last approved"
        )));
    }
}
