//! A key that is ready to sign.

use std::fmt;

use valetkey_approval::{Approver, ApproverKey};
use zeroize::Zeroizing;

use crate::cache;
use crate::error::ApproverError;
use crate::file::KeyFile;
use crate::passphrase::AskPassphrase;
use crate::protect::SEED_BYTES;

/// A key in memory. Wipes itself; never shown by `Debug`.
pub struct Unlocked {
    name: String,
    seed: Zeroizing<[u8; SEED_BYTES]>,
    key: ApproverKey,
}

impl Unlocked {
    pub(crate) fn new(name: String, seed: Zeroizing<[u8; SEED_BYTES]>) -> Self {
        let key = ApproverKey::from_seed(&seed);
        Self { name, seed, key }
    }

    /// The name that its file gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key, as approvers are registered with it.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.approver("", &[]).public_key
    }

    /// The approver that it makes.
    #[must_use]
    pub fn approver(&self, name: &str, roles: &[&str]) -> Approver {
        self.key.approver(name, roles)
    }

    pub(crate) fn key(&self) -> &ApproverKey {
        &self.key
    }

    pub(crate) fn seed(&self) -> &Zeroizing<[u8; SEED_BYTES]> {
        &self.seed
    }
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlocked")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A key that was opened for one thing, with the passphrase asked for just now where it has one. Never from the kernel's key store.
#[derive(Debug)]
pub struct OpenedAnew(Unlocked);

impl OpenedAnew {
    pub(crate) fn key(&self) -> &ApproverKey {
        self.0.key()
    }
}

impl KeyFile {
    /// The key for what is not done in passing: the passphrase is asked for even while the key is unlocked.
    ///
    /// # Errors
    /// As [`KeyFile::unlock`].
    pub fn open_anew(&self, ask: &mut dyn AskPassphrase) -> Result<OpenedAnew, ApproverError> {
        self.unlock_with_passphrase_if_protected(ask)
            .map(OpenedAnew)
    }

    /// The key: as it lies there, from the kernel's key store while it is unlocked, or after the passphrase.
    ///
    /// # Errors
    /// [`ApproverError::WrongPassphrase`] after the last try, or what kept the passphrase from being asked for.
    pub fn unlock(&self, ask: &mut dyn AskPassphrase) -> Result<Unlocked, ApproverError> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        // A key store that fails only means that the person is asked.
        if let Ok(Some(kept)) = cache::kept(self.public_key())
            && let Some(unlocked) = self.of_this_file(kept.seed)
        {
            return Ok(unlocked);
        }
        self.unlock_with_passphrase(ask)
    }

    /// The key, with the passphrase asked for even while it is unlocked.
    ///
    /// # Errors
    /// As [`KeyFile::unlock`].
    pub fn unlock_with_passphrase_if_protected(
        &self,
        ask: &mut dyn AskPassphrase,
    ) -> Result<Unlocked, ApproverError> {
        match self.open() {
            Some(open) => Ok(open),
            None => self.unlock_with_passphrase(ask),
        }
    }

    fn unlock_with_passphrase(
        &self,
        ask: &mut dyn AskPassphrase,
    ) -> Result<Unlocked, ApproverError> {
        let mut left = ask.tries();
        loop {
            match self.open_with(&ask.existing()?) {
                Err(ApproverError::WrongPassphrase) if left > 1 => left = left.saturating_sub(1),
                other => return other,
            }
        }
    }
}
