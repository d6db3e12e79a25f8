//! A bundle's `.signatures.json`: OPA's form, one JSON Web Signature over the names and hashes of all files, by Ed25519.

use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::structured::hash;

/// The name of the file in a bundle.
pub const SIGNATURES_FILE: &str = ".signatures.json";
/// Most bytes of that file: 256 files of 256-byte names, twice.
pub const SIGNATURES_MAX_BYTES: usize = 256 << 10;
/// The one hash that is taken: OPA knows weaker ones.
const ALGORITHM: &str = "SHA-256";
/// Most keys that are tried.
pub const SIGNERS_MAX: usize = 16;

/// A key that bundles are signed with, its public part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// The name of the key, as signatures give it.
    pub kid: String,
    /// The Ed25519 public key, base64url.
    pub public_key: String,
}

/// Why a bundle's signature does not count.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is none.
    #[error("the bundle is not signed, and must be: it has no `{SIGNATURES_FILE}`")]
    Unsigned,
    /// It is signed, and nobody is trusted to sign.
    #[error("the bundle is signed, but no key is configured to verify it with")]
    NoSigner,
    /// Not of OPA's form.
    #[error("`{SIGNATURES_FILE}` is not one signature in OPA's form: {0}")]
    Form(String),
    /// Another algorithm than Ed25519.
    #[error("the bundle is signed with `{0}`; only `EdDSA` (Ed25519) is taken")]
    Algorithm(String),
    /// No trusted key made it.
    #[error("the bundle's signature was made by none of the trusted keys")]
    Signature,
    /// It is for something else.
    #[error("the bundle's signature has the scope `{0}`, and none is expected")]
    Scope(String),
    /// A file is not what was signed.
    #[error("`{0}` is not what was signed")]
    Changed(String),
    /// A file was not signed.
    #[error("`{0}` is in the bundle, but not in its signature")]
    NotSigned(String),
    /// A file is not there.
    #[error("`{0}` is in the signature, but not in the bundle")]
    Missing(String),
    /// A file cannot be hashed.
    #[error("`{file}`: {why}")]
    File {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignaturesFile {
    signatures: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

/// The claims. Others may be there, as OPA lets signers add some; they decide nothing.
#[derive(Serialize, Deserialize)]
struct Payload {
    files: Vec<FileHash>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHash {
    name: String,
    hash: String,
    algorithm: String,
}

/// Proof that every file of a bundle is what a trusted key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    kid: String,
}

impl SignedBy {
    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// Verifies the signature among a bundle's files. Every other file must be signed, and every signed file be there.
///
/// # Errors
/// The first [`SignatureError`]; the signature is checked before a word of what it signs is read.
pub fn verify(files: &[(String, Vec<u8>)], signers: &[Signer]) -> Result<SignedBy, SignatureError> {
    let form = |why: &str| SignatureError::Form(why.to_owned());
    let found = files.iter().find(|(path, _)| path == SIGNATURES_FILE);
    let (_, text) = found.ok_or(SignatureError::Unsigned)?;
    if signers.is_empty() {
        return Err(SignatureError::NoSigner);
    }
    if text.len() > SIGNATURES_MAX_BYTES {
        return Err(form("it is too long"));
    }
    let file: SignaturesFile =
        valetkey_model::read_json(text).map_err(|error| SignatureError::Form(error.to_string()))?;
    let [token] = file.signatures.as_slice() else {
        return Err(form("it must hold exactly one"));
    };
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(form("it is no compact JSON Web Signature"));
    };
    let signer = signer_of(header, payload, signature, signers)?;
    let bytes = decode(payload).ok_or_else(|| form("its payload is not base64url"))?;
    let payload: Payload =
        serde_json::from_slice(&bytes).map_err(|error| SignatureError::Form(error.to_string()))?;
    if !payload.scope.is_empty() {
        return Err(SignatureError::Scope(
            payload.scope.chars().take(64).collect(),
        ));
    }
    check_files(files, payload.files)?;
    Ok(SignedBy {
        kid: signer.kid.clone(),
    })
}

/// The trusted key that made the signature.
fn signer_of<'a>(
    header: &str,
    payload: &str,
    signature: &str,
    signers: &'a [Signer],
) -> Result<&'a Signer, SignatureError> {
    let form = |why: &str| SignatureError::Form(why.to_owned());
    let message = format!("{header}.{payload}");
    let bytes = decode(header).ok_or_else(|| form("its header is not base64url"))?;
    let header: Header = valetkey_model::read_json(&bytes)
        .map_err(|error| SignatureError::Form(error.to_string()))?;
    if header.alg != "EdDSA" {
        return Err(SignatureError::Algorithm(
            header.alg.chars().take(16).collect(),
        ));
    }
    let bytes = decode(signature)
        .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
        .ok_or(SignatureError::Signature)?;
    let signature = Signature::from_bytes(&bytes);
    signers
        .iter()
        .take(SIGNERS_MAX)
        .filter(|signer| header.kid.as_ref().is_none_or(|kid| *kid == signer.kid))
        .find(|signer| {
            public_key(&signer.public_key)
                .is_some_and(|key| key.verify_strict(message.as_bytes(), &signature).is_ok())
        })
        .ok_or(SignatureError::Signature)
}

