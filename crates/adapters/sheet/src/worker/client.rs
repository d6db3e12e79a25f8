//! The guard's side: start the worker, hold it to its time, and doubt its answer.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use valetkey_sys::spawn::spawn_with_fds;

use super::{Answer, ErrorAnswer, MAX_ANSWER_BYTES, MAX_JOB_BYTES};
use crate::error::{kinds, shown};
use crate::{AppendReport, AppendRows};

/// The most characters of a message that are passed on.
const MAX_MESSAGE_CHARS: usize = 400;

/// Why rows were not appended, as the guard sees it. The output is to be thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The worker did its duty and refused.
    #[error("{message}")]
    Refused {
        /// One of [`crate::kinds`].
        kind: &'static str,
        /// Why, in words safe to show.
        message: String,
    },
    /// The guard's own call is wrong: the job is too long, or a file is not as it has to be.
    #[error("the job cannot be given to the worker: {0}")]
    BadCall(&'static str),
    /// The worker could not be started or watched.
    #[error("the worker cannot be run: {0}")]
    Io(#[from] io::Error),
    /// The worker took too long and was killed.
    #[error("the worker did not finish within {0:?} and was stopped")]
    TimedOut(Duration),
    /// The worker ended otherwise than with an answer and status 0.
    #[error("the worker failed ({0}): the workbook may be made to break programs that read it")]
    Crashed(ExitStatus),
    /// The worker's answer makes no sense.
    #[error("the worker's answer is not to be trusted: {0}")]
    BadAnswer(&'static str),
}

impl WorkerError {
    /// A stable name for what happened, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused { kind, .. } => kind,
            Self::BadCall(_) => "bad_call",
            Self::Io(_) => "worker_io",
            Self::TimedOut(_) => "worker_timed_out",
            Self::Crashed(_) => "worker_crashed",
            Self::BadAnswer(_) => "worker_bad_answer",
        }
    }
}

/// Has rows appended by a worker: `input` is read, the new workbook is written to `output`.
///
/// `input` has to be open for reading only, and `output` for reading and writing, empty and of no
/// name that anyone else can open. Their positions count for nothing before and after. The worker is
/// killed when `time_limit` is over, and when the calling thread ends. Nothing is synchronised here.
///
/// # Errors
///
/// Nothing in `output` may be used after any error.
pub fn run_worker(
    program: &Path,
    input: File,
    output: File,
    job: &AppendRows,
    time_limit: Duration,
) -> Result<AppendReport, WorkerError> {
    let deadline = Instant::now().checked_add(time_limit);
    let deadline = deadline.ok_or(WorkerError::BadCall("the time limit is out of range"))?;
    check_files(&input, &output)?;
    let before = input.metadata()?.len();
    let mut written = output.try_clone()?;
    written.rewind()?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(job_file(job)?))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let descriptors = vec![input.into(), output.into()];
    let mut worker = Worker {
        child: spawn_with_fds(&mut command, descriptors)?,
    };
    // The command holds the job's descriptor; nothing of it is needed any more.
    drop(command);
    let answer = worker.answer(deadline, time_limit)?;
    let report = believe(&answer, job)?;
    let grown = written.metadata()?.len().saturating_sub(before);
    if job
        .limits
        .max_write_bytes
        .is_some_and(|limit| grown > limit)
    {
        return Err(WorkerError::BadAnswer("the file grew more than the limit"));
    }
    Ok(report)
}

/// What the worker could do with the files is what their descriptors allow: see to that here.
fn check_files(input: &File, output: &File) -> Result<(), WorkerError> {
    let mode = |file: &File| rustix::fs::fcntl_getfl(file).map(|flags| flags & OFlags::ACCMODE);
    if mode(input).map_err(io::Error::from)? != OFlags::RDONLY {
        return Err(WorkerError::BadCall(
            "the workbook has to be open for reading only",
        ));
    }
    if mode(output).map_err(io::Error::from)? != OFlags::RDWR {
        return Err(WorkerError::BadCall(
            "the output has to be open for reading and writing",
        ));
    }
    let (input, output) = (input.metadata()?, output.metadata()?);
    if !input.is_file() || !output.is_file() {
        return Err(WorkerError::BadCall("both files have to be regular files"));
    }
    if output.len() != 0 {
        return Err(WorkerError::BadCall("the output has to be empty"));
    }
    Ok(())
}

