//! The server's name in a TLS client hello (RFC 8446, RFC 6066): read to be compared, never to be believed.

/// The longest hello that is read: ones with post-quantum keys take some two kilobytes.
pub(crate) const HELLO_MAX: usize = 32 * 1024;

/// The longest name of DNS.
const NAME_MAX: usize = 253;
const RECORD_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_HOST: u8 = 0;

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// More is needed to tell.
    Unfinished,
    /// Not TLS.
    Other,
    /// A TLS client hello, with the name it asks for, in lower case.
    Hello(Option<String>),
    /// It begins as TLS and is none that can be read.
    Broken,
}

/// Reads the beginning of what a client sends.
pub(crate) fn beginning(bytes: &[u8]) -> Beginning {
    match bytes.first() {
        None => return Beginning::Unfinished,
        Some(first) if *first != RECORD_HANDSHAKE => return Beginning::Other,
        Some(_) => {}
    }
    // A hello may lie in several records.
    let mut message = Vec::new();
    let mut rest = Reader(bytes);
    loop {
        let length = if message.len() >= 4 {
            let mut header = Reader(&message);
            if header.byte() != Some(CLIENT_HELLO) {
                return Beginning::Broken;
            }
            header.number(3)
        } else {
            None
        };
        if let Some(length) = length {
            if length > HELLO_MAX {
                return Beginning::Broken;
            }
            if let Some(hello) = message.get(4..length.saturating_add(4)) {
                return name_of(hello).map_or(Beginning::Broken, Beginning::Hello);
            }
        }
        if rest.0.is_empty() {
            return unfinished(bytes);
        }
        let header = (rest.byte(), rest.byte(), rest.byte(), rest.number(2));
        let (Some(RECORD_HANDSHAKE), Some(3), Some(_), Some(length)) = header else {
            return match header {
                (Some(RECORD_HANDSHAKE), Some(3) | None, _, None) => unfinished(bytes),
                _ => Beginning::Broken,
            };
        };
        if length == 0 {
            return Beginning::Broken;
        }
        let Some(part) = rest.take(length) else {
            return unfinished(bytes);
        };
        message.extend_from_slice(part);
    }
}

fn unfinished(bytes: &[u8]) -> Beginning {
    if bytes.len() >= HELLO_MAX {
        Beginning::Broken
    } else {
        Beginning::Unfinished
    }
}

/// The name in the body of a client hello, if it has one. `None`: it does not read, or has two.
fn name_of(hello: &[u8]) -> Option<Option<String>> {
    let mut hello = Reader(hello);
    // Version and random, session id, cipher suites, compression methods.
    hello.take(34)?;
    hello.vector(1)?;
    hello.vector(2)?;
    hello.vector(1)?;
    if hello.0.is_empty() {
        return Some(None);
    }
    let mut extensions = Reader(hello.vector(2)?);
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let body = extensions.vector(2)?;
        if kind != usize::from(EXTENSION_SERVER_NAME) {
            continue;
        }
        let mut names = Reader(Reader(body).vector(2)?);
        while !names.0.is_empty() {
            let kind = names.byte()?;
            let text = std::str::from_utf8(names.vector(2)?).ok()?;
            // Two names would be one for us and one for the server.
            let is_name = (1..=NAME_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic());
            if kind != NAME_HOST || name.is_some() || !is_name {
                return None;
            }
            name = Some(text.to_ascii_lowercase());
        }
    }
    Some(name)
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of so many bytes, the highest first.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        Some(taken.iter().fold(0, |sum: usize, byte| {
            sum.wrapping_shl(8) | usize::from(*byte)
        }))
    }

    /// What follows its own length in so many bytes.
    fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_length(bytes: usize, body: &[u8]) -> Vec<u8> {
        let length = body.len().to_be_bytes();
        [&length[length.len() - bytes..], body].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [kind.to_be_bytes().to_vec(), with_length(2, body)].concat()
    }

    fn server_names(names: &[&str]) -> Vec<u8> {
        let entries: Vec<u8> = names
            .iter()
            .flat_map(|name| [vec![NAME_HOST], with_length(2, name.as_bytes())].concat())
            .collect();
        extension(EXTENSION_SERVER_NAME, &with_length(2, &entries))
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [
            vec![3, 3],
            vec![7; 32],
            with_length(1, &[1; 32]),
            with_length(2, &[0x13, 1, 0x13, 2]),
            with_length(1, &[0]),
            with_length(2, extensions),
        ]
        .concat();
        [vec![CLIENT_HELLO], with_length(3, &body)].concat()
    }

    fn records(message: &[u8], each: usize) -> Vec<u8> {
        let record = |part: &[u8]| [vec![RECORD_HANDSHAKE, 3, 1], with_length(2, part)].concat();
        message.chunks(each).flat_map(record).collect()
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_cut() {
        let whole = message(&server_names(&["Api.Example.com"]));
        for each in [1, 2, 3, 4, 5, 50, 10_000] {
            let bytes = records(&whole, each);
            assert_eq!(
                beginning(&bytes),
                Beginning::Hello(Some("api.example.com".to_owned())),
                "{each}"
            );
            for end in 0..bytes.len() {
                assert_eq!(
                    beginning(&bytes[..end]),
                    Beginning::Unfinished,
                    "{each} {end}"
                );
            }
        }
        assert_eq!(
            beginning(&records(&message(&[]), 100)),
            Beginning::Hello(None)
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_broken() {
        let two = [server_names(&["a.example"]), server_names(&["b.example"])].concat();
        for odd in [
            records(&message(&two), 1000),
            records(&message(&server_names(&["a.example", "b.example"])), 1000),
            records(&message(&server_names(&[""])), 1000),
            records(&message(&[0, 0, 0]), 1000),
            records(&[2, 0, 0, 0], 1000),
            vec![22, 2, 0, 0, 1, 1],
            vec![22, 3, 1, 0, 0],
            records(&[1, 0xff, 0xff, 0xff], 1000),
            [records(&message(&[])[..10], 1000), vec![23, 3, 3, 0, 1, 0]].concat(),
        ] {
            assert_eq!(beginning(&odd), Beginning::Broken, "{odd:?}");
        }
        let endless = records(&[[1, 0, 0x7f, 0xff].as_slice(), &[0; 40_000]].concat(), 100);
        assert_eq!(beginning(&endless[..HELLO_MAX]), Beginning::Broken);
    }

    #[test]
    fn what_is_no_tls_is_told_at_once() {
        assert_eq!(beginning(b""), Beginning::Unfinished);
        assert_eq!(beginning(b"S"), Beginning::Other);
        assert_eq!(beginning(b"GET / HTTP/1.1"), Beginning::Other);
    }
}
