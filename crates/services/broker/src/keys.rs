//! The broker's keys: made on first use, kept in private files, wiped from memory.

use std::path::Path;

use thiserror::Error;
use valetkey_capability::IssuerKey;
use valetkey_store::{EpochLimits, Signer, StoreError};
use zeroize::Zeroizing;

use crate::issuer::Issuers;

/// The keys cannot be read or made.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The file cannot be read, written or trusted.
    #[error("cannot use the key file {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Those of the log.
    #[error("cannot use the log's keys: {0}")]
    Log(#[from] StoreError),
}

/// What the names of logs begin with.
const LOG_PLACE: &str = "valetkey.local";

/// The keys that the broker signs with.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) issuer: Issuers,
    pub(crate) log: Signer,
}

impl Keys {
    /// Reads the keys below `state`, or makes them. `log` is where the log is, or will be.
    pub(crate) fn load_or_create(state: &Path, log: &Path) -> Result<Self, KeysError> {
        let dir = state.join("keys");
        let current = IssuerKey::from_seed(&*seed(&dir, "issuer.key")?);
        Ok(Self {
            issuer: Issuers::load(&dir, current)?,
            log: Signer::open(&dir, log, LOG_PLACE, EpochLimits::default())?,
        })
    }
}

pub(crate) fn seed(dir: &Path, name: &str) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let path = dir.join(name);
    let error = |reason: String| KeysError::File {
        path: path.display().to_string(),
        reason,
    };
    match valetkey_store::read_private(&path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let seed = <[u8; 32]>::try_from(bytes.as_slice())
                .map_err(|_| error("it does not hold 32 bytes".to_owned()))?;
            Ok(Zeroizing::new(seed))
        }
        Err(reason) if reason.is_absent() => {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(|reason| error(reason.to_string()))?;
            std::os::unix::fs::DirBuilderExt::mode(
                std::fs::DirBuilder::new().recursive(true),
                0o700,
            )
            .create(dir)
            .map_err(|reason| error(reason.to_string()))?;
            valetkey_store::write_atomically(&path, &*seed, 0o600)
                .map_err(|reason| error(reason.to_string()))?;
            Ok(seed)
        }
        Err(reason) => Err(error(reason.to_string())),
    }
}
