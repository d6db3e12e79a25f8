//! JSON in which no object names a member twice, since two readers might take different ones.

use serde::Deserialize;

/// The value of a JSON text.
///
/// # Errors
/// The reader's words, when it is no JSON or names a member of one object twice.
pub(crate) fn read_strictly(text: &str) -> Result<serde_json::Value, String> {
    let strict: Strict = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(strict.0)
}

struct Strict(serde_json::Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> serde::de::Visitor<'de> for StrictVisitor {
    type Value = serde_json::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(serde_json::Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = serde_json::Map::new();
        while let Some((name, Strict(member))) = map.next_entry::<String, Strict>()? {
            if members.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!(
                    "the member `{name}` is there twice"
                )));
            }
            members.insert(name, member);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_there_twice_is_refused_at_any_depth() {
        let text = r#"{"a": [1, -2, 2.5, null, true, "s", {"b": {}}], "c": 1}"#;
        let plain: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(read_strictly(text), Ok(plain));
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": 1, "a": 2}}]"#,
            r#"{"a": 1, "\u0061": 2}"#,
        ] {
            assert!(
                read_strictly(text).is_err_and(|words| words.contains("`a`")),
                "{text}"
            );
        }
        assert!(read_strictly("{").is_err() && read_strictly(&"[".repeat(100_000)).is_err());
    }
}
