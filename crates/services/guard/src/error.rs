//! Why a session could not be run, sorted by what the person can do about it.

use std::path::PathBuf;

use thiserror::Error;
use valetkey_api::{HomeError, Problem};
use valetkey_model::Level;
use valetkey_sandbox::{SandboxError, Shortfall};

use crate::link::LinkError;

/// A session that did not begin, or did not end as it should.
#[derive(Debug, Error)]
pub enum RunError {
    /// The directories cannot be used.
    #[error("{0}")]
    Home(#[from] HomeError),
    /// The command is not there.
    #[error("{}: command not found", .0.display())]
    NoCommand(PathBuf),
    /// A command that is to be executed alone is none of the system's.
    #[error("--commands: {0}")]
    Commands(String),
    /// The broker cannot be reached or started.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The broker refused the session.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// A grant of the command line was refused.
    #[error("{resource} ({actions}) was not granted: {}", .problem.detail)]
    GrantRefused {
        /// What was asked.
        resource: String,
        /// For what.
        actions: String,
        /// Why not.
        problem: Box<Problem>,
    },
    /// The cell cannot be built here.
    #[error("{0}")]
    Sandbox(#[from] SandboxError),
    /// Less is enforced here than was required.
    #[error("level `{wanted}` is required, and a session here reaches `{reached}`: it lacks {}", all_of(.missing))]
    Below {
        /// What was required.
        wanted: Level,
        /// What is reached.
        reached: Level,
        /// What is missing.
        missing: Vec<Shortfall>,
    },
    /// What the agent changes cannot be kept.
    #[error("what the agent changes cannot be kept: {0}")]
    Undo(String),
    /// What the agent changes cannot be held back.
    #[error("what the agent changes cannot be held back: {0}")]
    Stage(String),
    /// The view cannot be served.
    #[error("the view cannot be served: {0}")]
    View(String),
    /// The system refuses something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A session must be started before the process has threads.
    #[error("a session must be started by a process with one thread")]
    Threads,
}

fn all_of(missing: &[Shortfall]) -> String {
    let names: Vec<&str> = missing.iter().map(|lacks| lacks.what.as_str()).collect();
    names.join("; and ")
}

impl RunError {
    /// The exit status that goes with it, as the program documents.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NoCommand(_) => 127,
            Self::Commands(_) => 2,
            Self::Link(_) => 6,
            Self::Refused(problem) | Self::GrantRefused { problem, .. } => match problem.kind {
                valetkey_api::ProblemKind::Invalid => 2,
                valetkey_api::ProblemKind::Unavailable => 1,
                valetkey_api::ProblemKind::Denied
                | valetkey_api::ProblemKind::Expired
                | valetkey_api::ProblemKind::Capability
                | valetkey_api::ProblemKind::Constraint
                | valetkey_api::ProblemKind::NotFound
                | valetkey_api::ProblemKind::Method
                | valetkey_api::ProblemKind::Busy => 3,
            },
            Self::Sandbox(_) | Self::View(_) | Self::Stage(_) | Self::Below { .. } => 5,
            Self::Home(_) | Self::Undo(_) | Self::System { .. } | Self::Threads => 1,
        }
    }
}

impl RunError {
    /// What to do next, where something can be done.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoCommand(_) => vec!["check the name, or give its path".to_owned()],
            Self::Refused(problem) => problem.how_to_request.iter().cloned().collect(),
            Self::GrantRefused { .. } => {
                vec!["leave it out, or change the policy (--policy DIR)".to_owned()]
            }
            Self::Below { missing, .. } => missing
                .iter()
                .map(|lacks| lacks.next_step.to_owned())
                .collect(),
            Self::Undo(_) => vec![
                "make room, or run without `--undo`: then nothing of this session can be undone"
                    .to_owned(),
            ],
            Self::Stage(_) => vec![
                "run without `--commit=ask`: then what is changed is on the host at once"
                    .to_owned(),
            ],
            Self::Home(_)
            | Self::Commands(_)
            | Self::Link(_)
            | Self::Sandbox(_)
            | Self::View(_)
            | Self::System { .. }
            | Self::Threads => Vec::new(),
        }
    }
}
