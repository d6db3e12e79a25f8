//! The protection of a key under a passphrase: Argon2id makes a key of it, XChaCha20-Poly1305 seals the secret with that.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::ApproverError;
use crate::passphrase::Passphrase;
use crate::random;

/// Bytes of the secret: an Ed25519 seed.
pub(crate) const SEED_BYTES: usize = 32;

/// The cost of a guess: the second recommended choice of RFC 9106, section 4 (64 MiB, 3 passes, 4 lanes), with twice the memory.
const MEMORY_KIB: u32 = 128 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// What a file may ask for at most, so that a hostile one can neither take all memory nor all day.
const MEMORY_KIB_MAX: u32 = 512 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

const _: () = assert!(MEMORY_KIB <= MEMORY_KIB_MAX && PASSES <= PASSES_MAX && LANES <= LANES_MAX);

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;

/// How a key is made of the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kdf {
    algorithm: KdfAlgorithm,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum KdfAlgorithm {
    /// RFC 9106, version 0x13.
    #[serde(rename = "argon2id-v19")]
    Argon2id,
}

/// How the secret is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cipher {
    algorithm: CipherAlgorithm,
    nonce: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum CipherAlgorithm {
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
}

impl Kdf {
    /// Today's cost, with a new salt.
    pub(crate) fn new() -> Result<Self, ApproverError> {
        Ok(Self {
            algorithm: KdfAlgorithm::Argon2id,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: Base64UrlUnpadded::encode_string(&random::<SALT_BYTES>()?),
        })
    }

    /// The key of a passphrase; nothing when the parameters are out of bounds.
    fn key(&self, passphrase: &Passphrase) -> Option<Zeroizing<[u8; 32]>> {
        let within = self.memory_kib <= MEMORY_KIB_MAX
            && self.passes <= PASSES_MAX
            && self.lanes <= LANES_MAX;
        if !within {
            return None;
        }
        let salt = Base64UrlUnpadded::decode_vec(&self.salt).ok()?;
        let salt = <[u8; SALT_BYTES]>::try_from(salt).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(key.len())).ok()?;
        let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.bytes(),
                &salt,
                &mut *key,
                memory.as_mut_slice(),
            )
            .ok()?;
        Some(key)
    }
}

impl Cipher {
    /// With a new nonce. It is 24 bytes long, so that random ones do not meet.
    pub(crate) fn new() -> Result<Self, ApproverError> {
        Ok(Self {
            algorithm: CipherAlgorithm::XChaCha20Poly1305,
            nonce: Base64UrlUnpadded::encode_string(&random::<NONCE_BYTES>()?),
        })
    }

    fn nonce(&self) -> Option<XNonce> {
        let bytes = Base64UrlUnpadded::decode_vec(&self.nonce).ok()?;
        <[u8; NONCE_BYTES]>::try_from(bytes).ok().map(XNonce::from)
    }
}

/// Seals the seed; `bound` is what the seal holds together with it.
pub(crate) fn seal(
    seed: &[u8; SEED_BYTES],
    passphrase: &Passphrase,
    kdf: &Kdf,
    cipher: &Cipher,
    bound: &[u8],
) -> Option<String> {
    let key = kdf.key(passphrase)?;
    let mut sealed = seed.to_vec();
    XChaCha20Poly1305::new((&*key).into())
        .encrypt_in_place(&cipher.nonce()?, bound, &mut sealed)
        .ok()?;
    Some(Base64UrlUnpadded::encode_string(&sealed))
}

/// Opens what was sealed. A wrong passphrase, other bytes and another `bound` all look the same.
pub(crate) fn open(
    sealed: &str,
    passphrase: &Passphrase,
    kdf: &Kdf,
    cipher: &Cipher,
    bound: &[u8],
) -> Option<Zeroizing<[u8; SEED_BYTES]>> {
    let mut opened = Zeroizing::new(Base64UrlUnpadded::decode_vec(sealed).ok()?);
    let key = kdf.key(passphrase)?;
    XChaCha20Poly1305::new((&*key).into())
        .decrypt_in_place(&cipher.nonce()?, bound, &mut *opened)
        .ok()?;
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    if opened.len() != SEED_BYTES {
        return None;
    }
    seed.copy_from_slice(&opened);
    Some(seed)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn phrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    fn cheap() -> Kdf {
        Kdf {
            memory_kib: 64,
            passes: 1,
            ..Kdf::new().unwrap()
        }
    }

    #[test]
    fn only_the_passphrase_and_the_same_surroundings_open_it() {
        let (kdf, cipher) = (cheap(), Cipher::new().unwrap());
        let right = phrase("a good one");
        let sealed = seal(&[7; 32], &right, &kdf, &cipher, b"bound").unwrap();
        let open = |phrase: &Passphrase, kdf: &Kdf, cipher: &Cipher, bound: &[u8]| {
            open(&sealed, phrase, kdf, cipher, bound)
        };
        assert_eq!(*open(&right, &kdf, &cipher, b"bound").unwrap(), [7; 32]);
        assert!(open(&phrase("a good on"), &kdf, &cipher, b"bound").is_none());
        assert!(open(&right, &kdf, &cipher, b"other").is_none());
        assert!(open(&right, &cheap(), &cipher, b"bound").is_none());
        assert!(open(&right, &kdf, &Cipher::new().unwrap(), b"bound").is_none());
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let (kdf, cipher) = (cheap(), Cipher::new().unwrap());
        let right = phrase("a good one");
        let sealed = seal(&[7; 32], &right, &kdf, &cipher, b"bound").unwrap();
        let bytes = Base64UrlUnpadded::decode_vec(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = Base64UrlUnpadded::encode_string(&changed);
            assert!(open(&text, &right, &kdf, &cipher, b"bound").is_none());
            let cut = Base64UrlUnpadded::encode_string(&bytes[..at]);
            assert!(open(&cut, &right, &kdf, &cipher, b"bound").is_none());
        }
    }

    #[test]
    fn a_hostile_file_takes_neither_memory_nor_time() {
        let edits: [fn(&mut Kdf); 6] = [
            |kdf| kdf.memory_kib = u32::MAX,
            |kdf| kdf.memory_kib = MEMORY_KIB_MAX + 1,
            |kdf| kdf.passes = PASSES_MAX + 1,
            |kdf| kdf.lanes = u32::MAX,
            |kdf| kdf.memory_kib = 0,
            |kdf| kdf.salt = "AA".to_owned(),
        ];
        let begun = Instant::now();
        for edit in edits {
            let mut kdf = Kdf::new().unwrap();
            edit(&mut kdf);
            assert!(kdf.key(&phrase("x")).is_none());
        }
        assert!(begun.elapsed().as_secs() < 5);
    }
}
