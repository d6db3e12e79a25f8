//! A program: by its path, and where it is pinned by its content too.

use std::fmt;

use super::ParseResourceError;
use crate::{Digest, PathPattern};

/// A program: `exec:/usr/bin/git`, or pinned `exec:/usr/bin/git#sha256:…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecResource {
    path: PathPattern,
    digest: Option<Digest>,
}

impl ExecResource {
    /// The pattern of paths; a pinned one has no `*`.
    #[must_use]
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The digest that the program's content must have; none means any content.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether everything that `other` names, this names too. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.path.covers(&other.path) && (self.digest.is_none() || self.digest == other.digest)
    }

    /// Reads what follows `exec:`. A `#` of a path is percent-encoded, so the first one begins the digest.
    pub(super) fn parse(rest: &str) -> Result<Self, ParseResourceError> {
        let (path, digest) = match rest.split_once('#') {
            Some((path, digest)) => (path, Some(digest)),
            None => (rest, None),
        };
        let path = PathPattern::parse(path)?;
        let digest = digest.map(str::parse::<Digest>).transpose().map_err(|_| {
            ParseResourceError::Form(
                "what follows `#` in a program is sha256: and 64 lower-case hexadecimal digits",
            )
        })?;
        if digest.is_some() && !path.is_literal() {
            return Err(ParseResourceError::Form(
                "a digest pins one program: its path has no `*`",
            ));
        }
        Ok(Self { path, digest })
    }
}

impl fmt::Display for ExecResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec:{}", self.path)?;
        match &self.digest {
            Some(digest) => write!(f, "#{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ExecResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
