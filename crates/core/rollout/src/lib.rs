//! Policy bundles on their way into force: signed files, signed approvals, and which of two revisions comes later.
//!
//! Pure: bytes, keys and times come in as arguments. What makes bundles, archives and keys, is behind the feature `make`; the broker does
//! without it, and reads a bundle as a list of files.
#![forbid(unsafe_code)]

#[cfg(feature = "make")]
mod archive;
mod canary;
mod governance;
#[cfg(feature = "make")]
mod key;
mod signature;
mod state;
mod structured;

#[cfg(feature = "make")]
pub use archive::{ARCHIVE_MAX_BYTES, ArchiveError, pack, unpack};
pub use canary::{Canary, CanaryOf, Difference, Watch};
pub use governance::{Governance, GovernanceError, RequiredTests};
#[cfg(feature = "make")]
pub use key::{BundleKey, KeyError, read_public_key, secret_pem};
#[cfg(feature = "make")]
pub use signature::sign;
pub use signature::{
    SIGNATURES_FILE, SIGNATURES_MAX_BYTES, SIGNERS_MAX, SignatureError, SignedBy, Signer,
    claimed_signer, hash_of, verify,
};
pub use state::{Candidate, Installed, KEPT_MAX, Rollout, Stage, StepError, revision_of};

/// Whether a file counts in a bundle: a module, data or the manifest. Its signature does not.
#[must_use]
pub fn is_part(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "data.json" || path == ".manifest" || name.ends_with(".rego")
}
