//! Appointments in system mode: root says who answers for other people's sessions, and the log says so first.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use valetkey_api::{Appoint, AppointmentList, Dismiss, Mode, Problem, ProblemKind};
use valetkey_approval::{Appointment, Appointments, Approvers, Asked};

use crate::broker::Broker;
use crate::bulletin::Raised;
use crate::events;
use crate::identify::{PeerIdentity, Scope};
use crate::session::Session;

/// The appointments, in memory and in one private file.
#[derive(Debug)]
pub(crate) struct Appointed {
    path: PathBuf,
    all: Mutex<Appointments>,
    /// One change at a time, from the record to the file.
    changing: tokio::sync::Mutex<()>,
}

impl Appointed {
    /// Reads what there is. A file that does not read stops the broker: nobody must become an approver by damage.
    pub(crate) fn load(state: &Path) -> Result<Self, String> {
        let path = state.join("appointed.json");
        let unread = || format!("{} does not read", path.display());
        let all = match valetkey_store::read_private(&path) {
            Ok(bytes) => valetkey_model::read_json::<Appointments>(&bytes)
                .ok()
                .and_then(Appointments::checked)
                .ok_or_else(unread)?,
            Err(error) if error.is_absent() => Appointments::default(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(Self {
            path,
            all: Mutex::new(all),
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Puts these in the place of those that were, on disk first.
    fn replace(&self, next: Appointments) -> Result<(), Problem> {
        let failed = |reason: String| {
            Problem::new(
                ProblemKind::Unavailable,
                format!("cannot keep the appointments: {reason}"),
            )
        };
        let bytes = serde_json::to_vec_pretty(&next).map_err(|error| failed(error.to_string()))?;
        valetkey_store::write_atomically(&self.path, &bytes, 0o600)
            .map_err(|error| failed(error.to_string()))?;
        *self.lock() = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Appointments> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Those whose answers count for a session: in user mode everyone of its user's registry, in system mode the user and whom root appointed.
    pub(crate) fn approvers_of(&self, session: &Session) -> Approvers {
        self.people_of(session.opening.user.uid, &session.opening.user.name)
    }

    /// The same for a user of that name.
    pub(crate) fn people_of(&self, uid: u32, name: &str) -> Approvers {
        match self.admission.mode() {
            Mode::User => self.people.of(uid),
            Mode::System => {
                let appointed = self.appointed.lock();
                appointed.approvers(uid, name, |uid| self.people.of(uid))
            }
        }
    }

    /// Whether a user is one of those who answer for another's sessions, or the other themselves.
    pub(crate) fn is_of_the_people(&self, uid: u32, whose: u32) -> bool {
        uid == whose || self.appointed_for(whose).contains(&uid)
    }

    fn appointed_for(&self, whose: u32) -> Vec<u32> {
        match self.admission.mode() {
            Mode::User => Vec::new(),
            Mode::System => {
                let appointed = self.appointed.lock();
                appointed.for_user(whose).map(|one| one.uid).collect()
            }
        }
    }

    /// The questions that a peer may answer or see: those in its scope, and those for a role in which it is appointed.
    pub(crate) fn questions_for(&self, peer: &PeerIdentity) -> Vec<Asked> {
        let scope = self.scope(peer);
        let mut open = self.questions_in(scope);
        if scope != Scope::Everyone {
            open.extend(self.questions_by_appointment(peer));
            open.sort_by_key(|asked| asked.asked_at);
        }
        open
    }

    /// The questions of other people's sessions that want somebody in a role in which the peer is appointed for them.
    pub(crate) fn questions_by_appointment(&self, peer: &PeerIdentity) -> Vec<Asked> {
        if self.admission.mode() == Mode::User {
            return Vec::new();
        }
        let appointed = self.appointed.lock();
        let mut open = Vec::new();
        for session in self.sessions.all() {
            let whose = session.opening.user.uid;
            let roles: Vec<&String> = appointed
                .for_user(whose)
                .filter(|one| one.uid == peer.uid())
                .flat_map(|one| &one.roles)
                .collect();
            if roles.is_empty() {
                continue;
            }
            let is_wanted = |asked: &Asked| {
                let mut quorum = asked.requirement.quorum.iter();
                asked.session == session.id && quorum.any(|needed| roles.contains(&&needed.role))
            };
            open.extend(self.questions.list().into_iter().filter(is_wanted));
        }
        open
    }

    /// Says that something which waits for the people of a user's sessions has changed.
    pub(crate) fn tell_people_of(&self, uid: u32) {
        self.bulletin.changed(uid);
        for other in self.appointed_for(uid) {
            self.bulletin.changed(other);
        }
    }

    /// Raises an alert among the people of a user's sessions.
    pub(crate) fn alert_people_of(&self, uid: u32, raised: Raised) {
        let now = self.now();
        for other in self.appointed_for(uid) {
            self.bulletin.raise(other, raised.clone(), now);
        }
        self.bulletin.raise(uid, raised, now);
    }

    /// The appointments that concern a peer: root sees all.
    pub(crate) fn appointments(&self, peer: &PeerIdentity) -> AppointmentList {
        let mut appointments: Vec<Appointment> = match self.admission.mode() {
            Mode::User => Vec::new(),
            Mode::System => self.appointed.lock().iter().cloned().collect(),
        };
        if self.scope(peer) != Scope::Everyone {
            let own = peer.uid();
            appointments.retain(|one| one.uid == own || one.for_uid.is_none_or(|uid| uid == own));
        }
        AppointmentList { appointments }
    }

    /// Lets somebody answer for other people's sessions.
    pub(crate) async fn appoint(&self, peer: &PeerIdentity, what: Appoint) -> Result<(), Problem> {
        self.only_for_appointing(peer)?;
        let (uid, for_uid) = (known(&what.name)?, known_if(what.for_user.as_deref())?);
        let one = Appointment {
            name: what.name,
            uid,
            roles: what.roles,
            for_uid,
        };
        let turn = self.appointed.changing.lock().await;
        let mut next = self.appointed.lock().clone();
        if for_uid == Some(uid) || !next.add(one.clone()) {
            return Err(Problem::new(
                ProblemKind::Invalid,
                "an appointment needs a name and roles of `A-Z a-z 0-9 . _ @ + -`, and is neither for one's own sessions nor as `owner`",
            ));
        }
        self.change_appointments(
            peer,
            next,
            events::appointed(&one, what.for_user.as_deref()),
        )
        .await?;
        drop(turn);
        Ok(())
    }

    /// Ends an appointment.
    pub(crate) async fn dismiss(&self, peer: &PeerIdentity, what: Dismiss) -> Result<(), Problem> {
        self.only_for_appointing(peer)?;
        let (uid, for_uid) = (known(&what.name)?, known_if(what.for_user.as_deref())?);
        let turn = self.appointed.changing.lock().await;
        let mut next = self.appointed.lock().clone();
        let gone = next.remove(uid, for_uid).ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, "there is no such appointment")
                .hinted(false, "`valetkey approver list` shows them")
        })?;
        self.change_appointments(
            peer,
            next,
            events::dismissed(&gone, what.for_user.as_deref()),
        )
        .await?;
        drop(turn);
        Ok(())
    }

    async fn change_appointments(
        &self,
        peer: &PeerIdentity,
        next: Appointments,
        event: valetkey_audit::Event,
    ) -> Result<(), Problem> {
        let user = self.admission.user_of(peer);
        let said = event.user(user.uid, &user.name);
        self.recorder.note(vec![said]).await?;
        let made = self.appointed.replace(next);
        if let Err(problem) = &made {
            // The log has said more than was done: it says that too.
            let not = events::approvers_unchanged(&problem.detail).user(user.uid, &user.name);
            self.recorder.note(vec![not]).await?;
        }
        for session in self.sessions.all() {
            self.tell_people_of(session.opening.user.uid);
        }
        made
    }

    fn only_for_appointing(&self, peer: &PeerIdentity) -> Result<(), Problem> {
        if self.admission.mode() == Mode::User {
            return Err(Problem::new(
                ProblemKind::Denied,
                "this broker serves one person: others answer if its owner adds them",
            )
            .hinted(false, "`valetkey approver add`"));
        }
        self.only_for_everyone(peer)
    }
}

/// The user id of an account.
fn known(name: &str) -> Result<u32, Problem> {
    valetkey_sys::account::uid_of(name).ok_or_else(|| {
        Problem::new(
            ProblemKind::NotFound,
            "this host has no account of that name",
        )
    })
}

fn known_if(name: Option<&str>) -> Result<Option<u32>, Problem> {
    name.map(known).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_of_appointments_stops_the_broker() {
        let state = tempfile::tempdir().expect("a directory");
        let path = state.path().join("appointed.json");
        assert!(Appointed::load(state.path()).is_ok(), "none is there");
        for damaged in [
            "{",
            r#"{"appointments":[{"name":"bob","uid":1,"roles":["owner"]}]}"#,
            r#"{"appointments":[{"name":"bob","uid":1,"roles":["r"],"more":1}]}"#,
        ] {
            valetkey_store::write_atomically(&path, damaged.as_bytes(), 0o600).expect("write");
            assert!(Appointed::load(state.path()).is_err(), "{damaged}");
        }
        let whole = r#"{"appointments":[{"name":"bob","uid":1,"roles":["r"]}]}"#;
        valetkey_store::write_atomically(&path, whole.as_bytes(), 0o600).expect("write");
        let read = Appointed::load(state.path()).expect("read");
        assert_eq!(read.lock().iter().count(), 1);
    }
}
