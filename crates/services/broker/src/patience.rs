//! How long people bear an agent's questions: what it has left to ask, and how long it has to wait after denials.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_api::{Problem, ProblemKind};
use valetkey_approval::{Patience, PromptBudget, Wait};
use valetkey_model::{AgentId, ApprovalRequirement, Lockout, PromptLimits, SessionId, Timestamp};

use crate::session::Session;

/// Agents that are remembered. Beyond this one that is not known is not let through to people.
const MAX_KNOWN: usize = 4096;

/// Whose denials are counted together. A program outside of cells has a new session whenever it starts itself anew, so its name counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    Session(SessionId),
    Program(u32, AgentId),
}

impl Whom {
    fn of(session: &Session) -> Self {
        let opening = &session.opening;
        if opening.agent.attested {
            Self::Program(opening.user.uid, opening.agent.id.clone())
        } else {
            Self::Session(session.id.clone())
        }
    }
}

#[derive(Debug)]
struct Borne {
    patience: Patience,
    budget: PromptBudget,
    last: Timestamp,
}

/// The patience of everyone with every agent.
#[derive(Debug, Default)]
pub(crate) struct Endurance {
    table: Mutex<BTreeMap<Whom, Borne>>,
}

impl Endurance {
    /// Whether an agent has to wait before it may ask anything of people.
    pub(crate) fn check(&self, session: &Session, now: Timestamp) -> Result<(), Problem> {
        let table = self.lock();
        let borne = table.get(&Whom::of(session));
        borne.map_or(Ok(()), |borne| {
            borne.patience.check(now).map_err(locked_out)
        })
    }

    /// Takes one question from what an agent may ask.
    pub(crate) fn take(
        &self,
        session: &Session,
        requirement: &ApprovalRequirement,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut table = self.lock();
        let borne = known(&mut table, session, now)?;
        borne.patience.check(now).map_err(locked_out)?;
        let limits = requirement.budget.unwrap_or(PromptLimits::DEFAULT);
        borne.budget.go_on_under(limits);
        borne.budget.take(now).map_err(|over| {
            Problem::new(ProblemKind::Denied, over.to_string())
                .hinted(false, "go on with what you hold, or end")
        })
    }

    /// A person said no, or nobody answered. The wait that begins with it, if one does.
    pub(crate) fn denied(
        &self,
        session: &Session,
        requirement: &ApprovalRequirement,
        now: Timestamp,
    ) -> Option<Wait> {
        let mut table = self.lock();
        let borne = known(&mut table, session, now).ok()?;
        let lockout = requirement.lockout.unwrap_or(Lockout::DEFAULT);
        borne.patience.go_on_under(lockout);
        borne.patience.denied(now)
    }

    /// A person said yes.
    pub(crate) fn approved(&self, session: &Session) {
        if let Some(borne) = self.lock().get_mut(&Whom::of(session)) {
            borne.patience.approved();
        }
    }

    /// Forgets a session. A program's name is remembered beyond its sessions.
    pub(crate) fn forget(&self, session: &Session) {
        self.lock().remove(&Whom::Session(session.id.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Whom, Borne>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known<'t>(
    table: &'t mut BTreeMap<Whom, Borne>,
    session: &Session,
    now: Timestamp,
) -> Result<&'t mut Borne, Problem> {
    let whom = Whom::of(session);
    if table.len() >= MAX_KNOWN && !table.contains_key(&whom) {
        // Whoever does not wait and was quiet longest is forgotten; those who wait are not, however many they are.
        let quiet = table
            .iter()
            .filter(|(_, borne)| borne.patience.check(now).is_ok())
            .min_by_key(|(_, borne)| borne.last)
            .map(|(whom, _)| whom.clone());
        let Some(quiet) = quiet else {
            let why = "too many agents wait after denials";
            return Err(Problem::new(ProblemKind::Busy, why));
        };
        table.remove(&quiet);
    }
    let borne = table.entry(whom).or_insert_with(|| Borne {
        patience: Patience::new(Lockout::DEFAULT),
        budget: PromptBudget::new(PromptLimits::DEFAULT),
        last: now,
    });
    borne.last = now;
    Ok(borne)
}

fn locked_out(wait: Wait) -> Problem {
    let hint = format!(
        "ask again in {} s at the earliest; work without it meanwhile",
        wait.seconds
    );
    Problem::new(ProblemKind::Busy, wait.to_string()).hinted(false, hint)
}
