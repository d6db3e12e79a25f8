//! What people do with policies: install, shadow, canary, activate, roll back, withdraw. Each is recorded before it is done.

use std::sync::Arc;

use valetkey_api::{
    AlertKind, InstallPolicy, Mode, PolicyFiles, PolicyState, Problem, ProblemKind, RollBackPolicy,
    StartCanary,
};
use valetkey_approval::{PolicyChange, PolicyStep, difference_digest};
use valetkey_audit::Event;
use valetkey_model::{Digest, UserFacts};
use valetkey_policy::{Bundle, BundleLimits, PolicySet};
use valetkey_rollout::{
    Governance, Installed, Rollout, SIGNATURES_FILE, Stage, is_part, revision_of, verify,
};

use super::{Staged, unkept};
use crate::broker::Broker;
use crate::bulletin::Raised;
use crate::events::{self, Signed};

/// Lines of a difference, and bytes of one.
const DIFFERENCE_MAX: (usize, usize) = (256, 1024);

/// Why a bundle is not installed. The reason is told to the person, and stands in the log.
fn refused(why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Denied, why.to_string())
}

impl Broker {
    /// What is installed, and what a change needs.
    pub(crate) fn policy_state(&self) -> PolicyState {
        let (governance, ungoverned) = match self.policies.governing.read() {
            Ok(governance) => (Some(governance), None),
            Err(why) => (None, Some(why)),
        };
        PolicyState {
            rollout: self.policies.rollout(),
            governance,
            ungoverned,
            compared: self.policies.compared(),
        }
    }

    /// The files of the bundle that decides, of the candidate, or of one that decided before.
    ///
    /// # Errors
    /// When they cannot be read, or there is no such bundle.
    pub(crate) fn policy_files(&self, revision: Option<u64>) -> Result<PolicyFiles, Problem> {
        let rollout = self.policies.rollout();
        let wanted = match revision {
            None => rollout.live,
            Some(revision) => {
                let found = rollout.bundles().find(|one| one.revision == revision);
                let none =
                    || Problem::new(ProblemKind::NotFound, "no bundle of this revision is kept");
                Some(found.ok_or_else(none)?)
            }
        };
        let files = wanted.map(|one| self.policies.shelf.files(one));
        let files = files.transpose().map_err(unkept)?;
        Ok(PolicyFiles { files })
    }

