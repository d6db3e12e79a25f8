//! The log's own keeping: who can open what is sealed, and what is thrown away. Each is recorded before it is done.

use valetkey_api::{Auditors, ChangeAuditors, Erase, Erased, Problem, ProblemKind};
use valetkey_model::UserFacts;

use crate::broker::Broker;
use crate::events;

/// The longest reason that is taken.
const BECAUSE_MAX_BYTES: usize = 2048;

/// The longest name of a person.
const USER_MAX_BYTES: usize = 256;

impl Broker {
    /// Adds or removes an auditor.
    ///
    /// # Errors
    /// When the change is none, or cannot be recorded or kept.
    pub(crate) async fn change_auditors(
        &self,
        user: &UserFacts,
        change: &ChangeAuditors,
    ) -> Result<Auditors, Problem> {
        let privacy = self.recorder.privacy();
        // One change at a time: the second would be made to what is no more.
        let _turn = self.auditing.lock().await;
        let next = privacy.changed(change)?;
        let event = events::auditors_changed(change, &privacy.auditors());
        self.recorder
            .note(vec![event.user(user.uid, &user.name)])
            .await?;
        if let Err(problem) = privacy.replace(next) {
            // The log has said more than was done: it says that too.
            let event = events::not_done("the change of the auditors", &problem.detail);
            self.recorder
                .note(vec![event.user(user.uid, &user.name)])
                .await?;
            return Err(problem);
        }
        Ok(privacy.auditors())
    }

    /// Throws away what is sealed of a person. The events stay, and every hash.
    ///
    /// # Errors
    /// When it cannot be recorded, or the system refuses.
    pub(crate) async fn erase(&self, user: &UserFacts, what: &Erase) -> Result<Erased, Problem> {
        let is_name = !what.user.is_empty() && what.user.len() <= USER_MAX_BYTES;
        if !is_name || what.because.is_empty() || what.because.len() > BECAUSE_MAX_BYTES {
            return Err(Problem::new(
                ProblemKind::Invalid,
                "an erasure needs a person's name and a reason",
            ));
        }
        let privacy = self.recorder.privacy();
        let _turn = self.auditing.lock().await;
        let person = privacy.person(&what.user);
        let event = events::erased(&person, &what.because);
        self.recorder
            .note(vec![event.user(user.uid, &user.name)])
            .await?;
        match privacy.erase(&person) {
            Ok(originals) => Ok(Erased { originals }),
            Err(error) => {
                let why = error.to_string();
                let event = events::not_done("the erasure", &why);
                self.recorder
                    .note(vec![event.user(user.uid, &user.name)])
                    .await?;
                Err(Problem::new(ProblemKind::Unavailable, why))
            }
        }
    }
}
