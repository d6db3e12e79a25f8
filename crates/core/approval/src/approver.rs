//! Approvers: people with a name, roles and an Ed25519 key.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use valetkey_model::{Digest, canonical_json};

/// The role whose holders may change who answers.
pub const OWNER: &str = "owner";

/// Most approvers of one registry: a quorum is searched among them, and a person reads the list.
pub const APPROVERS_MAX: usize = 64;

/// Most roles of one approver.
const ROLES_MAX: usize = 16;

/// Most bytes of a name or a role: shown on one line.
const NAME_MAX_BYTES: usize = 64;

/// The domain of the digest of a registry.
const REGISTRY_DOMAIN: &str = "valetkey approvers v1";

/// A person's signing key. Wipes itself; never shown by `Debug`.
pub struct ApproverKey(SigningKey);

impl ApproverKey {
    /// The key from its 32 secret bytes (RFC 8032 seed).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The approver that this key makes, with a name and roles.
    #[must_use]
    pub fn approver(&self, name: &str, roles: &[&str]) -> Approver {
        Approver {
            name: name.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            public_key: Base64UrlUnpadded::encode_string(self.0.verifying_key().as_bytes()),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApproverKey").finish_non_exhaustive()
    }
}

/// A registered approver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name under which answers are given.
    pub name: String,
    /// The roles in which the person may answer.
    pub roles: Vec<String>,
    /// The Ed25519 public key, base64url.
    pub public_key: String,
}

impl Approver {
    /// The key, if it is a usable one: canonical base64url, on the curve, not of small order.
    #[must_use]
    pub fn key(&self) -> Option<VerifyingKey> {
        let bytes = Base64UrlUnpadded::decode_vec(&self.public_key).ok()?;
        let key = VerifyingKey::from_bytes(&<[u8; 32]>::try_from(bytes).ok()?).ok()?;
        (!key.is_weak()).then_some(key)
    }

    /// Whether the person has the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// Whether it can be registered: a name and roles of safe characters, each role once, and a usable key.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let distinct = self
            .roles
            .iter()
            .enumerate()
            .all(|(at, role)| self.roles.iter().take(at).all(|other| other != role));
        is_name(&self.name)
            && (1..=ROLES_MAX).contains(&self.roles.len())
            && self.roles.iter().all(|role| is_name(role))
            && distinct
            && self.key().is_some()
    }
}

/// Whether a text is a name of an approver or a role: 1 to 64 of `A-Z a-z 0-9 . _ @ + -`, the first a letter, a digit or `_`.
///
/// So a name looks on a terminal, in a file and in the log like what it is, no two names look alike to a machine and differ to another,
/// and none is taken for an option.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    starts
        && text.len() <= NAME_MAX_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte))
}

/// Everyone who may answer. Names and keys are distinct, so that one person cannot count as two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    /// Random, chosen with the first approver: a change that was signed for one registry is none for another.
    #[serde(default)]
    registry: String,
    /// How many changes there were. A change names its own number, and so is good once.
    #[serde(default)]
    sequence: u64,
    approvers: Vec<Approver>,
}

impl Approvers {
    /// A registry with its first approver, who must be an owner: without one nobody could ever be added. `registry` is random text.
    #[must_use]
    pub fn found(registry: String, first: Approver) -> Option<Self> {
        let mut new = Self {
            registry,
            sequence: 1,
            approvers: Vec::new(),
        };
        (first.has_role(OWNER) && new.add(first)).then_some(new)
    }

    /// Adds an approver. Returns whether it was taken: a name or key that is registered already, or an unusable one, is not.
    #[must_use]
    pub fn add(&mut self, approver: Approver) -> bool {
        let taken = self
            .approvers
            .iter()
            .any(|known| known.name == approver.name || known.public_key == approver.public_key);
        if taken || !approver.is_usable() || self.approvers.len() >= APPROVERS_MAX {
            return false;
        }
        self.approvers.push(approver);
        true
    }

    /// The same, each approver checked again as if it were new; nothing if one would not be taken.
    #[must_use]
    pub fn checked(self) -> Option<Self> {
        let mut checked = Self {
            approvers: Vec::new(),
            ..self.clone()
        };
        self.approvers
            .into_iter()
            .all(|approver| checked.add(approver))
            .then_some(checked)
    }

    /// The number of the last change.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The digest of the whole registry; nothing when it has no canonical form.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let bytes = canonical_json(self).ok()?;
        Some(Digest::tagged(REGISTRY_DOMAIN, &bytes))
    }

    /// How many of them are owners.
    pub(crate) fn owners(&self) -> usize {
        self.iter().filter(|one| one.has_role(OWNER)).count()
    }

    /// Takes one out.
    pub(crate) fn take_out(&mut self, approver: &Approver) {
        self.approvers.retain(|known| known != approver);
    }

    /// Counts a change.
    pub(crate) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// The approver with that public key.
    #[must_use]
    pub fn by_key(&self, public_key: &str) -> Option<&Approver> {
        self.iter().find(|one| one.public_key == public_key)
    }

    /// The approver of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Approver> {
        self.approvers.iter().find(|approver| approver.name == name)
    }

    /// All of them, in the order in which they were registered.
    pub fn iter(&self) -> impl Iterator<Item = &Approver> {
        self.approvers.iter()
    }

    /// Whether nobody is registered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.approvers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Approver {
        ApproverKey::from_seed(&[1; 32]).approver("ann", &[OWNER])
    }

    #[test]
    fn names_that_could_mislead_are_not_taken() {
        for good in ["ann", "_apt", "a.b+c@d-1", "0", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "-ann",
            ".ann",
            "an n",
            "ann\n",
            "änn",
            "аnn",
            "a/b",
            "a\u{202e}b",
            "ann,owner",
            &"x".repeat(65),
        ] {
            assert!(!is_name(bad), "{bad}");
            let mut named = ann();
            named.name = bad.to_owned();
            assert!(!named.is_usable() && !Approvers::default().add(named));
            let mut in_role = ann();
            in_role.roles = vec![bad.to_owned()];
            assert!(!in_role.is_usable());
        }
        let mut twice = ann();
        twice.roles = vec!["a".to_owned(), "a".to_owned()];
        assert!(!twice.is_usable());
        twice.roles.clear();
        assert!(!twice.is_usable(), "nobody answers in no role");
    }

    #[test]
    fn a_registry_begins_with_an_owner() {
        let mut clerk = ann();
        clerk.roles = vec!["clerk".to_owned()];
        assert_eq!(Approvers::found("r".to_owned(), clerk), None);
        let one = Approvers::found("r".to_owned(), ann()).unwrap();
        assert_eq!((one.sequence(), one.owners()), (1, 1));
        // Another registry with the same people is another registry.
        let other = Approvers::found("s".to_owned(), ann()).unwrap();
        assert_ne!(one.digest(), other.digest());
    }
}
