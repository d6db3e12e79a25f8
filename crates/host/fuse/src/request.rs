//! A request: its header and its operation.

use thiserror::Error;

use crate::abi::IN_HEADER_BYTES;
use crate::operation::Operation;
use crate::wire::Reader;

/// What every request begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The kernel's number for this request; the reply carries it.
    pub unique: u64,
    /// The node that the request is about.
    pub node: u64,
    /// The caller's user, as the mount's user namespace sees it.
    pub uid: u32,
    /// The caller's group.
    pub gid: u32,
    /// The caller's process, as the mount's process namespace sees it; 0 when it is none of that.
    pub pid: u32,
    /// The number of the operation.
    pub opcode: u32,
}

/// A parsed request; names and data point into the message.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    header: Header,
    operation: Operation<'a>,
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// The header.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &Operation<'a> {
        &self.operation
    }

    /// The whole message, for who must keep the request: it can be parsed again.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum ParseError {
    /// The message ends before its operation does.
    #[error("the message is too short")]
    Short,
    /// The length in the header is not the message's.
    #[error("the message's length is not what its header says")]
    Length,
    /// A name that no directory can hold.
    #[error("the message has a name that is empty, `.`, `..` or has a slash")]
    Name,
}

/// Reads the header only: enough to answer a message that is otherwise not understood.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<(Header, &[u8]), ParseError> {
    let mut reader = Reader::new(bytes);
    let length = reader.u32()?;
    let opcode = reader.u32()?;
    let header = Header {
        opcode,
        unique: reader.u64()?,
        node: reader.u64()?,
        uid: reader.u32()?,
        gid: reader.u32()?,
        pid: reader.u32()?,
    };
    let extension_words = usize::from(reader.u16()?);
    if usize::try_from(length) != Ok(bytes.len()) {
        return Err(ParseError::Length);
    }
    // Extensions, when there are any, stand at the end; none that is asked for at INIT needs them.
    let end = bytes.len().checked_sub(extension_words.saturating_mul(8));
    let body = end
        .and_then(|end| bytes.get(IN_HEADER_BYTES..end))
        .ok_or(ParseError::Short)?;
    Ok((header, body))
}

/// Reads one whole message from the kernel.
///
/// # Errors
/// When the message is cut short, disagrees with its own header, or has an impossible name. An
/// operation that is not known is no error: it is [`Operation::Unknown`].
pub fn parse_request(bytes: &[u8]) -> Result<Request<'_>, ParseError> {
    let (header, body) = parse_header(bytes)?;
    let operation = Operation::parse(header.opcode, body)?;
    Ok(Request {
        header,
        operation,
        bytes,
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
