//! The closed list of event types, by family.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The text names no type of event.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a type of event")]
pub struct ParseEventTypeError(String);

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What happened. The list is closed: a log with a type that is not in it does not read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum EventType {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl EventType {
            /// Every type, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as it stands in the log, such as `session.opened`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What the type means, in one sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

event_types! {
    /// A session was opened for an agent: by its guard, or for a process outside of any cell by itself.
    SessionOpened = "session.opened",
    /// A session ended; the attributes hold its totals.
    SessionClosed = "session.closed",
    /// An agent or a person on its behalf asked for something.
    RequestMade = "request.made",
    /// Policy answered a request.
    RequestDecided = "request.decided",
    /// A request was put before people.
    ApprovalAsked = "approval.asked",
    /// A person said yes.
    ApprovalGiven = "approval.given",
    /// A person said no.
    ApprovalRefused = "approval.refused",
    /// Nobody answered in time.
    ApprovalExpired = "approval.expired",
    /// A capability was signed.
    CapabilityMinted = "capability.minted",
    /// A single-use or counted capability was used.
    CapabilityUsed = "capability.used",
    /// A capability was turned away: expired, revoked, used up, forged or not of this session.
    CapabilityRefused = "capability.refused",
    /// A narrower capability was made from one.
    CapabilityNarrowed = "capability.narrowed",
    /// The holder gave a capability back.
    CapabilityReleased = "capability.released",
    /// A capability was taken back before its time.
    CapabilityRevoked = "capability.revoked",
    /// A capability ran out.
    CapabilityExpired = "capability.expired",
    /// An operation was done under a capability.
    OperationPerformed = "operation.performed",
    /// An operation was stopped.
    OperationRefused = "operation.refused",
    /// Many operations of one kind, folded into counts.
    OperationSummarised = "operation.summarised",
    /// A person undid what a session had changed.
    OperationUndone = "operation.undone",
    /// A person took what a session had changed and what was held back.
    OperationCommitted = "operation.committed",
    /// A person threw away what a session had changed and what was held back.
    OperationDiscarded = "operation.discarded",
    /// A policy was put to work.
    PolicyLoaded = "policy.loaded",
    /// A policy was not usable and was turned away.
    PolicyRejected = "policy.rejected",
    /// A bundle was installed with its approvals, and waits.
    PolicyInstalled = "policy.installed",
    /// The candidate is asked beside the policy that decides.
    PolicyShadowed = "policy.shadowed",
    /// The candidate decides for some.
    PolicyCanaryStarted = "policy.canary_started",
    /// A canary was taken back by itself, since it denied more.
    PolicyCanaryReturned = "policy.canary_returned",
    /// The candidate is in force.
    PolicyActivated = "policy.activated",
    /// The candidate was taken away.
    PolicyWithdrawn = "policy.withdrawn",
    /// A bundle that decided before is in force again.
    PolicyRolledBack = "policy.rolled_back",
    /// The candidate decided otherwise than the policy in force; the attributes say how often.
    PolicyDiffered = "policy.differed",
    /// A person's key may approve from now on.
    RegistryApproverAdded = "registry.approver_added",
    /// A person's key may not approve any more.
    RegistryApproverRemoved = "registry.approver_removed",
    /// What policy seals can be opened by this auditor from now on.
    RegistryAuditorAdded = "registry.auditor_added",
    /// What is sealed from now on cannot be opened by this auditor.
    RegistryAuditorRemoved = "registry.auditor_removed",
    /// Capabilities are signed with another key from now on.
    RegistryKeyRotated = "registry.key_rotated",
    /// A person took an emergency scope.
    BreakglassOpened = "breakglass.opened",
    /// A person was not given an emergency scope.
    BreakglassRefused = "breakglass.refused",
    /// Another person closed the review of an emergency.
    BreakglassReviewed = "breakglass.reviewed",
    /// Something needs a person's eyes; `reason` says what.
    AlertRaised = "alert.raised",
    /// The broker began to write; carries the public key that signs this.
    LogOpened = "log.opened",
    /// An epoch ended: the attributes hold its number, the public key of the next, and why. Its own key signs nothing after this, and is erased.
    LogEpochEnded = "log.epoch_ended",
    /// An epoch began, under the key that the end of the one before committed.
    LogEpochBegan = "log.epoch_began",
    /// The broker ended in good order: nothing acknowledged is missing before this.
    LogClosed = "log.closed",
    /// Streamed events may be missing before this; the attributes say how many and why.
    LogGap = "log.gap",
    /// The end of the log was torn by a crash or a full disk and was cut back to the last signed batch.
    LogRecovered = "log.recovered",
    /// What had been sealed of a person was thrown away; the events and their hashes stay.
    LogErased = "log.erased",
    /// Events beyond their time were thrown away by rule; their hashes stay.
    LogPruned = "log.pruned",
    /// Nothing is thrown away from now on: a legal hold.
    LogHeld = "log.held",
    /// A legal hold ended.
    LogHoldEnded = "log.hold_ended",
    /// An auditor opened what had been sealed; written to the reviewers' log before it is shown.
    ReviewerUnsealed = "reviewer.unsealed",
    /// An auditor did not get to open what had been sealed.
    ReviewerRefused = "reviewer.refused",
}

impl EventType {
    /// The family: what stands before the dot.
    #[must_use]
    pub fn family(self) -> &'static str {
        self.name().split_once('.').map_or("", |(family, _)| family)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventType {
    type Err = ParseEventTypeError;

    fn from_str(text: &str) -> Result<Self, ParseEventTypeError> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| ParseEventTypeError(text.chars().take(64).collect()))
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The families that `contracts.md` fixes; some get their first type later.
    const FAMILIES: [&str; 13] = [
        "session",
        "request",
        "approval",
        "capability",
        "operation",
        "policy",
        "registry",
        "signin",
        "secret",
        "breakglass",
        "alert",
        "log",
        "reviewer",
    ];

    #[test]
    fn names_are_distinct_and_of_a_known_family() {
        let names: BTreeSet<_> = EventType::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), EventType::ALL.len());
        for kind in EventType::ALL {
            assert!(FAMILIES.contains(&kind.family()), "{kind}");
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert!(kind.description().ends_with('.'), "{kind}");
        }
        assert!("session.exploded".parse::<EventType>().is_err());
    }
}
