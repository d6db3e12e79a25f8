//! The operator door: what a person outside any cell may see and do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use valetkey_api::{
    AddApprover, Alerts, Answer, Answered, Appoint, ChangeAuditors, Changes, Dismiss, Erase,
    HandIn, Handler, LiveCapabilities, OpenQuestions, Problem, ProblemKind, Reply, Request,
    ReviewList, Revoke, Route, Undoing, find,
};
use valetkey_approval::{SignedChange, SignedEmergency, SignedReview};

use crate::broker::Broker;
use crate::doors::policy::{PolicyCall, PolicyStep};
use crate::doors::reply;
use crate::identify::PeerIdentity;

/// The longest wait for a change in one call.
const MAX_WAIT_SECONDS: u64 = 55;

/// Serves people.
#[derive(Debug)]
pub(crate) struct OperatorDoor(pub(crate) Arc<Broker>);

/// One call at the operator door.
#[derive(Debug)]
enum OperatorCall {
    Status,
    Questions,
    /// What is open, once that is not what it was at a number, or a time is over.
    Changes {
        after: u64,
        wait: Duration,
    },
    Alerts,
    Challenge,
    BreakGlass(Box<SignedEmergency>),
    Reviews,
    CloseReview(Box<SignedReview>),
    Answer(Box<Answer>),
    People(PeopleCall),
    Capabilities,
    Revoke(Revoke),
    Keys,
    RotateKey,
    Undone(Undoing),
    Keeping(Keeping),
    Policy(PolicyCall),
    Stop,
}

/// What is about the log's own keeping.
#[derive(Debug)]
enum Keeping {
    Auditors,
    ChangeAuditors(ChangeAuditors),
    Erase(Erase),
    HandIn(HandIn),
}

/// One call about who may answer.
#[derive(Debug)]
enum PeopleCall {
    Approvers,
    Register(Box<AddApprover>),
    Unregister(Box<SignedChange>),
    Appointments,
    Appoint(Appoint),
    Dismiss(Dismiss),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Status,
    Questions,
    Alerts,
    Challenge,
    BreakGlass,
    Reviews,
    CloseReview,
    Answer,
    Approvers,
    Register,
    Unregister,
    Appointments,
    Appoint,
    Dismiss,
    Capabilities,
    Revoke,
    Keys,
    RotateKey,
    Undone,
    Auditors,
    ChangeAuditors,
    Erase,
    Policy,
    PolicyFiles,
    InstallPolicy,
    ShadowPolicy,
    StartCanary,
    ActivatePolicy,
    WithdrawPolicy,
    RollPolicyBack,
    HandIn,
    Stop,
}

const ROUTES: [Route<Kind>; 32] = [
    Route::new("GET", "/v1/status", Kind::Status),
    Route::new("GET", "/v1/requests", Kind::Questions),
    Route::new("GET", "/v1/alerts", Kind::Alerts),
    Route::new("POST", "/v1/break-glass/challenge", Kind::Challenge),
    Route::new("POST", "/v1/break-glass", Kind::BreakGlass),
    Route::new("GET", "/v1/reviews", Kind::Reviews),
    Route::new("POST", "/v1/reviews/close", Kind::CloseReview),
    Route::new("POST", "/v1/answers", Kind::Answer),
    Route::new("GET", "/v1/approvers", Kind::Approvers),
    Route::new("POST", "/v1/approvers", Kind::Register),
    Route::new("POST", "/v1/approvers/remove", Kind::Unregister),
    Route::new("GET", "/v1/appointments", Kind::Appointments),
    Route::new("POST", "/v1/appointments", Kind::Appoint),
    Route::new("POST", "/v1/appointments/remove", Kind::Dismiss),
    Route::new("GET", "/v1/capabilities", Kind::Capabilities),
    Route::new("POST", "/v1/revocations", Kind::Revoke),
    Route::new("GET", "/v1/keys", Kind::Keys),
    Route::new("POST", "/v1/keys/rotate", Kind::RotateKey),
    Route::new("POST", "/v1/undone", Kind::Undone),
    Route::new("GET", "/v1/auditors", Kind::Auditors),
    Route::new("POST", "/v1/auditors", Kind::ChangeAuditors),
    Route::new("POST", "/v1/erasures", Kind::Erase),
    Route::new("GET", "/v1/policy", Kind::Policy),
    Route::new("GET", "/v1/policy/files", Kind::PolicyFiles),
    Route::new("POST", "/v1/policy/install", Kind::InstallPolicy),
    Route::new("POST", "/v1/policy/shadow", Kind::ShadowPolicy),
    Route::new("POST", "/v1/policy/canary", Kind::StartCanary),
    Route::new("POST", "/v1/policy/activate", Kind::ActivatePolicy),
    Route::new("POST", "/v1/policy/withdraw", Kind::WithdrawPolicy),
    Route::new("POST", "/v1/policy/rollback", Kind::RollPolicyBack),
    Route::new("POST", "/v1/log/witnessed", Kind::HandIn),
    Route::new("POST", "/v1/stop", Kind::Stop),
];

impl TryFrom<&Request> for OperatorCall {
    type Error = Problem;

