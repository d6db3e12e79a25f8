//! Names, targets and values as text in JSON, whatever bytes they have.
//!
//! What is UTF-8 and has no NUL at its beginning stands for itself; everything else is a NUL and hexadecimal digits. No path holds a NUL,
//! so no two byte strings have one text.

/// The text that stands for `bytes`.
pub(crate) fn of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with('\0') => text.to_owned(),
        _ => {
            let mut text = String::from('\0');
            for byte in bytes {
                for nibble in [byte >> 4, byte & 15] {
                    text.extend(char::from_digit(nibble.into(), 16));
                }
            }
            text
        }
    }
}

/// The bytes that `text` stands for.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix('\0') else {
        return Some(text.as_bytes().to_vec());
    };
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// For `#[serde(with)]` on a path.
pub(crate) mod path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{bytes, of};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&of(path.as_os_str().as_bytes()))
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = bytes(&text).ok_or_else(|| D::Error::custom("no path"))?;
        Ok(OsString::from_vec(bytes).into())
    }
}

/// For `#[serde(with)]` on bytes.
pub(crate) mod value {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{bytes, of};

    pub(crate) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&of(value))
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        bytes(&text).ok_or_else(|| D::Error::custom("no bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_text_of_its_own_and_comes_back() {
        let names: [&[u8]; 6] = [
            b"",
            b"plain",
            "\u{e4}".as_bytes(),
            b"\xff\xfe",
            b"\0ff",
            b"a\0b",
        ];
        let mut texts: Vec<String> = names.iter().map(|name| of(name)).collect();
        for (name, text) in names.iter().zip(&texts) {
            assert_eq!(bytes(text).as_deref(), Some(*name));
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), names.len());
        assert_eq!(bytes("\0f"), None);
        assert_eq!(bytes("\0zz"), None);
    }
}
