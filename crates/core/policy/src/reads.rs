//! What of the input a policy can read: two requests that differ in nothing else have the same decision.
//!
//! A rule reads the input by a chain that begins with `input`, and by nothing else: functions get what they are called with, and what
//! they are called with stands in a rule. Each chain counts up to its first part that is not a literal name; a chain of `input`
//! alone counts as all of it. So the answer may name too much, never too little.

use std::collections::BTreeSet;
use std::convert::Infallible;

use regorus::Engine;
use regorus::unstable::ExprRef;

use crate::tree::{Seen, static_names, walk};

/// The members of the input that a policy can read, as paths of names; nothing where it can read all.
pub(crate) type Reads = Option<BTreeSet<Vec<String>>>;

/// What the modules of an engine can read.
pub(crate) fn reads(engine: &mut Engine) -> Reads {
    let mut paths = BTreeSet::new();
    let mut note = |chain: &ExprRef| {
        if let Some((_, names)) = static_names(chain)
            && let Some((first, rest)) = names.split_first()
            && first == "input"
        {
            paths.insert(rest.to_vec());
        }
    };
    for module in engine.get_modules().iter() {
        for import in &module.imports {
            note(&import.refr);
        }
        for rule in &module.policy {
            let Ok(()) = walk(rule.as_ref(), &mut |seen| {
                if let Seen::Reference(chain) = seen {
                    note(chain);
                }
                Ok::<(), Infallible>(())
            });
        }
    }
    union(Some(paths), Some(BTreeSet::new()))
}

/// What either reads, without what lies below another.
pub(crate) fn union(a: Reads, b: Reads) -> Reads {
    let mut all = a?;
    all.extend(b?);
    if all.contains(&Vec::new()) {
        return None;
    }
    let mut kept: BTreeSet<Vec<String>> = BTreeSet::new();
    // A path comes right after the paths that it begins with.
    for path in all {
        if !kept.last().is_some_and(|above| path.starts_with(above)) {
            kept.insert(path);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use crate::testkit::policy;

    fn read(body: &str) -> Option<Vec<String>> {
        policy(body)
            .reads()
            .map(|paths| paths.iter().map(|path| path.join(".")).collect())
    }

    fn is(body: &str, expected: &[&str]) {
        let expected = expected.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(read(body), Some(expected), "{body}");
    }

    #[test]
    fn chains_are_named_to_their_first_variable_part() {
        const ANSWER: &str = r#"{"effect":"deny","policy_id":"p"}"#;
        is(
            &format!("decision := {ANSWER} if input.request.actions[0]"),
            &["request.actions"],
        );
        is(
            &format!(r#"decision := {ANSWER} if input["request"]["id"]"#),
            &["request.id"],
        );
        is(
            &format!("decision := {ANSWER} if {{ some x in input.subject.user.groups; x > 1 }}"),
            &["subject.user.groups"],
        );
        is(
            &format!("decision := {ANSWER} if input.subject[input.resource.kind].uid"),
            &["resource.kind", "subject"],
        );
        is(
            &format!("f(x) := x.id\ndecision := {ANSWER} if f(input.request)"),
            &["request"],
        );
        is(
            &format!(
                "decision := {ANSWER} if {{ not input.a.b; every x in input.c {{ x == input.d }} }}"
            ),
            &["a.b", "c", "d"],
        );
        is(
            &format!(
                "decision := {ANSWER} if count([x | some x in input.e; x.f == input.g.h]) > 0"
            ),
            &["e", "g.h"],
        );
        is(
            &format!("decision := {ANSWER} if true else := {ANSWER} if input.k"),
            &["k"],
        );
        is(
            &format!("decision := object.union({ANSWER}, {{\"reasons\": [input.l]}})"),
            &["l"],
        );
        is(
            &format!("s contains input.m\ndecision := {ANSWER} if s"),
            &["m"],
        );
        is(
            &format!("decision := {ANSWER} if input.a == input.a.b"),
            &["a"],
        );
        is(
            &format!("x := input.n\ndecision := {ANSWER} if x with input.o as input.q"),
            &["n", "q"],
        );
    }

    #[test]
    fn whoever_can_read_all_reads_all() {
        const ANSWER: &str = r#"{"effect":"deny","policy_id":"p"}"#;
        for body in [
            format!("decision := {ANSWER} if input == 1"),
            format!("decision := {ANSWER} if {{ x := input; x.a }}"),
            format!("decision := {ANSWER} if {{ some key; input[key] }}"),
            format!("decision := {ANSWER} if {{ some key, value in input; value }}"),
            format!("f(x) := x.a\ndecision := {ANSWER} if f(input)"),
            format!("decision := {ANSWER} if json.marshal(input) == \"\""),
            format!("decision := {ANSWER} if input[\"a\", 1]")
                .replace("[\"a\", 1]", "[concat(\"\", [\"a\"])]"),
        ] {
            assert_eq!(read(&body), None, "{body}");
        }
    }
}
