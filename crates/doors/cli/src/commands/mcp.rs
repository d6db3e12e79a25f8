//! `valetkey mcp`: the server for agents that speak the Model Context Protocol, always in a cell.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use valetkey_api::StartGrant;
use valetkey_client::IN_CELL;
use valetkey_model::{Action, ActionSet, Constraints, Grant, Resource};

use super::run::in_cell;
use crate::agents::Prepared;
use crate::args::CellArgs;
use crate::fail::{Fail, Status};

/// The server's program.
const PROGRAM: &str = "valetkey-mcp";
/// What is granted of a directory beside the first: what the tools of files can do.
const FILES: ActionSet = ActionSet::of(&[
    Action::Read,
    Action::List,
    Action::Write,
    Action::Append,
    Action::Create,
    Action::Delete,
    Action::Metadata,
]);

/// The commands of `valetkey mcp`.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Serve files and access on standard input and output
    ///
    /// For an agent that runs in a cell already, the server is one more program in it. For any other it runs in a cell of its own, so that each call is decided by
    /// policy and enforced by the kernel all the same.
    Serve(ServeArgs),
}

/// What the server is given.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    cell: CellArgs,
    /// The directories to serve, as the reference file-system server takes them; the first is the workspace if none is named
    #[arg(value_name = "DIR")]
    directories: Vec<PathBuf>,
}

/// Runs the command and passes its exit status on.
pub(crate) fn command(command: McpCommand) -> Result<u8, Fail> {
    let McpCommand::Serve(args) = command;
    let own = std::env::current_exe().unwrap_or_default();
    let server = own.with_file_name(PROGRAM);
    if Path::new(IN_CELL).exists() {
        return Err(serve_here(args, &server));
    }
    let cell = with_directories(args)?;
    let prepared = Prepared {
        command: vec![server.into(), OsString::from("serve")],
        ..Prepared::default()
    };
    in_cell(cell, prepared)
}

/// Becomes the server, in the cell that this process is in already; returns only when that fails.
fn serve_here(args: ServeArgs, server: &Path) -> Fail {
    if !args.directories.is_empty() || args.cell.is_any() {
        return Fail::new(
            Status::Usage,
            "in a cell the server has what its session was given: it takes no directories and grants here",
        )
        .hinted("give them to `valetkey run` instead");
    }
    let error = std::process::Command::new(server).arg("serve").exec();
    let message = format!("cannot start {}: {error}", server.display());
    Fail::new(Status::Failed, message).hinted("install `valetkey-mcp` beside `valetkey`")
}

fn with_directories(args: ServeArgs) -> Result<CellArgs, Fail> {
    let mut cell = args.cell;
    let mut directories = args.directories.into_iter();
    if cell.workspace.is_none() {
        cell.workspace = directories.next();
    }
    for directory in directories {
        let fail = |why: &dyn std::fmt::Display| {
            let message = format!("cannot serve {}: {why}", directory.display());
            Fail::new(Status::Usage, message)
        };
        let real = std::fs::canonicalize(&directory).map_err(|error| fail(&error))?;
        let resource = Resource::tree(&real).map_err(|error| fail(&error))?;
        let grant = Grant {
            resource,
            actions: FILES,
            constraints: Constraints::default(),
            except: Vec::new(),
        };
        cell.grant.push(StartGrant {
            grant,
            ttl_seconds: None,
        });
    }
    Ok(cell)
}