    fn try_from(request: &Request) -> Result<Self, Problem> {
        Ok(match find(&ROUTES, request)?.kind {
            Kind::Status => Self::Status,
            // Both are read even where one of them says nothing: what is no number is no question.
            Kind::Questions => match (
                request.query_number("wait")?,
                request.query_number("after")?,
            ) {
                (None, _) => Self::Questions,
                (Some(seconds), after) => Self::Changes {
                    after: after.unwrap_or(0),
                    wait: Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)),
                },
            },
            Kind::Alerts => Self::Alerts,
            Kind::Challenge => Self::Challenge,
            Kind::BreakGlass => Self::BreakGlass(Box::new(request.json()?)),
            Kind::Reviews => Self::Reviews,
            Kind::CloseReview => Self::CloseReview(Box::new(request.json()?)),
            Kind::Answer => Self::Answer(Box::new(request.json()?)),
            Kind::Approvers => Self::People(PeopleCall::Approvers),
            Kind::Register => Self::People(PeopleCall::Register(Box::new(request.json()?))),
            Kind::Unregister => Self::People(PeopleCall::Unregister(Box::new(request.json()?))),
            Kind::Appointments => Self::People(PeopleCall::Appointments),
            Kind::Appoint => Self::People(PeopleCall::Appoint(request.json()?)),
            Kind::Dismiss => Self::People(PeopleCall::Dismiss(request.json()?)),
            Kind::Capabilities => Self::Capabilities,
            Kind::Revoke => Self::Revoke(request.json()?),
            Kind::Keys => Self::Keys,
            Kind::RotateKey => Self::RotateKey,
            Kind::Undone => Self::Undone(request.json()?),
            Kind::Auditors => Self::Keeping(Keeping::Auditors),
            Kind::ChangeAuditors => Self::Keeping(Keeping::ChangeAuditors(request.json()?)),
            Kind::Erase => Self::Keeping(Keeping::Erase(request.json()?)),
            Kind::Policy => Self::Policy(PolicyCall::State),
            Kind::PolicyFiles => Self::Policy(PolicyCall::Files(request.query_number("revision")?)),
            Kind::InstallPolicy => Self::Policy(PolicyCall::Step(PolicyStep::Install(Box::new(
                request.json()?,
            )))),
            Kind::ShadowPolicy => {
                Self::Policy(PolicyCall::Step(PolicyStep::Shadow(request.json()?)))
            }
            Kind::StartCanary => Self::Policy(PolicyCall::Step(PolicyStep::Canary(Box::new(
                request.json()?,
            )))),
            Kind::ActivatePolicy => {
                Self::Policy(PolicyCall::Step(PolicyStep::Activate(request.json()?)))
            }
            Kind::WithdrawPolicy => {
                Self::Policy(PolicyCall::Step(PolicyStep::Withdraw(request.json()?)))
            }
            Kind::RollPolicyBack => Self::Policy(PolicyCall::Step(PolicyStep::RollBack(Box::new(
                request.json()?,
            )))),
            Kind::HandIn => Self::Keeping(Keeping::HandIn(request.json()?)),
            Kind::Stop => Self::Stop,
        })
    }
}

impl Handler for OperatorDoor {
    fn handle(self: Arc<Self>, request: Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
        Box::pin(async move { reply(self.answer(&request).await) })
    }
}

impl OperatorDoor {
    async fn answer(&self, request: &Request) -> Result<Reply, Problem> {
        let broker = &self.0;
        let operator = broker.identify(&request.peer)?;
        let scope = broker.scope(&operator);
        match OperatorCall::try_from(request)? {
            OperatorCall::Status => Ok(Reply::json(&broker.status(&operator))),
            OperatorCall::Questions => Ok(Reply::json(&OpenQuestions {
                questions: broker.questions_for(&operator),
            })),
            OperatorCall::Changes { after, wait } => {
                // The number first: what changes after it was read is told with the next wait.
                let last = broker.bulletin.wait(scope, after, wait).await;
                Ok(Reply::json(&Changes {
                    last,
                    questions: broker.questions_for(&operator),
                    alerts: broker.bulletin.alerts(scope),
                }))
            }
            OperatorCall::Alerts => Ok(Reply::json(&Alerts {
                alerts: broker.bulletin.alerts(scope),
            })),
            OperatorCall::Challenge => Ok(Reply::json(&broker.challenge(operator.uid())?)),
            OperatorCall::BreakGlass(emergency) => {
                let (own, user) = (Arc::clone(broker), broker.admission.user_of(&operator));
                let broken = async move { own.break_glass(&user, *emergency).await };
                Ok(Reply::json(&to_its_end(broken).await?))
            }
            OperatorCall::Reviews => Ok(Reply::json(&ReviewList {
                reviews: broker.reviews.list(|whose| {
                    scope.holds(whose) || broker.is_of_the_people(operator.uid(), whose)
                }),
            })),
            OperatorCall::CloseReview(review) => {
                let (own, user) = (Arc::clone(broker), broker.admission.user_of(&operator));
                let closed = async move { own.close_review(&user, *review).await };
                Ok(Reply::json(&to_its_end(closed).await?))
            }
            OperatorCall::Answer(answer) => {
                broker.may_answer(&operator, &answer.approval.approval.request_id)?;
                Ok(Reply::json(&self.take_answer(*answer).await?))
            }
            OperatorCall::People(call) => self.people(operator, call).await,
            OperatorCall::Capabilities => Ok(Reply::json(&LiveCapabilities {
                capabilities: broker.live(scope),
                leases: broker.leases(scope),
            })),
            OperatorCall::Revoke(what) => Ok(Reply::json(&broker.revoke(&what, scope).await?)),
            OperatorCall::Keys => Ok(Reply::json(&broker.issuer.list(broker.now()))),
            OperatorCall::RotateKey => {
                broker.only_for_everyone(&operator)?;
                Ok(Reply::json(&broker.rotate_key().await?))
            }
            OperatorCall::Undone(what) => {
                let user = broker.admission.user_of(&operator);
                broker.record_undone(&user, &what).await?;
                Ok(Reply::json(&()))
            }
            OperatorCall::Keeping(what) => self.keep_log(&operator, what).await,
            OperatorCall::Policy(call) => self.policy(&operator, call).await,
            OperatorCall::Stop => {
                broker.only_for_everyone(&operator)?;
                broker.stopping.notify_one();
                Ok(Reply::json(&()))
            }
        }
    }

