//! Attestation: which program a peer outside of any cell runs, as a process says that the broker started before it confined itself.
//!
//! What is attested is the file that the peer's process executes at the time of the question, held by pidfd. It says nothing of what that
//! program loaded or was told to do: libraries, a script that an interpreter reads, a debugger of the same user. `SECURITY.md` says so.

mod keeper;
mod look;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::UnshareFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use valetkey_api::{Peer, Problem, ProblemKind};
use valetkey_audit::{Actor, Event, EventType};
use valetkey_sys::fork::{Child, Inherit, fork};
use valetkey_sys::pass;

use crate::broker::Broker;
pub(crate) use wire::Program;
use wire::{Answer, MESSAGE_BYTES_MAX, Question, Seen};

/// Questions that wait for an answer at once.
const WAITING_MAX: usize = 64;
/// How long an answer is waited for: an attestor ends itself a little earlier.
const PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!((keeper::LOOK_SECONDS as u64) < PATIENCE.as_secs());

/// Askers, by the number of their question.
type Waiting = BTreeMap<u64, oneshot::Sender<Heard>>;
/// An answer and the descriptors beside it.
type Heard = (Seen, Vec<OwnedFd>);

/// A program that was attested, and the file that it is. While this is held, no other file can be taken for it.
#[derive(Debug)]
pub(crate) struct Attested {
    pub(crate) program: Program,
    _file: OwnedFd,
}

/// What came of looking at a process again.
#[derive(Debug)]
pub(crate) enum Look {
    /// It runs what was attested before.
    Same,
    /// It runs this.
    Program(Arc<Attested>),
}

/// The broker's side of its attestors.
#[derive(Debug)]
pub(crate) struct Attestor {
    socket: OwnedFd,
    /// Its end is the attestors' end.
    keeper: Child,
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

impl Attestor {
    /// Starts the keeper. The process must have one thread, must hold no secret yet, and must not have confined itself.
    ///
    /// # Errors
    /// When the system refuses the socket or the process.
    pub(crate) fn start() -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Only this end: an attestor waits, the broker never does.
        rustix::io::ioctl_fionbio(&ours, true)?;
        let broker = rustix::process::getpid();
        let keeper = fork(
            UnshareFlags::empty(),
            Inherit::HandedOver,
            vec![theirs],
            move |handed_over| keeper::keep(handed_over, broker),
        )?;
        Ok(Self {
            socket: ours,
            keeper,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        })
    }

    /// Says which program a peer runs, or that it is still the one that was attested before.
    ///
    /// # Errors
    /// When nothing can be said. The peer is refused then.
    pub(crate) async fn look(
        &self,
        peer: &Peer,
        before: Option<&Attested>,
    ) -> Result<Look, Problem> {
        let pidfd = peer
            .pidfd
            .as_ref()
            .ok_or_else(|| refused("the kernel does not name it"))?;
        let known = before
            .map(|attested| &attested.program)
            .filter(|program| program.settled)
            .map(|program| program.mark);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut expected = self.expect(id)?;
        let question = serde_json::to_vec(&Question { id, known }).unwrap_or_default();
        let sent = pass::send(self.socket.as_fd(), &question, &[pidfd.as_fd()]);
        let answered = match sent {
            Ok(()) => tokio::time::timeout(PATIENCE, &mut expected.answer)
                .await
                .ok(),
            Err(_) => None,
        };
        match answered {
            Some(Ok((Seen::Same, _))) if known.is_some() => Ok(Look::Same),
            Some(Ok((Seen::Program(program), mut files))) if files.len() == 1 => {
                let file = files.pop().ok_or_else(away)?;
                Ok(Look::Program(Arc::new(Attested {
                    program,
                    _file: file,
                })))
            }
            Some(Ok((Seen::Nothing(why), _))) => Err(refused(&why)),
            // An answer that does not fit the question is none.
            Some(Ok((Seen::Same | Seen::Program(_), _)) | Err(_)) | None => Err(away()),
        }
    }

    /// Begins to hear answers, and watches the keeper: without it nobody is attested any more, and somebody has to know.
    ///
    /// # Errors
    /// When the socket or the process cannot be waited for.
    pub(crate) fn serve(self: &Arc<Self>, broker: &Arc<Broker>) -> io::Result<()> {
        let socket = watched(self.socket.try_clone()?)?;
        let keeper = watched(self.keeper.pidfd.try_clone()?)?;
        let (attestor, broker) = (Arc::clone(self), Arc::clone(broker));
        tokio::spawn(async move { attestor.hear(&socket).await });
        tokio::spawn(async move {
            drop(
                keeper
                    .readable()
                    .await
                    .map(|mut ready| ready.retain_ready()),
            );
            let gone = Event::new(EventType::AlertRaised, Actor::Broker)
                .attribute("reason", "the attestor's keeper has ended: no process outside of a cell is attested until the broker starts anew");
            // The refusals do not depend on this record.
            drop(broker.recorder.note(vec![gone]).await);
        });
        Ok(())
    }

    /// Hands answers to whoever waits for them, until no attestor is left.
    async fn hear(&self, socket: &AsyncFd<OwnedFd>) {
        while let Ok(mut ready) = socket.readable().await {
            match pass::receive(socket.get_ref().as_fd(), MESSAGE_BYTES_MAX) {
                Ok((bytes, _)) if bytes.is_empty() => break,
                Ok((bytes, descriptors)) => self.deliver(&bytes, descriptors),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                // A message cut short is one answer less; its asker stops waiting in time.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => break,
            }
        }
        // Their askers see at once that nobody will answer.
        self.lock().clear();
    }

    fn deliver(&self, bytes: &[u8], descriptors: Vec<OwnedFd>) {
        let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else {
            return;
        };
        let asker = self.lock().remove(&answer.id);
        if let Some(asker) = asker {
            // Whoever asked may have stopped waiting.
            drop(asker.send((answer.seen, descriptors)));
        }
    }

    fn expect(&self, id: u64) -> Result<Expected<'_>, Problem> {
        let mut waiting = self.lock();
        if waiting.len() >= WAITING_MAX {
            return Err(Problem::new(
                ProblemKind::Busy,
                "too many processes are being looked at",
            ));
        }
        let (sender, receiver) = oneshot::channel();
        waiting.insert(id, sender);
        Ok(Expected {
            attestor: self,
            id,
            answer: receiver,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A descriptor that is waited for until there is something to read, or, of a process, until it has ended.
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "the replacement is unsafe; an `OwnedFd`, which stays open while it is registered, is what it asks for"
    )]
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// An answer that is waited for. Its place is free again when this is dropped, also by a peer that hung up.
struct Expected<'a> {
    attestor: &'a Attestor,
    id: u64,
    answer: oneshot::Receiver<Heard>,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.attestor.lock().remove(&self.id);
    }
}

fn refused(why: &str) -> Problem {
    Problem::new(
        ProblemKind::Denied,
        format!("this process cannot be attested: {why}"),
    )
}

/// Nobody looked: the attestors are away, stuck or were killed.
fn away() -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        "this process could not be attested: nobody looked at it in time",
    )
    .hinted(
        true,
        "ask again; if it stays so, start the broker anew with `valetkey stop`",
    )
}