    /// Installs a bundle: it waits from now on, and decides nothing yet.
    ///
    /// # Errors
    /// With the reason why it is not taken. Nothing has changed then.
    pub(crate) async fn install_policy(
        self: &Arc<Self>,
        user: &UserFacts,
        message: InstallPolicy,
    ) -> Result<PolicyState, Problem> {
        let _turn = self.policies.turn.lock().await;
        let before = self.policies.rollout();
        let broker = Arc::clone(self);
        let (own, rollout) = (user.clone(), before.clone());
        // Reading Rego can take a second: others are served meanwhile.
        let admitted =
            tokio::task::spawn_blocking(move || broker.admit_policy(&own, &rollout, &message));
        let admitted = admitted
            .await
            .unwrap_or_else(|_| Err(refused("the bundle could not be read to its end")));
        let (next, event) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => return Err(self.reject(user, problem).await),
        };
        self.take_step(user, &before, next, event).await
    }

    /// Everything that is asked before a bundle is installed.
    fn admit_policy(
        &self,
        user: &UserFacts,
        rollout: &Rollout,
        message: &InstallPolicy,
    ) -> Result<(Rollout, Event), Problem> {
        let governance = self.policies.governing.read().map_err(refused)?;
        let files: Vec<(String, Vec<u8>)> = message
            .files
            .iter()
            .map(|file| (file.path.clone(), file.text.clone().into_bytes()))
            .collect();
        let signed_by = check_signature(&files, &governance)?;
        let bundle = Bundle::from_files(files, BundleLimits::default()).map_err(refused)?;
        let set = PolicySet::new(&bundle).map_err(refused)?;
        let change = PolicyChange {
            step: PolicyStep::Install,
            bundle: bundle.digest(),
            revision: revision_of(&bundle.manifest().revision).map_err(refused)?,
            previous: rollout.live.map(|live| live.bundle),
            sequence: rollout.next_sequence(),
        };
        let signed = Signed {
            approvals: &message.approvals,
            difference: &message.difference,
            tests: &message.tests,
        };
        check_difference(&signed)?;
        let people = governance.people(self.people.of(user.uid));
        let approved = governance
            .admit(&change, signed.approvals, signed.tests, &people)
            .map_err(refused)?;
        let next = rollout.installed(&approved).map_err(refused)?;
        // Not in the rollout's own file yet: until that names it, nothing leads to it.
        self.policies
            .shelf
            .add(&bundle, &message.files)
            .map_err(unkept)?;
        let event =
            events::policy_installed(&approved, &signed, set.digest(), signed_by.as_deref());
        Ok((next, event))
    }

    /// Has the candidate asked beside the policy that decides.
    ///
    /// # Errors
    /// When another bundle waits, or the step cannot be recorded or kept.
    pub(crate) async fn shadow_policy(
        &self,
        user: &UserFacts,
        bundle: Digest,
    ) -> Result<PolicyState, Problem> {
        self.stage(user, bundle, Stage::Shadow).await
    }

    /// Has the candidate decide for some.
    ///
    /// # Errors
    /// As [`Broker::shadow_policy`].
    pub(crate) async fn start_canary(
        &self,
        user: &UserFacts,
        message: StartCanary,
    ) -> Result<PolicyState, Problem> {
        self.stage(user, message.bundle, Stage::Canary(message.canary))
            .await
    }

    async fn stage(
        &self,
        user: &UserFacts,
        bundle: Digest,
        stage: Stage,
    ) -> Result<PolicyState, Problem> {
        let _turn = self.policies.turn.lock().await;
        let before = self.policies.rollout();
        let next = match before.staged(&bundle, stage.clone()) {
            Ok(next) => next,
            Err(why) => return Err(self.reject(user, refused(why)).await),
        };
        let event = installed(&next).map(|one| events::policy_staged(one, &stage))?;
        self.take_step(user, &before, next, event).await
    }

    /// Puts the candidate in force.
    ///
    /// # Errors
    /// As [`Broker::shadow_policy`].
    pub(crate) async fn activate_policy(
        &self,
        user: &UserFacts,
        bundle: Digest,
    ) -> Result<PolicyState, Problem> {
        let _turn = self.policies.turn.lock().await;
        let before = self.policies.rollout();
        let next = match before.activated(&bundle) {
            Ok(next) => next,
            Err(why) => return Err(self.reject(user, refused(why)).await),
        };
        let compared = self.policies.compared();
        let event =
            installed(&before).map(|one| events::policy_activated(one, before.live, compared))?;
        self.take_step(user, &before, next, event).await
    }

    /// Takes the candidate away.
    ///
    /// # Errors
    /// As [`Broker::shadow_policy`].
    pub(crate) async fn withdraw_policy(
        &self,
        user: &UserFacts,
        bundle: Digest,
    ) -> Result<PolicyState, Problem> {
        let _turn = self.policies.turn.lock().await;
        let before = self.policies.rollout();
        let next = match before.withdrawn(&bundle) {
            Ok(next) => next,
            Err(why) => return Err(self.reject(user, refused(why)).await),
        };
        let compared = self.policies.compared();
        let event = installed(&before).map(|one| events::policy_withdrawn(one, compared))?;
        self.take_step(user, &before, next, event).await
    }

    /// Goes back to a bundle that decided before.
    ///
    /// # Errors
    /// When the signatures do not suffice, or the step cannot be recorded or kept.
    pub(crate) async fn roll_policy_back(
        &self,
        user: &UserFacts,
        message: RollBackPolicy,
    ) -> Result<PolicyState, Problem> {
        let _turn = self.policies.turn.lock().await;
        let before = self.policies.rollout();
        let (next, event) = match self.admit_rollback(user, &before, &message) {
            Ok(admitted) => admitted,
            Err(problem) => return Err(self.reject(user, problem).await),
        };
        self.take_step(user, &before, next, event).await
    }

    fn admit_rollback(
        &self,
        user: &UserFacts,
        rollout: &Rollout,
        message: &RollBackPolicy,
    ) -> Result<(Rollout, Event), Problem> {
        let governance = self.policies.governing.read().map_err(refused)?;
        let first = message.approvals.first();
        let first = first.ok_or_else(|| refused("nobody has signed it"))?;
        // What it goes back to is what they signed; that each of them signed the same is looked at below.
        let asked = &first.signed.change;
        let change = PolicyChange {
            step: PolicyStep::RollBack,
            bundle: asked.bundle,
            revision: asked.revision,
            previous: rollout.live.map(|live| live.bundle),
            sequence: rollout.next_sequence(),
        };
        let signed = Signed {
            approvals: &message.approvals,
            difference: &message.difference,
            tests: &message.tests,
        };
        check_difference(&signed)?;
        let people = governance.people(self.people.of(user.uid));
        let approved = governance
            .admit(&change, signed.approvals, signed.tests, &people)
            .map_err(refused)?;
        let next = rollout.rolled_back(&approved).map_err(refused)?;
        let event = events::policy_rolled_back(&approved, &signed);
        Ok((next, event))
    }

    /// Records a step, then takes it. What decides afterwards is loaded before either: what does not load is no step.
    async fn take_step(
        &self,
        user: &UserFacts,
        before: &Rollout,
        next: Rollout,
        event: Event,
    ) -> Result<PolicyState, Problem> {
        // Compiling takes its time: others are served meanwhile.
        let prepared = tokio::task::block_in_place(|| self.policies.prepared(&next));
        let current = match prepared {
            Ok(current) => current,
            Err(why) => return Err(self.reject(user, refused(why)).await),
        };
        let event = event.user(user.uid, &user.name);
        self.recorder.note(vec![event]).await?;
        if let Err(problem) = self.policies.replace(before, next, current) {
            // The log has said more than was done: it says that too.
            return Err(self.reject(user, problem).await);
        }
        Ok(self.policy_state())
    }

    /// Records that something was refused, and why; gives the problem back, or the one of recording it.
    async fn reject(&self, user: &UserFacts, problem: Problem) -> Problem {
        let event = events::policy_rejected(&problem.detail).user(user.uid, &user.name);
        match self.recorder.note(vec![event]).await {
            Ok(_) => problem,
            Err(unrecorded) => unrecorded,
        }
    }

    /// Takes a canary back that denies more: the policy of the others decides for all again.
    pub(super) fn take_canary_back(&self, staged: &Staged) {
        let before = self.policies.rollout();
        let is_still = before
            .candidate
            .as_ref()
            .is_some_and(|one| one.installed == staged.installed && one.stage == staged.stage);
        if !is_still {
            return;
        }
        let taken = before
            .staged(&staged.installed.bundle, Stage::Returned)
            .map_err(|error| error.to_string())
            .and_then(|next| self.policies.prepared(&next).map(|current| (next, current)));
        let done = match taken {
            Ok((next, current)) => self.policies.replace(&before, next, current),
            Err(why) => Err(unkept(why)),
        };
        let compared = staged.seen().compared;
        let event = events::canary_returned(staged.installed, compared);
        if let Err(problem) = &done {
            self.diagnostics
                .error(format!("a canary was not taken back: {}", problem.detail));
            return;
        }
        // If nothing can be recorded, nothing else goes on either.
        drop(self.recorder.stream(event));
        let uid = match self.admission.mode() {
            Mode::User => rustix::process::geteuid().as_raw(),
            Mode::System => 0,
        };
        let raised = Raised {
            kind: AlertKind::Policy,
            session: None,
            agent: None,
            text: format!(
                "the canary of policy revision {} was taken back: it denies more than the policy in force",
                staged.installed.revision
            ),
        };
        self.bulletin.raise(uid, raised, self.now());
    }
}

