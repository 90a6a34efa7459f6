//! Base64 as devices write it: either alphabet, with or without padding, line ends and a `data:` head.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// Deviations tolerated in both alphabets.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// The bytes of a text; `None` if it is not base64.
pub(crate) fn decode(text: &str) -> Option<Bytes> {
    let text = match text.split_once(',') {
        Some((head, tail)) if head.trim_start().starts_with("data:") => tail,
        _ => text,
    };
    let bare: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(&bare).or_else(|_| URL_SAFE.decode(&bare)).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn every_spelling() {
        for text in ["/9j/2w==", "/9j/2w", "_9j_2w", "data:image/jpeg;base64,/9j/\r\n2w=="] {
            assert_eq!(decode(text).as_deref(), Some(&b"\xff\xd8\xff\xdb"[..]), "{text}");
        }
        assert_eq!(decode("not base64!"), None);
    }
}
