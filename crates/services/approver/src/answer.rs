//! Answering a question: signed for exactly what was seen, and given to the broker.

use valetkey_api::{Answer, Answered, Client, OpenQuestions, Outcome};
use valetkey_approval::{Asked, Method, SignedApproval, Unsigned, Verdict};
use valetkey_model::{ApprovalId, Digest, Lease, RequestId};

use crate::error::ApproverError;
use crate::unlock::Unlocked;
use crate::{now, random};

/// What a person says to a question.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Yes or no.
    pub verdict: Verdict,
    /// Why.
    pub because: Option<String>,
    /// How far a yes reaches, where that is less than the question says.
    pub lease: Option<Lease>,
    /// Where it was said.
    pub method: Method,
    /// The digest of the prompt that the person saw.
    pub shown: Option<Digest>,
}

/// The open question of that id.
///
/// # Errors
/// [`ApproverError::Gone`] when it is not open.
pub fn open_question(operator: &mut Client, id: &RequestId) -> Result<Asked, ApproverError> {
    let open: OpenQuestions = operator.get("/v1/requests")?;
    open.questions
        .into_iter()
        .find(|asked| asked.request_id == *id)
        .ok_or_else(|| ApproverError::Gone(id.clone()))
}

/// Signs an answer to the question, in the name under which the key is registered where the question was asked.
///
/// # Errors
/// When it has no canonical form.
pub fn sign_answer(
    question: &Asked,
    key: &Unlocked,
    name: &str,
    reply: &Reply,
) -> Result<SignedApproval, ApproverError> {
    let time = now();
    let unsigned = Unsigned {
        approval_id: ApprovalId::new(time, random()?),
        request_id: question.request_id.clone(),
        asked_digest: question.digest()?,
        prompt_digest: reply.shown,
        verdict: reply.verdict,
        approver: name.to_owned(),
        method: reply.method,
        lease: reply.lease.clone(),
        justification: reply.because.clone(),
        time,
    };
    Ok(unsigned.sign(key.key())?)
}

/// Gives a signed answer to the broker.
///
/// # Errors
/// When it does not count.
pub fn give(operator: &mut Client, approval: SignedApproval) -> Result<Outcome, ApproverError> {
    let answered: Answered = operator.post("/v1/answers", &Answer { approval })?;
    Ok(answered.outcome)
}

/// Answers a question that the person has `seen`. It is fetched again first, since time went by while they thought or typed a
/// passphrase: if it is not exactly what they saw, nothing is signed.
///
/// # Errors
/// [`ApproverError::OtherQuestion`] or [`ApproverError::Gone`] then; otherwise as [`sign_answer`] and [`give`].
pub fn answer(
    operator: &mut Client,
    key: &Unlocked,
    name: &str,
    seen: &Asked,
    reply: &Reply,
) -> Result<Outcome, ApproverError> {
    let now = open_question(operator, &seen.request_id)?;
    if now.digest()? != seen.digest()? {
        return Err(ApproverError::OtherQuestion);
    }
    let signed = sign_answer(&now, key, name, reply)?;
    give(operator, signed)
}
