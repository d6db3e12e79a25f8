//! `valetkey audit auditor` and `erase`: who can open what policy seals, and throwing it away.

use valetkey_api::{Auditor, Auditors, ChangeAuditors, Erase, Erased};
use valetkey_approval::visible;

use crate::args::{AuditorCommand, EraseArgs};
use crate::fail::Fail;
use crate::{home, out};

/// Lists or changes the auditors.
pub(super) fn command(command: AuditorCommand) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    match command {
        AuditorCommand::List { json } => {
            let auditors: Auditors = operator.get("/v1/auditors")?;
            if json {
                out::json(&auditors);
            } else {
                auditors.auditors.iter().for_each(print);
            }
        }
        AuditorCommand::Add { name, key, hand } => {
            let auditor = Auditor {
                name,
                recipient: key,
                hand,
            };
            let change = ChangeAuditors::Add(auditor.clone());
            let _all: Auditors = operator.post("/v1/auditors", &change)?;
            print(&auditor);
        }
        AuditorCommand::Remove { name } => {
            let change = ChangeAuditors::Remove(name);
            let _all: Auditors = operator.post("/v1/auditors", &change)?;
        }
    }
    Ok(())
}

fn print(auditor: &Auditor) {
    out::line(&format!(
        "{}  hand {}  {}",
        visible(&auditor.name),
        auditor.hand,
        visible(&auditor.recipient)
    ));
}

/// Throws away what is sealed of a person.
pub(super) fn erase(args: &EraseArgs) -> Result<(), Fail> {
    let what = Erase {
        user: args.user.clone(),
        because: args.because.clone(),
    };
    let erased: Erased = home::operator()?.post("/v1/erasures", &what)?;
    if args.json {
        out::json(&erased);
    } else {
        out::line(&format!(
            "{} sealed originals thrown away; the events and their hashes stay",
            erased.originals
        ));
    }
    Ok(())
}
