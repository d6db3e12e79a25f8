//! The policies that decide: the one in force, a candidate beside it, and which of them a request is put to.

mod acts;
mod beside;
mod governing;
mod shelf;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use valetkey_api::{Compared, Mode, Problem, ProblemKind};
use valetkey_model::{Decision, Digest, PolicyInput, Resource};
use valetkey_rollout::{Installed, Rollout, Stage, Watch};

use crate::rules::Rules;
use crate::session::Session;

use beside::{Folded, Work};
pub(crate) use beside::{Kind, Like, start};
use governing::Governing;
use shelf::Shelf;

/// Decisions that wait to be compared. More are left out and counted: a candidate never holds up who asks.
const WAITING_MAX: usize = 256;

/// Everything that decides.
#[derive(Debug)]
pub(crate) struct Policies {
    built_in: Arc<Rules>,
    shelf: Shelf,
    governing: Governing,
    /// What is installed, as it stands on the disk.
    rollout: Mutex<Rollout>,
    current: RwLock<Arc<Current>>,
    /// Of two who change something at once, the second sees what the first has done.
    turn: tokio::sync::Mutex<()>,
    queue: SyncSender<Work>,
    waiting: Mutex<Option<Receiver<Work>>>,
}

/// What decides now.
#[derive(Debug)]
struct Current {
    live: Arc<Rules>,
    /// A candidate that is asked, too.
    candidate: Option<Arc<Staged>>,
}

/// A candidate that is a shadow or a canary.
#[derive(Debug)]
pub(crate) struct Staged {
    installed: Installed,
    stage: Stage,
    rules: Arc<Rules>,
    seen: Mutex<Seen>,
}

/// What was seen of a candidate's answers.
#[derive(Debug, Default)]
struct Seen {
    compared: Compared,
    watch: Watch,
    folded: Folded,
}

impl Staged {
    fn new(installed: Installed, stage: Stage, rules: Arc<Rules>) -> Self {
        Self {
            installed,
            stage,
            rules,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn selects(&self, session: &Session, resource: &Resource) -> bool {
        let Stage::Canary(canary) = &self.stage else {
            return false;
        };
        let opening = &session.opening;
        canary.selects(
            &self.installed.bundle,
            &opening.agent.id,
            &opening.user.name,
            &session.id,
            resource,
        )
    }
}

/// The rules that decide a request, and others that are only asked.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) rules: Arc<Rules>,
    beside: Option<Beside>,
}

/// Rules that are asked without counting.
#[derive(Debug)]
struct Beside {
    rules: Arc<Rules>,
    staged: Arc<Staged>,
    /// Whether it is the candidate that decides, and the others' policy that is only asked.
    candidate_decides: bool,
}

impl Policies {
    /// What is installed, read from the disk. What does not read, or is not what it was, stops the broker: a policy must not be taken away by
    /// damage.
    pub(crate) fn load(state: &Path, config: &Path, mode: Mode) -> Result<Self, String> {
        let built_in = Rules::built_in().map_err(|error| error.to_string())?;
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let shelf = Shelf::open(state)?;
        let rollout = shelf.rollout()?;
        let built_in = Arc::new(built_in);
        let first = Arc::new(Current {
            live: Arc::clone(&built_in),
            candidate: None,
        });
        let policies = Self {
            built_in,
            governing: Governing::new(state, config, mode),
            current: RwLock::new(first),
            turn: tokio::sync::Mutex::default(),
            queue,
            waiting: Mutex::new(Some(waiting)),
            rollout: Mutex::new(rollout.clone()),
            shelf,
        };
        let current = policies.prepared(&rollout)?;
        policies.put(current);
        Ok(policies)
    }

    /// The rules in force, for whoever brings none of their own.
    pub(crate) fn live(&self) -> Arc<Rules> {
        Arc::clone(&self.current().live)
    }

    /// The rules in force for a session, whoever a canary is for.
    pub(crate) fn of(&self, session: &Session) -> Arc<Rules> {
        session.opening.rules.under(&self.current().live)
    }

