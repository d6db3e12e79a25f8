//! Signs anything: the tools of an attacker, a broken issuer and, for the tokens that verify, the right one.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use valetkey_model::canonical_json;

use super::{NOW, SESSION};

/// The secret key of RFC 8032, section 7.1, test 1, which is also that of RFC 8037, appendix A.
const ISSUER_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// The secret key of RFC 8032, section 7.1, test 2.
const OTHER_SEED: [u8; 32] = [
    0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f,
    0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
];

/// One who signs.
pub(super) struct Forge {
    pub(super) key: SigningKey,
}

/// The issuer that verifiers trust.
pub(super) fn issuer() -> Forge {
    Forge {
        key: SigningKey::from_bytes(&ISSUER_SEED),
    }
}

/// One that they do not trust, or a later key of the issuer.
pub(super) fn other() -> Forge {
    Forge {
        key: SigningKey::from_bytes(&OTHER_SEED),
    }
}

impl Forge {
    pub(super) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(super) fn kid(&self) -> String {
        kid(&self.public())
    }

    pub(super) fn jwk(&self) -> Value {
        jwk(&self.public())
    }

    /// The one right header.
    pub(super) fn header(&self) -> String {
        header(&self.kid())
    }

    /// A token with the right header and a right signature over a payload that may be anything.
    pub(super) fn token(&self, payload: impl AsRef<[u8]>) -> String {
        self.token_with(self.header(), payload)
    }

    /// A token with any header and payload and a right signature.
    pub(super) fn token_with(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.seal(&format!("{}.{}", part(header), part(payload)))
    }

    /// A token with a right signature over whatever stands before it.
    pub(super) fn seal(&self, signed: &str) -> String {
        format!("{signed}.{}", part(self.sign(signed)))
    }

    pub(super) fn sign(&self, message: impl AsRef<[u8]>) -> [u8; 64] {
        self.key.sign(message.as_ref()).to_bytes()
    }
}

/// The right header for a key id.
pub(super) fn header(kid: &str) -> String {
    format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"valetkey-cap+jwt"}}"#)
}

/// The RFC 7638 thumbprint.
pub(super) fn kid(public: &[u8]) -> String {
    let x = part(public);
    part(Sha256::digest(format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#
    )))
}

pub(super) fn jwk(public: &[u8]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": part(public), "kid": kid(public), "alg": "EdDSA", "use": "sig"})
}

/// Canonical base64url without padding, as every part of a token has it.
pub(super) fn part(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// Claims that verify at [`NOW`] in [`SESSION`].
pub(super) fn claims() -> Value {
    json!({
        "iss": "local-broker",
        "sub": "agent-ui-123",
        "aud": "valetkey-guard",
        "jti": "cap-01KF0000000000000000000001",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        "cnf": {"valetkey_session": SESSION},
        "authorization_details": [{
            "type": "valetkey",
            "resource": "file:/home/alice/Reports/**",
            "actions": ["read", "append"],
            "constraints": {"allow_macros": false, "max_bytes": 1_048_576},
            "except": ["file:/**/.env"],
        }],
        "parent": null,
        "approvals": ["apr-01KF0000000000000000000002"],
        "policy_id": "policy-finance-2026-q1",
        "policy_digest": format!("sha256:{}", "5e".repeat(32)),
    })
}

/// The claims after a change.
pub(super) fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = claims();
    change(&mut value);
    value
}

/// The canonical text of a value.
pub(super) fn text(value: &Value) -> String {
    String::from_utf8(canonical_json(value).unwrap()).unwrap()
}

/// The canonical text of the claims with one piece of it written in another way; the piece must be there.
pub(super) fn respelt(from: &str, to: &str) -> String {
    replaced(&text(&claims()), from, to)
}

/// The text with the first `from` replaced; it must be there.
pub(super) fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

/// A good token and its three parts.
pub(super) fn good() -> (String, [String; 3]) {
    let token = issuer().token(text(&claims()));
    let mut parts = token.split('.').map(str::to_owned);
    let parts = [(); 3].map(|()| parts.next().unwrap());
    (token, parts)
}

/// HMAC (RFC 2104) with SHA-256.
pub(super) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let (inner, outer) = hmac_pads::<64>(secret);
    let inner = Sha256::new().chain_update(inner).chain_update(message);
    let outer = Sha256::new()
        .chain_update(outer)
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}

/// HMAC with SHA-512: as long as an Ed25519 signature.
pub(super) fn hmac_sha512(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let (inner, outer) = hmac_pads::<128>(secret);
    let inner = Sha512::new().chain_update(inner).chain_update(message);
    let outer = Sha512::new()
        .chain_update(outer)
        .chain_update(inner.finalize());
    outer.finalize().to_vec()
}

fn hmac_pads<const BLOCK: usize>(secret: &[u8]) -> ([u8; BLOCK], [u8; BLOCK]) {
    assert!(
        secret.len() <= BLOCK,
        "a longer secret would have to be hashed"
    );
    let mut key = [0; BLOCK];
    key[..secret.len()].copy_from_slice(secret);
    (key.map(|byte| byte ^ 0x36), key.map(|byte| byte ^ 0x5c))
}
