//! Floods, bombs and lies about lengths: memory and work stay bounded.

mod ws_support;

use trunkline_proto::ws::{
    Event, Limits, MAX_HEADER, OpCode, Role, Violation, deflate, encode_frame, inflate, write_header,
};
use ws_support::{Owned, Random, Setup, feed};

#[test]
fn a_declared_length_of_2_to_the_63_minus_1_is_refused_on_the_header() {
    for role in [Role::Server, Role::Client] {
        let mask = (role == Role::Server).then_some([1, 2, 3, 4]);
        let mut header = [0; MAX_HEADER];
        let len = write_header(&mut header, OpCode::Binary, true, false, i64::MAX as usize, mask);
        let mut decoder = Setup::new(role).decoder();
        assert_eq!(decoder.decode(&mut header[..len]), Err(Violation::MessageTooBig));
        assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn no_limit_at_all_is_four_gibibytes_and_does_not_overflow() {
    let fed = |len: u64| {
        let mut setup = Setup::new(Role::Client);
        setup.limits.max_message = usize::MAX;
        let mut decoder = setup.decoder();
        let mut bytes = [b"\x02\x01a\x80\x7f".as_slice(), &len.to_be_bytes(), b"bc"].concat();
        (feed(&mut decoder, &mut bytes, &mut Vec::new()), decoder.buffered())
    };
    // With the byte of the first fragment.
    assert_eq!(fed(u64::from(u32::MAX) - 1), (Ok(()), 3));
    assert_eq!(fed(u64::from(u32::MAX)), (Err(Violation::MessageTooBig), 0));
    assert_eq!(fed(i64::MAX as u64), (Err(Violation::MessageTooBig), 0));
}

#[test]
fn a_flood_of_empty_fragments_ends() {
    let (setup, mut decoder) = (Setup::new(Role::Client), Setup::new(Role::Client).decoder());
    let mut events = Vec::new();
    feed(&mut decoder, &mut [0x02, 0x00], &mut events).unwrap();
    for fragment in 2..=setup.limits.max_fragments {
        assert_eq!(feed(&mut decoder, &mut [0x00, 0x00], &mut events), Ok(()), "fragment {fragment}");
        assert_eq!(decoder.buffered(), 0);
    }
    assert_eq!(feed(&mut decoder, &mut [0x00, 0x00], &mut events), Err(Violation::TooManyFragments));
    assert_eq!(events, []);
}

#[test]
fn a_flood_of_fragments_of_one_byte_with_pings_between_ends() {
    let mut decoder = Setup::new(Role::Client).decoder();
    let mut flood = b"\x02\x01a".to_vec();
    for _ in 0..20_000 {
        flood.extend_from_slice(b"\x89\x00\x00\x01b");
    }
    let mut events = Vec::new();
    assert_eq!(feed(&mut decoder, &mut flood, &mut events), Err(Violation::TooManyFragments));
    assert_eq!(events.len(), Limits::default().max_fragments as usize);
}

#[test]
fn the_running_sum_of_fragments_is_capped() {
    let mut setup = Setup::new(Role::Client);
    setup.limits.max_message = 1000;
    let mut bytes = b"\x02\x64".iter().chain(&[7; 100]).copied().collect::<Vec<u8>>();
    for _ in 0..10 {
        bytes.extend(b"\x00\x64".iter().chain(&[7; 100]));
    }
    assert_eq!(setup.run(&bytes), (vec![], Some(Violation::MessageTooBig)));
}

/// The cost of this test is what it checks: with quadratic work it would not end in reasonable time.
#[test]
fn a_message_in_reads_of_one_byte() {
    for (role, mask) in [(Role::Server, Some([0x12, 0x34, 0x56, 0x78])), (Role::Client, None)] {
        for opcode in [OpCode::Text, OpCode::Binary] {
            let payload = "tr\u{fc}nk\u{20ac}".repeat(50_000);
            let mut bytes = Vec::new();
            encode_frame(&mut bytes, opcode, false, payload.as_bytes(), mask);
            let expected = match opcode {
                OpCode::Text => Owned::Text(payload),
                _ => Owned::Binary(payload.into_bytes()),
            };
            assert_eq!(
                Setup::new(role).run_in_pieces(&bytes, std::iter::repeat(1)),
                (vec![expected], None),
                "{role:?} {opcode:?}"
            );
        }
    }
}

#[test]
fn buffered_counts_what_is_incomplete_and_nothing_else() {
    let mut decoder = Setup::new(Role::Client).decoder();
    let mut events = Vec::new();
    for (piece, buffered) in [
        (&b"\x02"[..], 1),
        (b"\x03", 0),
        (b"ab", 2),
        (b"c", 3),
        (b"\x89", 4),
        (b"\x02x", 4),
        (b"y", 3),
        (b"\x80\x01", 3),
        (b"d", 0),
    ] {
        feed(&mut decoder, &mut piece.to_owned(), &mut events).unwrap();
        assert_eq!(decoder.buffered(), buffered, "after {piece:?}");
    }
    assert_eq!(events, [Owned::Ping(b"xy".to_vec()), Owned::Binary(b"abcd".to_vec())]);
}

#[test]
fn a_violation_is_final() {
    let mut decoder = Setup::new(Role::Client).decoder();
    assert_eq!(decoder.decode(&mut [0x83]), Err(Violation::ReservedOpCode(3)));
    assert_eq!(decoder.decode(&mut [0x81, 0x00]), Err(Violation::ReservedOpCode(3)));
}

#[test]
fn after_a_close_everything_is_swallowed() {
    let mut decoder = Setup::new(Role::Client).decoder();
    assert_eq!(decoder.decode(&mut [0x88, 0x00, 0x83]), Ok((2, Some(Event::Close(None)))));
    assert_eq!(decoder.decode(&mut [0x83]), Ok((1, None)));
    assert_eq!(decoder.decode(&mut [0xff; 100]), Ok((100, None)));
}

#[test]
fn an_inflate_bomb_stops_at_the_cap() {
    let bomb = deflate(&vec![0; 64 << 20], 15, 9);
    assert!(bomb.len() < 100_000);

    let mut out = Vec::new();
    assert_eq!(inflate(&bomb, 1_000_000, &mut out), Err(Violation::MessageTooBig));
    assert!(out.len() <= 1_000_001 && out.capacity() < 2_000_000, "{} {}", out.len(), out.capacity());

    let mut setup = Setup::new(Role::Client);
    setup.deflate = true;
    let mut bytes = Vec::new();
    encode_frame(&mut bytes, OpCode::Binary, true, &bomb, None);
    assert_eq!(setup.run(&bytes), (vec![], Some(Violation::MessageTooBig)));
    // The thread's decompressor works for the next connection.
    assert_eq!(setup.run(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), (vec![Owned::Text("Hello".into())], None));
}

#[test]
fn the_inflated_cap_is_exact() {
    let packed = deflate(&[b'a'; 5000], 15, 3);
    assert_eq!(inflate(&packed, 5000, &mut Vec::new()), Ok(()));
    assert_eq!(inflate(&packed, 4999, &mut Vec::new()), Err(Violation::MessageTooBig));
    assert_eq!(inflate(&packed, 0, &mut Vec::new()), Err(Violation::MessageTooBig));
    assert_eq!(inflate(&[0], 0, &mut Vec::new()), Ok(()));
    assert_eq!(inflate(&packed, usize::MAX, &mut Vec::new()), Ok(()));
}

#[test]
fn every_length_class_survives_both_roles() {
    let mut random = Random(7);
    for len in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 1_000_000] {
        let payload = random.bytes(len);
        for (role, mask) in [(Role::Server, Some([0xde, 0xad, 0xbe, 0xef])), (Role::Client, None)] {
            let mut bytes = Vec::new();
            encode_frame(&mut bytes, OpCode::Binary, false, &payload, mask);
            let expected = (vec![Owned::Binary(payload.clone())], None);
            assert_eq!(Setup::new(role).run(&bytes), expected, "{len}");
            assert_eq!(Setup::new(role).run_in_pieces(&bytes, std::iter::repeat(4096)), expected, "{len}");
        }
    }
}
