//! The loop that carries keys to the agent and its output to the person, and stands between them while a prompt is shown.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::tcgetwinsize;
use valetkey_model::RequestId;

use super::clerk::{Order, clock};
use super::keys::Keys;
use super::paint::{self, Canvas};
use super::phrase::Phrase;
use super::screen::Model;
use super::state::{Dialog, Effect, Given, Question};

/// Bytes that are carried at once.
const CARRIED: usize = 64 * 1024;
/// Most output that is kept while a prompt is shown; then the agent waits.
const KEPT_MAX: usize = 1024 * 1024;
/// Most keys that are kept for an agent that does not read them.
const TYPED_MAX: usize = 64 * 1024;
/// Most lines that wait until the agent leaves the whole screen.
const TOLD_MAX: usize = 16;
/// Answers given here that the broker's own news of them has not followed yet.
const ANSWERED_MAX: usize = 64;
/// How long after an escape nothing follows if it was the key.
const ESCAPE_TIME: Duration = Duration::from_millis(50);
/// How often the prompt is looked at: until its keys count, and then.
const TICKS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum News {
    /// Show it.
    Question(Box<Question>),
    /// It is not open any more, and why, where that is not told by itself.
    Closed(RequestId, Option<String>),
    /// The broker settled it.
    Settled(RequestId, bool),
    /// What became of an answer.
    Given(RequestId, Given),
    /// A line for the person.
    Tell(String),
    /// The window has another size.
    Resized,
    /// The terminal is given up for a while: say when the agent's screen is there again.
    Suspend(SyncSender<()>),
    /// The agent has ended: what it wrote is all there is.
    Ending,
}

/// Where the loop hears news.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    sender: Sender<News>,
    wake: Arc<OwnedFd>,
}

impl Mailbox {
    /// A mailbox and where its news come out.
    pub(super) fn new() -> io::Result<(Self, Receiver<News>)> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (sender, receiver) = channel();
        let wake = Arc::new(wake);
        Ok((Self { sender, wake }, receiver))
    }

    /// Tells the loop; one that has ended hears nothing.
    pub(crate) fn send(&self, news: News) {
        if self.sender.send(news).is_ok() {
            let _wakes = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }
}

/// The ends of what is carried.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) master: OwnedFd,
    pub(super) keys: OwnedFd,
    pub(super) person: OwnedFd,
}

/// The loop's state.
pub(super) struct Relay {
    master: File,
    keyboard: Option<File>,
    person: File,
    mailbox: Mailbox,
    news: Receiver<News>,
    orders: Sender<Order>,
    phrase: Phrase,
    model: Model,
    dialog: Dialog,
    keys: Keys,
    /// When an escape came that nothing has followed yet.
    escape: Option<Duration>,
    /// The agent's output since the prompt was shown.
    kept: Vec<u8>,
    /// Keys that the agent has not taken yet.
    typed: Vec<u8>,
    shown: bool,
    painted: Vec<String>,
    told: VecDeque<String>,
    answered: VecDeque<RequestId>,
    ending: bool,
    begun: Instant,
}

impl Relay {
    pub(super) fn new(
        ends: Ends,
        (mailbox, news): (Mailbox, Receiver<News>),
        orders: Sender<Order>,
        phrase: Phrase,
    ) -> io::Result<Self> {
        let flags = fcntl_getfl(&ends.master)?;
        fcntl_setfl(&ends.master, flags | OFlags::NONBLOCK)?;
        let person = File::from(ends.person);
        let (rows, columns) = size(&person);
        Ok(Self {
            master: File::from(ends.master),
            keyboard: Some(File::from(ends.keys)),
            person,
            mailbox,
            news,
            orders,
            phrase,
            model: Model::new(rows, columns),
            dialog: Dialog::new(),
            keys: Keys::default(),
            escape: None,
            kept: Vec::new(),
            typed: Vec::new(),
            shown: false,
            painted: Vec::new(),
            told: VecDeque::new(),
            answered: VecDeque::new(),
            ending: false,
            begun: Instant::now(),
        })
    }

    /// Carries until the agent's terminal ends, or the person's does.
    pub(super) fn run(mut self) {
        let mut chunk = vec![0; CARRIED];
        while let Ok(true) = self.turn(&mut chunk) {}
        // A terminal that is gone has nothing to be brought back.
        drop(self.finish());
    }

    fn turn(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        let ready = self.wait()?;
        // What was typed before the prompt is for the agent: so keys are read before the news.
        if ready.keys {
            self.read_keys(chunk)?;
        }
        if ready.room {
            self.write_keys();
        }
        if ready.output && !self.read_output(chunk)? {
            return Ok(false);
        }
        if ready.news {
            let _drained = rustix::io::read(&*self.mailbox.wake, &mut [0_u8; 8]);
        }
        while let Ok(news) = self.news.try_recv() {
            self.hear(news)?;
        }
        self.tick()?;
        Ok(true)
    }

