//! Tokens that must verify and tokens that must not, made anew from fixed keys: shared by the program that writes them and the
//! test that reads them.
//!
//! What a vector expects is written beside it by hand, never taken from the verifier.

#![expect(
    clippy::string_slice,
    reason = "makes test data from constants: whatever fails here must stop the generator"
)]

use serde_json::{Value, json};

mod algorithm;
mod binding;
mod encoding;
mod forge;
mod header;
mod json;
mod keys;
mod payload;
mod resource;
mod signature;
mod size;
mod time;
mod valid;

/// Where the files lie, from the crate's directory.
pub(crate) const DIRECTORY: &str = "../../../vectors/capability";

/// The time of verification, where a vector is not about time: 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;

/// The session of verification, where a vector is not about it.
const SESSION: &str = "ses-01KF0000000000000000000000";

/// One token and what a verifier must say to it.
struct Vector {
    id: String,
    note: String,
    token: String,
    jwks: Value,
    session: &'static str,
    now_ms: u64,
    expected: Expected,
}

enum Expected {
    Accepted { claims: Value },
    Refused { error: &'static str },
}

impl Vector {
    fn accepted(
        id: impl Into<String>,
        note: impl Into<String>,
        token: String,
        claims: Value,
    ) -> Self {
        Self::new(id.into(), note.into(), token, Expected::Accepted { claims })
    }

    fn refused(
        id: impl Into<String>,
        note: impl Into<String>,
        token: impl Into<String>,
        error: &'static str,
    ) -> Self {
        Self::new(
            id.into(),
            note.into(),
            token.into(),
            Expected::Refused { error },
        )
    }

    fn new(id: String, note: String, token: String, expected: Expected) -> Self {
        Self {
            id,
            note,
            token,
            jwks: json!({"keys": [forge::issuer().jwk()]}),
            session: SESSION,
            now_ms: NOW * 1000,
            expected,
        }
    }

    fn with_jwks(self, keys: &[Value]) -> Self {
        let jwks = json!({"keys": keys});
        Self { jwks, ..self }
    }

    fn at_ms(self, now_ms: u64) -> Self {
        Self { now_ms, ..self }
    }

    fn in_session(self, session: &'static str) -> Self {
        Self { session, ..self }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "note": self.note,
            "token": self.token,
            "jwks": self.jwks,
            "session": self.session,
            "now_ms": self.now_ms,
        });
        match &self.expected {
            Expected::Accepted { claims } => {
                value["result"] = json!("accepted");
                value["claims"] = claims.clone();
            }
            Expected::Refused { error } => {
                value["result"] = json!("refused");
                value["error"] = json!(error);
            }
        }
        value
    }
}

/// Every file by name, with its text.
pub(crate) fn files() -> Vec<(String, String)> {
    let classes = [
        ("valid", "Tokens that verify", valid::vectors()),
        ("algorithm", "Other algorithms", algorithm::vectors()),
        ("header", "Other headers", header::vectors()),
        (
            "encoding",
            "Other spellings of a token",
            encoding::vectors(),
        ),
        (
            "signature",
            "Signatures that a strict verifier refuses",
            signature::vectors(),
        ),
        ("keys", "Keys that must not be trusted", keys::vectors()),
        (
            "payload",
            "Signed payloads of another form",
            payload::vectors(),
        ),
        (
            "json",
            "Signed payloads in other spellings of JSON, or that are no claims",
            json::vectors(),
        ),
        (
            "resource",
            "Signed payloads that give something of another form",
            resource::vectors(),
        ),
        (
            "time",
            "Tokens whose time has not come or is over",
            time::vectors(),
        ),
        (
            "binding",
            "Tokens for another verifier or session",
            binding::vectors(),
        ),
        ("size", "Tokens that are too long", size::vectors()),
    ];
    classes
        .into_iter()
        .map(|(class, title, vectors)| {
            let vectors: Vec<Value> = vectors.iter().map(Vector::to_json).collect();
            let file = json!({"format": 1, "class": class, "title": title, "vectors": vectors});
            let mut text = serde_json::to_string_pretty(&file).unwrap();
            text.push('\n');
            (format!("{class}.json"), text)
        })
        .collect()
}
