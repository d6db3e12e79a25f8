//! Calls about the policy that decides for everyone, as the operator door takes them.

use std::sync::Arc;

use valetkey_api::{
    InstallPolicy, NamedCandidate, PolicyState, Problem, RollBackPolicy, StartCanary,
};
use valetkey_model::UserFacts;

use crate::broker::Broker;

/// One call about the policy that decides for everyone.
#[derive(Debug)]
pub(super) enum PolicyCall {
    State,
    /// Of that revision, or of the one in force.
    Files(Option<u64>),
    Step(PolicyStep),
}

/// One step with it.
#[derive(Debug)]
pub(super) enum PolicyStep {
    Install(Box<InstallPolicy>),
    Shadow(NamedCandidate),
    Canary(Box<StartCanary>),
    Activate(NamedCandidate),
    Withdraw(NamedCandidate),
    RollBack(Box<RollBackPolicy>),
}

impl PolicyStep {
    /// Takes the step for a person who may.
    ///
    /// # Errors
    /// With the reason why it was not taken; nothing has changed then.
    pub(super) async fn take(
        self,
        broker: Arc<Broker>,
        user: UserFacts,
    ) -> Result<PolicyState, Problem> {
        match self {
            Self::Install(one) => broker.install_policy(&user, *one).await,
            Self::Shadow(one) => broker.shadow_policy(&user, one.bundle).await,
            Self::Canary(one) => broker.start_canary(&user, *one).await,
            Self::Activate(one) => broker.activate_policy(&user, one.bundle).await,
            Self::Withdraw(one) => broker.withdraw_policy(&user, one.bundle).await,
            Self::RollBack(one) => broker.roll_policy_back(&user, *one).await,
        }
    }
}