    async fn policy(&self, operator: &PeerIdentity, call: PolicyCall) -> Result<Reply, Problem> {
        let broker = &self.0;
        match call {
            PolicyCall::State => Ok(Reply::json(&broker.policy_state())),
            PolicyCall::Files(revision) => Ok(Reply::json(&broker.policy_files(revision)?)),
            PolicyCall::Step(step) => {
                // It decides for everyone, and so is changed by whom the broker is everyone's.
                broker.only_for_everyone(operator)?;
                let user = broker.admission.user_of(operator);
                let taken = step.take(Arc::clone(broker), user);
                Ok(Reply::json(&to_its_end(taken).await?))
            }
        }
    }

    async fn people(&self, operator: PeerIdentity, call: PeopleCall) -> Result<Reply, Problem> {
        let broker = &self.0;
        match call {
            PeopleCall::Approvers => Ok(Reply::json(&broker.people.of(operator.uid()))),
            PeopleCall::Register(added) => {
                let user = broker.admission.user_of(&operator);
                broker.add_approver(&user, *added).await?;
                Ok(Reply::json(&()))
            }
            PeopleCall::Unregister(change) => {
                let user = broker.admission.user_of(&operator);
                broker.remove_approver(&user, *change).await?;
                Ok(Reply::json(&()))
            }
            PeopleCall::Appointments => Ok(Reply::json(&broker.appointments(&operator))),
            PeopleCall::Appoint(what) => {
                let own = Arc::clone(broker);
                to_its_end(async move { own.appoint(&operator, what).await }).await?;
                Ok(Reply::json(&()))
            }
            PeopleCall::Dismiss(what) => {
                let own = Arc::clone(broker);
                to_its_end(async move { own.dismiss(&operator, what).await }).await?;
                Ok(Reply::json(&()))
            }
        }
    }

    /// The auditors are everyone's, so in system mode root's to change, and what is thrown away is, too.
    async fn keep_log(&self, operator: &PeerIdentity, what: Keeping) -> Result<Reply, Problem> {
        let broker = Arc::clone(&self.0);
        let user = broker.admission.user_of(operator);
        match what {
            Keeping::Auditors => Ok(Reply::json(&broker.recorder.privacy().auditors())),
            Keeping::ChangeAuditors(change) => {
                broker.only_for_everyone(operator)?;
                let changed = async move { broker.change_auditors(&user, &change).await };
                Ok(Reply::json(&to_its_end(changed).await?))
            }
            Keeping::HandIn(handed) => {
                let events = broker.recorder.size();
                Ok(Reply::json(
                    &broker.witnesses.hand_in(&handed.checkpoint, events)?,
                ))
            }
            Keeping::Erase(what) => {
                broker.only_for_everyone(operator)?;
                let erased = async move { broker.erase(&user, &what).await };
                Ok(Reply::json(&to_its_end(erased).await?))
            }
        }
    }

    async fn take_answer(&self, answer: Answer) -> Result<Answered, Problem> {
        let broker = Arc::clone(&self.0);
        let answered = async move { broker.answer(answer.approval).await };
        let outcome = to_its_end(answered).await?;
        Ok(Answered { outcome })
    }
}

/// Does something on its own, so that whoever hangs up does not leave it half done.
async fn to_its_end<T: Send + 'static>(
    doing: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(doing)
        .await
        .map_err(|_| Problem::new(ProblemKind::Unavailable, "it could not be done to its end"))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::described;

    /// The description is made from the types and compared by `cargo xtask check`; here its calls are held against the door's.
    #[test]
    fn every_call_of_the_operator_door_is_described_and_no_other() {
        let own = ROUTES.iter().map(|route| (route.method, route.path));
        assert_eq!(
            described::calls("openapi-operator.json", "operator"),
            described::set(own)
        );
    }
}
