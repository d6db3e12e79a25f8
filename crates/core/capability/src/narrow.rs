//! Narrowing: a capability made from another one, never wider than it in anything, and dead no later.

use thiserror::Error;
use valetkey_model::{CapabilityId, Constraints, Grant, Timestamp};

use crate::claims::{AuthorizationDetail, Claims, MAX_SINGLE_USE_TTL_SECONDS, MAX_TTL_SECONDS};

/// Why a capability is not narrowed as asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NarrowError {
    /// The resource asked for is not inside the parent's.
    #[error("the resource is not inside that of the capability to be narrowed")]
    Resource,
    /// No action is asked for, or one that the parent does not have.
    #[error("the actions are not among those of the capability to be narrowed")]
    Actions,
    /// The parent's time is over, or nothing of it would be left for the child.
    #[error("the narrowed capability would never be alive")]
    NeverAlive,
    /// The id is the parent's own or that of the parent's parent.
    #[error("the narrowed capability needs an id of its own")]
    Id,
    /// What was made is wider than the parent in some way that no other check named: a bug, answered with nothing.
    #[error("the narrowed capability would be wider than its parent")]
    Wider,
}

impl Claims {
    /// A capability with what is `asked`, for `ttl_seconds` from `now` at most, and never more than this one gives.
    ///
    /// Resource and actions are refused when they are not inside this one's: what the asker would get is not what was asked
    /// for. A limit is the tighter of the two, and one that is not asked for is inherited; so are this one's exceptions, to which
    /// those asked for are added. The child ends when this one ends, at the latest.
    ///
    /// Amounts (`max_bytes`, `max_rows`, …) bound what the child may use. Whoever counts must charge a use of the child to
    /// this one as well, or two children could use twice what their parent has; must let the child die when this one is revoked or
    /// released; and must count the one use of a capability for a single use, which its children inherit, for the whole family at
    /// once. Claims alone can do none of it.
    ///
    /// # Errors
    /// [`NarrowError`], by what would be wider or would never live.
    pub fn narrow(
        &self,
        asked: &Grant,
        ttl_seconds: u64,
        id: CapabilityId,
        now: Timestamp,
    ) -> Result<Self, NarrowError> {
        let own = self.grant();
        if id == self.jti || self.parent.as_ref() == Some(&id) {
            return Err(NarrowError::Id);
        }
        if !own.resource.covers(&asked.resource) {
            return Err(NarrowError::Resource);
        }
        if asked.actions.is_empty() || !own.actions.allows_all(asked.actions) {
            return Err(NarrowError::Actions);
        }
        let grant = inside(&own, asked);
        let life = self.life_inside(&grant.constraints, ttl_seconds, now)?;
        let child = Self {
            jti: id,
            iat: life.iat,
            nbf: life.nbf,
            exp: life.exp,
            authorization_details: [AuthorizationDetail::of(grant)],
            parent: Some(self.jti.clone()),
            ..self.clone()
        };
        // INVARIANT (no wider than the parent): checked here as made, and by `is_within` again wherever both are at hand.
        if child.is_within(self) {
            Ok(child)
        } else {
            Err(NarrowError::Wider)
        }
    }

    /// Whether these claims can have been narrowed from `parent`: nothing they give is more than it gives, and they are bound
    /// to the same agent, session, verifier and decision.
    #[must_use]
    pub fn is_within(&self, parent: &Self) -> bool {
        self.parent.as_ref() == Some(&parent.jti)
            && self.jti != parent.jti
            && self.iss == parent.iss
            && self.sub == parent.sub
            && self.aud == parent.aud
            && self.cnf == parent.cnf
            && self.nbf >= parent.nbf
            && self.exp <= parent.exp
            && self.grant().within(&parent.grant())
            && macros_within(&self.grant(), &parent.grant())
            && self.approvals == parent.approvals
            && self.policy_id == parent.policy_id
            && self.policy_digest == parent.policy_digest
    }

    fn life_inside(
        &self,
        constraints: &Constraints,
        ttl_seconds: u64,
        now: Timestamp,
    ) -> Result<Life, NarrowError> {
        let longest = if constraints.is_single_use() {
            MAX_SINGLE_USE_TTL_SECONDS
        } else {
            MAX_TTL_SECONDS
        };
        let iat = now.unix_seconds();
        let nbf = iat
            .max(self.nbf)
            .max(constraints.not_before.map_or(0, whole_second_after));
        let exp = iat.saturating_add(ttl_seconds.min(longest)).min(self.exp);
        if nbf < exp {
            Ok(Life { iat, nbf, exp })
        } else {
            Err(NarrowError::NeverAlive)
        }
    }
}

/// The times of a token, in seconds since the Unix epoch.
struct Life {
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// What is asked, with the parent's limits and exceptions.
fn inside(own: &Grant, asked: &Grant) -> Grant {
    let mut except = own.except.clone();
    for out in &asked.except {
        if !except.contains(out) {
            except.push(out.clone());
        }
    }
    let mut constraints = asked.constraints.tightest(&own.constraints);
    if own.constraints.allow_macros != Some(true) {
        constraints.allow_macros = own.constraints.allow_macros;
    }
    Grant {
        resource: asked.resource.clone(),
        actions: asked.actions,
        constraints,
        except,
    }
}

/// Macros are the one limit whose absence forbids: a child may work on them only where its parent says so.
fn macros_within(inner: &Grant, outer: &Grant) -> bool {
    inner.constraints.allow_macros != Some(true) || outer.constraints.allow_macros == Some(true)
}

/// The first whole second that is not before `time`: rounding down would let the child live before its time.
fn whole_second_after(time: Timestamp) -> u64 {
    time.unix_ms().div_ceil(1000)
}

#[cfg(test)]
mod tests;
