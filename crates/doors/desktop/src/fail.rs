//! What went wrong, what to do next, and the exit status.

use std::fmt::{self, Display};

/// A failure that ends the program.
#[derive(Debug)]
pub(crate) struct Fail {
    status: u8,
    message: String,
    hint: Option<String>,
}

impl Fail {
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            status: 1,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            status: 2,
            ..Self::new(message)
        }
    }

    /// For what another process has said already.
    pub(crate) fn ended(status: u8) -> Self {
        Self {
            status,
            ..Self::new("notifications cannot be shown")
        }
    }

    pub(crate) fn hinted(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

impl Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  next: {hint}"),
            None => Ok(()),
        }
    }
}
