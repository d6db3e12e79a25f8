//! Messages of D-Bus: the header read strictly, and written anew. Bodies are not looked into, but for single texts.

use std::io::{self, Read};

/// The longest message in either direction. Notifications with pictures are below it; the protocol's own limit would fill the memory.
pub(crate) const MESSAGE_MAX: usize = 1 << 20;
/// The part before the fields.
const FIXED: usize = 16;
/// The most bytes of fields: eight names and paths.
const FIELDS_MAX: usize = 16 * 1024;
/// The only version.
const VERSION: u8 = 1;

/// The order of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

/// No answer is wanted.
pub(crate) const NO_REPLY: u8 = 1;
/// A service is not to be started for it.
pub(crate) const NO_START: u8 = 2;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) order: Order,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) serial: u32,
    pub(crate) path: Option<String>,
    pub(crate) interface: Option<String>,
    pub(crate) member: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) reply_to: Option<u32>,
    pub(crate) destination: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

/// What is no message that may pass.
pub(crate) fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Message {
    /// An answer to `call`, or, where `error` is one, a refusal.
    pub(crate) fn answer(call: &Self, error: Option<&str>, signature: &str, body: Vec<u8>) -> Self {
        Self {
            order: call.order,
            kind: if error.is_some() {
                Kind::Error
            } else {
                Kind::Return
            },
            flags: NO_REPLY,
            serial: 0,
            path: None,
            interface: None,
            member: None,
            error: error.map(str::to_owned),
            reply_to: Some(call.serial),
            destination: None,
            sender: Some("org.freedesktop.DBus".to_owned()),
            signature: signature.to_owned(),
            body,
        }
    }

    /// Reads one message.
    pub(crate) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut fixed = [0; FIXED];
        stream.read_exact(&mut fixed)?;
        let [order, kind, flags, version, rest @ ..] = fixed;
        let order = match order {
            b'l' => Order::Little,
            b'B' => Order::Big,
            _ => return Err(invalid("no order of bytes")),
        };
        let kind = match kind {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return Err(invalid("no kind of message")),
        };
        let mut numbers = Reader {
            order,
            bytes: &rest,
            at: 0,
        };
        let (body_size, serial, fields_size) =
            (numbers.size()?, numbers.number()?, numbers.size()?);
        if version != VERSION || serial == 0 || fields_size > FIELDS_MAX || body_size > MESSAGE_MAX
        {
            return Err(invalid("no message that may pass"));
        }
        let mut fields = vec![0; fields_size.next_multiple_of(8)];
        stream.read_exact(&mut fields)?;
        let mut message = Self {
            order,
            kind,
            flags,
            serial,
            path: None,
            interface: None,
            member: None,
            error: None,
            reply_to: None,
            destination: None,
            sender: None,
            signature: String::new(),
            body: Vec::new(),
        };
        let mut has_signature = false;
        let mut reader = Reader {
            order,
            bytes: fields.get(..fields_size).unwrap_or_default(),
            at: 0,
        };
        while !reader.is_done() {
            message.read_field(&mut reader, &mut has_signature)?;
        }
        message.body = vec![0; body_size];
        stream.read_exact(&mut message.body)?;
        Ok(message)
    }

    fn read_field(&mut self, reader: &mut Reader<'_>, has_signature: &mut bool) -> io::Result<()> {
        reader.align(8)?;
        let code = reader.byte()?;
        let kind = reader.signature()?;
        let slot = match code {
            1 => &mut self.path,
            2 => &mut self.interface,
            3 => &mut self.member,
            4 => &mut self.error,
            6 => &mut self.destination,
            7 => &mut self.sender,
            5 if kind == "u" && self.reply_to.is_none() => {
                self.reply_to = Some(reader.number()?);
                return Ok(());
            }
            8 if kind == "g" && !*has_signature => {
                *has_signature = true;
                self.signature = reader.signature()?;
                return Ok(());
            }
            // Descriptors, what nobody knows, and a second one of the same.
            _ => return Err(invalid("a field that may not pass")),
        };
        let wanted = if code == 1 { "o" } else { "s" };
        if kind != wanted || slot.is_some() {
            return Err(invalid("a field that may not pass"));
        }
        *slot = Some(reader.text()?);
        Ok(())
    }

    /// The message in bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut fields = Writer {
            order: self.order,
            bytes: Vec::new(),
        };
        let texts = [
            (1, "o", &self.path),
            (2, "s", &self.interface),
            (3, "s", &self.member),
            (4, "s", &self.error),
            (6, "s", &self.destination),
            (7, "s", &self.sender),
        ];
        for (code, kind, text) in texts {
            if let Some(text) = text {
                fields.field(code, kind);
                fields.text(text);
            }
        }
        if let Some(serial) = self.reply_to {
            fields.field(5, "u");
            fields.number(serial);
        }
        if !self.signature.is_empty() {
            fields.field(8, "g");
            fields.signature(&self.signature);
        }
        let kind = match self.kind {
            Kind::Call => 1,
            Kind::Return => 2,
            Kind::Error => 3,
            Kind::Signal => 4,
        };
        let order = if self.order == Order::Little {
            b'l'
        } else {
            b'B'
        };
        let mut all = Writer {
            order: self.order,
            bytes: vec![order, kind, self.flags, VERSION],
        };
        all.size(self.body.len());
        all.number(self.serial);
        all.size(fields.bytes.len());
        all.bytes.extend(fields.bytes);
        all.align(8);
        all.bytes.extend(&self.body);
        all.bytes
    }

    /// The first member of the body, where it is a text.
    pub(crate) fn first_text(&self) -> Option<String> {
        if !self.signature.starts_with('s') {
            return None;
        }
        let mut reader = Reader {
            order: self.order,
            bytes: &self.body,
            at: 0,
        };
        reader.text().ok()
    }
}

