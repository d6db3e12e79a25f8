//! Pid 1 while the command runs: it reaps what ends, passes events out and signals in, and ends with
//! the command or the guard, whichever is first.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};
use valetkey_sys::signals::take_signal;

use super::agent::Agent;
use super::{EXIT_ABANDONED, Plan};
use crate::control::{self, Order, Report};
use crate::error::{AtStep, Fault, Step};
use crate::seccomp::INIT;

/// A report is not longer.
const REPORT_BYTES_MAX: usize = 4096;

/// Gives up what pid 1 no longer needs, and watches until the end. The answer is its exit status.
pub(super) fn watch(plan: &Plan<'_>, control: &OwnedFd, agent: Agent) -> Result<u8, Fault> {
    plan.version.confine_init()?;
    INIT.install()?;
    let mut watch = Watch {
        control,
        pid: agent.pid,
        signals: agent.signals,
        failure: Some(agent.failure),
    };
    loop {
        if let Some(status) = watch.turn()? {
            return Ok(status);
        }
    }
}

struct Watch<'a> {
    control: &'a OwnedFd,
    pid: Pid,
    signals: OwnedFd,
    failure: Option<OwnedFd>,
}

impl Watch<'_> {
    /// Waits once and deals with what woke it. A status ends the cell.
    fn turn(&mut self) -> Result<Option<u8>, Fault> {
        let mut waiting = vec![
            PollFd::new(self.control, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        waiting.extend(
            self.failure
                .as_ref()
                .map(|failure| PollFd::new(failure, PollFlags::IN)),
        );
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => return Ok(None),
            answer => answer.at(Step::Control, "poll")?,
        };
        let woken: Vec<bool> = waiting
            .iter()
            .map(|one| !one.revents().is_empty())
            .collect();
        let is_woken = |index: usize| woken.get(index).copied().unwrap_or(false);
        if is_woken(2) {
            self.take_failure()?;
        }
        if is_woken(1) {
            self.take_signals()?;
            if let Some(status) = self.reap()? {
                return Ok(Some(status));
            }
        }
        if is_woken(0) { self.obey() } else { Ok(None) }
    }

    /// Passes on whether the command could be executed.
    fn take_failure(&mut self) -> Result<(), Fault> {
        let Some(failure) = self.failure.take() else {
            return Ok(());
        };
        let mut bytes = vec![0; REPORT_BYTES_MAX];
        let size = loop {
            match read(&failure, &mut bytes) {
                Err(Errno::INTR) => {}
                answer => break answer.at(Step::StartCommand, "failure")?,
            }
        };
        bytes.truncate(size);
        if bytes.is_empty() {
            return self.tell(&Report::Started);
        }
        let report = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::new(Step::StartCommand, error.to_string()))?;
        self.tell(&report)
    }

    fn take_signals(&self) -> Result<(), Fault> {
        while let Some(signal) = take_signal(self.signals.as_fd()).at(Step::Control, "signal")? {
            // The terminal was hung up. It told the session's leader, who tells the command.
            if i32::try_from(signal) == Ok(libc::SIGHUP) {
                self.send_signal(libc::SIGHUP);
                self.send_signal(libc::SIGCONT);
            }
        }
        Ok(())
    }

    /// Reaps every process that ended. A status is the command's, with which the cell ends.
    fn reap(&mut self) -> Result<Option<u8>, Fault> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            match wait(options) {
                Ok(None) | Err(Errno::CHILD) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).at(Step::Control, "wait"),
                Ok(Some((pid, status))) if pid == self.pid => {
                    if let Some(status) = self.command_changed(status)? {
                        return Ok(Some(status));
                    }
                }
                Ok(Some(_)) => {}
            }
        }
    }

    fn command_changed(&mut self, status: WaitStatus) -> Result<Option<u8>, Fault> {
        if let Some(signal) = status.stopping_signal() {
            self.tell(&Report::Stopped(signal))?;
            return Ok(None);
        }
        if status.continued() {
            self.tell(&Report::Continued)?;
            return Ok(None);
        }
        // It may have ended before its execution was reported.
        self.take_failure()?;
        let (report, status) = match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => (Report::Exited(status), status),
            (None, Some(signal)) => (Report::Killed(signal), signal.saturating_add(128)),
            (None, None) => return Err(Fault::new(Step::Control, "an end of no known kind")),
        };
        self.tell(&report)?;
        Ok(Some(u8::try_from(status).unwrap_or(u8::MAX)))
    }

    /// Does what the guard says; its silence is the end.
    fn obey(&self) -> Result<Option<u8>, Fault> {
        match control::receive::<Order>(self.control.as_fd()).at(Step::Control, "order")? {
            None => Ok(Some(EXIT_ABANDONED)),
            Some((Order::Signal(signal), _)) => {
                self.send_signal(signal);
                Ok(None)
            }
            Some((order @ (Order::Settle(_) | Order::Build { .. } | Order::Start), _)) => Err(
                Fault::new(Step::Control, format!("{order:?} while the command runs")),
            ),
        }
    }

    /// A group that has ended needs no signal, and a number that is none is dropped.
    fn send_signal(&self, signal: i32) {
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _sent = kill_process_group(self.pid, signal);
        }
    }

    fn tell(&self, report: &Report) -> Result<(), Fault> {
        control::send(self.control.as_fd(), report, &[]).at(Step::Control, "report")
    }
}
