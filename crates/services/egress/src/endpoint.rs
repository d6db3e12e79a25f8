//! Where a client wants to go, read by the parser of resources: there is one spelling of a host, and no other is understood.

use std::fmt;
use std::net::IpAddr;

use valetkey_model::Resource;

/// A host and a port, in their canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    resource: Resource,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads a host and a port. Letters may be of either case, as in DNS; anything else must be canonical already. Nothing if it is no host.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        if !host.is_ascii() {
            return None;
        }
        let host = host.to_ascii_lowercase();
        let resource: Resource = format!("tcp:{host}:{port}").parse().ok()?;
        Some(Self {
            resource,
            host,
            port,
        })
    }

    /// Reads `HOST:PORT` (RFC 9112, authority-form).
    #[must_use]
    pub fn parse(authority: &str) -> Option<Self> {
        let (host, port) = authority.rsplit_once(':')?;
        let number: u16 = port.parse().ok()?;
        // No sign, no leading zeros: `tcp:` has one spelling of a port.
        (number.to_string() == port).then(|| Self::new(host, number))?
    }

    /// It as a resource, `tcp:HOST:PORT`.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The host: a lower-case name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let text = self.host.strip_prefix('[').unwrap_or(&self.host);
        text.strip_suffix(']').unwrap_or(text).parse().ok()
    }

    /// The endpoint of the same port at an address.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::new(&address.to_string(), self.port),
            IpAddr::V6(address) => Self::new(&format!("[{address}]"), self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        let read = |text| Endpoint::parse(text).map(|it| it.to_string());
        assert_eq!(
            read("API.Example.com:443").as_deref(),
            Some("api.example.com:443")
        );
        assert_eq!(
            read("[2606:4700::1111]:443").as_deref(),
            Some("[2606:4700::1111]:443")
        );
        assert_eq!(read("1.1.1.1:53").as_deref(), Some("1.1.1.1:53"));
        for odd in [
            "",
            "host",
            ":443",
            "host:",
            "host:0",
            "host:0443",
            "host:+443",
            "host:65536",
            "host:443:443",
            "user@host:443",
            "host/x:443",
            "ho st:443",
            "host\0.example:443",
            "host%00:443",
            "h\u{f6}st:443",
            "host.:443",
            ".host:443",
            "127.1:443",
            "0x7f.1:443",
            "2130706433:443",
            "0177.0.0.1:443",
            "[::ffff:127.0.0.1]:443",
            "[::1%25lo]:443",
            "[0:0:0:0:0:0:0:1]:443",
            "::1:443",
            "*.example.com:443",
            "host\r\n:443",
            "-host:443",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_address_is_known_as_one() {
        let of = |text: &str| Endpoint::parse(text).and_then(|it| it.address());
        assert_eq!(
            of("1.2.3.4:1"),
            Some("1.2.3.4".parse().expect("an address"))
        );
        assert_eq!(of("[::1]:1"), Some("::1".parse().expect("an address")));
        assert_eq!(of("cafe:1"), None);
        let name = Endpoint::parse("db.internal:5432").expect("an endpoint");
        let there = name.at("::ffff:10.0.0.5".parse().expect("an address"));
        assert_eq!(
            there.map(|it| it.to_string()).as_deref(),
            Some("10.0.0.5:5432")
        );
    }
}
