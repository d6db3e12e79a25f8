//! What the agent door outside of cells says in other words than the one in a cell.

use serde::{Deserialize, Serialize};
use valetkey_capability::Capability;
use valetkey_model::{RequestId, Timestamp};

use crate::{Granted, RequestState};

/// The state of a request as a program outside of any cell is told it: as in a cell, and with the token, which it has to carry itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum OutsideRequestState {
    /// Granted.
    Granted {
        /// The request.
        request_id: RequestId,
        /// What was granted.
        capability: Box<Capability>,
        /// The same, signed, for whoever enforces it.
        token: String,
    },
    /// A person is being asked.
    Pending {
        /// The request.
        request_id: RequestId,
        /// When the question closes.
        expires_at: Timestamp,
    },
}

impl OutsideRequestState {
    /// The state of a request that was not refused.
    ///
    /// # Errors
    /// The refusal, which is a problem and no state.
    pub fn of(state: RequestState) -> Result<Self, Box<crate::Problem>> {
        match state {
            RequestState::Granted {
                request_id,
                granted,
            } => Ok(Self::Granted {
                request_id,
                capability: Box::new(granted.capability),
                token: granted.token,
            }),
            RequestState::Pending {
                request_id,
                expires_at,
            } => Ok(Self::Pending {
                request_id,
                expires_at,
            }),
            RequestState::Refused { problem, .. } => Err(Box::new(problem)),
        }
    }
}

/// A capability and the token that proves it, as a program outside of any cell is told of what it narrowed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OutsideCapability {
    /// In words.
    pub capability: Capability,
    /// The same, signed.
    pub token: String,
}

impl From<Granted> for OutsideCapability {
    fn from(granted: Granted) -> Self {
        Self {
            capability: granted.capability,
            token: granted.token,
        }
    }
}
