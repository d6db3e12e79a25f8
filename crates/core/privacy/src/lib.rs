//! What the log may say of people: rules, keyed hashes in the place of names, and originals sealed to auditors in the age format.
//!
//! Pure: keys and randomness come in as arguments. An event is edited before it is hashed, so what is taken out was never in the log.
//! Doubt is a find: what the detectors cannot look into is masked whole, and a resource that cannot be written with hashes is left out.
#![forbid(unsafe_code)]

pub mod age;
mod editor;
mod key;
mod place;
mod rules;
mod words;

pub use editor::{Originals, Redacted, redacted};
pub use key::{KEYED_PREFIX, PrivacyKey, is_keyed};
pub use place::variants;
pub use rules::{Hands, PersonalData, ResourceRule, Rules, RulesError, Treatment};
