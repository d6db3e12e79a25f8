//! `valetkey-mcp`: files and access for agents that speak the Model Context Protocol.
//!
//! It runs in a cell and holds no authority: it does with plain system calls what it is told, and the view decides each of them as it
//! decides those of any other program there. `valetkey mcp serve` starts it.
#![forbid(unsafe_code)]

mod access;
mod diff;
mod fail;
mod glob;
mod job;
mod name;
mod server;
mod tools;

use std::process::ExitCode;

use rmcp::ServiceExt as _;
use rmcp::transport::stdio;
use tokio::runtime::Builder;

use crate::job::CALLS_MAX;
use crate::server::Server;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("serve"), None) => {}
        _ => {
            eprint("usage: valetkey-mcp serve; `valetkey mcp serve --help` says more");
            return ExitCode::from(2);
        }
    }
    if !access::is_in_cell() {
        eprint(
            "this is no cell, so that nothing would be decided: start it with `valetkey mcp serve`",
        );
        return ExitCode::from(5);
    }
    // A call may wait for a person, on a thread of its own.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(CALLS_MAX.saturating_add(4))
        .build();
    let served = match runtime {
        Ok(runtime) => {
            let served = runtime.block_on(serve());
            // What still waits for a person ends with the process; its question is withdrawn.
            runtime.shutdown_background();
            served
        }
        Err(error) => Err(error.to_string()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprint(&why);
            ExitCode::from(1)
        }
    }
}

async fn serve() -> Result<(), String> {
    let running = Server::new()
        .serve(stdio())
        .await
        .map_err(|error| format!("the client did not begin as it should: {error}"))?;
    let ended = running.waiting().await;
    ended.map(drop).map_err(|error| error.to_string())
}

/// A line for the person who set this up; standard output is the protocol's.
fn eprint(line: &str) {
    let text = format!("valetkey-mcp: {line}\n");
    let _best_effort = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}
