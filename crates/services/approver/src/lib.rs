//! A person's approver key: kept in a private file, unlocked for a bounded time, and used to sign answers and changes.
#![forbid(unsafe_code)]

mod answer;
mod cache;
mod emergency;
mod error;
mod file;
mod passphrase;
mod policy;
mod protect;
mod registry;
mod terminal;
mod unlock;

pub use answer::{Reply, answer, give, open_question, sign_answer};
pub use cache::{LIFE_DEFAULT, LIFE_MAX, Unlock, keep_unlocked, lock, unlocked_until};
pub use emergency::{break_glass, close_review, reviews};
pub use error::ApproverError;
pub use file::{KeyFile, Protection, default_name};
pub use passphrase::{AskPassphrase, FromDescriptor, Passphrase};
pub use policy::{sign_policy, sign_tests};
pub use registry::{Registration, add, approvers, register, remove};
pub use terminal::Terminal;
pub use unlock::{OpenedAnew, Unlocked};

/// Now, for what is signed or only shown. What must be in time is decided by the broker's own clock.
pub(crate) fn now() -> valetkey_model::Timestamp {
    valetkey_model::Timestamp::from_unix_ms(valetkey_sys::clock::Clock::start(0).now_ms())
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ApproverError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ApproverError::Entropy(error.to_string()))?;
    Ok(bytes)
}
