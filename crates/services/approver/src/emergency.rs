//! Breaking the glass, and closing the review of it: signed by a key that was unlocked for exactly this.

use valetkey_api::{BrokenGlass, Challenge, Client, ReviewList};
use valetkey_approval::{BreakGlass, UnsignedEmergency, UnsignedReview};
use valetkey_model::{Digest, SessionId};

use crate::error::ApproverError;
use crate::now;
use crate::unlock::{OpenedAnew, Unlocked};

/// Signs an emergency over a fresh value of the broker's, and has its scope given to a session.
///
/// # Errors
/// When it has no canonical form, or the broker does not give it.
pub fn break_glass(
    operator: &mut Client,
    key: &OpenedAnew,
    name: &str,
    session: SessionId,
    asked: BreakGlass,
) -> Result<BrokenGlass, ApproverError> {
    let fresh: Challenge = operator.post("/v1/break-glass/challenge", &())?;
    let unsigned = UnsignedEmergency {
        session,
        asked,
        by: name.to_owned(),
        challenge: fresh.challenge,
        time: now(),
    };
    let signed = unsigned.sign(key.key())?;
    Ok(operator.post("/v1/break-glass", &signed)?)
}

/// The reviews of emergencies.
///
/// # Errors
/// When the broker does not answer.
pub fn reviews(operator: &mut Client) -> Result<ReviewList, ApproverError> {
    Ok(operator.get("/v1/reviews")?)
}

/// Signs what was found, and has the broker close the review.
///
/// # Errors
/// When the broker does not take it; the review stays open then.
pub fn close_review(
    operator: &mut Client,
    key: &Unlocked,
    name: &str,
    emergency: Digest,
    findings: &str,
) -> Result<(), ApproverError> {
    let unsigned = UnsignedReview {
        emergency,
        findings: findings.to_owned(),
        by: name.to_owned(),
        time: now(),
    };
    let signed = unsigned.sign(key.key())?;
    Ok(operator.post("/v1/reviews/close", &signed)?)
}
