//! Opens what was sealed, strictly: another spelling of the header is not read.

use base64ct::{Base64Unpadded, Encoding as _};
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroizing;

use super::kdf::{hkdf_sha256, hmac_sha256, same};
use super::{
    CHUNK_BYTES, FILE_KEY_BYTES, INTRODUCTION, Identity, NONCE_BYTES, OpenError, TAG_BYTES,
    X25519_LABEL, chunk_nonce,
};

/// Most bytes of a header: recipients of every kind that there is.
const HEADER_MAX: usize = 64 << 10;

/// Opens with one of the keys.
///
/// # Errors
/// When it is not of the format, is sealed to others, or was changed.
pub fn open(sealed: &[u8], keys: &[Identity]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let header = Header::read(sealed)?;
    let mut file_keys = keys.iter().filter_map(|key| header.unwrap(key));
    let file_key = file_keys.next().ok_or(OpenError::NotForThis)?;
    let mac_key = hkdf_sha256(&file_key, b"", b"header");
    if !same(&hmac_sha256(&*mac_key, &[header.covered]), &header.mac) {
        return Err(OpenError::Changed);
    }
    let (nonce, rest) = header
        .payload
        .split_at_checked(NONCE_BYTES)
        .ok_or(OpenError::Changed)?;
    let key = hkdf_sha256(&file_key, nonce, b"payload");
    payload(rest, &key)
}

fn payload(sealed: &[u8], key: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let cipher = ChaCha20Poly1305::new(key.into());
    let mut content = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let chunks: Vec<&[u8]> = sealed
        .chunks(CHUNK_BYTES.saturating_add(TAG_BYTES))
        .collect();
    let last = chunks.len().checked_sub(1).ok_or(OpenError::Changed)?;
    for (number, chunk) in (0_u64..).zip(chunks) {
        let is_last = usize::try_from(number).is_ok_and(|number| number == last);
        let nonce = Nonce::from(chunk_nonce(number, is_last));
        let mut piece = Zeroizing::new(chunk.to_vec());
        cipher
            .decrypt_in_place(&nonce, b"", &mut *piece)
            .map_err(|_| OpenError::Changed)?;
        if piece.is_empty() && number > 0 {
            return Err(OpenError::Changed);
        }
        content.extend_from_slice(&piece);
    }
    Ok(content)
}

/// A header as it stands in the file.
struct Header<'a> {
    /// The X25519 stanzas: share and wrapped key.
    stanzas: Vec<([u8; 32], Vec<u8>)>,
    /// What the code covers.
    covered: &'a [u8],
    mac: Vec<u8>,
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let (mut at, mut stanzas) = (0_usize, Vec::new());
        let first = line(sealed, &mut at)?;
        if first != INTRODUCTION {
            return Err(OpenError::Form);
        }
        loop {
            let begins = at;
            let text = line(sealed, &mut at)?;
            if let Some(mac) = text.strip_prefix("--- ") {
                let mac = Base64Unpadded::decode_vec(mac).map_err(|_| OpenError::Form)?;
                let covered = sealed.get(..begins.saturating_add(3)).unwrap_or_default();
                let payload = sealed.get(at..).unwrap_or_default();
                return Ok(Self {
                    stanzas,
                    covered,
                    mac,
                    payload,
                });
            }
            let words = text.strip_prefix("-> ").ok_or(OpenError::Form)?;
            let body = body(sealed, &mut at)?;
            if let Some(share) = words.strip_prefix("X25519 ") {
                let share = Base64Unpadded::decode_vec(share).map_err(|_| OpenError::Form)?;
                let share = <[u8; 32]>::try_from(share.as_slice()).map_err(|_| OpenError::Form)?;
                stanzas.push((share, body));
            }
        }
    }

    /// The file's key, if a stanza is for this identity.
    fn unwrap(&self, key: &Identity) -> Option<Zeroizing<Vec<u8>>> {
        let own = key.recipient();
        self.stanzas.iter().find_map(|(share, wrapped)| {
            if wrapped.len() != FILE_KEY_BYTES.saturating_add(TAG_BYTES) {
                return None;
            }
            let secret = MontgomeryPoint(*share).mul_clamped(*key.0).to_bytes();
            let secret = Zeroizing::new(secret);
            if *secret == [0; 32] {
                return None;
            }
            let salt = [*share, own.0].concat();
            let wrapping = hkdf_sha256(&*secret, &salt, X25519_LABEL);
            let mut file_key = Zeroizing::new(wrapped.clone());
            ChaCha20Poly1305::new((&*wrapping).into())
                .decrypt_in_place(&Nonce::from([0; 12]), b"", &mut *file_key)
                .ok()?;
            Some(file_key)
        })
    }
}

/// The next line, without its end.
fn line<'a>(sealed: &'a [u8], at: &mut usize) -> Result<&'a str, OpenError> {
    let rest = sealed.get(*at..).unwrap_or_default();
    let length = rest
        .iter()
        .take(HEADER_MAX)
        .position(|byte| *byte == b'\n')
        .ok_or(OpenError::Form)?;
    *at = at.saturating_add(length).saturating_add(1);
    if *at > HEADER_MAX {
        return Err(OpenError::Form);
    }
    let line = rest.get(..length).unwrap_or_default();
    std::str::from_utf8(line).map_err(|_| OpenError::Form)
}

/// A stanza's body: lines of 64 letters, the last one shorter.
fn body(sealed: &[u8], at: &mut usize) -> Result<Vec<u8>, OpenError> {
    const LINE: usize = 64;
    let mut text = String::new();
    loop {
        let line = line(sealed, at)?;
        text.push_str(line);
        match line.len() {
            LINE => {}
            0..LINE => break,
            _ => return Err(OpenError::Form),
        }
    }
    Base64Unpadded::decode_vec(&text).map_err(|_| OpenError::Form)
}
