//! Masking of payloads (RFC 6455 section 5.3), eight bytes at a time.

/// XORs `data` with `key`; `offset` is how many bytes of the payload came before `data`. Undoes itself.
pub(super) fn apply(data: &mut [u8], mut key: [u8; 4], offset: usize) {
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);

    // Fixed-size chunks without a bounds check are what LLVM turns into vector instructions.
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn equals_the_definition_for_every_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let expected: Vec<u8> =
                    plain.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect();
                let mut masked = plain;
                apply(&mut masked, key, offset);
                assert_eq!(masked, expected, "length {len}, offset {offset}");
            }
        }
    }
}
