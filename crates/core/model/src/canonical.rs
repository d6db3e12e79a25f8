//! Canonical JSON (RFC 8785): one byte form for one value, so that it can be hashed and signed.

use serde::Serialize;
use serde_json::Value;

/// The canonical bytes of a value that holds no floating-point number.
///
/// Members are sorted by UTF-16 code units and nothing is escaped that need not be, as RFC 8785 asks; numbers are integers
/// up to 2^53, for which JSON's and ECMAScript's text agree.
///
/// # Errors
/// When the value cannot be written as JSON, or holds a number that is not such an integer.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let value = serde_json::to_value(value)?;
    let mut out = Vec::with_capacity(512);
    write(&value, &mut out)?;
    Ok(out)
}

/// The largest integer that ECMAScript's number holds exactly (RFC 8785, section 3.2.2.3).
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Number(number) => {
            let safe = number
                .as_i64()
                .is_some_and(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER);
            if !safe {
                return Err(serde::ser::Error::custom(
                    "a number is not an integer up to 2^53",
                ));
            }
            serde_json::to_writer(out, number)?;
        }
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(out, value)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_is_that_of_utf16() {
        // RFC 8785, section 3.2.3: U+FB33 sorts after the surrogate pair of U+1F600.
        let text =
            canonical_json(&json!({"\u{fb33}": 1, "\u{1f600}": 2, "\r": 3, "1": 4, "\u{f6}": 5}))
                .unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"\\r\":3,\"1\":4,\"\u{f6}\":5,\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn strings_are_escaped_in_one_way() {
        let text = canonical_json(&json!("\u{8}\t\n\u{b}\u{c}\r\"\\/\u{7f}\u{20ac}")).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "\"\\b\\t\\n\\u000b\\f\\r\\\"\\\\/\u{7f}\u{20ac}\""
        );
    }

    #[test]
    fn numbers_that_two_readers_may_read_differently_are_refused() {
        assert!(canonical_json(&json!(1.5)).is_err());
        assert!(canonical_json(&json!(9_007_199_254_740_993_u64)).is_err());
        assert_eq!(
            canonical_json(&json!([-1, 9_007_199_254_740_991_u64])).unwrap(),
            b"[-1,9007199254740991]"
        );
    }
}
