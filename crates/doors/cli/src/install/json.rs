//! Changing one member of a JSON text, and nothing else of it: what the person wrote stays as it was, to the byte.

use std::ops::Range;

/// How deep objects and lists may lie in each other.
const DEPTH_MAX: usize = 128;

/// One member of an object: from its key's quotation mark to the end of its value.
#[derive(Clone, Debug)]
struct Member {
    key: String,
    whole: Range<usize>,
    value: Range<usize>,
}

/// An object of a text.
#[derive(Clone, Debug)]
struct Object {
    /// From one brace to the other, both included.
    whole: Range<usize>,
    members: Vec<Member>,
}

/// The text with `outer.inner` set to `value`, which is JSON. Nothing if the text is no object, or `outer` is no object in it.
pub(super) fn set(text: &str, outer: &str, inner: &str, value: &str) -> Option<String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let top = top(text)?;
    let unit = unit(text, &top);
    let Some(member) = only(&top, outer)? else {
        let value = indented(value, &unit.repeat(2));
        let object = format!("{{\n{0}{0}\"{inner}\": {value}\n{0}}}", unit);
        return insert(text, &top, &format!("\"{outer}\": {object}"), &unit, "");
    };
    let object = object(text, member.value.start, 0)?;
    match only(&object, inner)? {
        Some(there) => {
            let value = indented(value, &unit.repeat(2));
            replaced(text, there.value.clone(), &value)
        }
        None => {
            let value = indented(value, &unit.repeat(2));
            insert(
                text,
                &object,
                &format!("\"{inner}\": {value}"),
                &unit.repeat(2),
                &unit,
            )
        }
    }
}

/// The text without `outer.inner`, and without `outer` if that is then empty. Nothing if it is not there.
pub(super) fn remove(text: &str, outer: &str, inner: &str) -> Option<String> {
    let top = top(text)?;
    let member = only(&top, outer)??;
    let object = object(text, member.value.start, 0)?;
    let there = only(&object, inner)??;
    if object.members.len() == 1 {
        return without(text, &top, &member);
    }
    without(text, &object, &there)
}

/// The object that is all of a text.
fn top(text: &str) -> Option<Object> {
    // What follows is exact about what it reads; whether it is JSON at all is for the parser to say.
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok()?;
    object(text, skip(text, 0), 0)
}

/// The member of this name; nothing where there are two, since readers differ in which of them counts.
fn only(object: &Object, name: &str) -> Option<Option<Member>> {
    let mut named = object.members.iter().filter(|member| member.key == name);
    let first = named.next().cloned();
    named.next().is_none().then_some(first)
}

/// What the text indents by: what stands before the first member of the whole, or two spaces.
fn unit(text: &str, top: &Object) -> String {
    let first = top
        .members
        .first()
        .and_then(|member| text.get(..member.whole.start));
    let line = first
        .and_then(|before| before.rsplit_once('\n'))
        .map(|(_, line)| line);
    let blank = line
        .filter(|line| !line.is_empty() && line.bytes().all(|byte| matches!(byte, b' ' | b'\t')));
    blank.unwrap_or("  ").to_owned()
}

fn indented(value: &str, by: &str) -> String {
    value.replace('\n', &format!("\n{by}"))
}

/// Adds a member at the end of an object.
fn insert(text: &str, object: &Object, member: &str, indent: &str, outer: &str) -> Option<String> {
    match object.members.last() {
        Some(last) => {
            let between = format!(",\n{indent}{member}");
            replaced(text, last.whole.end..last.whole.end, &between)
        }
        None => replaced(
            text,
            object.whole.clone(),
            &format!("{{\n{indent}{member}\n{outer}}}"),
        ),
    }
}

/// Takes a member out, with one comma and the blank beside it.
fn without(text: &str, object: &Object, member: &Member) -> Option<String> {
    let at = object
        .members
        .iter()
        .position(|other| other.whole == member.whole)?;
    let before = at.checked_sub(1).and_then(|at| object.members.get(at));
    let after = at.checked_add(1).and_then(|at| object.members.get(at));
    let range = match (before, after) {
        (Some(before), _) => before.whole.end..member.whole.end,
        (None, Some(after)) => member.whole.start..after.whole.start,
        (None, None) => return replaced(text, object.whole.clone(), "{}"),
    };
    replaced(text, range, "")
}

fn replaced(text: &str, range: Range<usize>, with: &str) -> Option<String> {
    Some([text.get(..range.start)?, with, text.get(range.end..)?].concat())
}

