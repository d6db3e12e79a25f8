//! The answer to one request: sent exactly once, from any thread, now or later.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::{Errno, writev};

use crate::abi::OUT_HEADER_BYTES;
use crate::attributes::{Attributes, Entry, FileSystemStatistics, StatxAnswer};
use crate::device::Channel;
use crate::interrupt::Interrupt;
use crate::packet::Packet;

/// Whether the kernel took the answer. `Gone`: the caller has gone away, so what an answer would have
/// handed over (a lookup, an open handle) is not the kernel's and must be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what an undelivered answer would have handed over must be taken back"]
pub enum Delivery {
    /// The kernel has the answer.
    Taken,
    /// Nobody wanted it.
    Gone,
}

impl Delivery {
    /// For answers that hand nothing over, so that it does not matter whether anybody takes them.
    pub fn either_way(self) {}
}

/// The one answer that a request gets. Dropped unsent, it answers `EIO`.
pub struct Reply {
    /// Taken when the answer is sent.
    channel: Option<Arc<Channel>>,
    unique: u64,
    registered: bool,
}

impl Reply {
    pub(crate) fn new(channel: Arc<Channel>, unique: u64) -> Self {
        Self {
            channel: Some(channel),
            unique,
            registered: false,
        }
    }

    /// Says that this request waits: the interrupt is raised when the kernel gives up on it.
    #[must_use]
    pub fn interrupt(&mut self) -> Interrupt {
        let Some(channel) = &self.channel else {
            return Interrupt::new();
        };
        self.registered = true;
        channel.shared().interrupts.register(self.unique)
    }

    /// Answers with an error.
    pub fn error(self, error: Errno) {
        self.send(error.raw_os_error().saturating_neg(), &[])
            .either_way();
    }

    /// Answers that it is done.
    pub fn done(self) -> Delivery {
        self.send(0, &[])
    }

    /// Answers with bytes: content of a file, of a directory, a link's target, an attribute's value.
    pub fn data(self, bytes: &[u8]) -> Delivery {
        self.send(0, bytes)
    }

    /// Answers with a node that a name leads to.
    pub fn entry(self, entry: &Entry) -> Delivery {
        self.packet(|packet| entry.write(packet))
    }

    /// Answers with attributes, good for `valid`.
    pub fn attributes(self, attributes: &Attributes, valid: Duration) -> Delivery {
        self.packet(|packet| {
            packet.u64(valid.as_secs()).u32(valid.subsec_nanos()).u32(0);
            attributes.write(packet);
        })
    }

    /// Answers a `STATX`.
    pub fn statx(self, answer: &StatxAnswer) -> Delivery {
        self.packet(|packet| answer.write(packet))
    }

    /// Answers with an open handle and flags ([`crate::open_flags`]).
    pub fn opened(self, handle: u64, flags: u32) -> Delivery {
        self.packet(|packet| {
            packet.u64(handle).u32(flags).u32(0);
        })
    }

    /// Answers with a new node and a handle to it.
    pub fn created(self, entry: &Entry, handle: u64, flags: u32) -> Delivery {
        self.packet(|packet| {
            entry.write(packet);
            packet.u64(handle).u32(flags).u32(0);
        })
    }

    /// Answers how many bytes were written, or how big an attribute is.
    pub fn size(self, size: u32) -> Delivery {
        self.packet(|packet| {
            packet.u32(size).u32(0);
        })
    }

    /// Answers with an offset in a file.
    pub fn offset(self, offset: u64) -> Delivery {
        self.packet(|packet| {
            packet.u64(offset);
        })
    }

    /// Answers with the figures of a file system.
    pub fn statistics(self, statistics: &FileSystemStatistics) -> Delivery {
        self.packet(|packet| statistics.write(packet))
    }

    pub(crate) fn packet(self, fill: impl FnOnce(&mut Packet)) -> Delivery {
        let mut packet = Packet::new();
        fill(&mut packet);
        self.send(0, packet.bytes())
    }

    fn send(mut self, error: i32, body: &[u8]) -> Delivery {
        let Some(channel) = self.channel.take() else {
            return Delivery::Gone;
        };
        channel
            .shared()
            .interrupts
            .finished(self.unique, self.registered);
        send(&channel, self.unique, error, body)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            channel
                .shared()
                .interrupts
                .finished(self.unique, self.registered);
            let error = Errno::IO.raw_os_error().saturating_neg();
            send(&channel, self.unique, error, &[]).either_way();
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}

/// Writes one message to the kernel. For a notification `unique` is 0 and `code` its number.
pub(crate) fn write_message(
    channel: &Channel,
    unique: u64,
    code: i32,
    bodies: [&[u8]; 2],
) -> Result<(), Errno> {
    let body_bytes = bodies
        .iter()
        .fold(0_usize, |sum, body| sum.saturating_add(body.len()));
    let length = OUT_HEADER_BYTES.saturating_add(body_bytes);
    let mut header = Packet::new();
    header
        .u32(u32::try_from(length).map_err(|_| Errno::INVAL)?)
        .i32(code)
        .u64(unique);
    let [first, second] = bodies;
    let slices = [
        IoSlice::new(header.bytes()),
        IoSlice::new(first),
        IoSlice::new(second),
    ];
    loop {
        match writev(channel.descriptor(), &slices) {
            Err(Errno::INTR) => {}
            answer => return answer.map(drop),
        }
    }
}

fn send(channel: &Channel, unique: u64, error: i32, body: &[u8]) -> Delivery {
    // ENOENT: the request was given up before it was answered. Every other failure means that the
    // connection has ended; the kernel then forgets everything by itself.
    match write_message(channel, unique, error, [body, &[]]) {
        Ok(()) => Delivery::Taken,
        Err(_) => Delivery::Gone,
    }
}
