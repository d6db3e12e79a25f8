//! A connection to the session bus: the address, the greeting, messages out, and bounded messages in. The wire format is the library's.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{Endian, NATIVE_ENDIAN, ObjectPath, Signature, Type, Variant, to_bytes};

/// The longest message that is looked at. What notifications are told with is far below it; a longer one is read past.
const MESSAGE_MAX: u64 = 64 * 1024;
/// The longest message that the protocol allows.
const PROTOCOL_MAX: u64 = 128 * 1024 * 1024;
/// The part of a message that tells its length.
const FIXED_BYTES: usize = 16;
/// The longest line of the greeting.
const GREETING_MAX: usize = 1024;
/// How long the bus may hold us up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no bus.
#[derive(Debug, Error)]
pub(crate) enum BusError {
    /// The environment names none.
    #[error("there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set")]
    NoAddress,
    /// None of the addresses is one of a Unix socket.
    #[error("the session bus address `{0}` names no Unix socket")]
    Address(String),
    /// Nobody answers there.
    #[error("cannot reach the session bus at `{0}`: {1}")]
    Unreachable(String, io::Error),
    /// The bus belongs to somebody else.
    #[error("the session bus is run by user {0}, who is not you")]
    Stranger(u32),
    /// The bus does not greet.
    #[error("the session bus does not let this program in")]
    Refused,
    /// The connection broke, or says what is no message.
    #[error("the session bus broke off: {0}")]
    Broken(#[from] io::Error),
    /// A message cannot be written.
    #[error("cannot write a message: {0}")]
    Message(#[from] zbus::Error),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) stream: UnixStream,
    buffer: Vec<u8>,
    /// Bytes of a message that is too long, still to be read past.
    past: u64,
    /// The number of the last message that was sent.
    last: u32,
}

impl Bus {
    /// Connects and greets. Descriptors are not asked for, and so never come.
    pub(crate) fn connect(addresses: &str) -> Result<Self, BusError> {
        let mut stream = reach(addresses)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let own = rustix::process::geteuid();
        let peer = valetkey_sys::peer::credentials(&stream).map_err(io::Error::from)?;
        if peer.uid != own && !peer.uid.is_root() {
            return Err(BusError::Stranger(peer.uid.as_raw()));
        }
        let id: String = own.as_raw().to_string().bytes().map(hex).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {id}\r\n").as_bytes())?;
        if !greeting(&mut stream)?.starts_with(b"OK ") {
            return Err(BusError::Refused);
        }
        stream.write_all(b"BEGIN\r\n")?;
        Ok(Self::over(stream))
    }

    fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            past: 0,
            last: 0,
        }
    }

    /// Sends a call; its answer will name the number.
    pub(crate) fn call<B: Serialize + Type>(
        &mut self,
        to: &Place,
        member: &str,
        body: &B,
    ) -> Result<u32, BusError> {
        // Zero is no number; the first of all would be taken anew only after four thousand million calls.
        self.last = self.last.checked_add(1).unwrap_or(1);
        let fields = [
            (PATH, Variant::from(ObjectPath::try_from(to.path)?)),
            (INTERFACE, Variant::from(to.interface)),
            (MEMBER, Variant::from(member)),
            (DESTINATION, Variant::from(to.name)),
        ];
        let bytes = message(Kind::Call, self.last, &fields, body)?;
        self.stream.write_all(&bytes)?;
        Ok(self.last)
    }

