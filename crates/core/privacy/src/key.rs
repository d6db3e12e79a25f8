//! The privacy key of a log: equal values have equal hashes for whoever holds it, and say nothing to anybody else.

use std::fmt;

use zeroize::Zeroizing;

use crate::age::hmac_sha256;

/// How a keyed hash begins wherever it stands.
pub const KEYED_PREFIX: &str = "hmac-";

/// Hexadecimal digits of a keyed hash: 128 bits, so that no two values of a log meet by chance.
const DIGITS: usize = 32;

/// What a value is. Equal texts of different kinds have different hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person's name, wherever it stands: who asked and who approved can be compared.
    Person,
    /// One segment of a path or name.
    Segment,
    /// A host.
    Host,
    /// A text as a whole.
    Text,
}

impl Kind {
    fn domain(self) -> &'static str {
        match self {
            Self::Person => "valetkey log person v1",
            Self::Segment => "valetkey log segment v1",
            Self::Host => "valetkey log host v1",
            Self::Text => "valetkey log text v1",
        }
    }
}

/// The key. It is of one home, and wipes itself.
#[derive(Clone)]
pub struct PrivacyKey(Zeroizing<[u8; 32]>);

impl PrivacyKey {
    /// From 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The keyed hash of a person's name, as it stands in the log.
    #[must_use]
    pub fn person(&self, name: &str) -> String {
        self.keyed(Kind::Person, name)
    }

    /// HMAC-SHA-256 over the kind's domain, its length before it, and the value: as in [`valetkey_model::Digest::tagged`].
    pub(crate) fn keyed(&self, kind: Kind, value: &str) -> String {
        let domain = kind.domain();
        let length = [u8::try_from(domain.len()).unwrap_or(u8::MAX)];
        let mac = hmac_sha256(&*self.0, &[&length, domain.as_bytes(), value.as_bytes()]);
        let mut text = String::with_capacity(KEYED_PREFIX.len().saturating_add(DIGITS));
        text.push_str(KEYED_PREFIX);
        for byte in mac.iter().take(DIGITS / 2) {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        text
    }
}

impl fmt::Debug for PrivacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivacyKey(..)")
    }
}

/// Whether a text has the form of a keyed hash.
#[must_use]
pub fn is_keyed(text: &str) -> bool {
    text.strip_prefix(KEYED_PREFIX).is_some_and(|digits| {
        digits.len() == DIGITS
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_join_and_kinds_and_keys_do_not() {
        let (key, other) = (PrivacyKey::new(&[7; 32]), PrivacyKey::new(&[8; 32]));
        let name = key.person("alice");
        assert!(is_keyed(&name), "{name}");
        assert_eq!(name, key.person("alice"));
        assert_ne!(name, key.person("alicf"));
        assert_ne!(name, other.person("alice"));
        let kinds = [Kind::Person, Kind::Segment, Kind::Host, Kind::Text];
        let all: std::collections::BTreeSet<_> = kinds
            .map(|kind| key.keyed(kind, "alice"))
            .into_iter()
            .collect();
        assert_eq!(all.len(), 4);
        assert_eq!(format!("{key:?}"), "PrivacyKey(..)");
        for text in [
            "hmac-",
            "hmac-AA",
            "alice",
            &name[..36],
            &name.to_uppercase(),
        ] {
            assert!(!is_keyed(text), "{text}");
        }
    }
}
