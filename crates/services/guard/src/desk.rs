//! The desk of a session: where every request of the agent is put to the broker and its answer made good.

mod lives;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use valetkey_api::{
    Ask, AskAll, AskedAll, ClientError, Considered, Denial, Granted, LookAgain, Looked,
    LookedAgain, Problem, ProblemKind, ReleaseCapability, Released, RequestState,
};
use valetkey_approval::{ChangeSummary, FileFacts};
use valetkey_capability::TokenError;
use valetkey_model::{ActionSet, CapabilityId, Constraints, RequestId, Resource, SessionId};
use valetkey_view::View;

use crate::connections::Connections;
use crate::denials::Denials;
use crate::holdings::{End, Held, HoldError, Holdings};
use crate::link::Link;
use crate::notice::Notices;
use crate::operation;

/// What the agent is told where a person would have to be asked, and nobody is there.
const UNATTENDED: &str = "nobody is there to answer in this session: go on without it, or tell the person what you would need and why";
/// How long one wait for an answer takes before the caller's interest is checked again.
const WAIT_SLICE: Duration = Duration::from_secs(1);
/// Ends that are remembered for tokens that are still on their way: far more than there are calls at once.
const MAX_GONE: usize = 4096;

/// Requests of which is remembered what people are shown: more than the broker has waiting or keeps the ends of.
const MAX_SHOWN: usize = 1024;

/// What a request became.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was granted, and the capability is held.
    Held(RequestId, Arc<Held>),
    /// A person is being asked.
    Pending(RequestId, valetkey_model::Timestamp),
}

/// What is asked, before the session is added.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) resource: Resource,
    pub(crate) actions: ActionSet,
    pub(crate) constraints: Constraints,
    pub(crate) justification: Option<String>,
    pub(crate) file: Option<FileFacts>,
    /// What it would change, where that is known.
    pub(crate) change: Option<ChangeSummary>,
    pub(crate) may_ask: bool,
}

impl Wanted {
    fn of(self, session: &SessionId, may_ask: bool) -> Ask {
        Ask {
            session: session.clone(),
            resource: self.resource,
            actions: self.actions,
            constraints: self.constraints,
            justification: self.justification,
            file: self.file,
            change: self.change,
            may_ask: self.may_ask && may_ask,
        }
    }
}

/// One session's requests, capabilities and refusals.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) link: Arc<Link>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) session: SessionId,
    pub(crate) denials: Denials,
    /// The connections through the network door.
    pub(crate) connections: Arc<Connections>,
    pub(crate) notices: Notices,
    /// Nobody is there to answer: what people would be asked is refused at once.
    is_unattended: bool,
    view: Mutex<Option<View>>,
    /// What was given at the start and is asked for again before it ends.
    renewable: Mutex<Vec<Arc<Held>>>,
    /// What the broker said is over, lately: a token that comes after the news of its end is not held.
    gone: Mutex<VecDeque<CapabilityId>>,
    /// What people are being shown of each file that is asked for.
    shown: Mutex<BTreeMap<RequestId, FileFacts>>,
}

