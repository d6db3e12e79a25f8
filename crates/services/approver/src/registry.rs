//! Who may answer: registering, adding and removing at the operator door.

use valetkey_api::{AddApprover, Client};
use valetkey_approval::{Approver, Approvers, Change, OWNER, UnsignedChange};

use crate::error::ApproverError;
use crate::file::KeyFile;
use crate::now;
use crate::unlock::Unlocked;

/// How the broker knows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Under this name.
    Known(String),
    /// Under this name, as the first of all, since just now.
    First(String),
}

impl Registration {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(name) | Self::First(name) => name,
        }
    }
}

/// Everyone who may answer.
///
/// # Errors
/// When the broker does not answer.
pub fn approvers(operator: &mut Client) -> Result<Approvers, ApproverError> {
    Ok(operator.get("/v1/approvers")?)
}

/// Under which name the broker knows the key. Where it knows nobody, the key becomes the first owner's.
///
/// # Errors
/// [`ApproverError::NotRegistered`] when others are registered and this key is not.
pub fn register(operator: &mut Client, file: &KeyFile) -> Result<Registration, ApproverError> {
    let known = approvers(operator)?;
    if let Some(me) = known.by_key(file.public_key()) {
        return Ok(Registration::Known(me.name.clone()));
    }
    if !known.is_empty() {
        return Err(ApproverError::NotRegistered);
    }
    let first = Approver {
        name: file.name().to_owned(),
        roles: vec![OWNER.to_owned()],
        public_key: file.public_key().to_owned(),
    };
    operator.post::<_, ()>("/v1/approvers", &AddApprover::First(first))?;
    Ok(Registration::First(file.name().to_owned()))
}

/// Adds an approver, signed with an owner's key.
///
/// # Errors
/// When the key is not registered, or the broker refuses the change.
pub fn add(operator: &mut Client, key: &Unlocked, approver: Approver) -> Result<(), ApproverError> {
    let known = approvers(operator)?;
    let change = sign(&known, key, Change::Add(approver))?;
    operator.post::<_, ()>("/v1/approvers", &AddApprover::Signed(change))?;
    Ok(())
}

/// Removes an approver, signed with an owner's key. Returns who was removed.
///
/// # Errors
/// When nobody has that name, the key is not registered, or the broker refuses the change.
pub fn remove(
    operator: &mut Client,
    key: &Unlocked,
    name: &str,
) -> Result<Approver, ApproverError> {
    let known = approvers(operator)?;
    let there = known
        .by_name(name)
        .ok_or_else(|| ApproverError::NoSuchApprover(name.chars().take(64).collect()))?
        .clone();
    let change = sign(&known, key, Change::Remove(there.clone()))?;
    operator.post::<_, ()>("/v1/approvers/remove", &change)?;
    Ok(there)
}

fn sign(
    known: &Approvers,
    key: &Unlocked,
    change: Change,
) -> Result<valetkey_approval::SignedChange, ApproverError> {
    let me = known
        .by_key(&key.public_key())
        .ok_or(ApproverError::NotRegistered)?;
    Ok(UnsignedChange::of(known, change, &me.name, now())?.sign(key.key())?)
}
