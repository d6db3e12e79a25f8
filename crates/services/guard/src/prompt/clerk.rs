//! The prompt's way to the broker: finds questions, sees when they close, signs and gives answers. A thread of its own, because a passphrase
//! takes its time and the agent's output must not wait for it. What is open is told by another ([`super::follower`]).

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use valetkey_api::{Client, ClientError, Paths};
use valetkey_approval::{Asked, Context, Method, Prompt};
use valetkey_approver::{
    ApproverError, AskPassphrase, KeyFile, Passphrase, Reply as Said, answer, register,
};
use valetkey_model::{RequestId, SessionId, Timestamp};
use zeroize::Zeroizing;

use super::follower::Follower;
use super::relay::{Mailbox, News};
use super::state::{Given, Question, Reply};

/// How long a request may take to become a question that is shown.
const GATHERED: Duration = Duration::from_secs(1);
/// How long after a question closed the session's own news of its end may take, before it is said without.
const ENDED: Duration = Duration::from_secs(1);
/// How long the broker may take.
const CALL_TIME: Duration = Duration::from_secs(10);

/// What the clerk is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// The broker asks a person; what a notice of it would say.
    Opened(RequestId, String),
    /// An answer of the person.
    Give(Box<Reply>),
    /// It is no longer shown, or its end was told.
    Leave(RequestId),
    /// What the broker says is open now.
    Open(Vec<Asked>),
}

/// The clerk.
#[derive(Debug)]
pub(super) struct Clerk {
    paths: Paths,
    session: SessionId,
    home: PathBuf,
    relay: Mailbox,
    operator: Option<Client>,
    follower: Follower,
    /// The session's open questions, as they were told last.
    open: Vec<Asked>,
    /// Requests that are to become questions, the notice of each, and until when they may.
    expected: Vec<(RequestId, String, Instant)>,
    /// Questions that are shown.
    watched: Vec<RequestId>,
    /// Questions that closed, and when that is said if nobody has said how.
    closed: Vec<(RequestId, Instant)>,
}

