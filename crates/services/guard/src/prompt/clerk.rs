//! The prompt's way to the broker: fetches questions from the operator door, sees when they close, signs and gives answers. A thread of its own,
//! because a passphrase takes its time and the agent's output must not wait for it.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use valetkey_api::{Client, ClientError, OpenQuestions, Paths};
use valetkey_approval::{Asked, Context, Method, Prompt};
use valetkey_approver::{
    ApproverError, AskPassphrase, KeyFile, Passphrase, Reply as Said, answer, register,
};
use valetkey_model::{RequestId, SessionId, Timestamp};
use zeroize::Zeroizing;

use super::relay::{Mailbox, News};
use super::state::{Given, Question, Reply};

/// How long a request may take to become a question that is shown.
const GATHERED: Duration = Duration::from_secs(1);
/// How often it is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often the questions that are shown are looked at, and only while any is.
const LOOK: Duration = Duration::from_millis(200);
/// How long the broker may take.
const CALL_TIME: Duration = Duration::from_secs(10);

/// What the clerk is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// The broker asks a person; what a notice of it would say.
    Opened(RequestId, String),
    /// An answer of the person.
    Give(Box<Reply>),
    /// It is no longer shown.
    Leave(RequestId),
}

/// The clerk.
#[derive(Debug)]
pub(super) struct Clerk {
    paths: Paths,
    session: SessionId,
    home: PathBuf,
    relay: Mailbox,
    operator: Option<Client>,
    watched: Vec<RequestId>,
}

impl Clerk {
    pub(super) fn new(paths: Paths, session: SessionId, relay: Mailbox) -> Self {
        Self {
            paths,
            session,
            home: valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).home,
            relay,
            operator: None,
            watched: Vec::new(),
        }
    }

    /// Works until nobody gives orders any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let order = if self.watched.is_empty() {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(LOOK)
            };
            match order {
                Ok(Order::Opened(id, notice)) => self.opened(id, notice),
                Ok(Order::Give(reply)) => self.give(*reply),
                Ok(Order::Leave(id)) => self.watched.retain(|other| *other != id),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn opened(&mut self, id: RequestId, notice: String) {
        // Without a key there is nothing to sign with, and a program over another is no place to make one.
        let asked = match KeyFile::load(&self.paths) {
            Ok(Some(_)) => self.question_of(&id),
            Ok(None) | Err(_) => None,
        };
        let Some(asked) = asked else {
            self.relay.send(News::Tell(notice));
            return;
        };
        let context = Context {
            home: Some(self.home.clone()),
            ..Context::default()
        };
        // A question of several files is shown once.
        if self.watched.contains(&asked.request_id) {
            return;
        }
        let prompt = Prompt::of(&asked, &context);
        self.watched.push(asked.request_id.clone());
        self.relay.send(News::Question(Box::new(Question {
            shown: prompt.digest(),
            asked,
            prompt,
            notice,
        })));
    }

    /// The open question that a request is in. The broker gathers what can be asked together before it shows it, so it may not be there yet.
    fn question_of(&mut self, id: &RequestId) -> Option<Asked> {
        let until = Instant::now().checked_add(GATHERED)?;
        loop {
            let open = self.open_questions().ok()?;
            let found = open.into_iter().find(|asked| {
                let has = asked.request_id == *id
                    || asked.also.iter().any(|listed| listed.request_id == *id);
                has && asked.session == self.session
            });
            if found.is_some() || Instant::now() >= until {
                return found;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn look(&mut self) {
        // A broker that does not answer now may do so next time; the prompt closes in its time anyway.
        let Ok(open) = self.open_questions() else {
            return;
        };
        let is_open = |id: &RequestId| open.iter().any(|asked| asked.request_id == *id);
        let relay = &self.relay;
        self.watched.retain(|id| {
            let stays = is_open(id);
            if !stays {
                let how = "is not open any more".to_owned();
                relay.send(News::Closed(id.clone(), how));
            }
            stays
        });
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
                self.relay.send(News::Closed(id, error.to_string()));
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
            method: Method::Terminal,
            shown: reply.shown,
        };
        answer(operator, &key, &name, &reply.question, &said).map(drop)
    }

    fn open_questions(&mut self) -> Result<Vec<Asked>, ClientError> {
        let open = self
            .operator()
            .and_then(|operator| operator.get::<OpenQuestions>("/v1/requests"));
        if open.is_err() {
            self.operator = None;
        }
        open.map(|open| open.questions)
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
