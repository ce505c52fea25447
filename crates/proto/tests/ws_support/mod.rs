//! What the WebSocket tests share: events that own their bytes, and a decoder run over split input.

#![allow(dead_code, reason = "each test file uses its own part")]

use trunkline_proto::ws::{Decoder, Event, Limits, Role, Violation};

/// An event that outlives its input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Owned {
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

/// The parameters of a decoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) limits: Limits,
    pub(crate) deflate: bool,
}

impl Setup {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, limits: Limits::default(), deflate: false }
    }

    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.role, self.limits, self.deflate)
    }

    /// Decodes `bytes`, given in one piece.
    pub(crate) fn run(&self, bytes: &[u8]) -> (Vec<Owned>, Option<Violation>) {
        self.run_in_pieces(bytes, [bytes.len()])
    }

    /// Decodes `bytes` in pieces of the given lengths; what they leave over is the last piece.
    pub(crate) fn run_in_pieces(
        &self,
        bytes: &[u8],
        lengths: impl IntoIterator<Item = usize>,
    ) -> (Vec<Owned>, Option<Violation>) {
        let mut decoder = self.decoder();
        let mut events = Vec::new();
        let mut bytes = bytes.to_owned();
        let mut rest = bytes.as_mut_slice();
        let mut lengths = lengths.into_iter();
        while !rest.is_empty() {
            let length = lengths.next().unwrap_or(usize::MAX).min(rest.len());
            let (piece, after) = rest.split_at_mut(length);
            rest = after;
            if let Err(violation) = feed(&mut decoder, piece, &mut events) {
                return (events, Some(violation));
            }
        }
        (events, None)
    }
}

/// Gives a piece to a decoder as a driver must: until it is consumed and nothing more comes.
pub(crate) fn feed(
    decoder: &mut Decoder,
    mut piece: &mut [u8],
    events: &mut Vec<Owned>,
) -> Result<(), Violation> {
    loop {
        let (consumed, event) = decoder.decode(piece)?;
        let Some(event) = event else {
            assert_eq!(consumed, piece.len());
            return Ok(());
        };
        events.push(event.into());
        piece = &mut piece[consumed..];
    }
}

/// Pseudo-random numbers (splitmix64) from a seed, the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.draw() % end.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.draw() as u8).collect()
    }
}
