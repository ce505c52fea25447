//! What waits to be sent: messages in order, taken out in the wire form of either transport.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use trunkline_proto::eio::PayloadV4Encoder;
use trunkline_proto::ws::{OpCode, encode_frame, encode_prefixed};

use super::mask;

/// One packet that waits.
#[derive(Debug)]
pub(super) enum Outgoing {
    Text(Bytes),
    Binary(Bytes),
    /// A packet without data, such as `3`, already in its text form.
    Control(&'static str),
}

impl Outgoing {
    fn cost(&self) -> usize {
        let len = match self {
            Self::Text(data) | Self::Binary(data) => data.len(),
            Self::Control(packet) => packet.len(),
        };
        cost(len)
    }
}

/// What a message of `len` bytes costs in [`Queue::bytes`].
pub(super) fn cost(len: usize) -> usize {
    len.saturating_add(OVERHEAD)
}

/// The packets, and what they cost.
#[derive(Debug, Default)]
pub(super) struct Queue {
    packets: VecDeque<Outgoing>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, packet: Outgoing) {
        self.bytes = self.bytes.saturating_add(packet.cost());
        self.packets.push_back(packet);
    }

    /// In front of what waits: a heartbeat must not be late because much is sent.
    pub(super) fn push_front(&mut self, packet: Outgoing) {
        self.bytes = self.bytes.saturating_add(packet.cost());
        self.packets.push_front(packet);
    }

    /// The cost of what waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Appends frames to `out` until it holds [`CHUNK`] bytes or nothing waits any more: what leaves together costs one
    /// write.
    pub(super) fn take_frames(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while out.len() < CHUNK
            && let Some(packet) = self.pop()
        {
            let key = Some(mask::key()?);
            match packet {
                Outgoing::Text(text) => encode_prefixed(out, OpCode::Text, b"4", &text, key),
                Outgoing::Binary(data) => encode_frame(out, OpCode::Binary, false, &data, key),
                Outgoing::Control(packet) => encode_frame(out, OpCode::Text, false, packet.as_bytes(), key),
            }
        }
        if self.packets.is_empty() {
            self.packets = VecDeque::new();
        }
        Ok(())
    }

    /// The body of one POST: at most `max` bytes, but at least one packet, and the cost of what it holds.
    pub(super) fn take_payload(&mut self, max: usize) -> (Vec<u8>, usize) {
        let before = self.bytes;
        let mut body = PayloadV4Encoder::new();
        while let Some(next) = self.packets.front() {
            let len = match next {
                Outgoing::Text(text) => body.len_with_message(text.len()),
                Outgoing::Binary(data) => body.len_with_binary(data.len()),
                Outgoing::Control(packet) => body.len_with_message(packet.len().saturating_sub(1)),
            };
            if len > max && !body.is_empty() {
                break;
            }
            match self.pop() {
                Some(Outgoing::Text(text)) => body.message(&text),
                Some(Outgoing::Binary(data)) => body.binary(&data),
                Some(Outgoing::Control(packet)) => body.text(packet.as_bytes()),
                None => break,
            }
        }
        (body.finish(), before - self.bytes)
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let packet = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(packet.cost());
        Some(packet)
    }
}

/// What an entry costs beside its data, in bytes; the server counts the same.
const OVERHEAD: usize = 64;
/// Bytes of frames encoded at a time: a masked copy of all that waits would double its memory.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(packets: Vec<Outgoing>) -> Queue {
        let mut queue = Queue::default();
        packets.into_iter().for_each(|packet| queue.push(packet));
        queue
    }

    #[test]
    fn a_payload_keeps_the_servers_limit() {
        let text = |text: &'static str| Outgoing::Text(Bytes::from_static(text.as_bytes()));
        let mut queue =
            queue(vec![text("aaaa"), text("bb"), Outgoing::Binary(Bytes::from_static(&[1; 6])), text("c")]);
        let whole = queue.bytes();
        let (body, cost) = queue.take_payload(9);
        assert_eq!(body, b"4aaaa\x1e4bb");
        assert_eq!(cost + queue.bytes(), whole);
        assert_eq!(queue.take_payload(9).0, b"bAQEBAQEB");
        assert_eq!(queue.take_payload(9).0, b"4c");
        assert!(queue.is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn a_message_above_the_limit_leaves_alone() {
        let mut queue =
            queue(vec![Outgoing::Text(Bytes::from_static(b"much too long")), Outgoing::Control("3")]);
        assert_eq!(queue.take_payload(3).0, b"4much too long");
        assert_eq!(queue.take_payload(3).0, b"3");
    }

    #[test]
    fn frames_leave_in_bounded_chunks() {
        let big = Bytes::from(vec![7; 40 * 1024]);
        let mut queue = queue((0..3).map(|_| Outgoing::Binary(big.clone())).collect());
        queue.push_front(Outgoing::Control("3"));
        let mut out = Vec::new();
        queue.take_frames(&mut out).expect("random bytes");
        assert!(!queue.is_empty() && out.len() >= CHUNK && out.len() < CHUNK + big.len() + 14);
        assert_eq!(out[..2], [0x81, 0x81], "the heartbeat is first, and masked");
    }
}
