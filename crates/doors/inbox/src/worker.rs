//! What takes time: signing, which may need a passphrase and its slow derivation, and calls of the broker. One thread, one thing after another.

use std::sync::mpsc::{Receiver, Sender};

use valetkey_api::{Client, Paths, Revoke, Revoked};
use valetkey_approval::{Asked, Method, SafeText};
use valetkey_approver::{
    ApproverError, AskPassphrase, KeyFile, Passphrase, Registration, Reply, Unlocked, answer,
    register,
};
use valetkey_model::{CapabilityId, Digest};

use crate::app::{Answering, Done, Effect, Event, Unanswered};
use crate::feed::connect;
use crate::runtime::Waker;

/// Works until nobody asks any more.
pub(crate) fn work(paths: &Paths, asked: &Receiver<Effect>, to: &Sender<Event>, waker: &Waker) {
    for effect in asked {
        let done = match effect {
            Effect::Answer(answering, passphrase) => answer_all(paths, answering, passphrase),
            Effect::Revoke(ids) => vec![Done::Revoked(revoke(paths, &ids))],
            // The terminal's part.
            Effect::ForgetTyped | Effect::Quit => Vec::new(),
        };
        for one in done {
            if to.send(Event::Done(one)).is_err() {
                return;
            }
        }
        waker.wake();
    }
}

/// Answers each question by itself. Nothing is signed before the key is there.
fn answer_all(paths: &Paths, answering: Answering, passphrase: Option<Passphrase>) -> Vec<Done> {
    let given = passphrase.is_some();
    let mut done = Vec::new();
    let me = me(paths, passphrase, &mut done);
    let (mut operator, name, key) = match me {
        Ok(me) => me,
        Err(ApproverError::WrongPassphrase) => {
            done.push(Done::Locked {
                answering,
                wrong: true,
            });
            return done;
        }
        // Nobody was asked yet.
        Err(ApproverError::NoTerminal) if !given => {
            done.push(Done::Locked {
                answering,
                wrong: false,
            });
            return done;
        }
        Err(error) => {
            let why = words(&error);
            done.extend(answering.questions.into_iter().map(|(asked, _)| {
                Done::Answered(asked.request_id, Err(Unanswered::Failed(why.clone())))
            }));
            return done;
        }
    };
    for (asked, shown) in &answering.questions {
        let result = answer_one(&mut operator, &key, &name, (asked, *shown), &answering);
        done.push(Done::Answered(asked.request_id.clone(), result));
    }
    done
}

fn answer_one(
    operator: &mut Client,
    key: &Unlocked,
    name: &str,
    (asked, shown): (&Asked, Option<Digest>),
    answering: &Answering,
) -> Result<valetkey_api::Outcome, Unanswered> {
    let reply = Reply {
        verdict: answering.verdict,
        because: answering.because.clone(),
        lease: answering.lease.clone(),
        method: Method::Terminal,
        shown,
    };
    answer(operator, key, name, asked, &reply).map_err(|error| {
        if matches!(error, ApproverError::Gone(_)) {
            Unanswered::Closed
        } else {
            Unanswered::Failed(words(&error))
        }
    })
}

/// The operator door, the name under which the key answers, and the key.
fn me(
    paths: &Paths,
    passphrase: Option<Passphrase>,
    done: &mut Vec<Done>,
) -> Result<(Client, String, Unlocked), ApproverError> {
    let file = KeyFile::load(paths)?.ok_or(ApproverError::NoKey)?;
    let mut operator = connect(paths)?;
    // Before the passphrase is asked for: it would be typed in vain.
    let registration = register(&mut operator, &file)?;
    if let Registration::First(name) = &registration {
        done.push(Done::Registered(name.clone()));
    }
    let key = file.unlock(&mut Typed(passphrase))?;
    Ok((operator, registration.name().to_owned(), key))
}

/// A passphrase that was typed, once.
struct Typed(Option<Passphrase>);

impl AskPassphrase for Typed {
    fn existing(&mut self) -> Result<Passphrase, ApproverError> {
        self.0.take().ok_or(ApproverError::NoTerminal)
    }

    fn new_one(&mut self, _name: &str) -> Result<Option<Passphrase>, ApproverError> {
        Err(ApproverError::NoTerminal)
    }

    fn tries(&self) -> u32 {
        1
    }
}

/// An error with what to do next, safe to show: the broker's words may stand in it.
fn words(error: &ApproverError) -> String {
    let text = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    safe(&text)
}

fn safe(text: &str) -> String {
    SafeText::prose(text).as_str().to_owned()
}

/// Takes them back one by one; what ended with them is said, too.
fn revoke(paths: &Paths, ids: &[CapabilityId]) -> Result<Vec<CapabilityId>, String> {
    let mut operator = connect(paths).map_err(|error| safe(&error.to_string()))?;
    let mut ended = Vec::new();
    for id in ids {
        let revoked: Revoked = operator
            .post("/v1/revocations", &Revoke::Capability(id.clone()))
            .map_err(|error| safe(&error.to_string()))?;
        ended.extend(revoked.capabilities);
        ended.extend(revoked.descendants);
    }
    Ok(ended)
}
