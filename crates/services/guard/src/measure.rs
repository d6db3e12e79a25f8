//! What a session decides for one open, without a session around it: for measuring.

use std::path::Path;

use valetkey_api::Granted;
use valetkey_capability::PublicKey;
use valetkey_model::{ActionSet, SessionId};

use crate::holdings::{HoldError, Holdings};
use crate::keyring::KeyRing;

/// The capabilities of a session and the answer that the view gets from them. It opens nothing and gives nothing away: all that comes out
/// is yes or no.
#[derive(Debug)]
pub struct Resolver(Holdings);

/// A token that is not held, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotHeld(String);

impl Resolver {
    /// The holdings of a session whose tokens are signed with this key.
    #[must_use]
    pub fn new(key: PublicKey, session: SessionId) -> Self {
        Self(Holdings::new(KeyRing::of(key, session)))
    }

    /// Verifies a token and holds what it gives, as a session does.
    ///
    /// # Errors
    /// When a session would not hold it.
    pub fn hold(&self, granted: &Granted) -> Result<(), NotHeld> {
        let held = self.0.add(granted).map(drop);
        held.map_err(|error: HoldError| NotHeld(error.to_string()))
    }

    /// Whether an open may go on with no word to the broker: the very call that the view makes for each.
    #[must_use]
    pub fn permits(&self, path: &Path, wanted: ActionSet) -> bool {
        self.0.at_once(path, wanted).is_some()
    }
}
