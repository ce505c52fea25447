//! Base64 as packets carry it: written with padding, read with or without.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Violation;

/// Decodes `text`. Spare bits in the last character are ignored, as in the reference server; any character
/// outside of the standard alphabet is an error, where the reference server skips it.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Violation> {
    CODEC.decode(text).map_err(|_| Violation::InvalidBase64)
}

/// Appends `data` to `out`.
pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_len(data.len()), 0);
    let written = out.get_mut(start..).map_or(0, |space| CODEC.encode_slice(data, space).unwrap_or(0));
    out.truncate(start + written);
}

/// The number of characters that [`encode`] appends for `len` bytes.
pub(super) fn encoded_len(len: usize) -> usize {
    len.div_ceil(3).saturating_mul(4)
}

const CODEC: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_when_writing_and_does_not_care_when_reading() {
        let mut out = b"b".to_vec();
        encode(&[1, 2, 3, 4], &mut out);
        assert_eq!(out, b"bAQIDBA==");
        assert_eq!(decode("AQIDBA=="), Ok(vec![1, 2, 3, 4]));
        assert_eq!(decode("AQIDBA"), Ok(vec![1, 2, 3, 4]));
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode("A"), Err(Violation::InvalidBase64));
        assert_eq!(decode("AQ*DBA=="), Err(Violation::InvalidBase64));
    }
}
