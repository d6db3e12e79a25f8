//! What a path means on a platform, as a value: the canonical form, a key that is equal for every spelling of one file, or a refusal.
//!
//! Pure text: no file is looked at, and links are not followed. Where the formats or versions of a platform disagree about whether two
//! spellings are one file, the path is refused: a wrong "same" would give a file, a wrong "other" would pass by an exception.

use thiserror::Error;

use crate::{PathPattern, PatternError, Resource};

mod fold;
mod macos;
mod windows;

/// How a platform reads paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathSemantics {
    /// Bytes, separated by `/`; every spelling is its own file.
    Linux,
    /// UTF-8, case-insensitive, normal forms equal (APFS and HFS+ as they are set up by default).
    MacOs,
    /// Drives and shares, `\` and `/`, case-insensitive by simple upper case (NTFS through Win32).
    Windows,
}

/// Why a path is refused under its platform's semantics.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathRefusal {
    /// Not absolute, an empty, `.` or `..` segment, NUL, or too long.
    #[error("{0}")]
    Form(#[from] PatternError),
    /// Not UTF-8, which every name on the platform is.
    #[error("the path is not valid text")]
    Text,
    /// `C:name`, `\name`: where that leads depends on a current directory.
    #[error("the path depends on the current directory or drive")]
    CurrentDirectory,
    /// `\\.\`, `\??\`, `\\?\` but before a drive or `UNC\`, or a name such as `NUL`.
    #[error("the path names a device")]
    Device,
    /// `file:stream`, `..namedfork`: another content of a file.
    #[error("the path names a stream or fork beside a file's content")]
    Stream,
    /// `PROGRA~1`: another name of a file that has a long one.
    #[error("the path has a short name, which may stand for another one")]
    ShortName,
    /// A control character or one of `<>:"|?*` in a name.
    #[error("the path has a character that no name on the platform may have")]
    Character,
    /// A space or dots at the end that some interfaces drop and others keep.
    #[error("a name ends in spaces or dots that are not always kept")]
    TrailingDots,
    /// A character that versions or formats of the file system fold, decompose or skip in different ways.
    #[error(
        "the path has the character U+{0:04X}, which file systems of the platform compare in different ways"
    )]
    Disputed(u32),
    /// `/.vol/…`, `\\localhost\…`, `\\server\C$`: a file by a second way.
    #[error("the path reaches files by another way than their names")]
    Alias,
}

/// A path in the canonical form of its platform. Two of one platform name the same file if their keys are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    semantics: PathSemantics,
    /// Names without separators; of a Windows path the first is `C:`, or `UNC` before server and share.
    names: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

impl PathSemantics {
    /// Reads a path as a program of the platform would give it.
    ///
    /// # Errors
    /// [`PathRefusal`], by what makes it name no file, or not surely one.
    pub fn canonical(self, path: &[u8]) -> Result<CanonicalPath, PathRefusal> {
        let names = match self {
            Self::Linux => own(crate::pattern::segments_of(path)?),
            Self::MacOs => macos::names(path)?,
            Self::Windows => windows::names(path)?,
        };
        let keys = names
            .iter()
            .map(|name| self.key(name))
            .collect::<Result<_, _>>()?;
        let canonical = CanonicalPath {
            semantics: self,
            names,
            keys,
        };
        // The canonical form has the limits of resources too.
        crate::pattern::segments_of(&joined(&canonical.names))?;
        Ok(canonical)
    }

    /// The form of a name, or of a part of one, that is equal for every spelling.
    pub(crate) fn key(self, name: &[u8]) -> Result<Vec<u8>, PathRefusal> {
        match self {
            Self::Linux => Ok(name.to_vec()),
            Self::MacOs => macos::key(name),
            Self::Windows => windows::key(name),
        }
    }

    /// Checks a whole name of a pattern, that is no part of one.
    pub(crate) fn check_name(self, name: &[u8], is_first: bool) -> Result<(), PathRefusal> {
        match self {
            Self::Linux => Ok(()),
            Self::MacOs => macos::check_name(name),
            Self::Windows => windows::check_pattern_name(name, is_first),
        }
    }

    /// How many of the first keys stand for others, and for which.
    pub(crate) fn alias(self, keys: &[&[u8]]) -> Option<(usize, &'static [&'static str])> {
        match self {
            Self::Linux | Self::Windows => None,
            Self::MacOs => macos::alias(keys),
        }
    }
}

impl CanonicalPath {
    /// Equal for every spelling of one file, under one semantics.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        joined(&self.keys)
    }

    /// The file as a resource: `file:/C:/Users/a`, `file:/UNC/server/share/a` for Windows.
    ///
    /// # Errors
    /// When the path is longer than a resource may be.
    pub fn resource(&self) -> Result<Resource, PathRefusal> {
        Ok(Resource::File(PathPattern::of_names(&self.names)?))
    }

    /// The path as the platform writes it.
    #[must_use]
    pub fn native(&self) -> Vec<u8> {
        match self.semantics {
            PathSemantics::Linux | PathSemantics::MacOs => joined(&self.names),
            PathSemantics::Windows => windows::native(&self.names),
        }
    }

    /// The semantics that it was read under.
    #[must_use]
    pub fn semantics(&self) -> PathSemantics {
        self.semantics
    }

    pub(crate) fn key_segments(&self) -> Vec<&[u8]> {
        self.keys.iter().map(Vec::as_slice).collect()
    }
}

fn own(names: Vec<&[u8]>) -> Vec<Vec<u8>> {
    names.into_iter().map(<[u8]>::to_vec).collect()
}

fn joined(names: &[Vec<u8>]) -> Vec<u8> {
    let mut path = Vec::new();
    for name in names {
        path.push(b'/');
        path.extend(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests;
