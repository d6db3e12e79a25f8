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
use crate::identify::identify;

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
        let _operator = identify(&request.peer)?;
        let broker = &self.0;
        match (request.method.as_str(), parts(&request.path).as_slice()) {
            ("GET", ["v1", "status"]) => Ok(Reply::json(&broker.status())),
            ("GET", ["v1", "requests"]) => Ok(Reply::json(&OpenQuestions {
                questions: broker.questions.list(),
            })),
            ("POST", ["v1", "answers"]) => {
                let answer: Answer = request.json()?;
                let outcome = broker.answer(answer.approval).await?;
                Ok(Reply::json(&Answered { outcome }))
            }
            ("GET", ["v1", "approvers"]) => Ok(Reply::json(&broker.people.all())),
            ("POST", ["v1", "approvers"]) => {
                let approver: Approver = request.json()?;
                broker.register_first_approver(approver).await?;
                Ok(Reply::json(&()))
            }
            ("GET", ["v1", "capabilities"]) => Ok(Reply::json(&LiveCapabilities {
                capabilities: broker.live(),
            })),
            ("POST", ["v1", "revocations"]) => {
                let capabilities = broker.revoke(&request.json()?).await?;
                Ok(Reply::json(&Revoked { capabilities }))
            }
            ("POST", ["v1", "stop"]) => {
                broker.stopping.notify_one();
                Ok(Reply::json(&()))
            }
            _ => Err(unknown(request)),
        }
    }
}
