//! The person's terminal and streams, relayed to and from the cell: no descriptor of theirs ever enters it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use valetkey_sandbox::{Stdio, Terminal};

/// What each of the person's standard streams is for the agent: a terminal becomes the cell's own, all else a pipe.
pub(crate) fn stdio() -> [Stdio; 3] {
    standard().map(|stream| {
        if isatty(stream) {
            Stdio::Pty
        } else {
            Stdio::Pipe
        }
    })
}

/// The shape of the person's terminal, from the first standard stream that is one.
pub(crate) fn shape() -> Option<Terminal> {
    let stream = standard().into_iter().find(|stream| isatty(stream))?;
    let size = tcgetwinsize(stream).ok()?;
    Some(Terminal {
        size,
        modes: tcgetattr(stream).ok(),
    })
}

fn standard() -> [BorrowedFd<'static>; 3] {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
}

/// The person's terminal in raw mode: every key goes to the cell's terminal, which makes signals of them there. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Takes over standard input, if it is a terminal.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Drain, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to give back.
        let _best_effort = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Gives the cell's terminal the size of the person's.
pub(crate) fn copy_size(master: BorrowedFd<'_>) {
    let size: Option<Winsize> = standard()
        .into_iter()
        .find_map(|stream| tcgetwinsize(stream).ok());
    if let Some(size) = size {
        // A terminal that is gone keeps its size.
        let _best_effort = tcsetwinsize(master, size);
    }
}

/// Threads that carry bytes between the person's streams and the cell's.
#[derive(Debug)]
pub(crate) struct Relays {
    outputs: Vec<JoinHandle<()>>,
}

impl Relays {
    /// Starts them. Input is carried for as long as the process lives; outputs end with the cell. A terminal that is `taken_over` by what
    /// shows prompts is left to it.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated or a thread not started.
    pub(crate) fn start(
        master: Option<&OwnedFd>,
        pipes: [Option<OwnedFd>; 3],
        taken_over: Option<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let kinds = stdio();
        let [stdin, stdout, stderr] = pipes;
        let is_taken_over = taken_over.is_some();
        let mut outputs: Vec<_> = taken_over.into_iter().collect();
        if let Some(master) = master.filter(|_| !is_taken_over) {
            if kinds.first() == Some(&Stdio::Pty) {
                carry("stdin", rustix::stdio::stdin(), master.try_clone()?)?;
            }
            let person = standard().into_iter().skip(1).find(|stream| isatty(stream));
            if let Some(person) = person {
                outputs.push(carry_to("terminal", master.try_clone()?, person)?);
            }
        }
        if let Some(pipe) = stdin {
            carry("stdin", rustix::stdio::stdin(), pipe)?;
        }
        if let Some(pipe) = stdout {
            outputs.push(carry_to("stdout", pipe, rustix::stdio::stdout())?);
        }
        if let Some(pipe) = stderr {
            outputs.push(carry_to("stderr", pipe, rustix::stdio::stderr())?);
        }
        Ok(Self { outputs })
    }

    /// Waits until all that the cell wrote has been passed on.
    pub(crate) fn drain(self) {
        for output in self.outputs {
            // A relay that panicked has nothing more to pass on.
            drop(output.join());
        }
    }
}

fn carry(name: &str, from: BorrowedFd<'_>, to: OwnedFd) -> io::Result<JoinHandle<()>> {
    let from = from.try_clone_to_owned()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || copy(File::from(from), File::from(to)))
}

fn carry_to(name: &str, from: OwnedFd, to: BorrowedFd<'_>) -> io::Result<JoinHandle<()>> {
    let to = to.try_clone_to_owned()?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || copy(File::from(from), File::from(to)))
}

/// Bytes that are carried at once.
const CARRIED: usize = 128 * 1024;

/// Copies until either side ends; closing its ends then tells the other side.
///
/// Read and write, not `io::copy`: that would splice, which takes the place in a file before it waits for bytes, and so two streams
/// that go to one file would write over each other.
fn copy(from: File, to: File) {
    let mut chunk = vec![0; CARRIED];
    while let Ok(read) = retried(|| (&from).read(&mut chunk)) {
        let whole = chunk.get(..read).unwrap_or_default();
        // A broken pipe or a terminal that hung up is the end of the stream, as it would be for the command itself.
        if whole.is_empty() || (&to).write_all(whole).is_err() {
            return;
        }
    }
}

fn retried(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
