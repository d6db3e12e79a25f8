//! Approvals: what a person is shown, the signed answer to exactly that, and whether the answers suffice.
#![forbid(unsafe_code)]

mod approver;
mod exported;
mod quorum;
mod registry;
mod show;
mod signed;

pub use approver::{APPROVERS_MAX, Approver, ApproverKey, Approvers, OWNER, is_name};
pub use exported::{EXPORT_MAX_BYTES, Exported, ExportedError};
pub use quorum::{Approved, Standing, standing};
pub use registry::{Change, ChangeError, SignedChange, UnsignedChange};
pub use show::visible;
pub use signed::{ApprovalError, Asked, FileFacts, Method, SignedApproval, Unsigned, Verdict};