impl Desk {
    pub(crate) fn new(
        link: Arc<Link>,
        holdings: Arc<Holdings>,
        session: SessionId,
        notices: Notices,
        is_unattended: bool,
    ) -> Self {
        Self {
            link,
            holdings,
            session,
            denials: Denials::default(),
            connections: Arc::default(),
            notices,
            is_unattended,
            view: Mutex::default(),
            renewable: Mutex::default(),
            gone: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    /// Says which view to tell of grants and revocations.
    pub(crate) fn watch_view(&self, view: View) {
        *lock(&self.view) = Some(view);
    }

    /// Asks the broker.
    ///
    /// # Errors
    /// The refusal, which is also kept for the agent to read.
    pub(crate) fn ask(&self, wanted: Wanted) -> Result<Answer, Problem> {
        let (resource, actions, loud) = (wanted.resource.clone(), wanted.actions, wanted.may_ask);
        let ask = wanted.of(&self.session, !self.is_unattended);
        let shown = ask.file.clone();
        let state = self
            .link
            .post("/v1/requests", &ask)
            .map_err(|error| problem_of(&error));
        let answer = state.and_then(|state| {
            self.will_be_shown(&state, shown);
            self.settle(state)
        });
        let answer = answer.map_err(|problem| self.in_words(problem));
        // A look that finds nothing is no refusal worth telling; an attempt that is refused is.
        if let (Err(problem), true) = (&answer, loud) {
            self.refuse(resource, actions, problem.clone());
        }
        answer
    }

    /// Asks for several things at once; those that are like each other are put to people as one question. The answers are in the same order.
    ///
    /// # Errors
    /// When the broker takes none of them.
    pub(crate) fn ask_all(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Result<Answer, Problem>>, Problem> {
        let of: Vec<_> = wanted
            .iter()
            .map(|one| (one.resource.clone(), one.actions, one.file.clone()))
            .collect();
        let all = AskAll {
            session: self.session.clone(),
            requests: wanted
                .into_iter()
                .map(|one| one.of(&self.session, !self.is_unattended))
                .collect(),
        };
        let asked: AskedAll = self
            .link
            .post("/v1/requests/all", &all)
            .map_err(|error| problem_of(&error))?;
        if asked.requests.len() != of.len() {
            let why = "the broker answered another number of requests than were asked";
            return Err(Problem::new(ProblemKind::Unavailable, why));
        }
        let answers = asked.requests.into_iter().zip(of);
        Ok(answers
            .map(|(state, (resource, actions, file))| {
                self.will_be_shown(&state, file);
                let answer = self.settle(state);
                let answer = answer.map_err(|problem| self.in_words(problem));
                if let Err(problem) = &answer {
                    self.refuse(resource, actions, problem.clone());
                }
                answer
            })
            .collect())
    }

    /// What policy would say of a file by another of its names. Nothing comes of it.
    ///
    /// # Errors
    /// When the broker does not say.
    pub(crate) fn consider(&self, path: &Path, actions: ActionSet) -> Result<Considered, Problem> {
        let resource = Resource::file(path)
            .map_err(|error| Problem::new(ProblemKind::Invalid, error.to_string()))?;
        let wanted = Wanted {
            file: crate::facts::again(&resource),
            resource,
            actions,
            constraints: Constraints::default(),
            justification: None,
            change: None,
            may_ask: false,
        };
        self.link
            .post("/v1/considerations", &wanted.of(&self.session, false))
            .map_err(|error| problem_of(&error))
    }

    /// A refusal as it is true of this session: where nobody answers, asking again does not help.
    fn in_words(&self, problem: Problem) -> Problem {
        if self.is_unattended && problem.requestable {
            return problem.hinted(false, UNATTENDED);
        }
        problem
    }

    /// Keeps what people are shown of a file, for the first use of what they approve.
    fn will_be_shown(&self, state: &RequestState, file: Option<FileFacts>) {
        if let (RequestState::Pending { request_id, .. }, Some(file)) = (state, file) {
            let mut shown = lock(&self.shown);
            shown.insert(request_id.clone(), file);
            // The broker has forgotten the oldest long since: nothing can be granted of them.
            while shown.len() > MAX_SHOWN {
                shown.pop_first();
            }
        }
    }

    /// Makes the first use of a capability that people approved, if the file is still what they were shown; otherwise it ends.
    ///
    /// # Errors
    /// What changed.
    pub(crate) fn first_use(
        &self,
        held: &Arc<Held>,
        now: Option<&FileFacts>,
    ) -> Result<(), Problem> {
        let Err(what) = held.first_use(now) else {
            return Ok(());
        };
        // What was approved is what ends, with all that was narrowed from it.
        let id = held.first().id();
        self.end_gone(End::Changed, std::slice::from_ref(&id));
        let target = format!("/v1/capabilities/{id}/release");
        let release = ReleaseCapability {
            session: self.session.clone(),
            successor: None,
        };
        // It is no good here, whether or not the broker hears of it.
        drop(self.link.post::<_, Released>(&target, &release));
        let why = format!("{}: its {what} changed", End::Changed.words());
        let problem = Problem::new(ProblemKind::Capability, why)
            .hinted(true, "ask for it anew at POST /v1/requests");
        let capability = held.capability();
        let refused = operation::refused(
            self.holdings.now(),
            capability.resource.clone(),
            capability.actions,
            Some(&id),
            "first use",
            &problem,
        );
        // Recorded as far as it can be: nothing was done that had to be.
        drop(self.record(refused));
        Err(problem)
    }

    /// Tells the broker how files are now that people approved.
    pub(crate) fn look_again(&self, look: &LookAgain) {
        let files = look
            .resources
            .iter()
            .map(|resource| Looked {
                resource: resource.clone(),
                file: crate::facts::again(resource),
            })
            .collect();
        let target = format!(
            "/v1/sessions/{}/requests/{}/looked",
            self.session, look.request_id
        );
        // Without an answer nothing is granted, and the question stays open.
        drop(self.link.post::<_, ()>(&target, &LookedAgain { files }));
    }

    /// Asks and waits for a person, for as long as `still_wanted` says.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn ask_and_wait(
        &self,
        wanted: Wanted,
        still_wanted: impl Fn() -> bool,
    ) -> Result<Arc<Held>, Problem> {
        let (resource, actions) = (wanted.resource.clone(), wanted.actions);
        let (id, _expires) = match self.ask(wanted)? {
            Answer::Held(_, held) => return Ok(held),
            Answer::Pending(id, expires) => (id, expires),
        };
        self.notices.waiting(&id, &resource, actions);
        let result = self.wait_for(&id, &still_wanted);
        self.notices.settled(&id, result.is_ok());
        if let Err(problem) = &result {
            self.refuse(resource, actions, problem.clone());
        }
        result
    }

    fn wait_for(
        &self,
        id: &RequestId,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<Held>, Problem> {
        loop {
            if !still_wanted() {
                let target = format!("/v1/sessions/{}/requests/{id}/withdraw", self.session);
                // The question closes by itself later if this does not arrive.
                drop(self.link.post::<_, ()>(&target, &()));
                return Err(
                    Problem::new(ProblemKind::Expired, "the agent stopped waiting").about(id),
                );
            }
            if let Answer::Held(_, held) = self.look(id, WAIT_SLICE)? {
                return Ok(held);
            }
        }
    }

    /// How a request stands; waits for a change until `wait` is over.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn look(&self, id: &RequestId, wait: Duration) -> Result<Answer, Problem> {
        let target = format!(
            "/v1/sessions/{}/requests/{id}?wait={}",
            self.session,
            wait.as_secs()
        );
        let state = self
            .link
            .get(&target, wait)
            .map_err(|error| problem_of(&error))?;
        self.settle(state)
    }

    fn settle(&self, state: RequestState) -> Result<Answer, Problem> {
        match state {
            RequestState::Granted {
                request_id,
                granted,
            } => {
                // It goes once it is with what is held: another thread may settle the same.
                let shown = lock(&self.shown).get(&request_id).cloned();
                let held = self.hold_shown(&granted, shown)?;
                lock(&self.shown).remove(&request_id);
                if held.lease_until().is_some() && held.is_renewable() {
                    let mut renewable = lock(&self.renewable);
                    if !renewable.iter().any(|other| Arc::ptr_eq(other, &held)) {
                        renewable.push(Arc::clone(&held));
                    }
                }
                Ok(Answer::Held(request_id, held))
            }
            RequestState::Pending {
                request_id,
                expires_at,
            } => Ok(Answer::Pending(request_id, expires_at)),
            RequestState::Refused {
                request_id,
                problem,
            } => {
                lock(&self.shown).remove(&request_id);
                Err(problem)
            }
        }
    }

    /// Verifies a token and lets its effect be seen in the view.
    pub(crate) fn hold(&self, granted: &Granted) -> Result<Arc<Held>, Problem> {
        self.hold_shown(granted, None)
    }

    fn hold_shown(
        &self,
        granted: &Granted,
        shown: Option<FileFacts>,
    ) -> Result<Arc<Held>, Problem> {
        if !granted.ended.is_empty() {
            self.end_gone(End::Revoked, &granted.ended);
        }
        let known = self
            .holdings
            .find(|held| held.id() == granted.capability.capability_id);
        if let Some(held) = known {
            return Ok(held);
        }
        let held = match self.holdings.add_shown(granted, shown.clone()) {
            // Signed with a key that this guard does not know yet: it was rotated.
            Err(HoldError::Token(TokenError::Header)) if self.ask_for_keys() => {
                self.holdings.add_shown(granted, shown)
            }
            other => other,
        }
        .map_err(|error| {
            Problem::new(
                ProblemKind::Capability,
                format!("the broker's token was refused: {error}"),
            )
        })?;
        // The news of its end may have been faster than the token.
        if lock(&self.gone).contains(&held.id()) {
            let id = held.id();
            let ended = self.holdings.end(End::Revoked, |other| other.id() == id);
            self.forget(&ended);
            return Err(Problem::new(ProblemKind::Capability, End::Revoked.words()));
        }
        if let (Some(view), Some(pattern)) = (self.view(), held.pattern()) {
            view.notify_granted(&pattern.literal_prefix());
        }
        Ok(held)
    }

    /// Keeps a refusal where the agent can read it.
    pub(crate) fn refuse(&self, resource: Resource, actions: ActionSet, problem: Problem) {
        self.denials.add(Denial {
            time: self.holdings.now(),
            resource,
            actions,
            problem,
        });
    }

    /// Ends capabilities and lets the kernel forget what it kept of them.
    pub(crate) fn forget(&self, ended: &[Arc<Held>]) {
        let Some(view) = self.view() else { return };
        for pattern in ended.iter().filter_map(|held| held.pattern()) {
            view.notify_revoked(&pattern.literal_prefix());
        }
    }

    fn view(&self) -> Option<View> {
        lock(&self.view).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a failed call means to the agent: the broker's own words, or that nobody answers.
pub(crate) fn problem_of(error: &ClientError) -> Problem {
    match error {
        ClientError::Problem(problem) => (**problem).clone(),
        ClientError::Unreachable { .. } | ClientError::Broken(_) => Problem::new(
            ProblemKind::Unavailable,
            "the broker does not answer: nothing new is granted",
        )
        .hinted(false, "end this session and start it again"),
    }
}