    /// Takes in what has come, without waiting.
    pub(crate) fn receive(&mut self) -> Result<(), BusError> {
        let mut chunk = [0; 16 * 1024];
        match rustix::net::recv(&self.stream, &mut chunk, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok((_, read)) => {
                let mut new = chunk.get(..read).unwrap_or_default();
                let skipped = usize::try_from(self.past).unwrap_or(usize::MAX).min(read);
                new = new.get(skipped..).unwrap_or_default();
                self.past = self
                    .past
                    .saturating_sub(u64::try_from(skipped).unwrap_or(0));
                self.buffer.extend_from_slice(new);
                Ok(())
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// The next message that reads; what does not is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, BusError> {
        loop {
            let Some((endian, fields, whole)) = frame(&self.buffer)? else {
                return Ok(None);
            };
            let here = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
            if whole > MESSAGE_MAX {
                self.past = whole.saturating_sub(here);
                let end = usize::try_from(whole.min(here)).unwrap_or(usize::MAX);
                self.buffer.drain(..end);
                continue;
            }
            if here < whole {
                return Ok(None);
            }
            let end = usize::try_from(whole).unwrap_or(usize::MAX);
            let bytes: Vec<u8> = self.buffer.drain(..end).collect();
            if let Some(incoming) = Incoming::read(bytes, endian, fields) {
                return Ok(Some(incoming));
            }
        }
    }
}

/// Whom a call is for.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) interface: &'static str,
}

/// A message of somebody's. The bus itself says whose; nobody can say it for another.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) kind: Kind,
    pub(crate) sender: String,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
    pub(crate) reply_to: Option<u32>,
    signature: Signature,
    body: Data<'static, 'static>,
}

impl Incoming {
    fn read(bytes: Vec<u8>, endian: Endian, body_at: usize) -> Option<Self> {
        if bytes.len() < body_at {
            return None;
        }
        let data = Data::new(bytes, Context::new(endian, 0));
        let (header, _): (Header<'_>, usize) = data.deserialize().ok()?;
        let (_, kind, _, version, _, _, listed) = header;
        let mut fields = HashMap::new();
        for (code, value) in listed {
            // A field twice would be two meanings of one message.
            if fields.insert(code, value).is_some() {
                return None;
            }
        }
        let text = |code| match fields.get(&code) {
            Some(Variant::Str(text)) => text.as_str().to_owned(),
            Some(Variant::ObjectPath(path)) => path.as_str().to_owned(),
            _ => String::new(),
        };
        let reply_to = match fields.get(&REPLY_TO) {
            Some(Variant::U32(number)) => Some(*number),
            _ => None,
        };
        let signature = match fields.get(&SIGNATURE) {
            Some(Variant::Signature(signature)) => signature.clone(),
            _ => Signature::Unit,
        };
        let incoming = Self {
            kind: Kind::of(kind).filter(|_| version == VERSION)?,
            sender: text(SENDER),
            path: text(PATH),
            interface: text(INTERFACE),
            member: text(MEMBER),
            reply_to,
            signature,
            body: data.slice(body_at..),
        };
        Some(incoming)
    }

    /// Its body, if it is of exactly that type.
    pub(crate) fn body<T: for<'d> Deserialize<'d> + Type>(&self) -> Option<T> {
        if self.signature != *T::SIGNATURE {
            return None;
        }
        self.body.deserialize().ok().map(|(body, _)| body)
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Return => 2,
            Self::Error => 3,
            Self::Signal => 4,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Self::Call, Self::Return, Self::Error, Self::Signal]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// The version of the protocol.
const VERSION: u8 = 1;
/// Codes of a header's fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_TO: u8 = 5;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;
const SIGNATURE: u8 = 8;

/// Byte order, kind, flags, version, length of the body, number, and fields, as they stand at the beginning of a message.
type Header<'m> = (u8, u8, u8, u8, u32, u32, Vec<(u8, Variant<'m>)>);