/// The candidate of a rollout.
fn installed(rollout: &Rollout) -> Result<Installed, Problem> {
    let candidate = rollout.candidate.as_ref().map(|one| one.installed);
    candidate.ok_or_else(|| refused("no bundle waits"))
}

/// Who signed the bundle itself, where somebody has to.
fn check_signature(
    files: &[(String, Vec<u8>)],
    governance: &Governance,
) -> Result<Option<String>, Problem> {
    let other = files
        .iter()
        .find(|(path, _)| !is_part(path) && path != SIGNATURES_FILE);
    if let Some((path, _)) = other {
        let path: String = path.chars().take(64).collect();
        return Err(refused(format!("`{path}` is no part of a policy")));
    }
    let is_signed = files.iter().any(|(path, _)| path == SIGNATURES_FILE);
    if governance.signers.is_empty() && !is_signed {
        return Ok(None);
    }
    // A signature that nobody can check is not passed over.
    let by = verify(files, &governance.signers).map_err(refused)?;
    Ok(Some(by.kid().to_owned()))
}

/// What is told to the log is what at least one of those who signed was shown.
fn check_difference(signed: &Signed<'_>) -> Result<(), Problem> {
    let (lines, bytes) = DIFFERENCE_MAX;
    if signed.difference.len() > lines || signed.difference.iter().any(|line| line.len() > bytes) {
        return Err(refused("the difference in words is too long"));
    }
    let digest = difference_digest(signed.difference);
    let shown = signed
        .approvals
        .iter()
        .any(|one| one.signed.difference == digest);
    if shown || signed.approvals.is_empty() {
        return Ok(());
    }
    Err(refused(
        "the difference in words is not the one that was signed",
    ))
}
