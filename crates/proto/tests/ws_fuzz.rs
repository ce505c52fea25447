//! Runs the decoder's fuzz function over seeded inputs: noise, frames, and frames with damage.

mod ws_support;

use trunkline_proto::ws::fuzz::fuzz_ws_decoder;
use trunkline_proto::ws::{MAX_HEADER, OpCode, deflate, write_header};
use ws_support::Random;

#[test]
fn noise() {
    let mut random = Random(1);
    for _ in 0..3000 {
        let len = random.below(200);
        let mut data = random.bytes(len);
        if let Some(first) = data.get_mut(3) {
            *first &= 0xcf; // reserved bits would end most inputs at once
        }
        fuzz_ws_decoder(&data);
    }
}

#[test]
fn frames_with_damage() {
    let mut random = Random(2);
    for _ in 0..3000 {
        let mut data = random.bytes(3);
        let masked = random.below(2) == 0;
        for _ in 0..random.below(8) {
            frame(&mut random, &mut data, masked);
        }
        for _ in 0..random.below(3) {
            let at = random.below(data.len());
            data[at] = random.draw() as u8;
        }
        fuzz_ws_decoder(&data);
    }
}

#[test]
fn tiny_inputs() {
    fuzz_ws_decoder(&[]);
    for options in 0..4 {
        for first in 0..=255 {
            for second in [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff] {
                fuzz_ws_decoder(&[options, 9, 1, first, second, 0, 0, 0, 0, 0, 1, 0, 2, 0x81, 0]);
            }
        }
    }
}

fn frame(random: &mut Random, out: &mut Vec<u8>, masked: bool) {
    let opcode = [
        OpCode::Continuation,
        OpCode::Continuation,
        OpCode::Text,
        OpCode::Binary,
        OpCode::Binary,
        OpCode::Ping,
        OpCode::Pong,
        OpCode::Close,
    ][random.below(8)];
    let len = random.below(140);
    let compressed = random.below(3) == 0 && !opcode.is_control();
    let plain = if random.below(2) == 0 { "\u{e9}x".repeat(len / 3).into_bytes() } else { random.bytes(len) };
    let payload = if compressed { deflate(&plain, 15, 1) } else { plain };
    let key = masked.then(|| [random.draw() as u8; 4]);
    let mut header = [0; MAX_HEADER];
    let fin = opcode.is_control() || random.below(2) == 0;
    let header_len = write_header(&mut header, opcode, fin, compressed, payload.len(), key);
    out.extend_from_slice(&header[..header_len]);
    let byte_key = key.unwrap_or_default();
    out.extend(payload.iter().zip(byte_key.iter().cycle()).map(|(byte, key)| byte ^ key));
}
