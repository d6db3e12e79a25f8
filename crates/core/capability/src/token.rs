//! The token: signing, and a verifier that checks the signature before it reads a word.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use thiserror::Error;
use valetkey_model::{SessionId, Timestamp, canonical_json};

use crate::claims::{AUDIENCE_GUARD, Claims, MAX_SINGLE_USE_TTL_SECONDS, MAX_TTL_SECONDS};
use crate::key::{IssuerKey, PublicKey};

/// The longest token in bytes; a longer one is refused unread.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Why a token is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    Oversize,
    /// Not three parts of canonical base64url.
    #[error("the token is not a compact JWS")]
    Form,
    /// No trusted key has this header: another algorithm, type or key id, or members beside them.
    #[error("the token's header is not that of a trusted key")]
    Header,
    /// The signature does not verify.
    #[error("the token's signature is not valid")]
    Signature,
    /// The signed payload is not canonical claims. An issuer that signs such a thing is broken.
    #[error("the token's claims are not of the documented form")]
    Claims,
    /// Signed for another verifier.
    #[error("the token is for another audience")]
    Audience,
    /// Bound to another session.
    #[error("the token is bound to another session")]
    Session,
    /// Its life is longer than allowed, or ends before it begins.
    #[error("the token's life is not allowed")]
    Life,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// The one header that a key's tokens have.
fn header_of(kid: &str) -> String {
    Base64UrlUnpadded::encode_string(
        format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#).as_bytes(),
    )
}

impl IssuerKey {
    /// Signs claims into a token. The caller must hold the proof that they were decided and recorded.
    ///
    /// # Errors
    /// [`TokenError::Claims`] when they cannot be written, [`TokenError::Life`] when their life is not allowed,
    /// [`TokenError::Oversize`] when the token would not be accepted by a verifier.
    pub fn sign_claims(&self, claims: &Claims) -> Result<String, TokenError> {
        check_life(claims)?;
        let payload = canonical_json(claims).map_err(|_| TokenError::Claims)?;
        let mut token = header_of(self.public().kid());
        token.push('.');
        token.push_str(&Base64UrlUnpadded::encode_string(&payload));
        let signature = self.sign(token.as_bytes());
        token.push('.');
        token.push_str(&Base64UrlUnpadded::encode_string(&signature));
        if token.len() > MAX_TOKEN_BYTES {
            Err(TokenError::Oversize)
        } else {
            Ok(token)
        }
    }
}

fn check_life(claims: &Claims) -> Result<(), TokenError> {
    let longest = if claims.grant().constraints.is_single_use() {
        MAX_SINGLE_USE_TTL_SECONDS
    } else {
        MAX_TTL_SECONDS
    };
    match claims.exp.checked_sub(claims.iat) {
        Some(life) if life <= longest && claims.nbf >= claims.iat && claims.nbf <= claims.exp => {
            Ok(())
        }
        _ => Err(TokenError::Life),
    }
}

/// Claims that were verified: signature, form, audience, session and time. Only [`Verifier::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    claims: Claims,
}

impl Verified {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Verifies tokens for one session.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<(String, PublicKey)>,
    session: SessionId,
}

impl Verifier {
    /// A verifier that trusts `keys` and accepts tokens bound to `session`.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, session: SessionId) -> Self {
        Self {
            keys: keys
                .into_iter()
                .map(|key| (header_of(key.kid()), key))
                .collect(),
            session,
        }
    }

    /// Verifies a token at a time.
    ///
    /// The signature is checked over the bytes as they came, before anything but the split at the dots; the header is compared
    /// with the one form it may have, never parsed.
    ///
    /// # Errors
    /// The first [`TokenError`] found.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Oversize);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        let mut signature_bytes = [0; 64];
        match Base64UrlUnpadded::decode(signature, &mut signature_bytes) {
            Ok(bytes) if bytes.len() == 64 => {}
            _ => return Err(TokenError::Form),
        }
        let (_, key) = self
            .keys
            .iter()
            .find(|(own, _)| own == header)
            .ok_or(TokenError::Header)?;
        if !key.verify(signed.as_bytes(), &signature_bytes) {
            return Err(TokenError::Signature);
        }
        let payload = Base64UrlUnpadded::decode_vec(payload).map_err(|_| TokenError::Form)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Claims)?;
        // Writing them again catches duplicate members, other spellings of a value and white space.
        if canonical_json(&claims).ok().as_deref() != Some(payload.as_slice()) {
            return Err(TokenError::Claims);
        }
        if claims.aud != AUDIENCE_GUARD {
            return Err(TokenError::Audience);
        }
        if claims.cnf.valetkey_session != self.session {
            return Err(TokenError::Session);
        }
        check_life(&claims)?;
        if now.unix_seconds() < claims.nbf {
            return Err(TokenError::NotYet);
        }
        if now.unix_seconds() >= claims.exp {
            return Err(TokenError::Expired);
        }
        Ok(Verified { claims })
    }
}

#[cfg(test)]
mod tests;
