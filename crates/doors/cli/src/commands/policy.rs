//! `valetkey policy`: policy written, tested, compared and tried on what was logged.

mod archive;
mod bundle;
mod check;
mod diff;
mod eval;
mod junit;
mod logged;
mod replay;
mod source;
mod starters;
mod test;
mod watch;

pub(super) use starters::write as write_starter;

use crate::fail::Fail;
use crate::policy_args::PolicyCommand;

/// Runs a `policy` command and gives its exit status.
pub(crate) fn command(command: PolicyCommand) -> Result<u8, Fail> {
    match command {
        PolicyCommand::Check(args) => check::command(&args),
        PolicyCommand::Test(args) => test::command(&args),
        PolicyCommand::Eval(args) => eval::command(&args),
        PolicyCommand::Diff(args) => diff::command(&args),
        PolicyCommand::Replay(args) => replay::command(&args),
        PolicyCommand::Bundle { command } => bundle::command(command),
        PolicyCommand::Starters { name, out } => starters::command(name.as_deref(), out.as_deref()),
    }
}