/// The object that begins at `at`.
fn object(text: &str, at: usize, depth: usize) -> Option<Object> {
    let mut members = Vec::new();
    let mut next = skip(text, expect(text, at, b'{')?);
    while byte(text, next)? != b'}' {
        let end = string(text, next)?;
        let key: String = serde_json::from_str(text.get(next..end)?).ok()?;
        let start = skip(text, expect(text, skip(text, end), b':')?);
        let stop = value(text, start, depth.checked_add(1)?)?;
        members.push(Member {
            key,
            whole: next..stop,
            value: start..stop,
        });
        next = skip(text, stop);
        if byte(text, next)? == b',' {
            next = skip(text, next.checked_add(1)?);
        }
    }
    let end = next.checked_add(1)?;
    Some(Object {
        whole: at..end,
        members,
    })
}

/// The end of the value that begins at `at`.
fn value(text: &str, at: usize, depth: usize) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    match byte(text, at)? {
        b'{' => Some(object(text, at, depth)?.whole.end),
        b'[' => {
            let mut next = skip(text, at.checked_add(1)?);
            while byte(text, next)? != b']' {
                next = skip(text, value(text, next, depth.checked_add(1)?)?);
                if byte(text, next)? == b',' {
                    next = skip(text, next.checked_add(1)?);
                }
            }
            next.checked_add(1)
        }
        b'"' => string(text, at),
        _ => {
            let rest = text.get(at..)?;
            let length = rest
                .find([',', '}', ']', ' ', '\t', '\r', '\n'])
                .unwrap_or(rest.len());
            // A value has a byte at least: otherwise this would not end.
            (length > 0).then(|| at.checked_add(length))?
        }
    }
}

/// The end of the string that begins at `at`.
fn string(text: &str, at: usize) -> Option<usize> {
    let mut next = expect(text, at, b'"')?;
    loop {
        match byte(text, next)? {
            b'"' => return next.checked_add(1),
            b'\\' => next = next.checked_add(2)?,
            _ => next = next.checked_add(1)?,
        }
    }
}

fn skip(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().iter().skip(at);
    at.saturating_add(rest.take_while(|byte| byte.is_ascii_whitespace()).count())
}

fn expect(text: &str, at: usize, wanted: u8) -> Option<usize> {
    (byte(text, at)? == wanted).then(|| at.checked_add(1))?
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "{\n  \"command\": \"valetkey\"\n}";

    #[test]
    fn what_is_set_and_removed_again_leaves_every_byte_as_it_was() {
        for text in [
            "{}",
            "{\n}\n",
            "{\"a\":1}",
            "{\n  \"a\": [1, {\"b\": \"}\\\"]\"}],\n  \"z\": null\n}\n",
            "{\n\t\"mcpServers\": {\n\t\t\"other\": {\"command\": \"x\"}\n\t},\n\t\"b\": true\n}",
            "{ \"ü\": \"\\u00fc\", \"mcpServers\": { \"o\": 1 } , \"n\": -1.5e3 }",
        ] {
            let set_text = set(text, "mcpServers", "valetkey", SERVER).unwrap();
            let mut expected: serde_json::Value = serde_json::from_str(text).unwrap();
            expected["mcpServers"]["valetkey"] = serde_json::json!({"command": "valetkey"});
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&set_text).unwrap(),
                expected,
                "{set_text}"
            );
            // Twice is as once.
            assert_eq!(
                set(&set_text, "mcpServers", "valetkey", SERVER).unwrap(),
                set_text
            );
            let removed = remove(&set_text, "mcpServers", "valetkey").unwrap();
            let (was, is) = (
                text.replace(['\n', ' '], ""),
                removed.replace(['\n', ' '], ""),
            );
            assert_eq!(was, is, "{removed}");
            if text.contains("\"a\"") || text.contains("other") {
                assert_eq!(removed, text);
            }
        }
    }

    #[test]
    fn another_value_takes_the_place_of_ours_alone() {
        let text = set(
            "{\"x\": 1}",
            "mcpServers",
            "valetkey",
            "{\"command\": \"old\"}",
        )
        .unwrap();
        let new = set(&text, "mcpServers", "valetkey", "{\"command\": \"new\"}").unwrap();
        assert_eq!(new, text.replace("old", "new"));
    }

    #[test]
    fn what_is_no_plain_object_is_not_touched() {
        for text in [
            "[]",
            "{",
            "{\"a\": 1} // settings",
            "{\"mcpServers\": []}",
            "{\"mcpServers\": {}, \"mcpServers\": {}}",
            "{\"mcpServers\": {\"valetkey\": 1, \"valetkey\": 2}}",
        ] {
            assert_eq!(set(text, "mcpServers", "valetkey", SERVER), None, "{text}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(set(&deep, "mcpServers", "valetkey", SERVER), None);
        assert_eq!(remove("{}", "mcpServers", "valetkey"), None);
    }
}
