//! `valetkey witness`: a small witness of logs, under another user id, on another host, or in a CI job.

mod http;
mod memory;
mod serve;

use std::path::Path;

use valetkey_audit::WitnessKey;
use valetkey_store::{read_private, write_atomically};
use zeroize::Zeroizing;

use crate::args::{WitnessCommand, WitnessInitArgs};
use crate::fail::{Fail, Status};
use crate::out;

pub(crate) use http::{Address, post};
use memory::Memory;

/// Runs a `witness` command.
pub(crate) fn command(command: &WitnessCommand) -> Result<(), Fail> {
    match command {
        WitnessCommand::Init(args) => init(args),
        WitnessCommand::Serve(args) => serve::serve(args),
    }
}

/// Makes the key and an empty memory, and prints the public key. Done twice, it changes nothing.
fn init(args: &WitnessInitArgs) -> Result<(), Fail> {
    let had_key = args.key.exists();
    let key = if had_key {
        read_key(&args.key)?
    } else {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).map_err(|error| Fail::new(Status::Failed, error))?;
        WitnessKey::new(&args.name, &secret).map_err(|error| Fail::new(Status::Usage, error))?
    };
    if key.public().name() != args.name {
        let why = format!("the key is that of `{}`", key.public().name());
        return Err(Fail::new(Status::Usage, why));
    }
    if !Memory::is_there(&args.state) {
        if had_key && !args.new_state {
            let why = format!(
                "the key is there, and its memory in {} is not",
                args.state.display()
            );
            return Err(Fail::new(Status::Failed, why).hinted(
                "a witness that lost its memory could cosign a second history: make a new key, under a new name; `--new-state` is for a key that never cosigned",
            ));
        }
        Memory::make(&args.state, key.public())?;
    }
    if !had_key {
        let text = Zeroizing::new(format!("{}\n", key.secret_text()));
        write_atomically(&args.key, text.as_bytes(), 0o600)
            .map_err(|error| Fail::new(Status::Failed, error))?;
    }
    // It belongs to this key, or says so.
    drop(Memory::open(&args.state, key.public())?);
    out::line(&key.public().to_string());
    Ok(())
}

fn read_key(path: &Path) -> Result<WitnessKey, Fail> {
    let bytes = read_private(path).map_err(|error| Fail::new(Status::Failed, error))?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes)
        .map(str::trim)
        .unwrap_or_default();
    WitnessKey::from_text(text).map_err(|_| {
        let why = format!("{} holds no key of a witness", path.display());
        Fail::new(Status::Failed, why).hinted("`valetkey witness init` makes one")
    })
}
