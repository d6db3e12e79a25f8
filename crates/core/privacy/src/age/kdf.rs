//! HMAC-SHA-256 (RFC 2104) and HKDF-SHA-256 (RFC 5869), for keys and outputs of 32 bytes.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes that SHA-256 takes at once.
const BLOCK: usize = 64;

/// The code of all parts, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = Zeroizing::new([0_u8; BLOCK]);
    if key.len() > BLOCK {
        let short: [u8; 32] = Sha256::digest(key).into();
        block
            .iter_mut()
            .zip(short)
            .for_each(|(to, from)| *to = from);
    } else {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    }
    let padded = |pad: u8| {
        let mut padded = Zeroizing::new([0_u8; BLOCK]);
        for (to, from) in padded.iter_mut().zip(block.iter()) {
            *to = from ^ pad;
        }
        padded
    };
    let mut inner = Sha256::new();
    inner.update(padded(0x36).as_slice());
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new();
    outer.update(padded(0x5c).as_slice());
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// A key of 32 bytes. Without a salt it is as long as the hash and zero.
pub(super) fn hkdf_sha256(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let extracted = if salt.is_empty() {
        hmac_sha256(&[0; 32], &[secret])
    } else {
        hmac_sha256(salt, &[secret])
    };
    let extracted = Zeroizing::new(extracted);
    Zeroizing::new(hmac_sha256(&*extracted, &[info, &[1]]))
}

/// Whether two codes are the same, in a time that does not tell where they differ.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_codes_of_rfc_4231_are_these() {
        let check = |key: &[u8], data: &[u8], expected: &str| {
            assert_eq!(hex(&hmac_sha256(key, &[data])), expected);
        };
        check(
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
    }

    #[test]
    fn the_first_key_of_rfc_5869_is_this() {
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        assert_eq!(
            hex(&*hkdf_sha256(&[0x0b; 22], &salt, &info)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
        assert_eq!(
            hex(&*hkdf_sha256(&[0x0b; 22], b"", b"")),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        );
    }
}
