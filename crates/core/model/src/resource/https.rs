//! An https resource: one host and port, and a pattern of paths there.

use std::fmt;

use super::ParseResourceError;
use super::host::{is_host, port};
use crate::UrlPattern;

/// The port that is meant where none is written (RFC 9110, section 4.2.2).
const DEFAULT_PORT: u16 = 443;

/// Paths of one origin: `https://api.example.com/v1/**`.
///
/// No user, query or fragment: a query is data of the request, and what a path gives does not depend on it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpsResource {
    host: String,
    port: u16,
    path: UrlPattern,
}

impl HttpsResource {
    /// The host: a lower-case name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 where the text names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The pattern of paths.
    #[must_use]
    pub fn path(&self) -> &UrlPattern {
        &self.path
    }

    /// Whether everything that `other` names, this names too. Never wrongly yes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port && self.path.covers(&other.path)
    }

    /// Reads what follows `https:`.
    pub(super) fn parse(rest: &str) -> Result<Self, ParseResourceError> {
        const FORM: ParseResourceError = ParseResourceError::Form(
            "an https resource is written https://HOST/PATH or https://HOST:PORT/PATH, the host in lower case, without user, query and fragment, and without the port 443",
        );
        let rest = rest.strip_prefix("//").ok_or(FORM)?;
        let (authority, path) = rest
            .split_at_checked(rest.find('/').ok_or(FORM)?)
            .ok_or(FORM)?;
        // The last colon outside brackets parts host and port.
        let (host, number) = match authority.rsplit_once(':') {
            Some((host, number)) if !number.ends_with(']') => (
                host,
                port(number)
                    .filter(|number| *number != DEFAULT_PORT)
                    .ok_or(FORM)?,
            ),
            _ => (authority, DEFAULT_PORT),
        };
        if !is_host(host) {
            return Err(FORM);
        }
        Ok(Self {
            host: host.to_owned(),
            port: number,
            path: UrlPattern::parse(path)?,
        })
    }
}

impl fmt::Display for HttpsResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.host)?;
        if self.port != DEFAULT_PORT {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}", self.path)
    }
}

impl fmt::Debug for HttpsResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
