//! The operation in a process of its own, which is confined before it sees the workbook and gone
//! afterwards.
//!
//! The two sides share one small protocol. The worker is started with an empty environment and five
//! descriptors, reads a job, and answers with one line of JSON:
//!
//! | Descriptor | What |
//! |---|---|
//! | 0 | the job ([`AppendRows`](crate::AppendRows) as JSON), at most [`MAX_JOB_BYTES`] |
//! | 1 | the answer: `{"ok":{…}}` or `{"error":{"kind":…,"message":…}}` |
//! | 2 | nothing |
//! | 3 | the workbook, a regular file open for reading |
//! | 4 | the new workbook, an empty regular file open for reading and writing |
//!
//! It ends with status 0 once it has answered. Anything else is a crash, and nothing it wrote counts.

mod client;
mod serve;

use serde::{Deserialize, Serialize};

pub use client::{WorkerError, run_worker};
pub use serve::{confine, serve};

use crate::AppendReport;

/// The most bytes of a job.
pub const MAX_JOB_BYTES: u64 = 1 << 20;
/// The most bytes of an answer: a report or an error is far shorter.
pub const MAX_ANSWER_BYTES: u64 = 16 << 10;
/// The number of the descriptor of the workbook.
pub const INPUT_FD: i32 = 3;
/// The number of the descriptor of the new workbook.
pub const OUTPUT_FD: i32 = 4;

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// The rows are appended.
    Ok(AppendReport),
    /// They are not.
    Error(ErrorAnswer),
}

/// Why not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorAnswer {
    kind: String,
    message: String,
}
