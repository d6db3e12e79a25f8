//! The command line of what is known of agents.

use clap::{Args as ClapArgs, Subcommand};

use crate::args::ListArgs;
use crate::learn::LearnArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct AgentArgs {
    /// The profile of the agent; otherwise the one that the command is known by. `none` is none (`valetkey profile list`)
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Let in what the agent is signed in with: its keys and tokens, which stay outside otherwise
    #[arg(long)]
    pub(crate) with_login: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List the agents that are known
    List(ListArgs),
    /// Print a profile, to read or to begin one of your own with
    Show {
        /// Its name
        name: String,
    },
    /// Run a program once, closed but for files, and write down what it needed: a profile and a policy to review
    Learn(Box<LearnArgs>),
}
