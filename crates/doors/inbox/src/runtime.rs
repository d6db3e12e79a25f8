//! The loop: keys, signals and what the other threads say become events; effects go to where they are done; then the screen is drawn.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use ratatui::Terminal;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::Signal;
use valetkey_model::Timestamp;
use valetkey_sys::clock::Clock;
use valetkey_sys::signals::{signal_descriptor, take_signal};
use zeroize::Zeroizing;

use crate::app::{App, Effect, Event};
use crate::backend::Ansi;
use crate::input::Parser;
use crate::terminal::Taken;
use crate::view::{Theme, draw};
use crate::{Inbox, InboxError, feed, worker};

/// Countdowns are of seconds: so often the screen is drawn anew where nothing happens.
const TICK_MS: i64 = 500;
/// While keys do not count: so soon afterwards the screen says that they do.
const PAUSED_TICK_MS: i64 = 100;
/// After an escape: so long its sequence may take, over a slow line too.
const ESCAPE_MS: u64 = 60;

/// Ends the wait of the loop.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    pub(crate) fn wake(&self) {
        // One that cannot be written to is awake already.
        let _written = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn reset(&self) {
        let _read = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }
}

/// Shows the inbox at the terminal until the person quits, or the program is told to end.
///
/// # Errors
/// [`InboxError::Terminal`] when the terminal cannot be used, [`InboxError::Stopped`] when a thread ended.
pub fn watch(inbox: &Inbox) -> Result<(), InboxError> {
    // Before any thread begins: all of them leave these signals to the loop.
    let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::WINCH].map(Signal::as_raw);
    let signals = signal_descriptor(&signals).map_err(InboxError::Terminal)?;
    let waker = Waker::new().map_err(InboxError::Terminal)?;
    let (events, happened) = channel();
    let (effects, wanted) = channel();
    let (paths, to, wake) = (inbox.paths.clone(), events.clone(), waker.clone());
    // They end with the process: neither holds anything that has to be put away.
    drop(std::thread::spawn(move || feed::read(&paths, &to, &wake)));
    let (paths, wake) = (inbox.paths.clone(), waker.clone());
    drop(std::thread::spawn(move || {
        worker::work(&paths, &wanted, &events, &wake);
    }));
    let taken = Taken::new().map_err(InboxError::Terminal)?;
    let clock = Clock::start(0);
    let mut watch = Loop {
        read_at: Timestamp::from_unix_ms(clock.now_ms()),
        clock,
        signals,
        waker,
        happened,
        effects,
        parser: Parser::default(),
        taken,
    };
    watch.run(inbox)
}

struct Loop {
    clock: Clock,
    signals: OwnedFd,
    waker: Waker,
    happened: Receiver<Event>,
    effects: Sender<Effect>,
    parser: Parser,
    /// When the last byte came.
    read_at: Timestamp,
    taken: Taken,
}

impl Loop {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.now_ms())
    }

    fn run(&mut self, inbox: &Inbox) -> Result<(), InboxError> {
        let theme = Theme::from_env();
        let mut size = self.taken.size();
        let mut app = App::new(inbox.context(), (size.width, size.height), self.now());
        app.filter.clone_from(&inbox.filter);
        let backend = Ansi::new(io::stdout(), size);
        let mut terminal = Terminal::new(backend).map_err(InboxError::Terminal)?;
        loop {
            let is_now = self.taken.size();
            if is_now != size {
                size = is_now;
                terminal.backend_mut().set_size(size);
                let resized = Event::Resized(size.width, size.height);
                if self.take(&mut app, resized)? {
                    return Ok(());
                }
            }
            let drawn = terminal.draw(|frame| draw(&app, theme, frame)).map(drop);
            drawn.map_err(InboxError::Terminal)?;
            app.drawn();
            let ready = self.wait(&app).map_err(InboxError::Terminal)?;
            if self.signalled(&mut app)? || self.heard(&mut app)? {
                return Ok(());
            }
            if self.typed(&mut app, ready)? {
                return Ok(());
            }
        }
    }

    /// Waits until something can be read, or it is time to draw; says whether keys are there.
    fn wait(&self, app: &App) -> io::Result<bool> {
        let wait = if self.parser.is_waiting() {
            i64::try_from(ESCAPE_MS).unwrap_or(TICK_MS)
        } else if app.is_paused() {
            PAUSED_TICK_MS
        } else {
            TICK_MS
        };
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.saturating_mul(1_000_000),
        };
        let ends: [BorrowedFd<'_>; 3] = [
            self.taken.input().as_fd(),
            self.signals.as_fd(),
            self.waker.0.as_fd(),
        ];
        let mut fds = ends.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.waker.reset();
        let [keys, ..] = &fds;
        Ok(!keys.revents().is_empty())
    }

    fn signalled(&self, app: &mut App) -> Result<bool, InboxError> {
        let taken = take_signal(self.signals.as_fd()).map_err(InboxError::Terminal)?;
        let window = u32::try_from(Signal::WINCH.as_raw()).ok();
        if taken.is_some() && taken != window {
            return self.take(app, Event::End);
        }
        self.take(app, Event::Tick)
    }

    /// What the other threads said.
    fn heard(&self, app: &mut App) -> Result<bool, InboxError> {
        loop {
            match self.happened.try_recv() {
                Ok(event) => {
                    if self.take(app, event)? {
                        return Ok(true);
                    }
                }
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(InboxError::Stopped),
            }
        }
    }

    /// What was typed; a terminal that is gone ends the inbox.
    fn typed(&mut self, app: &mut App, ready: bool) -> Result<bool, InboxError> {
        let typed = if ready {
            // A passphrase may pass through.
            let mut bytes = Zeroizing::new([0; 256]);
            let read = match self.taken.input().read(&mut *bytes) {
                Ok(0) => return Ok(true),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                // The terminal hung up.
                Err(_) => return Ok(true),
            };
            self.read_at = self.now();
            self.parser.take(bytes.get(..read).unwrap_or_default())
        } else if self.now().ms_since(self.read_at) >= ESCAPE_MS {
            self.parser.flush().into_iter().collect()
        } else {
            // Something else woke us: the rest of a sequence may still come.
            Vec::new()
        };
        for one in typed {
            if self.take(app, Event::Typed(one))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives the inbox an event, and does what it wants; says whether it is to end.
    fn take(&self, app: &mut App, event: Event) -> Result<bool, InboxError> {
        for effect in app.on(event, self.now()) {
            match effect {
                Effect::Quit => return Ok(true),
                Effect::ForgetTyped => self.taken.forget_typed(),
                other @ (Effect::Answer(..) | Effect::Revoke(_)) => {
                    self.effects.send(other).map_err(|_| InboxError::Stopped)?;
                }
            }
        }
        Ok(false)
    }
}
