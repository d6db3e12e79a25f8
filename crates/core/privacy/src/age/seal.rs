//! Seals bytes to recipients.

use base64ct::{Base64Unpadded, Encoding as _};
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use curve25519_dalek::montgomery::MontgomeryPoint;
use thiserror::Error;
use zeroize::Zeroizing;

use super::kdf::{hkdf_sha256, hmac_sha256};
use super::{
    CHUNK_BYTES, FILE_KEY_BYTES, INTRODUCTION, NONCE_BYTES, Recipient, X25519_LABEL, chunk_nonce,
};

/// Most recipients of one file.
const RECIPIENTS_MAX: usize = 32;

/// Something cannot be sealed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// There is nobody to seal it to.
    #[error("there is nobody to seal it to")]
    NoRecipient,
    /// There are more recipients than are taken.
    #[error("sealed to {RECIPIENTS_MAX} keys at most")]
    TooMany,
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(String),
    /// A key cannot be used.
    #[error("the key of a recipient cannot be used")]
    WeakKey,
}

/// Seals bytes so that each of the recipients can open them, and nobody else. `fill` fills a buffer with random bytes.
///
/// # Errors
/// When there is nobody to seal to, or no randomness.
pub fn seal(
    content: &[u8],
    recipients: &[Recipient],
    fill: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
) -> Result<Vec<u8>, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(SealError::TooMany);
    }
    let mut random = |buffer: &mut [u8]| fill(buffer).map_err(SealError::NoRandomness);
    let mut file_key = Zeroizing::new([0; FILE_KEY_BYTES]);
    random(&mut *file_key)?;
    let mut header = format!("{INTRODUCTION}\n");
    for recipient in recipients {
        let mut ephemeral = Zeroizing::new([0; 32]);
        random(&mut *ephemeral)?;
        let (share, wrapped) = wrap(&*file_key, recipient, &ephemeral)?;
        let share = Base64Unpadded::encode_string(&share);
        let wrapped = Base64Unpadded::encode_string(&wrapped);
        header.push_str(&format!("-> X25519 {share}\n{wrapped}\n"));
    }
    header.push_str("---");
    let mac_key = hkdf_sha256(&*file_key, b"", b"header");
    let mac = hmac_sha256(&*mac_key, &[header.as_bytes()]);
    let mut out = header.into_bytes();
    out.push(b' ');
    out.extend(Base64Unpadded::encode_string(&mac).bytes());
    out.push(b'\n');
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    out.extend(nonce);
    let key = hkdf_sha256(&*file_key, &nonce, b"payload");
    payload(&mut out, content, &key)?;
    Ok(out)
}

/// The ephemeral share, and the file's key wrapped for one recipient.
fn wrap(
    file_key: &[u8],
    recipient: &Recipient,
    ephemeral: &Zeroizing<[u8; 32]>,
) -> Result<([u8; 32], Vec<u8>), SealError> {
    let share = MontgomeryPoint::mul_base_clamped(**ephemeral).to_bytes();
    let secret = MontgomeryPoint(recipient.0).mul_clamped(**ephemeral);
    let secret = Zeroizing::new(secret.to_bytes());
    if *secret == [0; 32] {
        return Err(SealError::WeakKey);
    }
    let salt = [share, recipient.0].concat();
    let key = hkdf_sha256(&*secret, &salt, X25519_LABEL);
    let mut wrapped = file_key.to_vec();
    ChaCha20Poly1305::new((&*key).into())
        .encrypt_in_place(&Nonce::from([0; 12]), b"", &mut wrapped)
        .map_err(|_| SealError::WeakKey)?;
    Ok((share, wrapped))
}

/// The content in pieces, each with its number, the last one marked.
fn payload(out: &mut Vec<u8>, content: &[u8], key: &[u8; 32]) -> Result<(), SealError> {
    let cipher = ChaCha20Poly1305::new(key.into());
    let mut chunks: Vec<&[u8]> = content.chunks(CHUNK_BYTES).collect();
    if chunks.is_empty() {
        chunks.push(b"");
    }
    let last = chunks.len().saturating_sub(1);
    for (number, chunk) in (0_u64..).zip(chunks) {
        let is_last = usize::try_from(number).is_ok_and(|number| number == last);
        let nonce = Nonce::from(chunk_nonce(number, is_last));
        let mut piece = chunk.to_vec();
        cipher
            .encrypt_in_place(&nonce, b"", &mut piece)
            .map_err(|_| SealError::WeakKey)?;
        out.append(&mut piece);
    }
    Ok(())
}
