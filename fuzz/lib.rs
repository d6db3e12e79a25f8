//! What the targets share: a fixed key, a verifier that trusts it, and tokens it signs over any payload.
//!
//! `cargo +nightly fuzz run token -- -max_total_time=60`. `token` tries tokens as they come from outside; hardly one gets past the
//! signature, so `token_payload` signs the bytes first and tries what stands behind it.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use valetkey_approval::{Exported, visible_bytes};
use valetkey_capability::{IssuerKey, Verified, Verifier};
use valetkey_model::{PathSemantics, Resource, SessionId, Timestamp, canonical_json};

/// The secret key of the vectors in `vectors/capability`, which make a good corpus.
const SEED: [u8; 32] = *b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";

/// Verifies a token at the time and in the session of the vectors.
pub fn verify(token: &str) -> Option<Verified> {
    let session: SessionId = "ses-01KF0000000000000000000000".parse().ok()?;
    let key = IssuerKey::from_seed(&SEED).public().clone();
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    Verifier::new([key], session).verify(token, now).ok()
}

/// Signs any payload under the right header and verifies it: what is accepted must be the one spelling of its claims.
pub fn verify_payload(payload: &[u8]) {
    let key = IssuerKey::from_seed(&SEED);
    let kid = key.public().kid();
    let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#);
    let part = Base64UrlUnpadded::encode_string;
    let signed = format!("{}.{}", part(header.as_bytes()), part(payload));
    let signature = SigningKey::from_bytes(&SEED).sign(signed.as_bytes());
    let token = format!("{signed}.{}", part(&signature.to_bytes()));
    if let Some(verified) = verify(&token) {
        assert_eq!(canonical_json(verified.claims()).unwrap(), payload);
        assert_eq!(key.sign_claims(verified.claims()).unwrap(), token);
    }
}

/// Reads a resource: what is accepted is written as it came, and covers itself.
pub fn resource(text: &str) {
    if let Ok(resource) = text.parse::<Resource>() {
        assert_eq!(resource.to_string(), text);
        assert!(resource.covers(&resource));
    }
}

/// Reads a path as each platform does: what is canonical is so when it is read again.
pub fn path(path: &[u8]) {
    for semantics in [
        PathSemantics::Linux,
        PathSemantics::MacOs,
        PathSemantics::Windows,
    ] {
        if let Ok(canonical) = semantics.canonical(path) {
            assert_eq!(semantics.canonical(&canonical.native()), Ok(canonical));
        }
    }
}

/// Reads bytes as both files that carry approvals: what is accepted must be the one spelling of itself.
pub fn read_export(bytes: &[u8]) {
    if let Ok(file) = Exported::read(bytes) {
        assert_eq!(file.bytes().unwrap(), bytes);
    }
}

/// Shows bytes as a name.
pub fn show(bytes: &[u8]) {
    let shown = visible_bytes(bytes);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