/// A body that is one text, or one truth.
pub(crate) fn text_body(order: Order, text: &str) -> Vec<u8> {
    let mut writer = Writer {
        order,
        bytes: Vec::new(),
    };
    writer.text(text);
    writer.bytes
}

/// A body that is one number; a truth is 0 or 1.
pub(crate) fn number_body(order: Order, number: u32) -> Vec<u8> {
    let mut writer = Writer {
        order,
        bytes: Vec::new(),
    };
    writer.number(number);
    writer.bytes
}

struct Reader<'a> {
    order: Order,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let end = self
            .at
            .checked_add(count)
            .ok_or_else(|| invalid("a length"))?;
        let taken = self
            .bytes
            .get(self.at..end)
            .ok_or_else(|| invalid("a message that ends too soon"))?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> io::Result<()> {
        let padding = self.at.next_multiple_of(to).saturating_sub(self.at);
        if self.take(padding)?.iter().any(|byte| *byte != 0) {
            return Err(invalid("padding that is not empty"));
        }
        Ok(())
    }

    fn byte(&mut self) -> io::Result<u8> {
        self.take(1)?
            .first()
            .copied()
            .ok_or_else(|| invalid("a byte"))
    }

    fn number(&mut self) -> io::Result<u32> {
        self.align(4)?;
        let order = self.order;
        let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| invalid("a number"))?;
        Ok(match order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    fn size(&mut self) -> io::Result<usize> {
        usize::try_from(self.number()?).map_err(|_| invalid("a length"))
    }

    fn text(&mut self) -> io::Result<String> {
        let size = self.size()?;
        self.ended(size)
    }

    fn signature(&mut self) -> io::Result<String> {
        let size = usize::from(self.byte()?);
        self.ended(size)
    }

    fn ended(&mut self, size: usize) -> io::Result<String> {
        let text = String::from_utf8(self.take(size)?.to_vec()).map_err(|_| invalid("no text"))?;
        if self.byte()? != 0 || text.contains('\0') {
            return Err(invalid("a text without its end"));
        }
        Ok(text)
    }
}

struct Writer {
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(match self.order {
            Order::Little => number.to_le_bytes(),
            Order::Big => number.to_be_bytes(),
        });
    }

    /// Lengths come from messages that were read, and so are below [`MESSAGE_MAX`].
    fn size(&mut self, size: usize) {
        self.number(u32::try_from(size).unwrap_or(u32::MAX));
    }

    fn field(&mut self, code: u8, kind: &str) {
        self.align(8);
        self.bytes.push(code);
        self.signature(kind);
    }

    fn text(&mut self, text: &str) {
        self.size(text.len());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }
}

#[cfg(test)]
mod tests;
