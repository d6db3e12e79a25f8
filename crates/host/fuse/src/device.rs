//! A connection to the kernel and the threads that serve it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::io::{Errno, read};

use crate::abi::IN_HEADER_BYTES;
use crate::init::{Handshake, Negotiated, Settings, negotiate};
use crate::interrupt::Interrupts;
use crate::notify::Notifier;
use crate::operation::Operation;
use crate::reply::Reply;
use crate::request::{Request, parse_header, parse_request};

/// The biggest write that the kernel is allowed to send.
pub const WRITE_BYTES_MAX: u32 = 1 << 20;
/// Bytes of the buffer that each thread hands to the handler: the biggest read or listing.
pub const SCRATCH_BYTES: usize = 1 << 20;
/// A request is at most the biggest write, its header, and a little room.
const REQUEST_BYTES_MAX: usize = SCRATCH_BYTES + 4096;

const _: () = assert!(REQUEST_BYTES_MAX > WRITE_BYTES_MAX as usize + IN_HEADER_BYTES + 40);

/// What a file system does with requests. Called from several threads at once.
pub trait Handler: Send + Sync + 'static {
    /// The connection stands. Called once, before any request.
    fn started(&self, negotiated: Negotiated, notifier: Notifier);

    /// One request that wants an answer. `scratch` is the thread's own buffer of
    /// [`SCRATCH_BYTES`], for content on its way to the kernel.
    fn handle(&self, request: &Request<'_>, reply: Reply, scratch: &mut [u8]);

    /// The kernel has dropped `lookups` references to `node`.
    fn forget(&self, node: u64, lookups: u64);

    /// The connection has ended: unmounted, or its mount namespace is gone.
    fn ended(&self);
}

/// One descriptor of the connection. An answer must go out through the descriptor that its request
/// came in by, so a reply holds on to it.
#[derive(Debug)]
pub(crate) struct Channel {
    descriptor: OwnedFd,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) interrupts: Interrupts,
}

impl Channel {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// A mounted `/dev/fuse`, not served yet.
#[derive(Debug)]
pub struct Device {
    channels: Vec<Arc<Channel>>,
}

impl Device {
    /// Takes the descriptor that was mounted, and further freshly opened ones of `/dev/fuse`, which
    /// are attached to the same connection so that threads do not share one queue.
    ///
    /// # Errors
    /// When one of `more` cannot be attached.
    pub fn new(mounted: OwnedFd, more: Vec<OwnedFd>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for descriptor in &more {
            valetkey_sys::device::fuse_clone(mounted.as_fd(), descriptor.as_fd())?;
        }
        let channels = std::iter::once(mounted)
            .chain(more)
            .map(|descriptor| {
                Arc::new(Channel {
                    descriptor,
                    shared: Arc::clone(&shared),
                })
            })
            .collect();
        Ok(Self { channels })
    }

    /// Serves the connection on `threads` threads of its own (at least one), until it ends.
    ///
    /// # Errors
    /// When the first thread cannot be started.
    pub fn serve<H: Handler>(
        self,
        threads: usize,
        settings: Settings,
        handler: Arc<H>,
    ) -> io::Result<Serving> {
        let first = thread::Builder::new()
            .name("fuse-0".to_owned())
            .spawn(move || self.run(threads.max(1), &settings, &handler))?;
        Ok(Serving { first })
    }

