//! One thing that is wrong with a bundle, with its place.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{Place, PolicyError};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The bundle does not load, or a rule of it cannot do what it says.
    Error,
    /// It loads, and something in it has no effect.
    Warning,
    /// It could be easier to read.
    Style,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The check that found it, such as `unknown-input`.
    pub code: &'static str,
    /// Where.
    #[serde(flatten, serialize_with = "members")]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Finding {
    pub(crate) fn error(code: &'static str, place: Place, message: String) -> Self {
        Self::new(Severity::Error, code, place, message)
    }

    pub(crate) fn warning(code: &'static str, place: Place, message: String) -> Self {
        Self::new(Severity::Warning, code, place, message)
    }

    pub(crate) fn style(code: &'static str, place: Place, message: String) -> Self {
        Self::new(Severity::Style, code, place, message)
    }

    fn new(severity: Severity, code: &'static str, place: Place, message: String) -> Self {
        Self {
            severity,
            code,
            place,
            message,
            suggestion: None,
        }
    }

    pub(crate) fn suggesting(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }

    /// Why a bundle does not load.
    pub(crate) fn of(error: &PolicyError) -> Self {
        let nowhere = |file: &str| Place {
            file: file.to_owned(),
            line: 1,
            column: 1,
        };
        match error {
            PolicyError::Syntax {
                file,
                line,
                column,
                message,
            } => {
                let place = Place {
                    file: file.clone(),
                    line: *line,
                    column: *column,
                };
                Self::error("syntax", place, message.clone())
            }
            PolicyError::Refused {
                place,
                what,
                reason,
            } => Self::error(
                "unsupported",
                place.clone(),
                format!("`{what}` is not available in a policy here: {reason}"),
            ),
            PolicyError::File { file, message } => {
                Self::error("file", nowhere(file), message.clone())
            }
            PolicyError::Path { file, reason } => {
                Self::error("file", nowhere(file), (*reason).to_owned())
            }
            PolicyError::NoEntryPoint { .. } => {
                Self::error("no-entry-point", nowhere("."), error.to_string())
            }
            PolicyError::TooManyFiles { .. }
            | PolicyError::TooLarge { .. }
            | PolicyError::NoSuchStarter { .. } => {
                Self::error("file", nowhere("."), error.to_string())
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Style => "style",
        };
        write!(
            f,
            "{}: {severity}: {} [{}]",
            self.place, self.message, self.code
        )?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

fn members<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Members<'a> {
        file: &'a str,
        line: u32,
        column: u32,
    }
    Members {
        file: &place.file,
        line: place.line,
        column: place.column,
    }
    .serialize(serializer)
}
