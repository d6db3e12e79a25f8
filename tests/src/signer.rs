//! Somebody with an approver key who signs whatever a test wants signed, at the operator door itself.

use std::fs;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::home::Home;
use crate::peer::{Answer, Peer};

/// A key and the name that its answers bear.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey,
    /// Whose name the answers bear.
    pub name: String,
}

impl Signer {
    /// With a key of its own.
    #[must_use]
    pub fn new(name: &str, seed: [u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(&seed),
            name: name.to_owned(),
        }
    }

    /// The same key in another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            key: self.key.clone(),
            name: name.to_owned(),
        }
    }

    /// With an unprotected key file.
    ///
    /// # Panics
    /// When that is none.
    #[must_use]
    pub fn with_file(name: &str, file: &Path) -> Self {
        let seed = fs::read(file).expect("a key file");
        Self::new(name, seed.try_into().expect("an unprotected key"))
    }

    /// The approver as the registry has it.
    #[must_use]
    pub fn approver(&self, role: &str) -> Value {
        let key = Base64UrlUnpadded::encode_string(self.key.verifying_key().as_bytes());
        json!({"name": self.name, "roles": [role], "public_key": key})
    }

    /// The first approver of a home, registered as its owner with the home's own key.
    ///
    /// # Panics
    /// When there is one already.
    #[must_use]
    pub fn owner(home: &Home) -> Self {
        let owner = Self::with_file("owner", &home.key_file());
        let first = json!({"first": owner.approver("owner")});
        let added = post(home, "/v1/approvers", &first);
        assert_eq!(added.status, 200, "{added:?}");
        owner
    }

    /// A yes to a question, without its signature.
    #[must_use]
    pub fn unsigned(&self, question: &Value) -> Value {
        json!({
            "approval_id": id("apr-"), "request_id": question["request_id"], "asked_digest": asked_digest(question), "verdict": "approve",
            "approver": self.name, "method": "terminal", "justification": null, "time": question["asked_at"],
        })
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self, approval: &Value) -> Value {
        let message = [b"valetkey approval v1\n".as_slice(), &canonical(approval)].concat();
        let signature = Base64UrlUnpadded::encode_string(&self.key.sign(&message).to_bytes());
        json!({"approval": {"approval": approval, "signature": signature}})
    }

    /// Signs something else, under its own domain.
    #[must_use]
    pub fn sign_in(&self, domain: &str, signed: Value) -> Value {
        let message = [domain.as_bytes(), b"\n", &canonical(&signed)].concat();
        let signature = Base64UrlUnpadded::encode_string(&self.key.sign(&message).to_bytes());
        json!({"signed": signed, "signature": signature})
    }

    /// A signed yes to a question.
    #[must_use]
    pub fn yes(&self, question: &Value) -> Value {
        self.sign(&self.unsigned(question))
    }

    /// A signed no.
    #[must_use]
    pub fn no(&self, question: &Value) -> Value {
        let mut answer = self.unsigned(question);
        answer["verdict"] = "deny".into();
        self.sign(&answer)
    }
}

/// One exchange at the operator door of a home.
///
/// # Panics
/// When nobody answers.
#[must_use]
pub fn post(home: &Home, path: &str, body: &Value) -> Answer {
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    peer.post(path, body).expect("an answer")
}

/// Gives an answer to the broker.
#[must_use]
pub fn give(home: &Home, answer: &Value) -> Answer {
    post(home, "/v1/answers", answer)
}

/// The digest of a question as an answer names it.
#[must_use]
pub fn asked_digest(question: &Value) -> String {
    tagged("valetkey asked v1", question)
}

/// The digest of a value in a domain.
#[must_use]
pub fn tagged(domain: &str, value: &Value) -> String {
    tagged_bytes(domain, &canonical(value))
}

/// The digest of bytes in a domain.
///
/// # Panics
/// When the domain is longer than a name.
#[must_use]
pub fn tagged_bytes(domain: &str, bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update([u8::try_from(domain.len()).expect("a short domain")]);
    hasher.update(domain.as_bytes());
    hasher.update(bytes);
    let hex: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// RFC 8785 for what is in questions and answers: no fractions, and names in ASCII, which the map sorts.
fn canonical(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// A new id.
fn id(prefix: &str) -> String {
    let mut random = [0; 26];
    let mut from = fs::File::open("/dev/urandom").expect("open");
    std::io::Read::read_exact(&mut from, &mut random).expect("random bytes");
    let letters = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let text: String = random
        .iter()
        .skip(1)
        .map(|byte| char::from(letters[usize::from(byte % 32)]))
        .collect();
    // The first of 26 holds no more than three bits.
    format!("{prefix}0{text}")
}
