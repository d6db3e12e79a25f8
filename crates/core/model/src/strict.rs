//! Reading JSON where a structure is an object and nothing else.
//!
//! Derived readers take a list of a structure's members for the structure itself, so that `[]` would be a message without any optional
//! member, and `[5]` one whose first member is 5. Such a second spelling is none that is documented, and nobody who looks at the names of
//! members sees what it says.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

/// Reads a whole JSON text; each structure in it has to be an object.
///
/// What a derived reader first buffers, as of an enum with a tag among its members, it then reads by itself: for the parts of such a value
/// this promises nothing.
///
/// # Errors
/// When the text is not JSON, or not of the form of `T`.
pub fn read_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Strict(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// A reader, watched.
struct Strict<D>(D);

/// What takes a value, and whether that is a structure.
struct Watched<V> {
    inner: V,
    is_structure: bool,
}

/// What gives the parts of a value, each to be read as strictly.
struct Parts<A>(A);

/// What makes a part.
struct Part<S>(S);

fn any<V>(inner: V) -> Watched<V> {
    Watched {
        inner,
        is_structure: false,
    }
}

fn structure<V>(inner: V) -> Watched<V> {
    Watched {
        inner,
        is_structure: true,
    }
}

macro_rules! read_as {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(any(visitor))
        }
    )+};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    read_as! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, any(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, any(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, any(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, any(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, structure(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, any(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! take_as {
    ($($method:ident: $type:ty),+) => {$(
        fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )+};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<V> {
    type Value = V::Value;

    take_as! {
        visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64, visit_char: char,
        visit_str: &str, visit_borrowed_str: &'de str, visit_string: String, visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Strict(reader))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, reader: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Strict(reader))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        if self.is_structure {
            return Err(A::Error::invalid_type(Unexpected::Seq, &"an object"));
        }
        self.inner.visit_seq(Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Parts(parts))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Parts(parts))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Part<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(reader))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Part(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Part(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Parts<A> {
    type Error = A::Error;
    type Variant = Parts<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Part(seed))?;
        Ok((value, Parts(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Parts<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Part(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, structure(visitor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::{Constraints, Decision, Grant, LeaseScope};

    #[derive(Debug, Deserialize, PartialEq)]
    struct Whole {
        #[serde(default)]
        part: Option<Constraints>,
        #[serde(default)]
        list: Vec<Constraints>,
    }

    #[test]
    fn a_list_is_no_structure_wherever_it_stands() {
        for text in [
            "[]",
            r#"{"part":[]}"#,
            r#"{"part":[5]}"#,
            r#"{"list":[[]]}"#,
            r#"{"list":[{},[null,null]]}"#,
        ] {
            assert!(serde_json::from_str::<Whole>(text).is_ok(), "{text}");
            let refused = read_json::<Whole>(text.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains("an object"), "{refused}");
        }
        let grant = r#"["file:/a",["read"],{},[]]"#;
        assert!(serde_json::from_str::<Grant>(grant).is_ok());
        assert!(read_json::<Grant>(grant.as_bytes()).is_err());
    }

    #[test]
    fn what_is_documented_is_read_as_before() {
        for text in [
            "{}",
            r#"{"part":null}"#,
            r#"{"part":{"max_bytes":5,"redact":["pii"],"arguments":{"type":"object"}},"list":[{}]}"#,
        ] {
            let plain: Whole = serde_json::from_str(text).unwrap();
            assert_eq!(read_json::<Whole>(text.as_bytes()).unwrap(), plain);
        }
        let decision = r#"{"effect":"ask","policy_id":"p","approval":{"quorum":[{"role":"owner","count":1}],
            "justification":{"ticket":"^[A-Z]+-[0-9]+$"},"lease":{"scope":{"operations":["file:/a"]},"max_seconds":9}}}"#;
        let plain: Decision = serde_json::from_str(decision).unwrap();
        assert_eq!(read_json::<Decision>(decision.as_bytes()).unwrap(), plain);
        assert_eq!(
            read_json::<LeaseScope>(br#""once""#).unwrap(),
            LeaseScope::Once
        );
        for text in ["", "{", "{} {}", "{\"part\":{},\"part\":{}}", "\u{feff}{}"] {
            assert!(read_json::<Whole>(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_only_where_a_plain_reader_takes_it(text in r#"[\[\]{}:,"a-z0-9 ]{0,40}"#) {
            if let Ok(value) = read_json::<Whole>(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Whole>(&text).unwrap(), value);
            }
        }
    }
}