    /// The rules that decide a session's request for a resource.
    pub(crate) fn choose(&self, session: &Session, resource: &Resource) -> Chosen {
        let current = self.current();
        let own = &session.opening.rules;
        let live = own.under(&current.live);
        let Some(staged) = &current.candidate else {
            return Chosen {
                rules: live,
                beside: None,
            };
        };
        let beside = |rules, candidate_decides| {
            Some(Beside {
                rules,
                staged: Arc::clone(staged),
                candidate_decides,
            })
        };
        let candidate = || own.under(&staged.rules);
        match &staged.stage {
            Stage::Canary(_) if staged.selects(session, resource) => Chosen {
                rules: candidate(),
                beside: beside(live, true),
            },
            Stage::Shadow => Chosen {
                beside: beside(candidate(), false),
                rules: live,
            },
            Stage::Canary(_) | Stage::Waiting | Stage::Returned => Chosen {
                rules: live,
                beside: None,
            },
        }
    }

    /// Whether the policy of that digest decides such a request now, for all or as a canary.
    pub(crate) fn decides(&self, session: &Session, resource: &Resource, digest: &Digest) -> bool {
        let current = self.current();
        let own = &session.opening.rules;
        let by_candidate = current.candidate.as_ref().is_some_and(|staged| {
            staged.selects(session, resource) && own.under(&staged.rules).digest() == *digest
        });
        by_candidate || own.under(&current.live).digest() == *digest
    }

    /// Has the other rules asked, later and elsewhere. Nothing of it reaches whoever asked.
    pub(crate) fn compare(&self, chosen: Chosen, input: &PolicyInput, decided: &Decision) {
        let Some(beside) = chosen.beside else { return };
        let staged = Arc::clone(&beside.staged);
        let work = Work::new(beside, input.clone(), decided.clone());
        if self.queue.try_send(work).is_err() {
            let mut seen = staged.seen();
            seen.compared.skipped = seen.compared.skipped.saturating_add(1);
        }
    }

    /// What is installed.
    pub(crate) fn rollout(&self) -> Rollout {
        self.lock().clone()
    }

    /// What decides once `rollout` is so. What is there already is not loaded again.
    fn prepared(&self, rollout: &Rollout) -> Result<Current, String> {
        let now = self.current();
        let live = match rollout.live {
            None => Arc::clone(&self.built_in),
            Some(installed) if now.live.is_of(&installed.bundle) => Arc::clone(&now.live),
            Some(installed) => self.load_rules(installed)?,
        };
        let asked = rollout.candidate.as_ref();
        let asked = asked.filter(|one| matches!(one.stage, Stage::Shadow | Stage::Canary(_)));
        let candidate = match asked {
            None => None,
            Some(one) => {
                let rules = self.load_rules(one.installed)?;
                let staged = Staged::new(one.installed, one.stage.clone(), rules);
                Some(Arc::new(staged))
            }
        };
        Ok(Current { live, candidate })
    }

    fn load_rules(&self, installed: Installed) -> Result<Arc<Rules>, String> {
        let bundle = self.shelf.bundle(installed)?;
        let rules =
            Rules::installed(&bundle, installed.revision).map_err(|error| error.to_string())?;
        Ok(Arc::new(rules))
    }

    /// Puts `next` in the place of `before`, on disk first. Nothing is changed when it is not `before` any more.
    fn replace(&self, before: &Rollout, next: Rollout, current: Current) -> Result<(), Problem> {
        let mut rollout = self.lock();
        if *rollout != *before {
            return Err(Problem::new(
                ProblemKind::Busy,
                "what is installed has changed meanwhile",
            ));
        }
        self.shelf.keep(&next).map_err(unkept)?;
        *rollout = next;
        // Under the same lock: of two, what is in memory is what is on the disk.
        self.put(current);
        Ok(())
    }

    fn put(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Rollout> {
        self.rollout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the candidate's answers compare.
    fn compared(&self) -> Option<Compared> {
        let current = self.current();
        let staged = current.candidate.as_ref()?;
        let compared = staged.seen().compared;
        Some(compared)
    }
}

fn unkept(why: String) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("what is installed cannot be kept: {why}"),
    )
}

/// A digest as a file is named by it.
fn file_name(digest: &Digest) -> String {
    format!("{}.json", digest.to_string().replace(':', "-"))
}
