//! The fuzz function of the decoder: any bytes, both roles, any split; plain code that runs on stable.

use super::{Decoder, Event, Limits, Role, Violation};

/// Feeds `data` to decoders of both roles, whole, byte by byte and in pieces of arbitrary length.
///
/// The first bytes choose limits, compression and the split.
///
/// # Panics
/// When an invariant fails: the result must not depend on the split, memory must stay within the limits, and
/// a violation must be final.
pub fn fuzz_ws_decoder(data: &[u8]) {
    let Some((&[options, max_message, seed], bytes)) = data.split_first_chunk() else { return };
    let limits = Limits {
        max_message: usize::from(max_message) << (options >> 4),
        max_fragments: if options & 2 == 0 { 4 } else { 1000 },
    };
    let deflate = options & 1 != 0;
    for role in [Role::Server, Role::Client] {
        let whole = run(role, limits, deflate, bytes, || usize::MAX);
        let single = run(role, limits, deflate, bytes, || 1);
        assert_eq!(whole, single, "byte by byte");
        let mut state = u32::from(seed) + 1;
        let pieces = run(role, limits, deflate, bytes, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 27) as usize
        });
        assert_eq!(whole, pieces, "in pieces");
    }
}

/// An [`Event`] that outlives its input.
#[derive(Debug, PartialEq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Event::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Event::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Event::Close(frame) => Self::Close(frame.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

fn run(
    role: Role,
    limits: Limits,
    deflate: bool,
    bytes: &[u8],
    mut next_len: impl FnMut() -> usize,
) -> (Vec<Owned>, Option<Violation>) {
    let mut decoder = Decoder::new(role, limits, deflate);
    let mut events = Vec::new();
    let mut bytes = bytes.to_owned();
    let mut rest = bytes.as_mut_slice();
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at_mut(next_len().min(rest.len()));
        rest = after;
        loop {
            let consumed = match decoder.decode(piece) {
                Ok((consumed, None)) => {
                    assert_eq!(consumed, piece.len(), "no event means all is consumed");
                    break;
                }
                Ok((consumed, Some(event))) => {
                    if let Event::Binary(payload) | Event::Ping(payload) | Event::Pong(payload) = event {
                        assert!(payload.len() <= limits.max_message.max(125));
                    }
                    events.push(event.into());
                    consumed
                }
                Err(violation) => {
                    assert_eq!(decoder.decode(&mut [0]), Err(violation), "a violation is final");
                    assert_eq!(decoder.buffered(), 0);
                    return (events, Some(violation));
                }
            };
            piece = &mut piece[consumed..];
        }
        assert!(decoder.buffered() <= limits.max_message + MAX_EXTRA);
    }
    (events, None)
}

/// A control payload and a header may be incomplete beside a message.
const MAX_EXTRA: usize = 125 + 14;
