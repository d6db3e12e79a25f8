//! The head of a proxy request, read strictly (RFC 9112): what two parsers could read in two ways is refused.

use crate::Endpoint;

/// The longest head that is read.
pub(crate) const HEAD_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 128;
/// Fields that speak of one connection and not of the message (RFC 9110, 7.6.1), and those that are made anew.
const NOT_PASSED_ON: [&str; 9] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// What a client asks of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A tunnel.
    Tunnel(Endpoint),
    /// One request, passed on without encryption.
    Forward {
        to: Endpoint,
        /// The head as the server gets it.
        head: Vec<u8>,
        /// How many bytes of body follow.
        body: u64,
    },
}

/// Where the head ends, if it is there: after the first empty line.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at.saturating_add(4))
}

/// Reads a whole head.
///
/// # Errors
/// What is wrong with it, in words for whoever sent it.
pub(crate) fn read(head: &[u8]) -> Result<Asked, &'static str> {
    if !lines_are_plain(head) {
        return Err("the head has a bare line break or a control character");
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(_) => return Err("this is not a request of HTTP/1.1"),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err("this is not a request of HTTP/1.1");
    };
    let headers: &[httparse::Header<'_>] = request.headers;
    if headers.iter().any(|it| it.name.ends_with([' ', '\t'])) {
        return Err("a field's name ends in a space");
    }
    if method == "CONNECT" {
        let to = Endpoint::parse(target).ok_or("CONNECT wants HOST:PORT")?;
        same_host(headers, &to, None)?;
        if length_of_body(headers)? != 0 {
            return Err("CONNECT has no body");
        }
        return Ok(Asked::Tunnel(to));
    }
    forward(method, target, headers)
}

fn forward(
    method: &str,
    target: &str,
    headers: &[httparse::Header<'_>],
) -> Result<Asked, &'static str> {
    let Some(rest) = target.strip_prefix("http://") else {
        return Err(if target.starts_with('/') {
            "this is a proxy: a request names the whole address, or CONNECT the host"
        } else {
            "only http:// is passed on; for https use CONNECT"
        });
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest
            .split_at_checked(at)
            .ok_or("the address does not read")?,
        None => (rest, "/"),
    };
    if path.contains('#') || authority.contains('#') {
        return Err("an address has no fragment here");
    }
    let to = Endpoint::parse(authority)
        .or_else(|| Endpoint::new(authority, 80))
        .ok_or("the host of the address is not one")?;
    same_host(headers, &to, Some(80))?;
    if has(headers, "upgrade") {
        return Err("protocols are not changed here; use CONNECT");
    }
    let body = length_of_body(headers)?;
    let slash = if path.starts_with('?') { "/" } else { "" };
    let host = if to.port() == 80 {
        to.host().to_owned()
    } else {
        to.to_string()
    };
    let mut head = format!("{method} {slash}{path} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    // What a client names in `Connection` is of its connection too.
    let own: Vec<String> = values(headers, "connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        if NOT_PASSED_ON.contains(&name.as_str()) || own.contains(&name) {
            continue;
        }
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(header.value);
        head.extend_from_slice(b"\r\n");
    }
    // One request for each connection: what follows the body goes nowhere.
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    Ok(Asked::Forward { to, head, body })
}

/// Whether every line ends in CR LF and nothing else of the kind is in it. A line that begins with a space would go on in the one before.
fn lines_are_plain(head: &[u8]) -> bool {
    let mut before = 0;
    let mut line_begins = true;
    head.iter().enumerate().all(|(at, byte)| {
        let next = head.get(at.saturating_add(1)).copied().unwrap_or(0);
        let plain = match byte {
            b'\r' => next == b'\n',
            b'\n' => before == b'\r',
            b'\t' | b' ' => !line_begins,
            byte => *byte >= 0x20 && *byte != 0x7f,
        };
        line_begins = *byte == b'\n';
        before = *byte;
        plain
    })
}

fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |it| it.name.eq_ignore_ascii_case(name))
        .map(|it| it.value)
}

fn has(headers: &[httparse::Header<'_>], name: &str) -> bool {
    values(headers, name).next().is_some()
}

/// Whether the field `Host`, if it is there, names the same endpoint.
fn same_host(
    headers: &[httparse::Header<'_>],
    to: &Endpoint,
    default: Option<u16>,
) -> Result<(), &'static str> {
    let mut hosts = values(headers, "host");
    let Some(host) = hosts.next() else {
        return Ok(());
    };
    if hosts.next().is_some() {
        return Err("there are two Host fields");
    }
    let text = std::str::from_utf8(host).map_err(|_| "the Host field does not read")?;
    let port = default.unwrap_or_else(|| to.port());
    let named = Endpoint::parse(text).or_else(|| Endpoint::new(text, port));
    if named.as_ref() == Some(to) {
        Ok(())
    } else {
        Err("the Host field names another host")
    }
}

fn length_of_body(headers: &[httparse::Header<'_>]) -> Result<u64, &'static str> {
    if has(headers, "transfer-encoding") {
        return Err("a body has a Content-Length here");
    }
    let mut lengths = values(headers, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(0);
    };
    if lengths.next().is_some() || length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return Err("the Content-Length is not one number");
    }
    let text = std::str::from_utf8(length).unwrap_or_default();
    text.parse().map_err(|_| "the Content-Length is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Result<Asked, &'static str> {
        read(head.as_bytes())
    }

    #[test]
    fn a_tunnel_names_a_host_and_a_port() {
        let to = Endpoint::parse("api.example.com:443").expect("an endpoint");
        for head in [
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n",
            "CONNECT API.example.com:443 HTTP/1.1\r\nhost: Api.Example.Com\r\nProxy-Connection: x\r\n\r\n",
            "CONNECT api.example.com:443 HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(asked(head), Ok(Asked::Tunnel(to.clone())), "{head}");
        }
    }

    #[test]
    fn a_request_is_made_anew_for_the_server() {
        let head = "POST http://Example.com:8080/a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nConnection: close, X-Own\r\n\
            X-Own: 1\r\nProxy-Authorization: secret\r\nContent-Length: 5\r\n\r\n";
        let Ok(Asked::Forward { to, head, body }) = asked(head) else {
            panic!("{:?}", asked(head));
        };
        assert_eq!((to.to_string().as_str(), body), ("example.com:8080", 5));
        assert_eq!(
            String::from_utf8(head).expect("text"),
            "POST /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        );
        let Ok(Asked::Forward { head, .. }) = asked("GET http://example.com?x HTTP/1.1\r\n\r\n")
        else {
            panic!("a request");
        };
        assert!(head.starts_with(b"GET /?x HTTP/1.1\r\nHost: example.com\r\n"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "GET https://example.com/ HTTP/1.1\r\n\r\n",
            "GET ftp://example.com/ HTTP/1.1\r\n\r\n",
            "GET http://user@example.com/ HTTP/1.1\r\n\r\n",
            "GET http://example.com\\@evil.example/ HTTP/1.1\r\n\r\n",
            "GET http://example.com#@evil.example/ HTTP/1.1\r\n\r\n",
            "GET http://exam\0ple.com/ HTTP/1.1\r\n\r\n",
            "GET http://example.com%00.evil/ HTTP/1.1\r\n\r\n",
            "GET http://127.1/ HTTP/1.1\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nX: a\rY: b\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "CONNECT example.com HTTP/1.1\r\n\r\n",
            "CONNECT http://example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT example.com:443/ HTTP/1.1\r\n\r\n",
            "CONNECT user@example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:22\r\n\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
            "CONNECT example.com:443 HTTP/2.0\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
        ] {
            assert!(asked(head).is_err(), "{head:?}");
        }
    }
}
