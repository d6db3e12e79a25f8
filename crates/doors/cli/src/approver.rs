//! The person's own approver key: made on first use, kept in a private file, registered with the broker once.

use valetkey_api::{Client, Paths};
use valetkey_approval::{ApproverKey, Approvers};
use zeroize::Zeroizing;

use crate::fail::{Fail, Status};
use crate::out;

/// A key and the name under which it answers.
pub(crate) struct Me {
    pub(crate) name: String,
    pub(crate) key: ApproverKey,
}

/// The person's key, registered with the broker.
pub(crate) fn me(operator: &mut Client, paths: &Paths) -> Result<Me, Fail> {
    let name = valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).name;
    let key = load_or_create(paths)?;
    let own = key.approver(&name, &["owner"]);
    let known: Approvers = operator.get("/v1/approvers")?;
    match known
        .iter()
        .find(|approver| approver.public_key == own.public_key)
    {
        Some(approver) => Ok(Me {
            name: approver.name.clone(),
            key,
        }),
        None if known.is_empty() => {
            operator.post::<_, ()>("/v1/approvers", &own)?;
            out::error(&format!(
                "note: your approver key is registered as `{name}`"
            ));
            Ok(Me { name, key })
        }
        None => Err(Fail::new(
            Status::Denied,
            "your approver key is not registered with this broker",
        )
        .hinted("answer from the home whose key was registered first")),
    }
}

fn load_or_create(paths: &Paths) -> Result<ApproverKey, Fail> {
    let path = paths.config.join("approver.key");
    let fail = |reason: String| {
        Fail::new(
            Status::Failed,
            format!("cannot use the approver key {}: {reason}", path.display()),
        )
    };
    match valetkey_store::read_private(&path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let seed = <[u8; 32]>::try_from(bytes.as_slice())
                .map_err(|_| fail("it does not hold 32 bytes".to_owned()))?;
            Ok(ApproverKey::from_seed(&Zeroizing::new(seed)))
        }
        Err(error) if error.is_absent() => {
            paths
                .create()
                .map_err(|error| Fail::new(Status::Failed, error))?;
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(|error| fail(error.to_string()))?;
            valetkey_store::write_atomically(&path, &*seed, 0o600)
                .map_err(|error| fail(error.to_string()))?;
            Ok(ApproverKey::from_seed(&seed))
        }
        Err(error) => Err(fail(error.to_string())),
    }
}
