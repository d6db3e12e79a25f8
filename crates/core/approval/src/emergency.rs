//! What a person signs to break the glass, and what another signs to close the review of it.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};
use valetkey_model::{Digest, SessionId, Timestamp, canonical_json};

use crate::approver::{Approver, ApproverKey};
use crate::break_glass::BreakGlass;
use crate::signed::ApprovalError;

/// The domain of the bytes that are signed to break the glass.
const EMERGENCY_DOMAIN: &[u8] = b"valetkey break-glass v1\n";
/// The domain of the bytes that are signed to close a review.
const REVIEW_DOMAIN: &[u8] = b"valetkey review v1\n";
/// The domain of the digest by which an emergency is named.
const EMERGENCY_DIGEST_DOMAIN: &str = "valetkey emergency v1";
/// How old a signature may be, and how far ahead of the broker's clock: whoever breaks the glass does it now.
const FRESH_MS: u64 = 120_000;

/// An emergency before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsignedEmergency {
    /// The session that is given the scope. It names the broker too: no other has it.
    pub session: SessionId,
    /// What is asked for, and why.
    pub asked: BreakGlass,
    /// Who asks.
    pub by: String,
    /// The fresh value that the broker gave for this, so that what was signed before is good for nothing now.
    pub challenge: String,
    /// When.
    pub time: Timestamp,
}

/// A signed emergency. Its signature covers every other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedEmergency {
    /// What is signed.
    pub signed: UnsignedEmergency,
    /// Ed25519 over the domain and the canonical form of `signed`, base64url.
    pub signature: String,
}

/// The end of a review before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsignedReview {
    /// The digest of the emergency that was reviewed.
    pub emergency: Digest,
    /// What was found.
    pub findings: String,
    /// Who reviewed it.
    pub by: String,
    /// When.
    pub time: Timestamp,
}

/// The signed end of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedReview {
    /// What is signed.
    pub signed: UnsignedReview,
    /// Ed25519 over the domain and the canonical form of `signed`, base64url.
    pub signature: String,
}

impl UnsignedEmergency {
    /// Signs it.
    ///
    /// # Errors
    /// [`ApprovalError::Form`] when it has no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedEmergency, ApprovalError> {
        Ok(SignedEmergency {
            signature: sign(EMERGENCY_DOMAIN, &self, key)?,
            signed: self,
        })
    }
}

impl SignedEmergency {
    /// Checks that this person signed it, just now.
    ///
    /// # Errors
    /// [`ApprovalError::Signature`], or [`ApprovalError::OutOfTime`].
    pub fn verify(&self, by: &Approver, now: Timestamp) -> Result<(), ApprovalError> {
        verify(EMERGENCY_DOMAIN, &self.signed, &self.signature, by)?;
        let time = self.signed.time;
        if now.ms_since(time) > FRESH_MS || time.ms_since(now) > FRESH_MS {
            return Err(ApprovalError::OutOfTime);
        }
        Ok(())
    }

    /// The digest by which it is named: of what is signed alone, since a signature can be written in more than one way.
    ///
    /// # Errors
    /// [`ApprovalError::Form`] when it has no canonical form.
    pub fn digest(&self) -> Result<Digest, ApprovalError> {
        let bytes = canonical_json(&self.signed).map_err(|_| ApprovalError::Form)?;
        Ok(Digest::tagged(EMERGENCY_DIGEST_DOMAIN, &bytes))
    }
}

impl UnsignedReview {
    /// Signs it.
    ///
    /// # Errors
    /// [`ApprovalError::Form`] when it has no canonical form.
    pub fn sign(self, key: &ApproverKey) -> Result<SignedReview, ApprovalError> {
        Ok(SignedReview {
            signature: sign(REVIEW_DOMAIN, &self, key)?,
            signed: self,
        })
    }
}

impl SignedReview {
    /// Checks that this person signed it. It closes one review, which is closed once: its age does not matter.
    ///
    /// # Errors
    /// [`ApprovalError::Signature`].
    pub fn verify(&self, by: &Approver) -> Result<(), ApprovalError> {
        verify(REVIEW_DOMAIN, &self.signed, &self.signature, by)
    }
}