impl Clerk {
    /// A clerk who hears what is open as orders, too.
    ///
    /// # Errors
    /// When the thread that follows the broker cannot be started.
    pub(super) fn new(
        paths: Paths,
        session: SessionId,
        relay: Mailbox,
        orders: Sender<Order>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            follower: Follower::start(&paths, orders)?,
            paths,
            session,
            home: valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).home,
            relay,
            operator: None,
            open: Vec::new(),
            expected: Vec::new(),
            watched: Vec::new(),
            closed: Vec::new(),
        })
    }

    /// Works for as long as the session's process lives.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match self.next(orders) {
                Ok(Order::Opened(id, notice)) => self.opened(id, notice),
                Ok(Order::Give(reply)) => self.give(*reply),
                Ok(Order::Leave(id)) => {
                    self.watched.retain(|other| *other != id);
                    self.closed.retain(|(other, _)| *other != id);
                }
                Ok(Order::Open(open)) => self.look(open),
                Err(RecvTimeoutError::Timeout) => self.give_up_on(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.follower
                .follow(!self.watched.is_empty() || !self.expected.is_empty());
        }
    }

    /// The next order, or the time at which something is waited for in vain.
    fn next(&self, orders: &Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        let expected = self.expected.iter().map(|(_, _, until)| *until);
        let closed = self.closed.iter().map(|(_, until)| *until);
        match expected.chain(closed).min() {
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => orders.recv_timeout(until.saturating_duration_since(Instant::now())),
        }
    }

    fn opened(&mut self, id: RequestId, notice: String) {
        // Without a key there is nothing to sign with, and a program over another is no place to make one.
        let has_key = matches!(KeyFile::load(&self.paths), Ok(Some(_)));
        match Instant::now().checked_add(GATHERED).filter(|_| has_key) {
            Some(until) => self.expected.push((id, notice, until)),
            None => self.relay.send(News::Tell(notice)),
        }
        self.show_expected();
    }

    /// Shows what is expected and open. The broker gathers what can be asked together before it shows it, so it may come later.
    fn show_expected(&mut self) {
        let mut waits = Vec::new();
        for (id, notice, until) in std::mem::take(&mut self.expected) {
            let has = |asked: &&Asked| {
                asked.request_id == id || asked.also.iter().any(|listed| listed.request_id == id)
            };
            match self.open.iter().find(has).cloned() {
                Some(asked) => self.show(asked, notice),
                None => waits.push((id, notice, until)),
            }
        }
        self.expected = waits;
    }

    fn show(&mut self, asked: Asked, notice: String) {
        // A question of several files is shown once.
        if self.watched.contains(&asked.request_id) {
            return;
        }
        let context = Context {
            home: Some(self.home.clone()),
            name_of: Some(valetkey_sys::account::name_of),
        };
        let prompt = Prompt::of(&asked, &context);
        self.watched.push(asked.request_id.clone());
        self.relay.send(News::Question(Box::new(Question {
            shown: prompt.digest(),
            asked,
            prompt,
            notice,
        })));
    }

    fn look(&mut self, mut open: Vec<Asked>) {
        open.retain(|asked| asked.session == self.session);
        let is_open = |id: &RequestId| open.iter().any(|asked| asked.request_id == *id);
        let (stay, gone) = std::mem::take(&mut self.watched)
            .into_iter()
            .partition::<Vec<_>, _>(is_open);
        self.watched = stay;
        for id in gone {
            self.relay.send(News::Closed(id.clone(), None));
            let until = Instant::now().checked_add(ENDED);
            self.closed.extend(until.map(|until| (id, until)));
        }
        self.open = open;
        self.show_expected();
    }

    /// Says what was waited for in vain.
    fn give_up_on(&mut self, now: Instant) {
        for (id, notice, until) in std::mem::take(&mut self.expected) {
            if until > now {
                self.expected.push((id, notice, until));
            } else {
                self.relay.send(News::Tell(notice));
            }
        }
        for (id, until) in std::mem::take(&mut self.closed) {
            if until > now {
                self.closed.push((id, until));
            } else {
                let how = format!("{id} is not open any more");
                self.relay.send(News::Tell(how));
            }
        }
    }

    fn give(&mut self, mut reply: Reply) {
        let id = reply.question.request_id.clone();
        let given = match self.try_to_give(&mut reply) {
            Ok(()) => Given::Counts,
            Err(ApproverError::NoTerminal) => Given::Locked { wrong: false },
            Err(ApproverError::WrongPassphrase | ApproverError::NotAPassphrase) => {
                Given::Locked { wrong: true }
            }
            Err(error @ ApproverError::Gone(_)) => {
                self.watched.retain(|other| *other != id);
                self.relay.send(News::Closed(id, Some(error.to_string())));
                return;
            }
            Err(error) => {
                self.operator = None;
                Given::Failed(error.to_string())
            }
        };
        if given == Given::Counts {
            self.watched.retain(|other| *other != id);
        }
        self.relay.send(News::Given(id, given));
    }

    fn try_to_give(&mut self, reply: &mut Reply) -> Result<(), ApproverError> {
        let file = KeyFile::load(&self.paths)?.ok_or(ApproverError::NoKey)?;
        let operator = self.operator()?;
        let name = register(operator, &file)?.name().to_owned();
        let key = file.unlock(&mut Typed(reply.passphrase.take().map(|secret| secret.0)))?;
        let said = Said {
            verdict: reply.verdict,
            because: reply.because.take(),
            lease: reply.lease.take(),
            method: Method::Terminal,
            shown: reply.shown,
        };
        answer(operator, &key, &name, &reply.question, &said).map(drop)
    }

    fn operator(&mut self) -> Result<&mut Client, ClientError> {
        let client = match self.operator.take() {
            Some(client) => client,
            None => {
                let client = Client::connect(&self.paths.operator_socket())?;
                client.set_timeout(Some(CALL_TIME))?;
                client
            }
        };
        Ok(self.operator.insert(client))
    }
}

/// What was typed into the prompt, if it was.
struct Typed(Option<Zeroizing<String>>);

impl AskPassphrase for Typed {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        self.0
            .take()
            .ok_or(ApproverError::NoTerminal)
            .and_then(Passphrase::new)
    }

    fn new_one(&mut self, _name: &str) -> Result<Option<Passphrase>, ApproverError> {
        Err(ApproverError::NoTerminal)
    }

    fn tries(&self) -> u32 {
        1
    }
}

/// Now, for a countdown that is only looked at.
pub(super) fn clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
