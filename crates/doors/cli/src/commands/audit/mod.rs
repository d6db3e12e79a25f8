//! `valetkey audit`: the log read, shown and verified, straight from its files.

mod auditor;
mod export;
mod graph;
mod index;
mod keys;
mod print;
mod prove;
mod query;
mod stats;
mod tiles;
mod unseal;
mod verify;
mod witness;

use std::path::PathBuf;

use serde_json::json;
use valetkey_store::{Entry, LogReader, StoreError};

use crate::args::{AuditCommand, LogArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

pub(crate) use print::one_line;
pub(crate) use verify::read_key as read_log_key;

/// Runs an `audit` command.
pub(crate) fn command(command: AuditCommand) -> Result<(), Fail> {
    match command {
        AuditCommand::Tail(args) => query::tail(&args),
        AuditCommand::Query(args) => query::query(&args),
        AuditCommand::Show { event, log } => show(&event, &log),
        AuditCommand::Graph(args) => graph::graph(&args),
        AuditCommand::Index(args) => index::index(&args),
        AuditCommand::Stats(args) => stats::stats(&args),
        AuditCommand::Verify(args) => verify::verify(&args),
        AuditCommand::Prove(args) => prove::prove(&args),
        AuditCommand::CheckProof(args) => prove::check(&args),
        AuditCommand::Export(args) => export::export(&args),
        AuditCommand::VerifyExport(args) => export::verify(&args),
        AuditCommand::Tiles(args) => tiles::tiles(&args),
        AuditCommand::Auditor { command } => auditor::command(command),
        AuditCommand::Unseal(args) => unseal::unseal(&args),
        AuditCommand::Erase(args) => auditor::erase(&args),
        AuditCommand::Keys(args) => keys::keys(&args),
        AuditCommand::Witness(args) => witness::witness(&args),
        AuditCommand::Checkpoint(log) => checkpoint(&log),
    }
}

fn open(log: &LogArgs) -> Result<(LogReader, PathBuf), Fail> {
    let dir = match &log.log {
        Some(dir) => dir.clone(),
        None => {
            let paths = home::paths()?;
            home::may_read_log(&paths)?;
            paths.log()
        }
    };
    if !dir.is_dir() {
        return Err(Fail::new(
            Status::Failed,
            format!("there is no log in {}", dir.display()),
        )
        .hinted("`valetkey run` begins one; is VALETKEY_HOME the same as in the session?"));
    }
    Ok((LogReader::open(&dir).map_err(unreadable)?, dir))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn unreadable(error: StoreError) -> Fail {
    Fail::new(Status::Failed, &error)
        .hinted("`valetkey audit verify` says what is wrong with the log")
}

/// The event with this number or id.
fn find(reader: &LogReader, event: &str) -> Result<Entry, Fail> {
    let found = if let Ok(seq) = event.parse() {
        reader.get(seq)
    } else {
        let id = event.parse().map_err(|error| {
            Fail::new(Status::Usage, error).hinted("`valetkey audit tail` shows numbers and ids")
        })?;
        reader.find(&id)
    };
    found
        .map_err(unreadable)?
        .ok_or_else(|| Fail::new(Status::Failed, format!("the log has no event {event}")))
}

fn show(event: &str, log: &LogArgs) -> Result<(), Fail> {
    let (reader, _) = open(log)?;
    let entry = find(&reader, event)?;
    let mut value =
        serde_json::to_value(&entry.record).map_err(|error| Fail::new(Status::Failed, error))?;
    if let Some(members) = value.as_object_mut() {
        members.insert("leaf_hash".to_owned(), json!(entry.leaf.to_string()));
    }
    out::json(&value);
    Ok(())
}

fn checkpoint(log: &LogArgs) -> Result<(), Fail> {
    let (reader, dir) = open(log)?;
    let note = reader.checkpoint().map_err(unreadable)?.ok_or_else(|| {
        Fail::new(
            Status::Failed,
            format!("the log in {} has no checkpoint", dir.display()),
        )
    })?;
    out::line(note.trim_end());
    Ok(())
}
