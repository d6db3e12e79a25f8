//! Approvals: what a person is shown, the signed answer to exactly that, and whether the answers suffice.
//!
//! Pure: times, facts and keys come in as arguments. What is only for the eyes of people, text made safe and the prompt, is behind the
//! feature `show`, so that the broker is not built from tables of characters.
#![forbid(unsafe_code)]

mod appointment;
mod approver;
mod asked;
mod break_glass;
mod change;
mod emergency;
mod exported;
mod group;
mod memory;
mod patience;
mod policy_change;
#[cfg(any(test, feature = "show"))]
mod prompt;
mod quorum;
mod reach;
mod registry;
mod risk;
#[cfg(any(test, feature = "show"))]
mod show;
mod signed;
#[cfg(test)]
mod testkit;
mod valid;

pub use appointment::{Appointment, Appointments};
pub use approver::{APPROVERS_MAX, Approver, ApproverKey, Approvers, OWNER, is_name};
pub use asked::{Asked, FileFacts, FileIdentity, Listed};
pub use break_glass::{
    BreakGlass, BreakGlassError, BreakGlassRule, Emergency, MAX_MINUTES, ReviewError, ReviewItem,
};
pub use change::{ChangeLine, ChangeSummary, ChangeUnit, MAX_CHANGE_LINE_BYTES, MAX_CHANGE_LINES};
pub use emergency::{SignedEmergency, SignedReview, UnsignedEmergency, UnsignedReview};
pub use exported::{EXPORT_MAX_BYTES, Exported, ExportedError};
pub use group::{GROUP_MAX, GROUP_WINDOW_MS, may_be_listed, put_together};
pub use memory::{Before, Memory};
pub use patience::{OverBudget, Patience, PromptBudget, Wait};
pub use policy_change::{
    ApprovedChange, PolicyChange, PolicyChangeError, PolicyStep, SignedPolicyChange, SignedTests,
    UnsignedPolicyChange, UnsignedTests, approved_change, difference_digest,
};
#[cfg(any(test, feature = "show"))]
pub use prompt::{Context, Emphasis, Field, Prompt};
pub use quorum::{Approved, Standing, standing};
pub use reach::{Reach, chosen_in_words};
pub use registry::{Change, ChangeError, SignedChange, UnsignedChange};
pub use risk::{Risk, RiskReason, Width, assess, lease_allowed, lease_within, width};
#[cfg(any(test, feature = "show"))]
pub use show::{SafeText, folded, visible, visible_bytes};
pub use signed::{ApprovalError, Method, SignedApproval, Unsigned, Verdict};
pub use valid::{Changed, still_valid};
