//! Sessions of processes outside of any cell: opened when one first asks, over when it ends or runs another program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use valetkey_api::{Denial, Peer, Problem, ProblemKind};
use valetkey_model::{ActionSet, AgentFacts, AgentId, RequestId, Resource, SessionId, Timestamp};

use crate::attest::{Attested, Attestor, Look};
use crate::broker::Broker;
use crate::doors::guard::end_session;
use crate::doors::watching::end_of;
use crate::events;
use crate::identify::PeerIdentity;
use crate::rules::OwnRules;
use crate::session::{Opening, Session};
use crate::start_grants::StartGrants;

/// Sessions of this kind at once; they leave most places to those of guards.
const OUTSIDE_MAX: usize = 48;
/// Requests that wait for a person, of which it is remembered what they were for; more questions are not open for one session.
const ASKED_MAX: usize = 64;
/// Questions that all of them together may have open: a program that starts itself many times does not ask a person more often.
const QUESTIONS_MAX: usize = 32;
/// Refusals that are kept for the agent to read.
const DENIALS_MAX: usize = 50;

/// A process outside of any cell, its attested program and its session.
#[derive(Debug)]
pub(super) struct Outsider {
    pub(super) session: Arc<Session>,
    peer: PeerIdentity,
    attested: Mutex<Arc<Attested>>,
    denials: Mutex<VecDeque<Denial>>,
    /// What it asked for and was told to wait for.
    asked: Mutex<BTreeMap<RequestId, (Resource, ActionSet)>>,
}

