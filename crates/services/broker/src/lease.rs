//! What one yes of people gives beyond the first capability: the same again for a while, or one use of each of a list.

use valetkey_api::{LeaseKind, LiveLease};
use valetkey_approval::{Approved, Asked};
use valetkey_model::{
    ApprovalId, CapabilityId, Constraints, Grant, Lease, LeaseScope, Resource, SessionId, Timestamp,
};

/// Leases of one session at once; beyond this the oldest ends, and people are asked again.
const MAX_LEASES: usize = 256;

/// A lease that people gave to a session.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    grant: Grant,
    scope: LeaseScope,
    until: Timestamp,
    policy_id: String,
    approvals: Vec<ApprovalId>,
    /// What was given under it last.
    capability: CapabilityId,
}

/// What a lease gives for one request.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) seconds: u64,
    pub(crate) approvals: Vec<ApprovalId>,
    /// When it ends, if the same is given again until then.
    pub(crate) until: Option<Timestamp>,
}

impl Leased {
    /// The lease that comes with one grant of an approved question, if there is more to it than that grant.
    pub(crate) fn of(
        asked: &Asked,
        grant: &Grant,
        approved: &Approved,
        capability: CapabilityId,
        now: Timestamp,
    ) -> Option<Self> {
        let Lease { scope, max_seconds } = asked.requirement.lease.as_ref()?;
        let scope = match scope {
            LeaseScope::Once => return None,
            LeaseScope::Operations(list) => {
                let rest: Vec<Resource> = list
                    .iter()
                    .filter(|resource| **resource != grant.resource)
                    .cloned()
                    .collect();
                // A request that is not on the list is none of its operations; and the last one leaves nothing.
                if rest.is_empty() || rest.len() == list.len() {
                    return None;
                }
                LeaseScope::Operations(rest)
            }
            // What counts is never given again: its amounts would begin anew.
            LeaseScope::Minutes | LeaseScope::Task
                if grant.constraints != Constraints::default() =>
            {
                return None;
            }
            LeaseScope::Minutes => LeaseScope::Minutes,
            LeaseScope::Task => LeaseScope::Task,
        };
        Some(Self {
            grant: grant.clone(),
            scope,
            until: now.plus_seconds(*max_seconds),
            policy_id: asked.policy_id.clone(),
            approvals: approved.approvals().to_vec(),
            capability,
        })
    }

    /// When the same is given again until, if it is.
    pub(crate) fn again_until(&self) -> Option<Timestamp> {
        match self.scope {
            LeaseScope::Minutes | LeaseScope::Task => Some(self.until),
            LeaseScope::Once | LeaseScope::Operations(_) => None,
        }
    }

    fn covers(&self, wanted: &Grant, policy_id: &str, now: Timestamp) -> bool {
        if self.policy_id != policy_id || now >= self.until {
            return false;
        }
        match &self.scope {
            LeaseScope::Once => false,
            LeaseScope::Operations(list) => {
                let here = Grant {
                    resource: wanted.resource.clone(),
                    ..self.grant.clone()
                };
                list.contains(&wanted.resource) && wanted.within(&here)
            }
            LeaseScope::Minutes | LeaseScope::Task => wanted.within(&self.grant),
        }
    }
}

/// The leases of one session.
#[derive(Debug, Default)]
pub(crate) struct Leases(Vec<Leased>);

impl Leases {
    /// Keeps a lease.
    pub(crate) fn add(&mut self, lease: Leased, now: Timestamp) {
        self.0.retain(|other| now < other.until);
        while self.0.len() >= MAX_LEASES {
            self.0.remove(0);
        }
        self.0.push(lease);
    }

    /// What a lease gives of `wanted`; one use of a list is taken with it.
    pub(crate) fn take(
        &mut self,
        wanted: &Grant,
        policy_id: &str,
        capability: &CapabilityId,
        now: Timestamp,
    ) -> Option<Given> {
        self.0.retain(|lease| now < lease.until);
        let lease = self
            .0
            .iter_mut()
            .find(|lease| lease.covers(wanted, policy_id, now))?;
        if let LeaseScope::Operations(list) = &mut lease.scope {
            list.retain(|resource| *resource != wanted.resource);
        }
        lease.capability = capability.clone();
        Some(Given {
            seconds: lease.until.ms_since(now) / 1000,
            approvals: lease.approvals.clone(),
            until: lease.again_until(),
        })
    }

    /// Ends the leases under which a capability was given.
    pub(crate) fn end(&mut self, capability: &CapabilityId) {
        self.0.retain(|lease| lease.capability != *capability);
    }

    /// Lets a capability stand for another that it renews.
    pub(crate) fn succeed(&mut self, before: &CapabilityId, after: &CapabilityId) {
        for lease in self
            .0
            .iter_mut()
            .filter(|lease| lease.capability == *before)
        {
            lease.capability = after.clone();
        }
    }

    /// What is leased now, for people to see.
    pub(crate) fn list(&self, session: &SessionId, now: Timestamp) -> Vec<LiveLease> {
        let live = self.0.iter().filter(|lease| now < lease.until);
        live.map(|lease| {
            let (kind, left) = match &lease.scope {
                LeaseScope::Operations(list) => (LeaseKind::Operations, list.clone()),
                LeaseScope::Once | LeaseScope::Minutes => (LeaseKind::Minutes, Vec::new()),
                LeaseScope::Task => (LeaseKind::Task, Vec::new()),
            };
            LiveLease {
                session: session.clone(),
                capability_id: lease.capability.clone(),
                resource: lease.grant.resource.clone(),
                actions: lease.grant.actions,
                kind,
                left,
                until: lease.until,
            }
        })
        .collect()
    }
}
