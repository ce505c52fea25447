//! Properties: what is encoded is decoded, for both roles, and the split of the input never matters.

mod ws_support;

use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_proto::ws::{MAX_HEADER, OpCode, Role, deflate, encode_close, encode_frame, write_header};
use ws_support::{Owned, Setup};

/// One message as a sender sees it.
#[derive(Debug, Clone)]
enum Sent {
    Plain(Owned),
    Compressed(Owned),
    /// In pieces of at most so many bytes, with a ping between them if set.
    Fragmented(Owned, usize, bool),
}

fn message() -> impl Strategy<Value = Owned> {
    prop_oneof![
        ".{0,60}".prop_map(Owned::Text),
        vec(any::<u8>(), 0..300).prop_map(Owned::Binary),
        vec(any::<u8>(), 125..130).prop_map(Owned::Binary),
        vec(any::<u8>(), 65_534..65_538).prop_map(Owned::Binary),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        4 => message().prop_map(Sent::Plain),
        1 => message().prop_map(Sent::Compressed),
        2 => (message(), 1..40_usize, any::<bool>()).prop_map(|(m, n, ping)| Sent::Fragmented(m, n, ping)),
        1 => vec(any::<u8>(), 0..=125).prop_map(|payload| Sent::Plain(Owned::Ping(payload))),
        1 => vec(any::<u8>(), 0..=125).prop_map(|payload| Sent::Plain(Owned::Pong(payload))),
    ]
}

fn parts(message: &Owned) -> (OpCode, &[u8]) {
    match message {
        Owned::Text(text) => (OpCode::Text, text.as_bytes()),
        Owned::Binary(bytes) => (OpCode::Binary, bytes),
        Owned::Ping(bytes) => (OpCode::Ping, bytes),
        Owned::Pong(bytes) => (OpCode::Pong, bytes),
        Owned::Close(_) => unreachable!("not generated"),
    }
}

/// Writes a frame by hand, as `encode_frame` writes only unfragmented ones.
fn encode_fragment(out: &mut Vec<u8>, opcode: OpCode, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    let mut header = [0; MAX_HEADER];
    let len = write_header(&mut header, opcode, fin, false, payload.len(), mask);
    out.extend_from_slice(&header[..len]);
    let key = mask.unwrap_or_default();
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
}

fn encode(all: &[Sent], mask: Option<[u8; 4]>) -> (Vec<u8>, Vec<Owned>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for sent in all {
        match sent {
            Sent::Plain(message) => {
                let (opcode, payload) = parts(message);
                encode_frame(&mut bytes, opcode, false, payload, mask);
                expected.push(message.clone());
            }
            Sent::Compressed(message) => {
                let (opcode, payload) = parts(message);
                encode_frame(&mut bytes, opcode, true, &deflate(payload, 15, 3), mask);
                expected.push(message.clone());
            }
            Sent::Fragmented(message, size, ping) => {
                let (mut opcode, payload) = parts(message);
                let size = (*size).max(payload.len() / 50);
                for piece in payload.chunks(size) {
                    encode_fragment(&mut bytes, opcode, false, piece, mask);
                    opcode = OpCode::Continuation;
                    if *ping {
                        encode_frame(&mut bytes, OpCode::Ping, false, b"between", mask);
                        expected.push(Owned::Ping(b"between".to_vec()));
                    }
                }
                encode_fragment(&mut bytes, opcode, true, &[], mask);
                expected.push(message.clone());
            }
        }
    }
    (bytes, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded_whatever_the_split(
        all in vec(sent(), 0..8),
        key in any::<[u8; 4]>(),
        pieces in vec(1..2000_usize, 1..40),
    ) {
        for (role, mask) in [(Role::Server, Some(key)), (Role::Client, None)] {
            let (bytes, expected) = encode(&all, mask);
            let mut setup = Setup::new(role);
            setup.deflate = true;
            prop_assert_eq!(setup.run(&bytes), (expected.clone(), None));
            let cycle = pieces.iter().copied().cycle();
            prop_assert_eq!(setup.run_in_pieces(&bytes, cycle), (expected, None));
        }
    }

    #[test]
    fn any_bytes_give_the_same_result_whatever_the_split(
        mut bytes in vec(any::<u8>(), 0..200),
        deflate in any::<bool>(),
        pieces in vec(1..20_usize, 1..20),
    ) {
        if let Some(first) = bytes.first_mut() {
            *first &= 0xcf; // otherwise most inputs end at once
        }
        for role in [Role::Server, Role::Client] {
            let mut setup = Setup::new(role);
            setup.deflate = deflate;
            let cycle = pieces.iter().copied().cycle();
            prop_assert_eq!(setup.run(&bytes), setup.run_in_pieces(&bytes, cycle));
        }
    }

    #[test]
    fn a_close_arrives_with_a_prefix_of_its_reason(
        code in prop_oneof![1000..=1003_u16, 1007..=1014_u16, 3000..=4999_u16],
        reason in ".{0,200}",
        key in any::<[u8; 4]>(),
    ) {
        let mut bytes = Vec::new();
        encode_close(&mut bytes, code, &reason, Some(key));
        prop_assert!(bytes.len() <= 2 + 4 + 125);
        let (events, violation) = Setup::new(Role::Server).run(&bytes);
        prop_assert_eq!(violation, None);
        let [Owned::Close(Some((received, text)))] = &events[..] else { panic!("{events:?}") };
        prop_assert_eq!(*received, code);
        prop_assert!(reason.starts_with(text.as_str()) && (text == &reason || text.len() > 119));
    }
}