fn check_files(files: &[(String, Vec<u8>)], signed: Vec<FileHash>) -> Result<(), SignatureError> {
    let mut expected = BTreeMap::new();
    for file in signed {
        if file.algorithm != ALGORITHM {
            let algorithm = file.algorithm.chars().take(16).collect();
            return Err(SignatureError::Algorithm(algorithm));
        }
        if expected.insert(file.name, file.hash).is_some() {
            return Err(SignatureError::Form("it names a file twice".to_owned()));
        }
    }
    for (path, content) in files {
        if path == SIGNATURES_FILE {
            continue;
        }
        let wanted = expected
            .remove(path)
            .ok_or_else(|| SignatureError::NotSigned(path.clone()))?;
        let is = hash_of(path, content)?;
        if wanted.to_ascii_lowercase() != is {
            return Err(SignatureError::Changed(path.clone()));
        }
    }
    match expected.into_keys().next() {
        Some(name) => Err(SignatureError::Missing(name.chars().take(256).collect())),
        None => Ok(()),
    }
}

/// The hash of a file in hexadecimal digits.
///
/// # Errors
/// [`SignatureError::File`] when it must be JSON and is none.
pub fn hash_of(path: &str, content: &[u8]) -> Result<String, SignatureError> {
    let digest = hash(path, content).map_err(|why| SignatureError::File {
        file: path.to_owned(),
        why,
    })?;
    Ok(digest.to_string().trim_start_matches("sha256:").to_owned())
}

/// The key of its text, if it is a usable one.
pub(crate) fn public_key(text: &str) -> Option<VerifyingKey> {
    let bytes = decode(text)?;
    let key = VerifyingKey::from_bytes(&<[u8; 32]>::try_from(bytes).ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// Who is said to have signed: the key's name in the header, unverified. For showing only.
#[must_use]
pub fn claimed_signer(signatures: &[u8]) -> Option<String> {
    let file: SignaturesFile = valetkey_model::read_json(signatures).ok()?;
    let header = decode(file.signatures.first()?.split('.').next()?)?;
    serde_json::from_slice::<Header>(&header).ok()?.kid
}

/// The text of `.signatures.json` for a bundle's files, of which an older one is none.
///
/// # Errors
/// When a file cannot be hashed.
#[cfg(feature = "make")]
pub fn sign(
    files: &[(String, Vec<u8>)],
    key: &crate::BundleKey,
    kid: &str,
) -> Result<Vec<u8>, SignatureError> {
    let mut hashes = Vec::new();
    for (path, content) in files {
        if path != SIGNATURES_FILE {
            hashes.push(FileHash {
                name: path.clone(),
                hash: hash_of(path, content)?,
                algorithm: ALGORITHM.to_owned(),
            });
        }
    }
    hashes.sort_by(|one, other| one.name.cmp(&other.name));
    let header = Header {
        alg: "EdDSA".to_owned(),
        kid: Some(kid.to_owned()),
        typ: None,
    };
    let payload = Payload {
        files: hashes,
        scope: String::new(),
    };
    let form = |error: serde_json::Error| SignatureError::Form(error.to_string());
    let encode = |bytes: Vec<u8>| Base64UrlUnpadded::encode_string(&bytes);
    let header = encode(serde_json::to_vec(&header).map_err(form)?);
    let payload = encode(serde_json::to_vec(&payload).map_err(form)?);
    let message = format!("{header}.{payload}");
    let signature = Base64UrlUnpadded::encode_string(&key.sign(message.as_bytes()));
    let file = SignaturesFile {
        signatures: vec![format!("{message}.{signature}")],
    };
    let mut text = serde_json::to_vec_pretty(&file).map_err(form)?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(all(test, feature = "make"))]
mod tests;
