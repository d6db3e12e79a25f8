//! An unlocked key in the kernel's key store, for minutes: the kernel ends it, whatever happens to the programs.

use std::ffi::CString;
use std::num::NonZeroU32;
use std::time::Duration;

use valetkey_model::Timestamp;
use valetkey_sys::keyring;
use zeroize::Zeroizing;

use crate::error::ApproverError;
use crate::file::KeyFile;
use crate::now;
use crate::protect::SEED_BYTES;
use crate::unlock::Unlocked;

/// How long a key stays unlocked if the person does not say.
pub const LIFE_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// The longest: a working day. More is no lock.
pub const LIFE_MAX: Duration = Duration::from_secs(8 * 3600);

/// The seed and when it ends, in milliseconds since the epoch.
const KEPT_BYTES: usize = SEED_BYTES + 8;

/// Whether a key can be used without a passphrase now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// The passphrase is asked for.
    Locked,
    /// Until then it is not.
    Until(Timestamp),
    /// The kernel's key store cannot be used: the passphrase is asked for each time.
    NoKeyStore,
}

/// What is kept.
pub(crate) struct Kept {
    pub(crate) seed: Zeroizing<[u8; SEED_BYTES]>,
    until: Timestamp,
}

/// Keeps a key unlocked, and says until when. Less than a second is one.
///
/// # Errors
/// [`ApproverError::NoKeyStore`]; then nothing is kept.
pub fn keep_unlocked(key: &Unlocked, life: Duration) -> Result<Timestamp, ApproverError> {
    let seconds = u32::try_from(life.min(LIFE_MAX).as_secs()).unwrap_or(1);
    let seconds = NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN);
    let until = now().plus_seconds(u64::from(seconds.get()));
    let mut bytes = Zeroizing::new([0; KEPT_BYTES]);
    let (seed, end) = bytes.split_at_mut(SEED_BYTES);
    seed.copy_from_slice(&**key.seed());
    end.copy_from_slice(&until.unix_ms().to_be_bytes());
    keyring::keep(&name(&key.public_key())?, &*bytes, seconds)
        .map_err(ApproverError::NoKeyStore)?;
    Ok(until)
}

/// Locks the key again. Returns whether it was unlocked.
///
/// # Errors
/// [`ApproverError::NoKeyStore`].
pub fn lock(file: &KeyFile) -> Result<bool, ApproverError> {
    keyring::forget(&name(file.public_key())?).map_err(ApproverError::NoKeyStore)
}

/// Whether the key is unlocked, and until when.
#[must_use]
pub fn unlocked_until(file: &KeyFile) -> Unlock {
    match kept(file.public_key()) {
        Ok(Some(kept)) => Unlock::Until(kept.until),
        Ok(None) => Unlock::Locked,
        Err(_) => Unlock::NoKeyStore,
    }
}

/// What is kept for a public key, while it is good.
pub(crate) fn kept(public_key: &str) -> Result<Option<Kept>, ApproverError> {
    let mut bytes = Zeroizing::new([0; KEPT_BYTES]);
    let length =
        keyring::read(&name(public_key)?, &mut *bytes).map_err(ApproverError::NoKeyStore)?;
    if length != Some(KEPT_BYTES) {
        return Ok(None);
    }
    let (from, end) = bytes.split_at(SEED_BYTES);
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    seed.copy_from_slice(from);
    let mut until = [0; 8];
    until.copy_from_slice(end);
    let until = Timestamp::from_unix_ms(u64::from_be_bytes(until));
    // The kernel has its own clock for this; of the two the earlier end counts.
    Ok((now() < until).then_some(Kept { seed, until }))
}

/// A public key has no NUL, unless its file is damaged.
fn name(public_key: &str) -> Result<CString, ApproverError> {
    CString::new(format!("valetkey:approver:{public_key}"))
        .map_err(|error| ApproverError::NoKeyStore(error.into()))
}
