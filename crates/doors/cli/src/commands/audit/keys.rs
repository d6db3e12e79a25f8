//! `valetkey audit keys`: the keys that sign the log, as far as the log itself vouches for them.

use serde_json::{Value, json};
use valetkey_audit::Verdict;

use super::open;
use super::verify::{key_of, tampered};
use crate::args::AuditKeysArgs;
use crate::fail::{Fail, Status};
use crate::out;

/// Prints the keys of a log that was verified first: nothing else says whose they are.
pub(super) fn keys(args: &AuditKeysArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let key = key_of(args.key.key.as_deref())?;
    let verdict = reader
        .verify(&key, None)
        .map_err(|error| Fail::new(Status::NotVerified, error))?;
    let intact = match verdict {
        Verdict::Intact(intact) => intact,
        Verdict::Tampered(found) => return Err(tampered(&found, args.json)),
    };
    let epochs: Vec<_> = (0_u64..).zip(&intact.epoch_keys).collect();
    if args.json {
        let epochs: Vec<Value> = epochs
            .iter()
            .map(|(epoch, key)| json!({"epoch": epoch, "key": key.to_string()}))
            .collect();
        out::json(&json!({"log": key.to_string(), "epochs": epochs}));
        return Ok(());
    }
    out::line(&format!("log       {key}"));
    for (epoch, key) in epochs {
        out::line(&format!("epoch {epoch:<3} {key}"));
    }
    Ok(())
}
