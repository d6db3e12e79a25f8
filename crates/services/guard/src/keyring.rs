//! The keys that this session's tokens verify with. They change while the session lives: the broker tells of it, and a token that names an
//! unknown key is a reason to ask.

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use valetkey_capability::{Jwks, PublicKey, PublicKeyError, TokenError, Verified, Verifier};
use valetkey_model::{SessionId, Timestamp};

/// How often unknown keys are asked for: a token that nobody signed must not keep the broker busy.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A verifier whose keys can be replaced.
#[derive(Debug)]
pub(crate) struct KeyRing {
    session: SessionId,
    known: RwLock<Known>,
    asked: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Known {
    verifier: Verifier,
    keys: Jwks,
}

impl KeyRing {
    /// A verifier for a session's tokens.
    ///
    /// # Errors
    /// When one of the keys is not usable: then none is trusted.
    pub(crate) fn new(keys: Jwks, session: SessionId) -> Result<Self, PublicKeyError> {
        Ok(Self {
            known: RwLock::new(Known {
                verifier: verifier(&keys, &session)?,
                keys,
            }),
            session,
            asked: Mutex::default(),
        })
    }

    /// Verifies a token at a time.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.verifier.verify(token, now)
    }

    /// Trusts these keys from now on, and no others. What one of them cannot be used for changes nothing.
    pub(crate) fn replace(&self, keys: Jwks) -> Result<(), PublicKeyError> {
        let verifier = verifier(&keys, &self.session)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { verifier, keys };
        Ok(())
    }

    /// The keys that are trusted.
    pub(crate) fn keys(&self) -> Jwks {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.keys.clone()
    }

    /// Whether the broker may be asked for keys because one is unknown; counts as asking.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_some_and(|before| now.saturating_duration_since(before) < ASK_EVERY) {
            return false;
        }
        *asked = Some(now);
        true
    }
}

fn verifier(keys: &Jwks, session: &SessionId) -> Result<Verifier, PublicKeyError> {
    let keys: Result<Vec<_>, _> = keys.keys.iter().map(PublicKey::try_from).collect();
    Ok(Verifier::new(keys?, session.clone()))
}

#[cfg(test)]
mod tests {
    use valetkey_capability::IssuerKey;

    use super::*;

    fn jwks(seeds: &[u8]) -> Jwks {
        let keys = seeds.iter().map(|seed| IssuerKey::from_seed(&[*seed; 32]));
        Jwks {
            keys: keys.map(|key| key.public().to_jwk()).collect(),
        }
    }

    #[test]
    fn keys_are_replaced_whole_or_not_at_all() {
        let session = SessionId::new(Timestamp::from_unix_seconds(1), [1; 10]);
        let ring = KeyRing::new(jwks(&[1]), session).expect("usable");
        assert!(ring.replace(jwks(&[2, 1])).is_ok());
        assert_eq!(ring.keys(), jwks(&[2, 1]));
        let mut bad = jwks(&[3, 4]);
        bad.keys[1].x = "AAAA".to_owned();
        assert!(ring.replace(bad).is_err());
        assert_eq!(ring.keys(), jwks(&[2, 1]));
    }

    #[test]
    fn unknown_keys_are_asked_for_once_a_second() {
        let session = SessionId::new(Timestamp::from_unix_seconds(1), [1; 10]);
        let ring = KeyRing::new(jwks(&[1]), session).expect("usable");
        let now = Instant::now();
        assert!(ring.may_ask(now));
        assert!(!ring.may_ask(now) && !ring.may_ask(now + ASK_EVERY / 2));
        assert!(ring.may_ask(now + ASK_EVERY));
    }
}