    fn wait(&self) -> io::Result<Ready> {
        let wake = &*self.mailbox.wake;
        let mut fds = vec![PollFd::new(wake, PollFlags::IN)];
        let mut wanted = PollFlags::empty();
        if !self.shown || self.kept.len() < KEPT_MAX {
            wanted |= PollFlags::IN;
        }
        if !self.typed.is_empty() {
            wanted |= PollFlags::OUT;
        }
        // One that is not asked for anything would still say that it hung up, again and again.
        let master = (!wanted.is_empty()).then(|| {
            fds.push(PollFd::new(&self.master, wanted));
            fds.len().saturating_sub(1)
        });
        let keyboard = self
            .keyboard
            .as_ref()
            .filter(|_| self.shown || self.typed.len() < TYPED_MAX)
            .map(|keyboard| {
                fds.push(PollFd::new(keyboard, PollFlags::IN));
                fds.len().saturating_sub(1)
            });
        let timeout = self.timeout();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let events = |at: Option<usize>| {
            at.and_then(|at| fds.get(at))
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        let of_master = events(master);
        let input = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        Ok(Ready {
            news: !events(Some(0)).is_empty(),
            output: wanted.contains(PollFlags::IN) && of_master.intersects(input),
            room: of_master.contains(PollFlags::OUT),
            keys: events(keyboard).intersects(input),
        })
    }

    fn timeout(&self) -> Option<Timespec> {
        let [soon, later] = TICKS;
        let time = match (self.keys.waits(), self.shown) {
            (true, _) => ESCAPE_TIME,
            (false, true) if !self.dialog.is_settled(self.now()) => soon,
            (false, true) => later,
            (false, false) => return None,
        };
        Timespec::try_from(time).ok()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn read_keys(&mut self, chunk: &mut [u8]) -> io::Result<()> {
        let read = self
            .keyboard
            .as_mut()
            .map_or(Ok(0), |from| from.read(chunk));
        let read = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            // A terminal that hung up has no more keys; the signal of it ends the session.
            Err(_) | Ok(0) => {
                self.keyboard = None;
                return Ok(());
            }
            Ok(read) => read,
        };
        let bytes = chunk.get(..read).unwrap_or_default();
        let keys = self.keys.feed(bytes);
        self.escape = self.keys.waits().then(|| self.now());
        if !self.shown {
            self.typed.extend_from_slice(bytes);
            self.write_keys();
            return Ok(());
        }
        for key in keys {
            let effects = self.dialog.key(key, self.now());
            self.take(effects)?;
        }
        Ok(())
    }

    fn write_keys(&mut self) {
        while !self.typed.is_empty() {
            match self.master.write(&self.typed) {
                Ok(written) => drop(self.typed.drain(..written.min(self.typed.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody will read them.
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Whether there may be more.
    fn read_output(&mut self, chunk: &mut [u8]) -> io::Result<bool> {
        match self.master.read(chunk) {
            Ok(0) => Ok(false),
            Ok(read) => {
                let bytes = chunk.get(..read).unwrap_or_default();
                if self.shown {
                    self.kept.extend_from_slice(bytes);
                    return Ok(true);
                }
                let out = self.model.pass(bytes);
                self.person.write_all(&out)?;
                self.tell_what_waits()?;
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) =>
            {
                Ok(true)
            }
            // No process has the agent's terminal open any more.
            Err(_) => Ok(false),
        }
    }

    fn hear(&mut self, news: News) -> io::Result<()> {
        let now = self.now();
        match news {
            News::Question(question) => self.question(*question, now),
            News::Closed(id, how) => {
                let effects = self.dialog.closed(&id, how.as_deref(), now);
                self.take(effects)
            }
            News::Settled(id, granted) => self.settled(&id, granted, now),
            News::Given(id, given) => {
                if given == Given::Counts && self.dialog.has(&id) {
                    self.remember(id.clone());
                }
                let effects = self.dialog.given(&id, given, now);
                self.take(effects)
            }
            News::Tell(line) => self.tell(line),
            News::Resized => self.resized(),
            News::Suspend(done) => {
                self.give_up()?;
                // Whoever waited no longer may have gone on.
                let _heard = done.send(());
                Ok(())
            }
            News::Ending => {
                self.ending = true;
                let mut effects = self.dialog.leave_all();
                effects.retain(|effect| !matches!(effect, Effect::Tell(_)));
                self.take(effects)
            }
        }
    }

    fn question(&mut self, question: Question, now: Duration) -> io::Result<()> {
        let (rows, columns) = size(&self.person);
        if self.ending || self.keyboard.is_none() || too_small(rows, columns) {
            drop(
                self.orders
                    .send(Order::Leave(question.asked.request_id.clone())),
            );
            return self.say(&question.notice);
        }
        let effects = self.dialog.opened(question, now);
        self.take(effects)
    }

    fn settled(&mut self, id: &RequestId, granted: bool, now: Duration) -> io::Result<()> {
        drop(self.orders.send(Order::Leave(id.clone())));
        if let Some(at) = self.answered.iter().position(|other| other == id) {
            self.answered.remove(at);
            return Ok(());
        }
        if self.dialog.has(id) {
            let effects = self.dialog.settled(id, granted, now);
            return self.take(effects);
        }
        let how = if granted { "granted" } else { "not granted" };
        self.tell(format!("{id} was {how}"))
    }

    fn remember(&mut self, id: RequestId) {
        self.answered.push_back(id);
        if self.answered.len() > ANSWERED_MAX {
            self.answered.pop_front();
        }
    }

    fn give_up(&mut self) -> io::Result<()> {
        let effects = self.dialog.leave_all();
        self.take(effects)
    }

    fn resized(&mut self) -> io::Result<()> {
        let (rows, columns) = size(&self.person);
        self.model.resize(rows, columns);
        if !self.shown {
            return Ok(());
        }
        if too_small(rows, columns) {
            return self.give_up();
        }
        self.painted.clear();
        self.person.write_all(b"\x1b[2J")?;
        self.paint()
    }

    fn tick(&mut self) -> io::Result<()> {
        let now = self.now();
        if let Some(since) = self.escape
            && now.saturating_sub(since) >= ESCAPE_TIME
        {
            self.escape = None;
            if let Some(key) = self.keys.nothing_followed()
                && self.shown
            {
                let effects = self.dialog.key(key, now);
                self.take(effects)?;
            }
        }
        if !self.shown {
            return Ok(());
        }
        let over = self
            .dialog
            .current()
            .map(|question| question.asked.request_id.clone())
            .filter(|_| self.dialog.left(clock()) == 0);
        if let Some(id) = over {
            drop(self.orders.send(Order::Leave(id.clone())));
            let effects = self
                .dialog
                .closed(&id, Some("closed without an answer"), now);
            return self.take(effects);
        }
        self.paint()
    }

    fn take(&mut self, effects: Vec<Effect>) -> io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Paint => self.paint()?,
                Effect::Hide => self.hide()?,
                // Without the clerk nobody answers, and the question closes in its time.
                Effect::Give(reply) => drop(self.orders.send(Order::Give(reply))),
                Effect::Leave(id) => drop(self.orders.send(Order::Leave(id))),
                Effect::Tell(line) => self.tell(line)?,
            }
        }
        Ok(())
    }

    fn paint(&mut self) -> io::Result<()> {
        let (rows, columns) = size(&self.person);
        let canvas = Canvas {
            rows,
            columns,
            clock: clock(),
            settled: self.dialog.is_settled(self.now()),
        };
        let rows = paint::rows(&mut self.dialog, &self.phrase, canvas);
        let mut out = Vec::new();
        if !self.shown {
            self.shown = true;
            self.painted.clear();
            out = self.model.open();
        }
        if rows != self.painted {
            out.extend(paint::bytes(&rows, &self.painted));
            self.painted = rows;
        }
        self.person.write_all(&out)
    }

    fn hide(&mut self) -> io::Result<()> {
        if !self.shown {
            return Ok(());
        }
        self.shown = false;
        self.painted.clear();
        self.person.write_all(&self.model.close())?;
        let kept = std::mem::take(&mut self.kept);
        let out = self.model.pass(&kept);
        self.person.write_all(&out)?;
        self.tell_what_waits()
    }

    /// A line for the person: at once, or when there is a place for it that is not the agent's whole screen.
    fn tell(&mut self, line: String) -> io::Result<()> {
        self.told.push_back(line);
        if self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
        self.tell_what_waits()
    }

    fn tell_what_waits(&mut self) -> io::Result<()> {
        while !self.shown && !self.model.in_alternate() {
            let Some(line) = self.told.pop_front() else {
                break;
            };
            self.say(&line)?;
        }
        Ok(())
    }

    /// A line for the person now, wherever the agent's cursor is.
    fn say(&mut self, line: &str) -> io::Result<()> {
        let line = format!("\r\nvaletkey: {line}\r\n");
        self.model.told(line.as_bytes());
        self.person.write_all(line.as_bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.ending = true;
        self.hide()?;
        let rest = self.model.rest();
        self.person.write_all(&rest)?;
        while let Some(line) = self.told.pop_front() {
            self.say(&line)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    news: bool,
    output: bool,
    room: bool,
    keys: bool,
}

fn too_small(rows: u16, columns: u16) -> bool {
    rows < paint::MIN_ROWS || columns < paint::MIN_COLUMNS
}

fn size(person: &File) -> (u16, u16) {
    tcgetwinsize(person).map_or((0, 0), |size| (size.ws_row, size.ws_col))
}
