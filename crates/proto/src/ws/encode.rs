//! Outgoing frames (RFC 6455 section 5.2). The random masking key of a client comes from the caller.

use super::frame::{FIN, MASK, MAX_CONTROL, OpCode, RSV1};
use super::{decoder, mask as masking};

/// The longest header, in bytes: a masked frame with a 64-bit length.
pub const MAX_HEADER: usize = 14;

/// The longest header a server sends, in bytes: servers do not mask.
pub const MAX_SERVER_HEADER: usize = 10;

/// Writes a header at the front of `out` and returns its length in bytes, 2..=14.
///
/// `len` is the payload length in bytes, written in its shortest form (RFC 6455 section 5.2). `rsv1` marks a
/// compressed message (RFC 7692 section 6). With `mask`, the payload that follows must be masked with that
/// key.
pub fn write_header(
    out: &mut [u8; MAX_HEADER],
    opcode: OpCode,
    fin: bool,
    rsv1: bool,
    len: usize,
    mask: Option<[u8; 4]>,
) -> usize {
    out[0] = opcode as u8 | if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 };
    let mask_bit = if mask.is_some() { MASK } else { 0 };
    let written = match len {
        0..=125 => {
            out[1] = mask_bit | len as u8;
            2
        }
        126..=0xffff => {
            out[1] = mask_bit | 126;
            out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = mask_bit | 127;
            out[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    let Some(key) = mask else { return written };
    out[written..written + 4].copy_from_slice(&key);
    written + 4
}

/// The bytes of the header a server puts before a payload of `len` bytes: 2, 4 or 10.
pub fn server_header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends one whole, unfragmented frame; the payload is masked when `mask` is given.
///
/// A control frame must have at most 125 bytes of payload (RFC 6455 section 5.5): what is beyond is cut off.
pub fn encode_frame(out: &mut Vec<u8>, opcode: OpCode, rsv1: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    let payload = match payload.split_at_checked(MAX_CONTROL.into()) {
        Some((front, _)) if opcode.is_control() => front,
        _ => payload,
    };
    append(out, opcode, rsv1, &[payload], mask);
}

/// Appends one whole, unfragmented data frame, whose payload is `prefix` and `rest` one after the other.
///
/// The two come from different places: an Engine.IO packet is its type and the message.
pub fn encode_prefixed(out: &mut Vec<u8>, opcode: OpCode, prefix: &[u8], rest: &[u8], mask: Option<[u8; 4]>) {
    append(out, opcode, false, &[prefix, rest], mask);
}

fn append(out: &mut Vec<u8>, opcode: OpCode, rsv1: bool, parts: &[&[u8]], mask: Option<[u8; 4]>) {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut header = [0; MAX_HEADER];
    let header_len = write_header(&mut header, opcode, true, rsv1, len, mask);
    out.reserve(header_len + len);
    out.extend_from_slice(&header[..header_len]);
    let start = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    if let Some(key) = mask {
        masking::apply(&mut out[start..], key, 0);
    }
}

/// Appends a close frame. `reason` is cut to 123 bytes at a character boundary (RFC 6455 section 5.5).
///
/// A code that must not be on the wire (such as 1005, "no code") gives a close frame without payload, so the
/// answer to [`Event::Close(None)`](super::Event::Close) needs no special case.
pub fn encode_close(out: &mut Vec<u8>, code: u16, reason: &str, mask: Option<[u8; 4]>) {
    if !decoder::is_valid_close_code(code) {
        return encode_frame(out, OpCode::Close, false, &[], mask);
    }
    let mut end = reason.len().min(MAX_CLOSE_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode_frame(out, OpCode::Close, false, &payload, mask);
}

/// Bytes of reason that fit a control frame beside the code.
const MAX_CLOSE_REASON: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        for (len, server_len) in
            [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10), (usize::MAX >> 1, 10)]
        {
            let mut header = [0; MAX_HEADER];
            assert_eq!(write_header(&mut header, OpCode::Binary, true, false, len, None), server_len);
            assert_eq!(
                write_header(&mut header, OpCode::Binary, true, false, len, Some([1; 4])),
                server_len + 4
            );
            assert_eq!(server_header_len(len), server_len);
        }
    }

    #[test]
    fn a_prefix_is_part_of_the_payload() {
        for mask in [None, Some([1, 2, 3, 4])] {
            let (mut parts, mut whole) = (Vec::new(), Vec::new());
            encode_prefixed(&mut parts, OpCode::Text, b"4", b"hello", mask);
            encode_frame(&mut whole, OpCode::Text, false, b"4hello", mask);
            assert_eq!(parts, whole);
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        encode_close(&mut out, 1000, &"\u{20ac}".repeat(42), None); // 126 bytes in characters of three
        assert_eq!(out[..4], [0x88, 125, 0x03, 0xe8]);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok("\u{20ac}".repeat(41).as_str()));

        out.clear();
        encode_close(&mut out, 1000, &format!("a{}", "\u{20ac}".repeat(41)), None); // the cut falls inside one
        assert_eq!(out[1], 2 + 1 + 40 * 3);
    }

    #[test]
    fn a_code_that_must_not_be_sent_is_left_out() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            let mut out = Vec::new();
            encode_close(&mut out, code, "reason", None);
            assert_eq!(out, [0x88, 0], "{code}");
        }
    }

    #[test]
    fn a_control_payload_never_exceeds_its_limit() {
        let mut out = Vec::new();
        encode_frame(&mut out, OpCode::Ping, false, &[7; 200], None);
        assert_eq!(out.len(), 2 + 125);
        assert_eq!(out[1], 125);
    }
}
