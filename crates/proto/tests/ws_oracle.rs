//! The same bytes to our decoder and to `tungstenite`: the same messages, and an error at the same place.

mod ws_support;

use std::io::{self, Read, Write};

use trunkline_proto::ws::{MAX_HEADER, OpCode, Role, Violation, write_header};
use tungstenite::protocol::{Role as OracleRole, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};
use ws_support::{Owned, Random, Setup};

#[test]
fn streams_of_frames_with_and_without_damage() {
    let mut random = Random(2026);
    let (mut agreed_ok, mut agreed_failed) = (0, 0);
    for round in 0..6000 {
        let role = if round % 2 == 0 { Role::Server } else { Role::Client };
        let mut bytes = stream(&mut random, role);
        if round % 3 == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.draw() as u8;
        }
        let mut setup = Setup::new(role);
        setup.limits.max_message = MAX_MESSAGE;
        let (events, violation) = setup.run(&bytes);
        // The oracle takes long forms of lengths, a matter on which it is the laxer one, and answers a
        // forbidden close code without an error.
        let stricter =
            matches!(violation, Some(Violation::LengthNotMinimal | Violation::InvalidCloseCode(_)));
        if stricter {
            continue;
        }
        let (oracle_events, oracle_failed) = oracle(role, &bytes);
        // It reads a frame only when it is whole, so on incomplete input we may know of an error before it
        // does.
        let early = violation.is_some() && !oracle_failed;
        if early {
            let mut padded = bytes.clone();
            padded.extend_from_slice(&[0; 2 * MAX_MESSAGE]);
            let (padded_events, padded_failed) = oracle(role, &padded);
            assert!(padded_failed, "round {round}: only we see {violation:?} in {bytes:02x?}");
            assert_eq!(padded_events, events, "round {round}: {bytes:02x?}");
        } else {
            assert_eq!(violation.is_some(), oracle_failed, "round {round}: {violation:?} in {bytes:02x?}");
            assert_eq!(oracle_events, events, "round {round}: {bytes:02x?}");
        }
        if oracle_failed || early { agreed_failed += 1 } else { agreed_ok += 1 }
    }
    assert!(agreed_ok > 2000 && agreed_failed > 500, "too one-sided: {agreed_ok} and {agreed_failed}");
}

const MAX_MESSAGE: usize = 600;

/// Some frames in a mostly sensible order.
fn stream(random: &mut Random, role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = false;
    for _ in 0..1 + random.below(6) {
        let sensible = random.below(20) != 0;
        let (opcode, fin) = match random.below(8) {
            0 => (OpCode::Ping, true),
            1 => (OpCode::Pong, true),
            2 if random.below(3) == 0 => (OpCode::Close, true),
            _ if open == sensible => (OpCode::Continuation, random.below(2) == 0),
            n => (if n % 2 == 0 { OpCode::Text } else { OpCode::Binary }, random.below(3) != 0),
        };
        if !opcode.is_control() {
            open = !fin;
        }
        let payload = payload(random, opcode);
        let key = (role == Role::Server).then(|| [random.draw() as u8, 1, random.draw() as u8, 3]);
        let mut header = [0; MAX_HEADER];
        let len = write_header(&mut header, opcode, fin, false, payload.len(), key);
        bytes.extend_from_slice(&header[..len]);
        let key = key.unwrap_or_default();
        bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
    }
    let cut = if random.below(6) == 0 { random.below(bytes.len()) } else { bytes.len() };
    bytes.truncate(cut);
    bytes
}

fn payload(random: &mut Random, opcode: OpCode) -> Vec<u8> {
    match opcode {
        OpCode::Close if random.below(4) == 0 => Vec::new(),
        OpCode::Close => [&1000_u16.to_be_bytes()[..], b"reason \xe2\x82\xac"].concat(),
        OpCode::Ping | OpCode::Pong => {
            let len = random.below(126);
            random.bytes(len)
        }
        _ => {
            // Text pieces may end inside a code point, as fragments do.
            let len = [random.below(20), random.below(260)][random.below(2)];
            let mut text = "a\u{e9}\u{20ac}\u{1f600}".repeat(len / 10 + 1).into_bytes();
            if random.below(4) == 0 {
                text.truncate(len);
            }
            text
        }
    }
}

fn oracle(role: Role, bytes: &[u8]) -> (Vec<Owned>, bool) {
    let role = if role == Role::Server { OracleRole::Server } else { OracleRole::Client };
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes.to_vec(), 0), role, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Owned::Text(text.to_string()),
            Ok(Message::Binary(payload)) => Owned::Binary(payload.to_vec()),
            Ok(Message::Ping(payload)) => Owned::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Owned::Pong(payload.to_vec()),
            Ok(Message::Close(frame)) => {
                events.push(Owned::Close(frame.map(|frame| (frame.code.into(), frame.reason.to_string()))));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("raw frames are never read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (events, false),
            Err(_) => return (events, true),
        });
    }
}

/// Input to read and how far it was read; what is written is dropped.
struct Wire(Vec<u8>, usize);

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[self.1..];
        let len = rest.len().min(out.len());
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        out[..len].copy_from_slice(&rest[..len]);
        self.1 += len;
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
