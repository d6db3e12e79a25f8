//! A resource: what a request, a policy or a capability speaks of, as a URI with one canonical form.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{PathPattern, PatternError};

mod bus;
mod exec;
mod host;
mod https;

pub use bus::BusResource;
pub use exec::ExecResource;
pub use https::HttpsResource;

/// The longest resource text in bytes: a `PATH_MAX` path with every byte percent-encoded.
pub(crate) const MAX_TEXT_BYTES: usize = 3 * 4096 + 16;

/// What can be asked for. Parsed once, at the edge; equal resources have equal text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Resource {
    /// A file, a tree or a pattern of paths: `file:/home/alice/Reports/**`.
    File(PathPattern),
    /// A program, by its path, and by its digest where it is pinned: `exec:/usr/bin/git`.
    Exec(ExecResource),
    /// Paths of one web origin: `https://api.example.com/v1/**`.
    Https(HttpsResource),
    /// A network endpoint: `tcp:db.internal:5432`. The host is a lower-case name, an IPv4 address, or an IPv6 address in brackets.
    Tcp {
        /// Host name or bracketed address.
        host: String,
        /// Port, 1 to 65535.
        port: u16,
    },
    /// A tool of a server: `tool:github/create_issue`.
    Tool {
        /// The server's name.
        server: String,
        /// The tool's name.
        name: String,
    },
    /// A secret by its path in a store: `secret:vault/database/creds/reporting`.
    Secret(String),
    /// A method of a desktop service: `bus:org.freedesktop.Notifications/Notify`.
    Bus(BusResource),
}

/// Why a text is not a resource.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParseResourceError {
    /// No scheme that is known.
    #[error(
        "`{scheme}` is not a kind of resource: use file:, exec:, https:, tcp:, tool:, secret: or bus:"
    )]
    Scheme {
        /// What stood before the first colon.
        scheme: String,
    },
    /// The path or pattern is not canonical.
    #[error("{0}")]
    Path(#[from] PatternError),
    /// The rest of the text does not fit its scheme.
    #[error("{0}")]
    Form(&'static str),
}

impl Resource {
    /// The one file, directory or other object at `path`.
    ///
    /// # Errors
    /// When the path is not absolute and normal.
    pub fn file(path: &Path) -> Result<Self, PatternError> {
        PathPattern::literal(path).map(Self::File)
    }

    /// `path` and everything below it.
    ///
    /// # Errors
    /// When the path is not absolute and normal.
    pub fn tree(path: &Path) -> Result<Self, PatternError> {
        PathPattern::tree(path).map(Self::File)
    }

    /// Whether everything that `other` names, this resource names too. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(outer), Self::File(inner)) => outer.covers(inner),
            (Self::Exec(outer), Self::Exec(inner)) => outer.covers(inner),
            (Self::Https(outer), Self::Https(inner)) => outer.covers(inner),
            (Self::Bus(outer), Self::Bus(inner)) => outer.covers(inner),
            _ => self == other,
        }
    }

    /// The file pattern, for a file resource.
    #[must_use]
    pub fn as_file(&self) -> Option<&PathPattern> {
        if let Self::File(pattern) = self {
            Some(pattern)
        } else {
            None
        }
    }

    /// The pattern of paths, for a file or a program.
    #[must_use]
    pub fn as_path(&self) -> Option<&PathPattern> {
        match self {
            Self::File(pattern) => Some(pattern),
            Self::Exec(program) => Some(program.path()),
            Self::Https(_)
            | Self::Tcp { .. }
            | Self::Tool { .. }
            | Self::Secret(_)
            | Self::Bus(_) => None,
        }
    }

    /// The scheme: `file`, `exec`, `https`, `tcp`, `tool`, `secret` or `bus`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Exec(_) => "exec",
            Self::Https(_) => "https",
            Self::Tcp { .. } => "tcp",
            Self::Tool { .. } => "tool",
            Self::Secret(_) => "secret",
            Self::Bus(_) => "bus",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(pattern) => write!(f, "file:{pattern}"),
            Self::Exec(program) => fmt::Display::fmt(program, f),
            Self::Https(paths) => fmt::Display::fmt(paths, f),
            Self::Bus(method) => fmt::Display::fmt(method, f),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Tool { server, name } => write!(f, "tool:{server}/{name}"),
            Self::Secret(path) => write!(f, "secret:{path}"),
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Resource {
    type Err = ParseResourceError;

    fn from_str(text: &str) -> Result<Self, ParseResourceError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ParseResourceError::Form("the resource is too long"));
        }
        let unknown = |scheme: &str| ParseResourceError::Scheme {
            scheme: scheme.chars().take(32).collect(),
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| unknown(text))?;
        match scheme {
            "file" => Ok(Self::File(PathPattern::parse(rest)?)),
            "exec" => ExecResource::parse(rest).map(Self::Exec),
            "https" => HttpsResource::parse(rest).map(Self::Https),
            "bus" => BusResource::parse(rest).map(Self::Bus),
            "tcp" => parse_tcp(rest),
            "tool" => match rest.split_once('/') {
                Some((server, name)) if is_name(server) && is_name(name) => Ok(Self::Tool {
                    server: server.to_owned(),
                    name: name.to_owned(),
                }),
                _ => Err(ParseResourceError::Form(
                    "a tool is written tool:SERVER/NAME",
                )),
            },
            "secret" if rest.split('/').all(is_name) => Ok(Self::Secret(rest.to_owned())),
            "secret" => Err(ParseResourceError::Form(
                "a secret is written secret:STORE/PATH",
            )),
            other => Err(unknown(other)),
        }
    }
}

fn parse_tcp(text: &str) -> Result<Resource, ParseResourceError> {
    const FORM: ParseResourceError =
        ParseResourceError::Form("an endpoint is written tcp:HOST:PORT in lower case");
    let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
    let port = host::port(port).ok_or(FORM)?;
    if !host::is_host(host) {
        return Err(FORM);
    }
    Ok(Resource::Tcp {
        host: host.to_owned(),
        port,
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+'))
        && text != "."
        && text != ".."
}

impl TryFrom<String> for Resource {
    type Error = ParseResourceError;

    fn try_from(text: String) -> Result<Self, ParseResourceError> {
        text.parse()
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> String {
        resource.to_string()
    }
}

#[cfg(test)]
mod tests;
