//! The keys that capabilities are signed with: one signs; earlier ones verify for as long as something that they signed can live.
//!
//! A rotation writes the old public key first, then puts the new secret key in the place of the old one. INVARIANT (always usable): after a crash
//! at any point there is one secret key, and every key that signed something that is still alive is known.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use valetkey_api::{IssuerKeys, KeyInfo, KeyState, Problem, ProblemKind};
use valetkey_capability::{Claims, IssuerKey, Jwk, Jwks, MAX_TTL_SECONDS, PublicKey, TokenError};
use valetkey_model::Timestamp;
use zeroize::Zeroizing;

use crate::keys::KeysError;
use crate::witness::Recorded;

/// The file of the secret key that signs.
pub(crate) const CURRENT: &str = "issuer.key";
/// The file of the public keys that verify only.
const RETIRED: &str = "issuer-retired.json";
/// Earlier keys that still verify: a rotation every few minutes. What a guard must hold is bounded by it.
const MAX_RETIRED: usize = 16;

/// A key that verifies only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    key: Jwk,
    /// By then everything that it signed has expired.
    until: Timestamp,
}

/// The issuer's keys.
#[derive(Debug)]
pub(crate) struct Issuers {
    dir: PathBuf,
    ring: RwLock<Ring>,
    /// One rotation at a time.
    rotating: Mutex<()>,
}

#[derive(Debug)]
struct Ring {
    current: IssuerKey,
    retired: Vec<Retired>,
}

/// A new key that waits until its coming is recorded.
pub(crate) struct NextKey {
    seed: Zeroizing<[u8; 32]>,
    key: IssuerKey,
}

impl NextKey {
    /// A key by chance.
    pub(crate) fn make() -> Result<Self, Problem> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| failed("make a key", &error.to_string()))?;
        Ok(Self {
            key: IssuerKey::from_seed(&seed),
            seed,
        })
    }

    /// Its id.
    pub(crate) fn kid(&self) -> &str {
        self.key.public().kid()
    }
}

impl Issuers {
    /// The keys below `dir`, with `current` as the one that signs. A list of earlier keys that cannot be read is an error: nothing is guessed.
    pub(crate) fn load(dir: &Path, current: IssuerKey) -> Result<Self, KeysError> {
        let path = dir.join(RETIRED);
        let error = |reason: String| KeysError::File {
            path: path.display().to_string(),
            reason,
        };
        let mut retired: Vec<Retired> = match valetkey_store::read_private(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|reason| error(reason.to_string()))?
            }
            Err(reason) if reason.is_absent() => Vec::new(),
            Err(reason) => return Err(error(reason.to_string())),
        };
        for old in &retired {
            PublicKey::try_from(&old.key).map_err(|reason| error(reason.to_string()))?;
        }
        // A crash between the two writes of a rotation leaves the key that still signs in the list of those that do not.
        retired.retain(|old| old.key.kid != current.public().kid());
        Ok(Self {
            dir: dir.to_path_buf(),
            ring: RwLock::new(Ring { current, retired }),
            rotating: Mutex::default(),
        })
    }

    /// Signs claims with the key of now.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        self.read().current.sign_claims(claims)
    }

    /// The id of the key that signs.
    pub(crate) fn kid(&self) -> String {
        self.read().current.public().kid().to_owned()
    }

    /// The public keys with which something that lives at `now` may be signed; the one that signs first.
    pub(crate) fn jwks(&self, now: Timestamp) -> Jwks {
        let ring = self.read();
        let retired = ring.retired.iter().filter(|old| old.until > now);
        Jwks {
            keys: std::iter::once(ring.current.public().to_jwk())
                .chain(retired.map(|old| old.key.clone()))
                .collect(),
        }
    }

    /// The keys as the operator sees them.
    pub(crate) fn list(&self, now: Timestamp) -> IssuerKeys {
        let ring = self.read();
        let current = KeyInfo {
            kid: ring.current.public().kid().to_owned(),
            state: KeyState::Signing,
            until: None,
        };
        let retired = ring.retired.iter().filter(|old| old.until > now);
        let retired = retired.map(|old| KeyInfo {
            kid: old.key.kid.clone(),
            state: KeyState::VerifyingOnly,
            until: Some(old.until),
        });
        IssuerKeys {
            keys: std::iter::once(current).chain(retired).collect(),
        }
    }

    /// Whether there is room for one more earlier key.
    pub(crate) fn may_rotate(&self, now: Timestamp) -> Result<(), Problem> {
        let overlapping = self.jwks(now).keys.len().saturating_sub(1);
        if overlapping < MAX_RETIRED {
            Ok(())
        } else {
            let why = format!("{MAX_RETIRED} earlier keys are still needed to verify");
            Err(Problem::new(ProblemKind::Busy, why).hinted(
                true,
                "wait until the first of them is dropped: `valetkey keys list`",
            ))
        }
    }

    /// Puts a key in the place of the one that signs. The old secret is gone when this returns; its public part stays until everything that it
    /// signed has expired.
    pub(crate) fn rotate(&self, next: Recorded<NextKey>, now: Timestamp) -> Result<(), Problem> {
        self.switch_to(next.into_inner(), now)
    }

    fn switch_to(&self, next: NextKey, now: Timestamp) -> Result<(), Problem> {
        let _turn = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        self.may_rotate(now)?;
        let retired = {
            let ring = self.read();
            let mut retired = ring.retired.clone();
            retired.retain(|old| old.until > now);
            retired.push(Retired {
                key: ring.current.public().to_jwk(),
                // Nothing is signed with it once the switch below is made: what was, lives no longer than this.
                until: now
                    .plus_seconds(MAX_TTL_SECONDS)
                    .plus_seconds(SWITCH_SECONDS),
            });
            retired
        };
        let written = serde_json::to_vec(&retired)
            .map_err(|error| failed("write the earlier keys", &error.to_string()))?;
        self.write(RETIRED, &written)?;
        let old = self.open_current();
        self.write(CURRENT, &*next.seed)?;
        // The name is gone with the replacement; the bytes, as far as the file system lets them, with this.
        if let Some(mut old) = old {
            let _best_effort = old.write_all(&[0; 32]).and_then(|()| old.sync_all());
        }
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Ring {
            current: next.key,
            retired,
        };
        Ok(())
    }

    fn open_current(&self) -> Option<std::fs::File> {
        OpenOptions::new()
            .write(true)
            .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(self.dir.join(CURRENT))
            .ok()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        valetkey_store::write_atomically(&self.dir.join(name), bytes, 0o600)
            .map_err(|error| failed("keep the keys", &error.to_string()))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between the time that a rotation goes by and the moment at which the old key signs no more lie two writes to the disk.
const SWITCH_SECONDS: u64 = 60;

fn failed(what: &str, why: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, format!("cannot {what}: {why}"))
}

#[cfg(test)]
mod tests;
