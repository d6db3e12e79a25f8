//! The arguments of what a session holds back, and of taking it.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// When what a session changes comes to be on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CommitWhen {
    /// At once
    Auto,
    /// When the person takes it
    Ask,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ChangesArgs {
    /// The session; otherwise the latest of which something waits
    pub(crate) session: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What somebody else has changed since is told and left waiting. A commit can be undone, by the name that it tells."
)]
pub(crate) struct CommitArgs {
    /// The session
    pub(crate) session: String,
    /// Only what is at or below these
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take this although somebody else has changed it since
    #[arg(long, value_name = "FILE")]
    pub(crate) force: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DiscardArgs {
    /// The session
    pub(crate) session: String,
    /// Only what is at or below these
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}