impl Outsider {
    /// Keeps what a person is being asked about, so that a refusal can be told with it.
    pub(super) fn waits_for(&self, id: RequestId, resource: Resource, actions: ActionSet) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(id, (resource, actions));
        while asked.len() > ASKED_MAX {
            asked.pop_first();
        }
    }

    /// Keeps the refusal of what a person was asked about.
    pub(super) fn was_refused(&self, id: &RequestId, problem: &Problem, time: Timestamp) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = asked.remove(id);
        drop(asked);
        if let Some((resource, actions)) = wanted {
            self.refuse(Denial {
                time,
                resource,
                actions,
                problem: problem.clone(),
            });
        }
    }

    /// What its process was last seen to run.
    fn attested(&self) -> Arc<Attested> {
        Arc::clone(&self.attested.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same content under the same name: perhaps another file, or by now old enough to be known without being read.
    fn seen_again(&self, attested: &Arc<Attested>) -> bool {
        let mut known = self.attested.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.program.digest == attested.program.digest
            && known.program.path == attested.program.path;
        if same {
            *known = Arc::clone(attested);
        }
        same
    }

    /// Keeps a refusal. The same one again takes the place of the older.
    pub(super) fn refuse(&self, denial: Denial) {
        let mut kept = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|had| {
            had.resource != denial.resource
                || had.actions != denial.actions
                || had.problem.detail != denial.problem.detail
        });
        kept.push_back(denial);
        while kept.len() > DENIALS_MAX {
            kept.pop_front();
        }
    }

    /// The refusals, newest last.
    pub(super) fn denials(&self) -> Vec<Denial> {
        let kept = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Outsiders {
    broker: Arc<Broker>,
    attestor: Arc<Attestor>,
    table: Mutex<Vec<Arc<Outsider>>>,
}

impl Outsiders {
    pub(super) fn new(broker: Arc<Broker>, attestor: Arc<Attestor>) -> Self {
        Self {
            broker,
            attestor,
            table: Mutex::default(),
        }
    }

    /// The session of a peer, whose program is looked at each time: another program is another agent, with a session of its own.
    ///
    /// # Errors
    /// When it cannot be attested, or a session cannot be opened. It gets nothing then.
    pub(super) async fn of(
        self: &Arc<Self>,
        peer: &Peer,
        identity: &PeerIdentity,
    ) -> Result<Arc<Outsider>, Problem> {
        let known = self.find(identity);
        // It hears nothing: it asks for what it holds.
        known.iter().for_each(|known| known.session.drop_news());
        let before = known.as_ref().map(|known| known.attested());
        let attested = match self.attestor.look(peer, before.as_deref()).await? {
            Look::Same => {
                return known.ok_or_else(|| Problem::new(ProblemKind::Denied, "it has changed"));
            }
            Look::Program(attested) => attested,
        };
        if let Some(known) = known {
            if known.seen_again(&attested) {
                return Ok(known);
            }
            self.end(&known, "its process runs another program").await?;
        }
        self.open(peer, identity, attested).await
    }

    /// Whether a person has enough questions of theirs to answer.
    pub(super) fn ask_enough(&self) -> bool {
        let own: BTreeSet<SessionId> = self
            .lock()
            .iter()
            .map(|outsider| outsider.session.id.clone())
            .collect();
        self.broker.questions.waiting(&own) >= QUESTIONS_MAX
    }

    async fn open(
        self: &Arc<Self>,
        peer: &Peer,
        identity: &PeerIdentity,
        attested: Arc<Attested>,
    ) -> Result<Arc<Outsider>, Problem> {
        let broker = &self.broker;
        let now = broker.now();
        let id = SessionId::new(now, Broker::random()?);
        let opening = Opening {
            user: broker.admit(identity)?,
            agent: AgentFacts {
                id: agent_of(&attested.program.path),
                digest: Some(attested.program.digest),
                attested: true,
            },
            purpose: None,
            workspace: None,
            grants: StartGrants::default(),
            rules: OwnRules::none(),
            enforcement: None,
        };
        let opened = {
            let mut table = self.lock();
            // Two first requests at once: the other one was quicker.
            let other = table
                .iter()
                .find(|other| other.peer == *identity && other.session.is_open());
            if let Some(other) = other {
                if other.seen_again(&attested) {
                    return Ok(Arc::clone(other));
                }
                let why = "this process cannot be attested: it runs one program and then another";
                return Err(Problem::new(ProblemKind::Denied, why));
            }
            let full = || Problem::new(ProblemKind::Busy, "too many sessions are open");
            if table.len() >= OUTSIDE_MAX {
                return Err(full());
            }
            let session = broker
                .sessions
                .open(id, identity.clone(), opening, now)
                .ok_or_else(full)?;
            let opened = Arc::new(Outsider {
                session,
                peer: identity.clone(),
                attested: Mutex::new(attested),
                denials: Mutex::default(),
                asked: Mutex::default(),
            });
            table.push(Arc::clone(&opened));
            opened
        };
        if let Err(problem) = self.settle(peer, &opened).await {
            // It is over in memory whether or not that could be recorded.
            drop(self.end(&opened, "it could not be opened").await);
            return Err(problem);
        }
        Ok(opened)
    }

    /// Records a new session and has it end with its process.
    async fn settle(self: &Arc<Self>, peer: &Peer, opened: &Arc<Outsider>) -> Result<(), Problem> {
        let attested = opened.attested();
        let event = events::session_opened(
            &opened.session,
            &self.broker.policies.of(&opened.session),
            &self.broker.session_record(&opened.session),
        )
        .attribute("executable", attested.program.path.as_str());
        let event = self.broker.recorder.note(vec![event]).await?;
        opened.session.set_opened(event);
        let ended = end_of(peer)?;
        let (all, outsider) = (Arc::clone(self), Arc::clone(opened));
        tokio::spawn(async move {
            ended.await;
            drop(all.end(&outsider, "its process ended").await);
        });
        Ok(())
    }

    /// Ends a session with all that it holds.
    async fn end(&self, outsider: &Arc<Outsider>, how: &str) -> Result<(), Problem> {
        self.lock().retain(|other| !Arc::ptr_eq(other, outsider));
        end_session(&self.broker, &outsider.session, how, None).await
    }

    fn find(&self, identity: &PeerIdentity) -> Option<Arc<Outsider>> {
        self.lock()
            .iter()
            .find(|outsider| outsider.peer == *identity && outsider.session.is_open())
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Outsider>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of an agent: that of its executable, in lower case. Names prove nothing; the digest does.
fn agent_of(path: &str) -> AgentId {
    let name = path.rsplit('/').next().unwrap_or_default();
    AgentId::sanitised(&name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_named_after_its_executable() {
        for (path, name) in [
            ("/usr/bin/Python3.12", "python3.12"),
            ("/opt/My Agent/agent x", "agent_x"),
            ("/", "unnamed"),
        ] {
            assert_eq!(agent_of(path).as_str(), name);
        }
    }
}
