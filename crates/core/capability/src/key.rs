//! The issuer's Ed25519 key, its public part, and their JWK form (RFC 8037, RFC 7638 thumbprint as `kid`).

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The broker's key for capabilities. Wipes itself; never shown by `Debug`.
pub struct IssuerKey {
    key: SigningKey,
    public: PublicKey,
}

impl IssuerKey {
    /// The key from its 32 secret bytes (RFC 8032 seed).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::of(key.verifying_key());
        Self { key, public }
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerKey")
            .field("kid", &self.public.kid)
            .finish_non_exhaustive()
    }
}

/// A public key that capabilities are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    kid: String,
}

/// A JWK is not a usable Ed25519 public key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not an Ed25519 public key (RFC 8037) with a matching key id")]
pub struct PublicKeyError;

impl PublicKey {
    fn of(key: VerifyingKey) -> Self {
        let x = Base64UrlUnpadded::encode_string(key.as_bytes());
        // RFC 7638: the required members in lexicographic order, without white space.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Self {
            key,
            kid: Base64UrlUnpadded::encode_string(&thumbprint),
        }
    }

    /// The key id: the RFC 7638 thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        // verify_strict also refuses small-order keys and non-canonical points.
        self.key
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }

    /// The key as a JWK.
    #[must_use]
    pub fn to_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: Base64UrlUnpadded::encode_string(self.key.as_bytes()),
            kid: self.kid.clone(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        }
    }
}

/// A public key as RFC 7517 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// The key id.
    pub kid: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

/// A set of public keys as RFC 7517 writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl TryFrom<&Jwk> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(jwk: &Jwk) -> Result<Self, PublicKeyError> {
        let bytes = Base64UrlUnpadded::decode_vec(&jwk.x).map_err(|_| PublicKeyError)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| PublicKeyError)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| PublicKeyError)?;
        let public = Self::of(key);
        // A key has one text, and so one id: another encoding of the same point is refused.
        let canonical = key.to_edwards().compress().to_bytes() == bytes;
        let named = jwk.kty == "OKP"
            && jwk.crv == "Ed25519"
            && jwk.alg == "EdDSA"
            && jwk.usage == "sig"
            && jwk.kid == public.kid;
        if named && canonical && !key.is_weak() {
            Ok(public)
        } else {
            Err(PublicKeyError)
        }
    }
}

#[cfg(test)]
mod wycheproof_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037, appendix A: the key of A.1 has the thumbprint of A.3.
        let seed =
            Base64UrlUnpadded::decode_vec("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = IssuerKey::from_seed(&seed.try_into().unwrap());
        assert_eq!(
            key.public().kid(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert_eq!(
            key.public().to_jwk().x,
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        assert_eq!(
            PublicKey::try_from(&key.public().to_jwk()).as_ref(),
            Ok(key.public())
        );
    }

    #[test]
    fn other_keys_are_refused() {
        let good = IssuerKey::from_seed(&[7; 32]).public().to_jwk();
        let refused = |change: fn(&mut Jwk)| {
            let mut jwk = good.clone();
            change(&mut jwk);
            assert!(PublicKey::try_from(&jwk).is_err(), "{jwk:?}");
        };
        refused(|jwk| jwk.kid = "other".to_owned());
        refused(|jwk| jwk.alg = "HS256".to_owned());
        refused(|jwk| jwk.usage = "enc".to_owned());
        refused(|jwk| jwk.x = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
        refused(|jwk| jwk.x.push('='));
    }

    #[test]
    fn the_secret_is_not_in_debug() {
        let text = format!("{:?}", IssuerKey::from_seed(&[7; 32]));
        assert!(!text.contains("7, 7") && !text.contains("0707"), "{text}");
    }
}