/// The bytes of a message.
fn message<B: Serialize + Type>(
    kind: Kind,
    number: u32,
    fields: &[(u8, Variant<'_>)],
    body: &B,
) -> Result<Vec<u8>, BusError> {
    let context = Context::new(NATIVE_ENDIAN, 0);
    let body_bytes = to_bytes(context, body)?;
    let mut listed = Vec::new();
    for (code, value) in fields {
        listed.push((*code, value.try_clone()?));
    }
    let order = match NATIVE_ENDIAN {
        Endian::Little => b'l',
        Endian::Big => b'B',
    };
    let length = u32::try_from(body_bytes.len()).map_err(io::Error::other)?;
    let header: Header<'_> = (order, kind.code(), 0, VERSION, length, number, listed);
    let mut bytes = to_bytes(context, &header)?.to_vec();
    if *B::SIGNATURE != Signature::Unit {
        sign(&mut bytes, &B::SIGNATURE.to_string_no_parens())?;
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(&body_bytes);
    Ok(bytes)
}

/// Puts the last field, the body's signature, after a header. As a value of the library it would be that of one structure; a body of several
/// values has theirs one after the other.
fn sign(header: &mut Vec<u8>, signature: &str) -> Result<(), BusError> {
    header.resize(header.len().next_multiple_of(8), 0);
    let length = u8::try_from(signature.len()).map_err(io::Error::other)?;
    header.extend_from_slice(&[SIGNATURE, 1, b'g', 0, length]);
    header.extend_from_slice(signature.as_bytes());
    header.push(0);
    let fields = header.len().saturating_sub(FIXED_BYTES);
    let fields = u32::try_from(fields).map_err(io::Error::other)?;
    let fields = match NATIVE_ENDIAN {
        Endian::Little => fields.to_le_bytes(),
        Endian::Big => fields.to_be_bytes(),
    };
    match header.get_mut(FIXED_BYTES.saturating_sub(4)..FIXED_BYTES) {
        Some(place) => place.copy_from_slice(&fields),
        None => return Err(io::Error::other("a header that is too short").into()),
    }
    Ok(())
}

/// Byte order, where the body begins, and the whole length of the message at the beginning of `bytes`; nothing while too little is there.
fn frame(bytes: &[u8]) -> io::Result<Option<(Endian, usize, u64)>> {
    let Some(fixed) = bytes.get(..FIXED_BYTES) else {
        return Ok(None);
    };
    let number = |at: usize, endian: Endian| {
        let four = fixed.get(at..)?.first_chunk::<4>()?;
        Some(match endian {
            Endian::Little => u32::from_le_bytes(*four),
            Endian::Big => u32::from_be_bytes(*four),
        })
    };
    let endian = match fixed.first() {
        Some(b'l') => Endian::Little,
        Some(b'B') => Endian::Big,
        _ => return Err(io::Error::other("what came is no message")),
    };
    let (Some(body), Some(fields)) = (number(4, endian), number(12, endian)) else {
        return Ok(None);
    };
    let head = u64::from(fields)
        .saturating_add(FIXED_BYTES.try_into().unwrap_or(u64::MAX))
        .next_multiple_of(8);
    let whole = head.saturating_add(u64::from(body));
    if whole > PROTOCOL_MAX {
        return Err(io::Error::other("a message longer than there can be"));
    }
    Ok(Some((
        endian,
        usize::try_from(head).unwrap_or(usize::MAX),
        whole,
    )))
}

/// The first of the addresses at which somebody answers.
fn reach(addresses: &str) -> Result<UnixStream, BusError> {
    let mut failed = BusError::Address(addresses.to_owned());
    for address in addresses.split(';') {
        let Some(socket) = socket_address(address) else {
            continue;
        };
        let reached = socket.and_then(|socket| UnixStream::connect_addr(&socket));
        match reached {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = BusError::Unreachable(address.to_owned(), error),
        }
    }
    Err(failed)
}

/// A Unix socket of an address as the D-Bus specification writes it; other transports are none of ours.
fn socket_address(address: &str) -> Option<io::Result<SocketAddr>> {
    let pairs = address.strip_prefix("unix:")?;
    pairs.split(',').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = unescaped(value)?;
        match name {
            "path" => Some(SocketAddr::from_pathname(PathBuf::from(
                std::ffi::OsString::from_vec(value),
            ))),
            "abstract" => Some(SocketAddr::from_abstract_name(value)),
            _ => None,
        }
    })
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

/// One line of the bus's greeting.
fn greeting(stream: &mut UnixStream) -> Result<Vec<u8>, BusError> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if line.len() > GREETING_MAX {
            return Err(BusError::Refused);
        }
        stream.read_exact(&mut byte)?;
        line.extend_from_slice(&byte);
    }
    Ok(line)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) mod testkit;
