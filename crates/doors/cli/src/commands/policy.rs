//! `valetkey policy`: policy written, tested, compared and tried on what was logged.

mod archive;
mod bundle;
mod check;
mod diff;
mod eval;
mod junit;
mod logged;
mod proposal;
mod replay;
mod rollout;
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
        PolicyCommand::Attest(args) => rollout::attest(&args),
        PolicyCommand::SignOff(args) => rollout::sign_off(&args),
        PolicyCommand::Install(args) => rollout::install(&args),
        PolicyCommand::Shadow(args) => rollout::named("/v1/policy/shadow", &args),
        PolicyCommand::Canary(args) => rollout::canary(args),
        PolicyCommand::Activate(args) => rollout::named("/v1/policy/activate", &args),
        PolicyCommand::Withdraw(args) => rollout::named("/v1/policy/withdraw", &args),
        PolicyCommand::Rollback(args) => rollout::rollback(&args),
        PolicyCommand::Status(args) => rollout::status(&args),
        PolicyCommand::Starters { name, out } => starters::command(name.as_deref(), out.as_deref()),
    }
}