fn message<T: Serialize>(domain: &[u8], signed: &T) -> Result<Vec<u8>, ApprovalError> {
    let mut bytes = domain.to_vec();
    bytes.extend(canonical_json(signed).map_err(|_| ApprovalError::Form)?);
    Ok(bytes)
}

fn sign<T: Serialize>(
    domain: &[u8],
    signed: &T,
    key: &ApproverKey,
) -> Result<String, ApprovalError> {
    let signature = key.sign(&message(domain, signed)?);
    Ok(Base64UrlUnpadded::encode_string(&signature))
}

fn verify<T: Serialize>(
    domain: &[u8],
    signed: &T,
    signature: &str,
    by: &Approver,
) -> Result<(), ApprovalError> {
    let bytes = Base64UrlUnpadded::decode_vec(signature).map_err(|_| ApprovalError::Signature)?;
    let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| ApprovalError::Signature)?;
    let message = message(domain, signed)?;
    by.key()
        .and_then(|key| {
            key.verify_strict(&message, &Signature::from_bytes(&bytes))
                .ok()
        })
        .ok_or(ApprovalError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::at;

    fn emergency() -> UnsignedEmergency {
        UnsignedEmergency {
            session: SessionId::new(at(0), [1; 10]),
            asked: BreakGlass {
                scope: vec![
                    serde_json::from_str(r#"{"resource":"file:/srv/a","actions":["read"]}"#)
                        .unwrap(),
                ],
                because: "the close run is stuck".to_owned(),
                ticket: Some("INC-7".to_owned()),
                minutes: 5,
            },
            by: "ann".to_owned(),
            challenge: "c".repeat(43),
            time: at(10),
        }
    }

    fn key(byte: u8) -> ApproverKey {
        ApproverKey::from_seed(&[byte; 32])
    }

    #[test]
    fn a_signature_is_of_one_person_over_all_of_it_and_of_now() {
        let ann = key(1).approver("ann", &["owner"]);
        let signed = emergency().sign(&key(1)).unwrap();
        assert_eq!(signed.verify(&ann, at(11)), Ok(()));
        let other = key(2).approver("ann", &["owner"]);
        assert_eq!(signed.verify(&other, at(11)), Err(ApprovalError::Signature));
        for now in [at(131), at(0)] {
            let late = SignedEmergency {
                signed: UnsignedEmergency {
                    time: if now == at(0) { at(200) } else { at(10) },
                    ..emergency()
                },
                signature: String::new(),
            };
            let late = late.signed.sign(&key(1)).unwrap();
            assert_eq!(late.verify(&ann, now), Err(ApprovalError::OutOfTime));
        }
        let changes: [fn(&mut UnsignedEmergency); 5] = [
            |signed| signed.challenge = "d".repeat(43),
            |signed| signed.asked.minutes = 60,
            |signed| signed.asked.because.push('!'),
            |signed| signed.session = SessionId::new(at(0), [2; 10]),
            |signed| signed.by = "bob".to_owned(),
        ];
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged.signed);
            assert_eq!(forged.verify(&ann, at(11)), Err(ApprovalError::Signature));
            assert_ne!(forged.digest(), signed.digest());
        }
    }

    #[test]
    fn the_end_of_a_review_is_of_one_emergency() {
        let bob = key(2).approver("bob", &["owner"]);
        let digest = emergency().sign(&key(1)).unwrap().digest().unwrap();
        let review = UnsignedReview {
            emergency: digest,
            findings: "nothing but what was asked for was read".to_owned(),
            by: "bob".to_owned(),
            time: at(100),
        };
        let signed = review.sign(&key(2)).unwrap();
        assert_eq!(signed.verify(&bob), Ok(()));
        let mut forged = signed;
        forged.signed.emergency = Digest::of(b"another");
        assert_eq!(forged.verify(&bob), Err(ApprovalError::Signature));
    }
}
