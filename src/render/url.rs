//! Addresses of pictures: `<public_url>/snapshots/<alarm id>.jpg?k=<key of this picture>`.
//!
//! The key is an HMAC of the alarm's identifier. It lets a receiver of the message fetch the picture without login, and
//! cannot be guessed.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::model::picture::hex;

/// Bytes of the HMAC that make the key: 128 bits.
const KEY_BYTES: usize = 16;
/// Block size of SHA-256 in bytes. HMAC pads shorter keys with zeros to this size.
const BLOCK: usize = 64;

/// The `k` of an alarm's picture: the first 16 bytes of HMAC-SHA256(secret, identifier), in hex.
#[must_use]
pub fn sign(secret: &[u8; 32], alarm: Uuid) -> String {
    let mut block = [0_u8; BLOCK];
    for (to, from) in block.iter_mut().zip(secret) {
        *to = *from;
    }
    let mut hmac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
    hmac.update(alarm.hyphenated().to_string().as_bytes());
    let full = hmac.finalize().into_bytes();
    hex(full.get(..KEY_BYTES).unwrap_or(&full))
}

/// Returns whether `key` opens the picture of this alarm; compared in constant time.
#[must_use]
pub fn verify(secret: &[u8; 32], alarm: Uuid, key: &str) -> bool {
    sign(secret, alarm).as_bytes().ct_eq(key.as_bytes()).into()
}

/// The complete address of a picture. `public_url` is the address of the admin listener for other hosts, with or
/// without a final `/`.
#[must_use]
pub fn picture(public_url: &str, secret: &[u8; 32], alarm: Uuid) -> String {
    format!("{}/snapshots/{alarm}.jpg?k={}", public_url.trim_end_matches('/'), sign(secret, alarm))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{picture, sign, verify};

    const ID: Uuid = Uuid::from_u128(0x019a_b6c2_5f0e_7c11_9d0a_3b6d_6c1f_6d10);

    #[test]
    fn a_key_opens_its_own_picture_only() {
        let secret = [7; 32];
        let key = sign(&secret, ID);
        assert_eq!(key.len(), 32);
        assert!(verify(&secret, ID, &key));
        assert!(!verify(&secret, Uuid::nil(), &key));
        assert!(!verify(&[8; 32], ID, &key));
        for wrong in ["", "0", &key.to_uppercase(), &format!("{key}0")] {
            assert!(!verify(&secret, ID, wrong), "{wrong}");
        }
    }

    #[test]
    fn the_key_is_plain_hmac_sha256() {
        // printf %s 019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
        assert_eq!(sign(&[7; 32], ID), "98ff25e99fd272e1025b0f481cd2d38c");
    }

    #[test]
    fn a_slash_at_the_end_of_the_public_address_is_no_second_one() {
        let url = picture("http://bus.lan:8090/", &[7; 32], ID);
        assert!(url.starts_with("http://bus.lan:8090/snapshots/019ab6c2-5f0e-7c11-9d0a-3b6d6c1f6d10.jpg?k="));
    }
}
