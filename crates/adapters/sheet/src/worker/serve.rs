//! The worker's side: confine, read the job, do it, answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use valetkey_sandbox::{SandboxError, WorkerLimits, confine_worker, seccomp};

use super::{Answer, ErrorAnswer, INPUT_FD, MAX_JOB_BYTES, OUTPUT_FD};
use crate::{AppendReport, AppendRows, append_rows};

/// What a worker may use. The longest job on the largest workbook under the default ceilings takes
/// some 30 MiB, 20 seconds and the size of the workbook.
const LIMITS: WorkerLimits = WorkerLimits {
    memory_bytes: 512 << 20,
    cpu_seconds: 60,
    file_bytes: 192 << 20,
};

/// Takes every right from this process but to compute on the descriptors in `keep`, for good.
///
/// Every other descriptor is closed. Call it with one thread, before a byte of a document is read.
///
/// # Errors
///
/// Says what could not be enforced; the process is confined in part then and must end.
pub fn confine(keep: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
    confine_worker(&seccomp::WORKER, LIMITS, keep)
}

/// Serves one job on the standard streams and the two descriptors, in this process.
///
/// # Errors
///
/// Only when no answer can be given at all; a refusal is an answer.
pub fn serve() -> io::Result<()> {
    let answer = match work() {
        Ok(report) => Answer::Ok(report),
        Err(error) => Answer::Error(error),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

fn work() -> Result<AppendReport, ErrorAnswer> {
    // Taken first: the confinement leaves no call that makes a descriptor.
    let input = inherited(INPUT_FD)?;
    let output = inherited(OUTPUT_FD)?;
    // From here on nothing is worth stealing and nothing can be reached. The job too is read after
    // this line: an agent has a say in what it holds.
    let (stdin, stdout) = (io::stdin(), io::stdout());
    confine(&[stdin.as_fd(), stdout.as_fd(), input.as_fd(), output.as_fd()])
        .map_err(|error| refusal("not_confined", &error.to_string()))?;
    let job = read_job(stdin.lock())?;
    append_rows(input, io::BufWriter::new(output), &job)
        .map_err(|error| refusal(error.kind(), &error.to_string()))
}

fn inherited(number: i32) -> Result<File, ErrorAnswer> {
    match valetkey_sys::spawn::inherited(number) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        Err(error) => Err(refusal("bad_job", &format!("descriptor {number}: {error}"))),
    }
}

fn read_job(source: impl Read) -> Result<AppendRows, ErrorAnswer> {
    let mut text = Vec::new();
    source
        .take(MAX_JOB_BYTES.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| refusal("bad_job", &format!("the job cannot be read: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_JOB_BYTES {
        return Err(refusal("bad_job", "the job is longer than 1 MiB"));
    }
    serde_json::from_slice(&text)
        .map_err(|error| refusal("bad_job", &format!("the job is not understood: {error}")))
}

fn refusal(kind: &str, message: &str) -> ErrorAnswer {
    ErrorAnswer {
        kind: kind.to_owned(),
        message: message.to_owned(),
    }
}
