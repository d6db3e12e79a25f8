//! The server in the cell: for each client a connection of its own to the bus, and two threads that pass on what may pass.

use std::io::{self, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{Client, Fate};
use crate::message::Message;
use crate::{Gate, greeting, reach};

/// Clients at one time: far more than programs of a cell have.
pub const CONNECTIONS_MAX: usize = 32;
/// How long a greeting may take, and a message to be taken by its reader.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves clients at `listener` until it is closed; each gets a connection to the bus at `addresses`.
pub fn serve(listener: &UnixListener, addresses: &str, gate: &Arc<dyn Gate>) {
    let open = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept() {
        if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (gate, addresses, place) = (
            Arc::clone(gate),
            addresses.to_owned(),
            Place(Arc::clone(&open)),
        );
        let started = thread::Builder::new()
            .name("bus-client".to_owned())
            .spawn(move || {
                // What ends a connection is the client's own to find out.
                drop(attend(client, &addresses, &gate));
                drop(place);
            });
        drop(started);
    }
}

/// A place among the connections, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What is written to the client, by either thread.
#[derive(Debug)]
struct ToClient(Mutex<(UnixStream, u32)>);

impl ToClient {
    /// Answers from here have numbers of their own, which nobody refers to.
    fn send(&self, mut message: Message) -> io::Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, last) = &mut *held;
        *last = last.checked_add(1).unwrap_or(1);
        message.serial = *last;
        stream.write_all(&message.bytes())
    }
}

fn attend(mut client: UnixStream, addresses: &str, gate: &Arc<dyn Gate>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut bus = reach(addresses)?;
    bus.set_read_timeout(Some(PATIENCE))?;
    bus.set_write_timeout(Some(PATIENCE))?;
    let id = greeting::greet(&mut bus)?;
    greeting::be_greeted(&mut client, &id)?;
    // From here on either side may be silent for as long as it likes.
    client.set_read_timeout(None)?;
    bus.set_read_timeout(None)?;

    let known = Arc::new(Client::default());
    let to_client = Arc::new(ToClient(Mutex::new((client.try_clone()?, 0))));
    let back = {
        let (known, to_client, from_bus, client) = (
            Arc::clone(&known),
            Arc::clone(&to_client),
            bus.try_clone()?,
            client.try_clone()?,
        );
        thread::Builder::new()
            .name("bus-answers".to_owned())
            .spawn(move || {
                // Either end is the end of both.
                drop(pass_back(&known, &to_client, &from_bus));
                drop(client.shutdown(Shutdown::Both));
            })?
    };
    let result = pass_on(&known, &to_client, &client, &bus, gate.as_ref());
    drop(bus.shutdown(Shutdown::Both));
    drop(client.shutdown(Shutdown::Both));
    drop(back.join());
    result
}

fn pass_on(
    known: &Client,
    to_client: &ToClient,
    client: &UnixStream,
    mut bus: &UnixStream,
    gate: &dyn Gate,
) -> io::Result<()> {
    let mut from = BufReader::new(client);
    let still_wanted = || !has_hung_up(client);
    loop {
        let message = Message::read(&mut from)?;
        match known.judge(message, gate, &still_wanted) {
            Fate::Passes(message) => bus.write_all(&message.bytes())?,
            Fate::Answered(answer) => to_client.send(answer)?,
            Fate::Dropped => {}
        }
    }
}

fn pass_back(known: &Client, to_client: &ToClient, bus: &UnixStream) -> io::Result<()> {
    let mut from = BufReader::new(bus);
    loop {
        let message = Message::read(&mut from)?;
        if known.awaits(&message) {
            to_client.send(message)?;
        }
    }
}

/// Whether nobody is there any more to hear an answer.
fn has_hung_up(client: &UnixStream) -> bool {
    let mut looked = [PollFd::new(client, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut looked, Some(&now)) {
        Ok(_) => looked.iter().any(|one| !one.revents().is_empty()),
        Err(_) => true,
    }
}
