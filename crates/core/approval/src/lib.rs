//! Approvals: what a person is shown, the signed answer to exactly that, and whether the answers suffice.
#![forbid(unsafe_code)]

mod approver;
mod quorum;
mod show;
mod signed;

pub use approver::{Approver, ApproverKey, Approvers};
pub use quorum::{Approved, Standing, standing};
pub use show::visible;
pub use signed::{ApprovalError, Asked, FileFacts, Method, SignedApproval, Unsigned, Verdict};