/// The job as a sealed file in memory: writing it can neither block nor be raced.
fn job_file(job: &AppendRows) -> Result<File, WorkerError> {
    let text = serde_json::to_vec(job).map_err(io::Error::from)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_JOB_BYTES {
        return Err(WorkerError::BadCall(
            "the rows are longer than 1 MiB of JSON",
        ));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file =
        File::from(rustix::fs::memfd_create("valetkey-sheet-job", flags).map_err(io::Error::from)?);
    file.write_all(&text)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
    Ok(file)
}

/// The running worker; it does not outlive this value.
struct Worker {
    child: Child,
}

impl Worker {
    /// Waits for the answer and for the end.
    fn answer(&mut self, deadline: Instant, limit: Duration) -> Result<Vec<u8>, WorkerError> {
        let pipe = self.child.stdout.take();
        let mut pipe = pipe.ok_or(WorkerError::BadCall("the worker has no standard output"))?;
        let answer = read_answer(&mut pipe, deadline, limit)?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(WorkerError::BadAnswer("the worker has no process id"))?;
        // The child is not reaped yet, so its id is still its own.
        let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?;
        wait_readable(ended.as_fd(), deadline, limit)?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(answer)
        } else {
            Err(WorkerError::Crashed(status))
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when it has been waited for already, and then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_answer(
    pipe: &mut ChildStdout,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<u8>, WorkerError> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        wait_readable(pipe.as_fd(), deadline, limit)?;
        let read = pipe.read(&mut buffer)?;
        if read == 0 {
            return Ok(answer);
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if u64::try_from(answer.len()).unwrap_or(u64::MAX) > MAX_ANSWER_BYTES {
            return Err(WorkerError::BadAnswer("it is too long"));
        }
    }
}

fn wait_readable(
    descriptor: BorrowedFd<'_>,
    deadline: Instant,
    limit: Duration,
) -> Result<(), WorkerError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WorkerError::TimedOut(limit));
        }
        let left = Timespec::try_from(left)
            .map_err(|_| WorkerError::BadCall("the time limit is out of range"))?;
        match poll(
            &mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)],
            Some(&left),
        ) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Takes the answer for what a process that has read a hostile file may say.
fn believe(answer: &[u8], job: &AppendRows) -> Result<AppendReport, WorkerError> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|_| WorkerError::BadAnswer("it is not one line of the protocol"))?;
    match answer {
        Answer::Error(ErrorAnswer { kind, message }) => {
            let known = kinds().iter().find(|known| **known == kind);
            let kind = known.ok_or(WorkerError::BadAnswer("it gives an unknown kind of error"))?;
            Err(WorkerError::Refused {
                kind,
                message: safe_message(&message),
            })
        }
        Answer::Ok(report) => {
            check_report(&report, job)?;
            Ok(AppendReport {
                sheet_part: shown(&report.sheet_part),
                ..report
            })
        }
    }
}

/// A report can lie, but not so that it contradicts the job.
fn check_report(report: &AppendReport, job: &AppendRows) -> Result<(), WorkerError> {
    let rows = u64::try_from(job.rows.len()).unwrap_or(u64::MAX);
    let spanned = u64::from(report.last_row)
        .checked_sub(u64::from(report.first_row))
        .and_then(|rows| rows.checked_add(1));
    if report.rows != rows || spanned != Some(rows) || report.first_row == 0 {
        return Err(WorkerError::BadAnswer("its rows are not those of the job"));
    }
    if job
        .limits
        .max_write_bytes
        .is_some_and(|limit| report.bytes_written > limit)
    {
        return Err(WorkerError::BadAnswer("it wrote more than the limit"));
    }
    if report.parts_unchanged.checked_add(1) != Some(report.parts_total) {
        return Err(WorkerError::BadAnswer("it changed more than one part"));
    }
    Ok(())
}

fn safe_message(message: &str) -> String {
    message
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|c| {
            if crate::error::is_plain(c) {
                c
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}
