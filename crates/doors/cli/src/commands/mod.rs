//! What each command does.

mod answer;
mod approver;
mod ask;
mod audit;
mod break_glass;
mod caps;
mod changes;
mod diff;
mod files;
mod init;
mod keys;
mod mcp;
mod policy;
mod profile;
mod report;
mod requests;
mod run;
mod status;
mod undo;
mod witness;

use clap::CommandFactory as _;
use valetkey_approval::Verdict;

use crate::args::{Args, Command};
use crate::fail::Fail;
use crate::{demo, doctor};

pub(crate) use audit::one_line;
pub(crate) use mcp::McpCommand;
pub(crate) use requests::show as show_question;
pub(crate) use run::in_cell_under;

/// Runs a command and gives its exit status.
pub(crate) fn dispatch(args: Args) -> Result<u8, Fail> {
    match args.command {
        Command::Run(args) => return run::run(args),
        Command::Mcp { command } => return mcp::command(command),
        Command::Demo(args) => return demo::run(&args),
        Command::DemoAgent { folder, listener } => return demo::agent::run(&folder, listener),
        Command::Undo(args) => return undo::command(&args),
        Command::Diff(args) => diff::command(&args)?,
        Command::Changes(args) => changes::list(&args)?,
        Command::Commit(args) => return changes::commit(&args),
        Command::Discard(args) => changes::discard(&args)?,
        Command::Doctor(args) => return doctor::run(&args),
        Command::DoctorProbe { aim, only, control } => {
            return doctor::attack(&aim, only.as_deref(), control);
        }
        Command::Policy { command } => return policy::command(command),
        Command::Requests(args) => requests::command(&args)?,
        Command::Approve(args) => answer::command(&args, Verdict::Approve)?,
        Command::Deny(args) => answer::command(&args, Verdict::Deny)?,
        Command::Approver { command } => approver::command(command)?,
        Command::Caps { command } => caps::command(command)?,
        Command::BreakGlass(args) => break_glass::command(args)?,
        Command::Report { command } => report::command(command)?,
        Command::Profile { command } => return profile::command(command),
        Command::CellStart { place, command } => {
            return crate::agents::start::run(&place, &command);
        }
        Command::Install(args) => return crate::install::command(&args),
        Command::Init(args) => init::command(&args)?,
        Command::Keys { command } => keys::command(&command)?,
        Command::Witness { command } => witness::command(&command)?,
        Command::Audit { command } => audit::command(command)?,
        Command::Ask(args) => ask::command(&args)?,
        Command::Status(args) => status::status(&args)?,
        Command::Stop => status::stop()?,
        Command::Upgrade => status::upgrade()?,
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "valetkey",
                &mut std::io::stdout(),
            );
        }
    }
    Ok(0)
}
