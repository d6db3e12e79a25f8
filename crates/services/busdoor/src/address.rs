//! The session bus of the person: its addresses, and a connection to it.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;

/// Connects to the first of `addresses` (`unix:path=…;unix:abstract=…`) that answers and is the person's own, or the superuser's.
///
/// # Errors
/// Why none does.
pub fn reach(addresses: &str) -> io::Result<UnixStream> {
    let mut reason = io::Error::new(
        io::ErrorKind::NotFound,
        "the session bus has no address of a Unix socket",
    );
    for address in addresses.split(';').filter_map(read) {
        match UnixStream::connect_addr(&address) {
            Ok(stream) => {
                let peer = valetkey_sys::peer::credentials(&stream)?;
                if peer.uid == rustix::process::geteuid() || peer.uid.is_root() {
                    return Ok(stream);
                }
                reason = io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the session bus is another user's",
                );
            }
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

fn read(address: &str) -> Option<SocketAddr> {
    let pairs = address.strip_prefix("unix:")?.split(',');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| {
            let bytes = unescape(value)?;
            match key {
                "path" => SocketAddr::from_pathname(PathBuf::from(OsString::from_vec(bytes))).ok(),
                "abstract" => SocketAddr::from_abstract_name(bytes).ok(),
                _ => None,
            }
        })
}

/// Bytes that may not stand for themselves are `%` and two hexadecimal digits.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()?.checked_mul(16)?.checked_add(digit()?)?;
        plain.push(u8::try_from(value).ok()?);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_specification_writes_them() {
        let address = read("unix:path=/run/user/1000/a%20bus,guid=00").expect("an address");
        assert_eq!(address.as_pathname(), Some("/run/user/1000/a bus".as_ref()));
        let address = read("unix:guid=00,abstract=/tmp/dbus-x").expect("an address");
        assert_eq!(address.as_abstract_name(), Some(b"/tmp/dbus-x".as_ref()));
        for bad in [
            "tcp:host=localhost,port=1",
            "unix:",
            "unix:path=%2",
            "unix:path=%zz",
            "unix:dir=/tmp",
            "",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
