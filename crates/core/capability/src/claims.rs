//! What a capability says: the signed claims, and the form that people and programs are shown.

use serde::{Deserialize, Serialize};
use valetkey_model::{
    ActionSet, AgentId, ApprovalId, CapabilityId, Constraints, Digest, Grant, Resource, SessionId,
    Timestamp,
};

/// The `aud` of a capability that a guard enforces.
pub const AUDIENCE_GUARD: &str = "valetkey-guard";
/// The longest life of a capability.
pub const MAX_TTL_SECONDS: u64 = 3600;
/// The longest life of one that is good for a single use.
pub const MAX_SINGLE_USE_TTL_SECONDS: u64 = 60;

const _: () = assert!(
    MAX_SINGLE_USE_TTL_SECONDS <= MAX_TTL_SECONDS,
    "single use is the shorter of the two"
);

/// The payload of a token. Closed: a member that is not named here makes the token void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Which agent it was issued to.
    pub sub: AgentId,
    /// Who enforces it.
    pub aud: String,
    /// Its id.
    pub jti: CapabilityId,
    /// Issued at, seconds since the Unix epoch.
    pub iat: u64,
    /// Not before, seconds since the Unix epoch.
    pub nbf: u64,
    /// Expires at, seconds since the Unix epoch.
    pub exp: u64,
    /// The session that it is bound to (RFC 7800).
    pub cnf: Confirmation,
    /// What it gives (RFC 9396); exactly one entry.
    pub authorization_details: [AuthorizationDetail; 1],
    /// The capability that this one was narrowed from.
    pub parent: Option<CapabilityId>,
    /// The approvals that it rests on.
    pub approvals: Vec<ApprovalId>,
    /// Which policy decided.
    pub policy_id: String,
    /// The digest of the policy that decided.
    pub policy_digest: Digest,
}

/// RFC 7800 confirmation: here, the session whose guard alone may use the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The session.
    pub valetkey_session: SessionId,
}

/// One RFC 9396 authorization detail of type `valetkey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetail {
    /// Always `valetkey`.
    #[serde(rename = "type")]
    pub kind: DetailKind,
    /// What it is about.
    pub resource: Resource,
    /// What may be done.
    pub actions: ActionSet,
    /// Within which limits.
    pub constraints: Constraints,
    /// Patterns inside the resource that are not given.
    pub except: Vec<Resource>,
}

/// The type of an authorization detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetailKind {
    /// A grant of Valetkey.
    Valetkey,
}

impl AuthorizationDetail {
    /// The detail for a grant.
    #[must_use]
    pub fn of(grant: Grant) -> Self {
        Self {
            kind: DetailKind::Valetkey,
            resource: grant.resource,
            actions: grant.actions,
            constraints: grant.constraints,
            except: grant.except,
        }
    }
}

impl Claims {
    /// What the token gives.
    #[must_use]
    pub fn grant(&self) -> Grant {
        let [detail] = &self.authorization_details;
        Grant {
            resource: detail.resource.clone(),
            actions: detail.actions,
            constraints: detail.constraints.clone(),
            except: detail.except.clone(),
        }
    }
}

/// A capability as shown to people and programs; it proves nothing, the token does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capability {
    /// Its id.
    pub capability_id: CapabilityId,
    /// What it is about.
    pub resource: Resource,
    /// What may be done.
    pub actions: ActionSet,
    /// Which agent it was issued to.
    pub issued_to: AgentId,
    /// Who issued it.
    pub issued_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Within which limits.
    pub constraints: Constraints,
    /// Patterns inside the resource that are not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Resource>,
    /// The session that it is bound to.
    pub session: SessionId,
    /// The capability that this one was narrowed from.
    pub parent: Option<CapabilityId>,
    /// The approvals that it rests on.
    pub approvals: Vec<ApprovalId>,
    /// Which policy decided.
    pub policy_id: String,
    /// The digest of that policy.
    pub policy_digest: Digest,
}

impl From<&Claims> for Capability {
    fn from(claims: &Claims) -> Self {
        let grant = claims.grant();
        Self {
            capability_id: claims.jti.clone(),
            resource: grant.resource,
            actions: grant.actions,
            issued_to: claims.sub.clone(),
            issued_by: claims.iss.clone(),
            expires_at: Timestamp::from_unix_seconds(claims.exp),
            constraints: grant.constraints,
            except: grant.except,
            session: claims.cnf.valetkey_session.clone(),
            parent: claims.parent.clone(),
            approvals: claims.approvals.clone(),
            policy_id: claims.policy_id.clone(),
            policy_digest: claims.policy_digest,
        }
    }
}
