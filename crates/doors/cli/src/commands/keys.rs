//! `valetkey keys`: the keys that capabilities are signed with, and changing them.

use valetkey_api::{IssuerKeys, KeyState};

use crate::args::KeysCommand;
use crate::fail::Fail;
use crate::home;
use crate::out;

/// Runs a `keys` command.
pub(crate) fn command(command: &KeysCommand) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let (keys, args): (IssuerKeys, _) = match command {
        KeysCommand::List(args) => (operator.get("/v1/keys")?, args),
        KeysCommand::Rotate(args) => (operator.post("/v1/keys/rotate", &())?, args),
    };
    if args.json {
        out::json(&keys);
        return Ok(());
    }
    for key in &keys.keys {
        let state = match (key.state, key.until) {
            (KeyState::Signing, _) => "signs".to_owned(),
            (KeyState::VerifyingOnly, Some(until)) => format!("verifies until {until}"),
            (KeyState::VerifyingOnly, None) => "verifies".to_owned(),
        };
        out::line(&format!("{}  {state}", key.kid));
    }
    Ok(())
}
