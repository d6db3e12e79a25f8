//! Failures as people see them: what went wrong, what to do next, and the exit status that scripts rely on.

use std::fmt::Display;

use valetkey_api::{ClientError, ProblemKind};
use valetkey_approver::ApproverError;
use valetkey_guard::{LinkError, RunError};

use crate::out;

/// Exit statuses, as documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Failed = 1,
    Usage = 2,
    Denied = 3,
    NotVerified = 4,
    NoBroker = 6,
}

/// What to do where the system's broker cannot be reached.
pub(crate) const SYSTEM_BROKER: &str = "is your user in its group (`id`), and does it run (`systemctl status valetkey.socket`)? VALETKEY_MODE=user chooses a broker of your own, which is weaker";

/// A failed command.
#[derive(Debug)]
pub(crate) struct Fail {
    status: u8,
    message: String,
    hints: Vec<String>,
}

impl Fail {
    pub(crate) fn new(status: Status, message: impl Display) -> Self {
        Self {
            status: status as u8,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    pub(crate) fn hinted(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// With another program's exit status, passed on.
    pub(crate) fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    pub(crate) fn print(&self) {
        out::error(&format!("error: {}", self.message));
        for hint in &self.hints {
            out::error(&format!("  next: {hint}"));
        }
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::new(Status::NoBroker, error).hinted(
                "`valetkey run` starts a broker; is VALETKEY_HOME the same as in the session?",
            ),
            ClientError::Broken(_) => Self::new(Status::NoBroker, error),
            ClientError::Problem(problem) => {
                let status = match problem.kind {
                    ProblemKind::Denied
                    | ProblemKind::Expired
                    | ProblemKind::Capability
                    | ProblemKind::Constraint => Status::Denied,
                    ProblemKind::Invalid
                    | ProblemKind::NotFound
                    | ProblemKind::Method
                    | ProblemKind::Busy
                    | ProblemKind::Unavailable => Status::Failed,
                };
                let fail = Self::new(status, &problem.detail);
                match &problem.how_to_request {
                    Some(hint) => fail.hinted(hint),
                    None => fail,
                }
            }
        }
    }
}

impl From<ApproverError> for Fail {
    fn from(error: ApproverError) -> Self {
        let hint = error.hint();
        let denied = matches!(
            error,
            ApproverError::WrongPassphrase
                | ApproverError::NotRegistered
                | ApproverError::OtherQuestion
        );
        if let ApproverError::Client(error) = error {
            return error.into();
        }
        let status = if denied {
            Status::Denied
        } else {
            Status::Failed
        };
        let fail = Self::new(status, error);
        match hint {
            Some(hint) => fail.hinted(hint),
            None => fail,
        }
    }
}

impl From<LinkError> for Fail {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Client(error) => error.into(),
            LinkError::System(_) => Self::new(Status::NoBroker, error).hinted(SYSTEM_BROKER),
            LinkError::NoProgram { .. } | LinkError::NotStarted { .. } => {
                Self::new(Status::NoBroker, error)
            }
        }
    }
}

impl From<RunError> for Fail {
    fn from(error: RunError) -> Self {
        if let RunError::Link(error) = error {
            return error.into();
        }
        Self {
            status: error.exit_status(),
            message: error.to_string(),
            hints: error.hints(),
        }
    }
}