    fn run<H: Handler>(
        &self,
        threads: usize,
        settings: &Settings,
        handler: &Arc<H>,
    ) -> io::Result<()> {
        let Some(first) = self.channels.first() else {
            return Ok(());
        };
        let mut buffers = Buffers::new();
        let outcome = handshake(first, settings, handler, &mut buffers).and_then(|()| {
            thread::scope(|scope| {
                for number in 1..threads {
                    let channel = self.channels.iter().cycle().nth(number).unwrap_or(first);
                    // With fewer threads than wanted the connection is still served.
                    if thread::Builder::new()
                        .name(format!("fuse-{number}"))
                        .spawn_scoped(scope, || serve(channel, handler, &mut Buffers::new()))
                        .is_err()
                    {
                        break;
                    }
                }
                serve(first, handler, &mut buffers)
            })
        });
        first.shared().interrupts.interrupt_all();
        handler.ended();
        outcome
    }
}

/// A connection that is being served.
pub struct Serving {
    first: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Waits until the connection has ended.
    ///
    /// # Errors
    /// When it ended otherwise than by being unmounted.
    pub fn join(self) -> io::Result<()> {
        self.first
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a serving thread panicked")))
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.first.is_finished()
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("finished", &self.is_finished())
            .finish()
    }
}

struct Buffers {
    request: Vec<u8>,
    scratch: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            request: vec![0; REQUEST_BYTES_MAX],
            scratch: vec![0; SCRATCH_BYTES],
        }
    }
}

fn handshake<H: Handler>(
    channel: &Arc<Channel>,
    settings: &Settings,
    handler: &Arc<H>,
    buffers: &mut Buffers,
) -> io::Result<()> {
    loop {
        let Some(bytes) = next_request(channel, &mut buffers.request)? else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        let request = parse_request(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let reply = Reply::new(Arc::clone(channel), request.header().unique);
        let Operation::Init(offer) = request.operation() else {
            reply.error(Errno::IO);
            continue;
        };
        match negotiate(offer, settings) {
            Handshake::Agreed(negotiated, packet) => {
                handler.started(negotiated, Notifier::new(Arc::clone(channel)));
                reply.data(packet.bytes()).either_way();
                return Ok(());
            }
            Handshake::Again(packet) => reply.data(packet.bytes()).either_way(),
            Handshake::TooOld => {
                reply.error(Errno::PROTO);
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "the kernel speaks a FUSE protocol older than 7.31 (Linux 5.4)",
                ));
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever is not the protocol's own business is the handler's"
)]
fn serve<H: Handler>(
    channel: &Arc<Channel>,
    handler: &Arc<H>,
    buffers: &mut Buffers,
) -> io::Result<()> {
    while let Some(bytes) = next_request(channel, &mut buffers.request)? {
        let Ok(request) = parse_request(bytes) else {
            refuse_malformed(channel, bytes);
            continue;
        };
        let header = request.header();
        match *request.operation() {
            Operation::Forget { lookups } => handler.forget(header.node, lookups),
            Operation::BatchForget(forgets) => {
                for (node, lookups) in forgets {
                    handler.forget(node, lookups);
                }
            }
            Operation::Interrupt { unique } => channel.shared().interrupts.interrupt(unique),
            Operation::Init(_) => Reply::new(Arc::clone(channel), header.unique).error(Errno::IO),
            Operation::Unknown => {
                Reply::new(Arc::clone(channel), header.unique).error(Errno::NOSYS);
            }
            Operation::Destroy => {
                Reply::new(Arc::clone(channel), header.unique)
                    .done()
                    .either_way();
            }
            _ => {
                let reply = Reply::new(Arc::clone(channel), header.unique);
                handler.handle(&request, reply, &mut buffers.scratch);
            }
        }
    }
    Ok(())
}

/// Answers `EIO` to what has a header and no sense. Without a header there is nobody to answer.
fn refuse_malformed(channel: &Arc<Channel>, bytes: &[u8]) {
    if let Ok((header, _)) = parse_header(bytes) {
        Reply::new(Arc::clone(channel), header.unique).error(Errno::IO);
    }
}

/// Reads the next message; `None` when the connection has ended.
fn next_request<'a>(channel: &Channel, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    loop {
        match read(channel.descriptor(), &mut *buffer) {
            Ok(count) => return Ok(buffer.get(..count)),
            // ENOENT: the request was taken back while it was being read.
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            Err(Errno::NODEV | Errno::CONNABORTED) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
