//! SOCKS5 without authentication (RFC 1928): a second way for a client to say the same.

use std::net::Ipv6Addr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Endpoint;

/// The first byte of a client that speaks it.
pub(crate) const VERSION: u8 = 5;

const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Made = 0,
    NotAllowed = 2,
    Unreachable = 4,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

/// Takes a client's greeting and its request. `None`: it was told no, or said nothing that reads.
pub(crate) async fn read<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S) -> Option<Endpoint> {
    let _version = client.read_u8().await.ok()?;
    let count = client.read_u8().await.ok()?;
    let mut methods = vec![0; usize::from(count)];
    client.read_exact(&mut methods).await.ok()?;
    if !methods.contains(&NO_AUTHENTICATION) {
        client.write_all(&[VERSION, NO_METHOD]).await.ok()?;
        return None;
    }
    client.write_all(&[VERSION, NO_AUTHENTICATION]).await.ok()?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await.ok()?;
    let [version, command, _reserved, kind] = head;
    if version != VERSION {
        return None;
    }
    if command != CONNECT {
        answer(client, Reply::NoSuchCommand).await;
        return None;
    }
    let host = match kind {
        IPV4 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await.ok()?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        IPV6 => {
            let mut address = [0; 16];
            client.read_exact(&mut address).await.ok()?;
            format!("[{}]", Ipv6Addr::from(address))
        }
        NAME => {
            let length = client.read_u8().await.ok()?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name).await.ok()?;
            // What is no text is no host: the endpoint refuses it.
            String::from_utf8(name).unwrap_or_default()
        }
        _ => {
            answer(client, Reply::NoSuchAddress).await;
            return None;
        }
    };
    let port = client.read_u16().await.ok()?;
    let endpoint = Endpoint::new(&host, port);
    if endpoint.is_none() {
        answer(client, Reply::NoSuchAddress).await;
    }
    endpoint
}

/// Tells the client how it went. The address that it is told is none: it has no business with it.
pub(crate) async fn answer<S: AsyncWrite + Unpin>(client: &mut S, reply: Reply) {
    let code = match reply {
        Reply::Made => 0,
        Reply::NotAllowed => 2,
        Reply::Unreachable => 4,
        Reply::NoSuchCommand => 7,
        Reply::NoSuchAddress => 8,
    };
    let told = [VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0];
    // A client that is gone does not read it.
    drop(client.write_all(&told).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(bytes: &[u8]) -> (Option<String>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(bytes).await.expect("write");
        far.shutdown().await.expect("end");
        let endpoint = read(&mut near).await.map(|it| it.to_string());
        drop(near);
        let mut answers = Vec::new();
        far.read_to_end(&mut answers).await.expect("read");
        (endpoint, answers)
    }

    fn named(name: &[u8]) -> Vec<u8> {
        let length = u8::try_from(name.len()).expect("short");
        [&[5, 1, 0, 5, 1, 0, NAME, length], name, &[1, 187]].concat()
    }

    #[tokio::test]
    async fn names_and_addresses_are_read() {
        assert_eq!(
            asked(&named(b"Api.example")).await,
            (Some("api.example:443".to_owned()), vec![5, 0])
        );
        let (v4, _) = asked(&[5, 2, 1, 0, 5, 1, 0, IPV4, 1, 2, 3, 4, 0, 80]).await;
        assert_eq!(v4.as_deref(), Some("1.2.3.4:80"));
        let v6 = [&[5, 1, 0, 5, 1, 0, IPV6][..], &[0; 15], &[1, 0, 80]].concat();
        assert_eq!(asked(&v6).await.0.as_deref(), Some("[::1]:80"));
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let mapped = [
            &[5, 1, 0, 5, 1, 0, IPV6][..],
            &[0; 10],
            &[255, 255, 127, 0, 0, 1, 0, 80],
        ]
        .concat();
        for odd in [
            named(b"exam\0ple.com"),
            named(b"example.com."),
            named(b""),
            named(b"127.1"),
            named(b"\xff\xfe"),
            named(b"example.com:443"),
            mapped,
            vec![5, 1, 0, 5, 2, 0, IPV4, 1, 2, 3, 4, 0, 80],
            vec![5, 1, 0, 5, 3, 0, IPV4, 1, 2, 3, 4, 0, 80],
            vec![5, 1, 0, 5, 1, 0, 9, 1, 2, 3, 4, 0, 80],
            vec![5, 1, 0, 5, 1, 0, IPV4, 1, 2, 3, 4, 0, 0],
        ] {
            let (endpoint, answers) = asked(&odd).await;
            assert_eq!(endpoint, None, "{odd:?}");
            assert!(answers.len() > 3 && answers[3] != 0, "{odd:?} {answers:?}");
        }
        assert_eq!(asked(&[5, 1, 2]).await, (None, vec![5, NO_METHOD]));
        assert_eq!(asked(&[5, 1, 0, 4, 1]).await.0, None);
    }
}
