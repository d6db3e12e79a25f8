//! The operator door: what a person outside any cell may see and do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use valetkey_api::{
    Answer, Answered, Handler, LiveCapabilities, OpenQuestions, Problem, Reply, Request, Revoked,
};
use valetkey_approval::Approver;

use crate::broker::Broker;
use crate::doors::{parts, reply, unknown};

/// Serves people.
#[derive(Debug)]
pub(crate) struct OperatorDoor(pub(crate) Arc<Broker>);

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
        match (request.method.as_str(), parts(&request.path).as_slice()) {
            ("GET", ["v1", "status"]) => Ok(Reply::json(&broker.status(&operator))),
            ("GET", ["v1", "requests"]) => Ok(Reply::json(&OpenQuestions {
                questions: broker.questions_in(scope),
            })),
            ("POST", ["v1", "answers"]) => {
                let answer: Answer = request.json()?;
                broker.may_answer(&operator, &answer.approval.approval.request_id)?;
                let outcome = broker.answer(answer.approval).await?;
                Ok(Reply::json(&Answered { outcome }))
            }
            ("GET", ["v1", "approvers"]) => Ok(Reply::json(&broker.people.of(operator.uid()))),
            ("POST", ["v1", "approvers"]) => {
                let approver: Approver = request.json()?;
                let user = broker.admission.user_of(&operator);
                broker.register_first_approver(&user, approver).await?;
                Ok(Reply::json(&()))
            }
            ("GET", ["v1", "capabilities"]) => Ok(Reply::json(&LiveCapabilities {
                capabilities: broker.live(scope),
            })),
            ("POST", ["v1", "revocations"]) => {
                let capabilities = broker.revoke(&request.json()?, scope).await?;
                Ok(Reply::json(&Revoked { capabilities }))
            }
            ("POST", ["v1", "stop"]) => {
                broker.only_for_everyone(&operator)?;
                broker.stopping.notify_one();
                Ok(Reply::json(&()))
            }
            _ => Err(unknown(request)),
        }
    }
}
