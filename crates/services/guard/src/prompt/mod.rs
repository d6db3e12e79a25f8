//! A prompt over the agent's own terminal: it comes when a question of this session opens, takes the keys, and leaves the screen as it was.
//!
//! The loop in `relay` is the only one that writes to the person's terminal while an agent has it. Everything else here is pure: `sequence`
//! cuts output into whole sequences, `screen` and `modes` know what the terminal shows, `keys` knows what the person types, `state` decides.

mod clerk;
mod follower;
mod keys;
mod modes;
mod paint;
mod phrase;
mod relay;
mod screen;
mod sequence;
mod state;
#[cfg(test)]
mod test_questions;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::termios::isatty;
use valetkey_api::Paths;
use valetkey_model::{RequestId, SessionId};

use self::clerk::{Clerk, Order};
use self::phrase::Phrase;
use self::relay::{Ends, Mailbox, News, Relay};

/// How long a terminal that is given up may take to be the agent's again.
const SUSPEND_TIME: Duration = Duration::from_secs(1);

/// A prompt that can be shown at this terminal, before the agent runs.
#[derive(Debug)]
pub(crate) struct Prepared {
    phrase: Phrase,
    person: BorrowedFd<'static>,
}

impl Prepared {
    /// Keys and screen must be a person's terminal. The session's words are shown now, before there is an agent that could write over them.
    pub(crate) fn new() -> Option<Self> {
        let [keys, out, errors] = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        let person = [out, errors].into_iter().find(|stream| isatty(stream))?;
        if !isatty(keys) {
            return None;
        }
        let phrase = Phrase::choose()?;
        let line = format!(
            "valetkey: questions here begin with the words: {}\n",
            phrase.as_str()
        );
        rustix::io::write(person, line.as_bytes()).ok()?;
        Some(Self { phrase, person })
    }

    /// Takes over the terminal.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated or a thread not started.
    pub(crate) fn start(
        self,
        master: OwnedFd,
        paths: &Paths,
        session: &SessionId,
    ) -> io::Result<(Overlay, JoinHandle<()>)> {
        let (mailbox, news) = Mailbox::new()?;
        let (orders, taken): (Sender<Order>, Receiver<Order>) = channel();
        let ends = Ends {
            master,
            keys: rustix::stdio::stdin().try_clone_to_owned()?,
            person: self.person.as_fd().try_clone_to_owned()?,
        };
        let clerk = Clerk::new(
            paths.clone(),
            session.clone(),
            mailbox.clone(),
            orders.clone(),
        )?;
        let relay = Relay::new(ends, (mailbox.clone(), news), orders.clone(), self.phrase)?;
        std::thread::Builder::new()
            .name("clerk".to_owned())
            .spawn(move || clerk.run(&taken))?;
        let running = std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || relay.run())?;
        Ok((Overlay { mailbox, orders }, running))
    }
}

/// The prompt of a running session.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    mailbox: Mailbox,
    orders: Sender<Order>,
}

impl Overlay {
    /// A question opened; `notice` is told where no prompt can be shown.
    pub(crate) fn opened(&self, id: &RequestId, notice: String) {
        if let Err(unsent) = self.orders.send(Order::Opened(id.clone(), notice))
            && let Order::Opened(_, notice) = unsent.0
        {
            self.mailbox.send(News::Tell(notice));
        }
    }

    /// The broker settled a question.
    pub(crate) fn settled(&self, id: &RequestId, granted: bool) {
        self.mailbox.send(News::Settled(id.clone(), granted));
    }

    /// The window has another size.
    pub(crate) fn resized(&self) {
        self.mailbox.send(News::Resized);
    }

    /// Brings the agent's screen back before the terminal is given to somebody else.
    pub(crate) fn suspend(&self) {
        let (done, is_done) = sync_channel(1);
        self.mailbox.send(News::Suspend(done));
        // A terminal that takes no output must not keep the session from stopping.
        let _in_time = is_done.recv_timeout(SUSPEND_TIME);
    }

    /// The agent has ended.
    pub(crate) fn ending(&self) {
        self.mailbox.send(News::Ending);
    }
}
