//! What each peer may see and do: in system mode a person's own, root everyone's.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use valetkey_api::{Mode, Peer, Problem, ProblemKind, Status};
use valetkey_approval::Asked;
use valetkey_model::{RequestId, SessionId, UserFacts};

use crate::broker::Broker;
use crate::doors::end_session;
use crate::identify::{PeerIdentity, Scope};
use crate::session::Session;

/// Sessions of one user at once in system mode: a quarter of all, so that nobody takes the others' room.
const MAX_SESSIONS_PER_USER: usize = 32;

/// What user mode cannot keep.
const USER_MODE: &str = "user mode: a program that runs as you outside a cell can reach the broker's keys, log and operator door";
/// What system mode cannot keep.
const SYSTEM_MODE: &str = "system mode: a program that runs as you outside a cell can still use your approver key and answer for you";

impl Broker {
    /// Identifies a peer of the guard door or the operator door.
    pub(crate) fn identify(&self, peer: &Peer) -> Result<PeerIdentity, Problem> {
        self.admission
            .identify(peer)
            .inspect_err(|problem| self.diagnostics.refused_peer(&problem.detail))
    }

    /// What a peer may see and end.
    pub(crate) fn scope(&self, peer: &PeerIdentity) -> Scope {
        self.admission.scope(peer)
    }

    /// Refuses what is for root alone in system mode, and for the person in user mode.
    pub(crate) fn only_for_everyone(&self, peer: &PeerIdentity) -> Result<(), Problem> {
        match self.scope(peer) {
            Scope::Everyone => Ok(()),
            Scope::Of(_) => Err(Problem::new(
                ProblemKind::Denied,
                "this broker serves other people too: only root may do that",
            )),
        }
    }

    /// The person for whom a guard may open a session now.
    pub(crate) fn admit(&self, guard: &PeerIdentity) -> Result<UserFacts, Problem> {
        if self.ending.load(Ordering::Acquire) {
            return Err(Problem::new(
                ProblemKind::Unavailable,
                "the broker is ending",
            ));
        }
        let own = self.sessions_in(Scope::Of(guard.uid())).len();
        if self.admission.mode() == Mode::System && own >= MAX_SESSIONS_PER_USER {
            return Err(Problem::new(
                ProblemKind::Busy,
                format!("you have {own} sessions open, as many as one user may"),
            ));
        }
        Ok(self.admission.user_of(guard))
    }

    /// The open sessions in sight, oldest first.
    pub(crate) fn sessions_in(&self, scope: Scope) -> Vec<Arc<Session>> {
        let mut sessions = self.sessions.all();
        sessions.retain(|session| scope.holds(session.opening.user.uid));
        sessions
    }

    /// The open questions in sight, oldest first.
    pub(crate) fn questions_in(&self, scope: Scope) -> Vec<Asked> {
        let sessions: BTreeSet<SessionId> = self
            .sessions_in(scope)
            .iter()
            .map(|session| session.id.clone())
            .collect();
        let mut open = self.questions.list();
        open.retain(|asked| sessions.contains(&asked.session));
        open
    }

    /// Checks that a person may answer a question at all: in system mode their own and those for which they are appointed, and root no other
    /// person's. What is not theirs is as if it were not there, but for root, who can see it.
    pub(crate) fn may_answer(&self, peer: &PeerIdentity, id: &RequestId) -> Result<(), Problem> {
        let fits = |scope: Scope| {
            let open = self.questions_in(scope);
            open.iter().any(|asked| asked.request_id == *id)
        };
        let by_appointment = || {
            let open = self.questions_by_appointment(peer);
            open.iter().any(|asked| asked.request_id == *id)
        };
        if self.admission.mode() == Mode::User || fits(Scope::Of(peer.uid())) || by_appointment() {
            return Ok(());
        }
        if fits(self.scope(peer)) {
            return Err(Problem::new(
                ProblemKind::Denied,
                "only the person whose session it is can answer, and whom root appoints; root can revoke",
            )
            .about(id));
        }
        Err(Problem::new(
            ProblemKind::NotFound,
            format!("no open question has the id {id}"),
        )
        .hinted(false, "`valetkey requests` shows the open ones"))
    }

    /// What no capability may reach, whoever is asked: the broker's own trees, and the person's part of Valetkey.
    pub(crate) fn protected_for(&self, user: &UserFacts) -> Vec<PathBuf> {
        let mut protected = self.protected.clone();
        protected.extend(self.admission.places_of(user));
        protected
    }

    /// Lets no session begin any more; says whether any is open.
    pub(crate) fn begin_ending(&self) -> bool {
        self.ending.store(true, Ordering::Release);
        !self.sessions.all().is_empty()
    }

    /// Ends every session; each is told, and the log says why.
    pub(crate) async fn end_sessions(&self, why: &str) {
        for session in self.sessions.all() {
            // It is over in memory whether or not its end could be recorded.
            if let Err(problem) = end_session(self, &session, why, None).await {
                self.diagnostics.error(&problem.detail);
            }
        }
    }

    /// The broker's state in words and figures, as far as a peer may see it.
    pub(crate) fn status(&self, peer: &PeerIdentity) -> Status {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let scope = self.scope(peer);
        let everyone = scope == Scope::Everyone;
        let mode = self.admission.mode();
        let sessions = self.sessions_in(scope);
        let posture = match mode {
            Mode::User => USER_MODE,
            Mode::System => SYSTEM_MODE,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since,
            mode,
            of_everyone: everyone,
            sessions: count(sessions.len()),
            lowest_level: sessions
                .iter()
                .filter_map(|session| session.opening.enforcement.as_ref())
                .map(|enforcement| enforcement.level)
                .min(),
            capabilities: count(self.live(scope).len()),
            questions: count(self.questions_for(peer).len()),
            events: self.recorder.size(),
            recording: self.recorder.is_recording(),
            policy: self.policies.live().name().to_owned(),
            policy_digest: self.policies.live().digest(),
            // How an approver's key is kept is not known here: the person's program says that of their own.
            posture: vec![posture.to_owned()],
            diagnostics: self.diagnostics.path().to_string_lossy().into_owned(),
            last_error: self.diagnostics.last_error().filter(|_| everyone),
        }
    }
}
