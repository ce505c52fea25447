//! One encoded packet, shared by all its receivers, and the forms it takes on the wire.
//!
//! A packet is built once. Its first buffer keeps room in front, so that the WebSocket header stands directly before the
//! text and the most common form (`ws4`, a server's unmasked frame) is a slice of it. Other forms are made when the
//! first receiver needs them and are kept with the packet.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use bytes::Bytes;
use smallvec::SmallVec;
use trunkline_proto::sio::Encoded;
use trunkline_proto::ws::{self, OpCode};

use crate::log::Gate;
use crate::slow::Lane;

/// Bytes kept free in front of a packet's text: a server's longest WebSocket header and the Engine.IO type.
pub(crate) const HEADROOM: usize = ws::MAX_SERVER_HEADER + 1;

/// What one queued packet costs its receiver beside its bytes (design 8.2).
pub(crate) const SLOT_COST: usize = 64;

/// Packets that wait for one receiver. Two fit without an allocation.
pub(crate) type Queue = SmallVec<[Arc<Packet>; 2]>;

/// In which form a receiver takes its packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    /// WebSocket, Engine.IO 4, or 3 without binary.
    Ws4,
    /// WebSocket, Engine.IO 3: binary messages start with their type.
    Ws3,
    /// WebSocket, Engine.IO 4, asked for base64 (`b64=1`).
    WsB64V4,
    /// WebSocket, Engine.IO 3, asked for base64.
    WsB64V3,
    /// WebSocket, Engine.IO 4 with permessage-deflate; the window bits, 9 to 15.
    Deflate(u8),
    /// WebSocket, Engine.IO 3 with permessage-deflate; the window bits, 9 to 15.
    DeflateV3(u8),
    /// Long-polling, Engine.IO 4.
    Polling4,
    /// Long-polling, Engine.IO 3; true if the client takes binary payloads.
    Polling3(bool),
}

/// One outbound packet.
pub(crate) struct Packet {
    /// Free room, then the packet's own bytes: Engine.IO text with its type digit, or a binary message.
    buf: Vec<u8>,
    /// Where the packet's own bytes start in `buf`.
    raw: usize,
    /// Where the WebSocket frame of these bytes starts in `buf`.
    frame: usize,
    shape: Shape,
    /// Whether transports may compress it.
    compress: bool,
    attachments: Vec<Bytes>,
    /// The forms made on demand, by `Form`.
    forms: OnceLock<Box<Forms>>,
    budget: Option<Arc<Budget>>,
    /// Of an event in a namespace that keeps a log.
    gate: Option<Gate>,
    cost: usize,
    /// What its queues may do with it; `None`: nothing.
    lane: OnceLock<Box<Lane>>,
}

type Forms = [OnceLock<Box<[u8]>>; FORMS];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Binary,
    /// Already a WebSocket frame (pong, close); never for polling.
    Frame,
}

impl Packet {
    /// An Engine.IO packet given as text with its type digit, such as `2` or `0{…}`.
    pub(crate) fn control(text: &str) -> Arc<Self> {
        let mut buf = Vec::with_capacity(HEADROOM + text.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(text.as_bytes());
        Arc::new(Self::new(buf, HEADROOM, Shape::Text, Vec::new(), None))
    }

    /// A finished WebSocket frame; with `budget` where a peer decides how many there are.
    pub(crate) fn frame(bytes: Vec<u8>, budget: Option<&Arc<Budget>>) -> Arc<Self> {
        Arc::new(Self::new(bytes, 0, Shape::Frame, Vec::new(), budget))
    }

    /// A message of the Engine.IO layer, text.
    pub(crate) fn text(text: &str, budget: &Arc<Budget>) -> Arc<Self> {
        let mut buf = Vec::with_capacity(HEADROOM + text.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(text.as_bytes());
        buf[HEADROOM - 1] = b'4';
        Arc::new(Self::new(buf, HEADROOM - 1, Shape::Text, Vec::new(), Some(budget)))
    }

    /// A message of the Engine.IO layer, binary.
    pub(crate) fn binary(data: &[u8], budget: &Arc<Budget>) -> Arc<Self> {
        let mut buf = Vec::with_capacity(HEADROOM + data.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(data);
        Arc::new(Self::new(buf, HEADROOM, Shape::Binary, Vec::new(), Some(budget)))
    }

    /// A Socket.IO packet that was encoded with `HEADROOM` bytes in front.
    pub(crate) fn encoded(encoded: Encoded, compress: bool, budget: &Arc<Budget>) -> Arc<Self> {
        Self::logged(encoded, compress, budget, None)
    }

    /// As [`Packet::encoded`], for a packet that belongs to a log.
    pub(crate) fn logged(
        encoded: Encoded,
        compress: bool,
        budget: &Arc<Budget>,
        gate: Option<Gate>,
    ) -> Arc<Self> {
        let Encoded { head: mut buf, head_offset, attachments, binary } = encoded;
        debug_assert!(head_offset >= HEADROOM, "encoded without headroom");
        let mut packet = if binary {
            Self::new(buf, head_offset, Shape::Binary, attachments, Some(budget))
        } else {
            buf[head_offset - 1] = b'4';
            Self::new(buf, head_offset - 1, Shape::Text, attachments, Some(budget))
        };
        packet.compress = compress;
        packet.gate = gate;
        Arc::new(packet)
    }

    /// A copy of an event of a log, with another offset.
    pub(crate) fn with_offset(&self, offset: &str, gate: Gate) -> Arc<Self> {
        let head_offset = self.raw + usize::from(self.shape == Shape::Text);
        let (head, attachments) = (self.buf.clone(), self.attachments.clone());
        let mut encoded = Encoded { head, head_offset, attachments, binary: self.shape == Shape::Binary };
        encoded.set_offset(offset);
        let budget = self.budget.clone().unwrap_or_else(|| Budget::new(usize::MAX));
        Self::logged(encoded, self.compress, &budget, Some(gate))
    }

    fn new(
        mut buf: Vec<u8>,
        raw: usize,
        shape: Shape,
        attachments: Vec<Bytes>,
        budget: Option<&Arc<Budget>>,
    ) -> Self {
        let len = buf.len() - raw;
        let frame = match shape {
            Shape::Frame => raw,
            Shape::Text | Shape::Binary => {
                let opcode = if shape == Shape::Text { OpCode::Text } else { OpCode::Binary };
                let mut header = [0; ws::MAX_HEADER];
                let n = ws::write_header(&mut header, opcode, true, false, len, None);
                buf[raw - n..raw].copy_from_slice(&header[..n]);
                raw - n
            }
        };
        let attached: usize = attachments.iter().map(|a| a.len() + ws::server_header_len(a.len())).sum();
        let cost = buf.len() - frame + attached + SLOT_COST;
        if let Some(budget) = budget {
            budget.add(cost);
        }
        Self {
            buf,
            raw,
            frame,
            shape,
            compress: true,
            attachments,
            forms: OnceLock::new(),
            budget: budget.cloned(),
            gate: None,
            cost,
            lane: OnceLock::new(),
        }
    }

    /// What the packet counts against its receiver's bound, in bytes: wire length and `SLOT_COST`.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    /// Whether it has to wait until its log is written.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::is_closed)
    }

    /// Whether the Socket.IO packet is a binary message (msgpack).
    pub(crate) fn is_binary(&self) -> bool {
        self.shape == Shape::Binary
    }

    /// Its log keeps it no more.
    pub(crate) fn leave_log(&self) {
        if let Some(gate) = &self.gate {
            gate.leave();
        }
    }

    /// The Socket.IO packet: text without the Engine.IO type, or a binary message.
    pub(crate) fn message(&self) -> &[u8] {
        &self.buf[self.raw + usize::from(self.shape == Shape::Text)..]
    }

    /// Its attachments, in order.
    pub(crate) fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Before it is queued.
    pub(crate) fn set_lane(&self, lane: Lane) {
        drop(self.lane.set(Box::new(lane)));
    }

    pub(crate) fn lane(&self) -> Option<&Lane> {
        self.lane.get().map(|lane| &**lane)
    }

    /// Whether transports may compress it.
    pub(crate) fn may_compress(&self) -> bool {
        self.compress
    }

    /// How many Engine.IO packets it is: one, and one for each attachment.
    pub(crate) fn count(&self) -> usize {
        1 + self.attachments.len()
    }

    /// The packet as WebSocket frames, in two parts.
    #[inline]
    pub(crate) fn ws(&self, wire: Wire) -> (&[u8], &[u8]) {
        let head = &self.buf[self.frame..];
        if self.shape == Shape::Frame {
            return (head, &[]);
        }
        match wire {
            Wire::Ws4 if self.attachments.is_empty() => (head, &[]),
            Wire::Ws4 => (head, self.form(Form::Tail4)),
            Wire::Ws3 if self.shape == Shape::Text && self.attachments.is_empty() => (head, &[]),
            Wire::Ws3 => (self.form(Form::Ws3), &[]),
            Wire::WsB64V4 | Wire::WsB64V3 if self.shape == Shape::Text && self.attachments.is_empty() => {
                (head, &[])
            }
            Wire::WsB64V4 => (self.form(Form::B64V4), &[]),
            Wire::WsB64V3 => (self.form(Form::B64V3), &[]),
            Wire::Deflate(_) if !self.compress => self.ws(Wire::Ws4),
            Wire::DeflateV3(_) if !self.compress => self.ws(Wire::Ws3),
            Wire::Deflate(bits) => (self.form(Form::Deflate4(bits)), &[]),
            Wire::DeflateV3(bits) => (self.form(Form::Deflate3(bits)), &[]),
            Wire::Polling4 | Wire::Polling3(_) => (&[], &[]),
        }
    }

    /// Appends the packet to a version 4 polling payload.
    pub(crate) fn append_payload4(&self, out: &mut Vec<u8>) {
        if self.shape == Shape::Frame {
            return;
        }
        if !out.is_empty() {
            out.push(0x1e);
        }
        if self.shape == Shape::Text && self.attachments.is_empty() {
            out.extend_from_slice(&self.buf[self.raw..]);
        } else {
            out.extend_from_slice(self.form(Form::Payload4));
        }
    }

    /// Appends the packet to a version 3 polling payload, text or binary form.
    pub(crate) fn append_payload3(&self, binary: bool, out: &mut Vec<u8>) {
        if self.shape != Shape::Frame {
            out.extend_from_slice(self.form(if binary { Form::Payload3Binary } else { Form::Payload3Text }));
        }
    }

    /// Whether any part of it is binary.
    pub(crate) fn has_binary(&self) -> bool {
        self.shape == Shape::Binary || !self.attachments.is_empty()
    }

    pub(crate) fn has_attachments(&self) -> bool {
        !self.attachments.is_empty()
    }

    fn form(&self, form: Form) -> &[u8] {
        let forms = self.forms.get_or_init(Box::default);
        forms[form.index()].get_or_init(|| {
            let made = self.make(form).into_boxed_slice();
            if let Some(budget) = &self.budget {
                budget.add(made.len());
            }
            if let Some(gate) = &self.gate {
                gate.form_made(made.len());
            }
            made
        })
    }

    fn make(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        let raw = &self.buf[self.raw..];
        let binaries = || {
            (self.shape == Shape::Binary)
                .then_some(raw)
                .into_iter()
                .chain(self.attachments.iter().map(|a| &a[..]))
        };
        let text = (self.shape == Shape::Text).then_some(raw);
        match form {
            Form::Tail4 => self
                .attachments
                .iter()
                .for_each(|a| ws::encode_frame(&mut out, OpCode::Binary, false, a, None)),
            Form::Ws3 => {
                out.extend(text.into_iter().flat_map(|_| &self.buf[self.frame..]));
                binaries().for_each(|b| ws::encode_frame(&mut out, OpCode::Binary, false, &typed(b), None));
            }
            Form::B64V4 | Form::B64V3 => {
                out.extend(text.into_iter().flat_map(|_| &self.buf[self.frame..]));
                let prefix = if form == Form::B64V4 { "b" } else { "b4" };
                binaries()
                    .for_each(|b| ws::encode_frame(&mut out, OpCode::Text, false, &base64(prefix, b), None));
            }
            Form::Payload4 => {
                out.extend_from_slice(text.unwrap_or_default());
                for b in binaries() {
                    if !out.is_empty() {
                        out.push(0x1e);
                    }
                    out.extend_from_slice(&base64("b", b));
                }
            }
            Form::Payload3Text => {
                text.into_iter().for_each(|t| payload3_text(&mut out, t));
                binaries().for_each(|b| payload3_text(&mut out, &base64("b4", b)));
            }
            Form::Payload3Binary => {
                text.into_iter().for_each(|t| payload3_binary(&mut out, 0, t));
                binaries().for_each(|b| payload3_binary(&mut out, 1, &typed(b)));
            }
            Form::Deflate4(bits) | Form::Deflate3(bits) => {
                text.into_iter().for_each(|t| deflated(&mut out, OpCode::Text, t, bits));
                for b in binaries() {
                    match form {
                        Form::Deflate3(_) => deflated(&mut out, OpCode::Binary, &typed(b), bits),
                        _ => deflated(&mut out, OpCode::Binary, b, bits),
                    }
                }
            }
        }
        out
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // Their last handles may run code of the application, whose panic must not end the flusher.
        for attachment in self.attachments.drain(..) {
            drop(catch_unwind(AssertUnwindSafe(|| drop(attachment))));
        }
        if let Some(budget) = &self.budget {
            let forms = self.forms.get().into_iter().flat_map(|forms| forms.iter()).filter_map(OnceLock::get);
            budget.sub(self.cost + forms.map(|form| form.len()).sum::<usize>());
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({} bytes, {} attachments)", self.buf.len() - self.raw, self.attachments.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tail4,
    Ws3,
    B64V4,
    B64V3,
    Payload4,
    Payload3Text,
    Payload3Binary,
    Deflate4(u8),
    Deflate3(u8),
}

impl Form {
    fn index(self) -> usize {
        match self {
            Self::Tail4 => 0,
            Self::Ws3 => 1,
            Self::B64V4 => 2,
            Self::B64V3 => 3,
            Self::Payload4 => 4,
            Self::Payload3Text => 5,
            Self::Payload3Binary => 6,
            Self::Deflate4(bits) => 7 + usize::from(bits.clamp(9, 15) - 9),
            Self::Deflate3(bits) => 14 + usize::from(bits.clamp(9, 15) - 9),
        }
    }
}

const FORMS: usize = 21;

/// Shorter messages are sent plain to receivers with permessage-deflate (bytes; the reference's default).
const DEFLATE_THRESHOLD: usize = 1024;
/// A low level: the forms are made on the sending path.
const DEFLATE_LEVEL: u8 = 3;

fn deflated(out: &mut Vec<u8>, opcode: OpCode, data: &[u8], bits: u8) {
    if data.len() < DEFLATE_THRESHOLD {
        return ws::encode_frame(out, opcode, false, data, None);
    }
    let packed = ws::deflate(data, bits, DEFLATE_LEVEL);
    if packed.len() < data.len() {
        ws::encode_frame(out, opcode, true, &packed, None);
    } else {
        ws::encode_frame(out, opcode, false, data, None);
    }
}

/// Engine.IO 3 binary message: the type, then the data.
fn typed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + data.len());
    out.push(4);
    out.extend_from_slice(data);
    out
}

fn base64(prefix: &str, data: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(prefix.len() + data.len().div_ceil(3) * 4);
    text.push_str(prefix);
    base64::engine::general_purpose::STANDARD.encode_string(data, &mut text);
    text.into_bytes()
}

/// `<length in UTF-16 units>:<packet>` (engine.io-protocol v3, "Payload").
fn payload3_text(out: &mut Vec<u8>, packet: &[u8]) {
    let units = std::str::from_utf8(packet).map_or(packet.len(), |t| t.encode_utf16().count());
    out.extend_from_slice(units.to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(packet);
}

/// `<0 text, 1 binary><length digits as bytes 0 to 9>0xFF<packet>` (engine.io-protocol v3, "Payload").
fn payload3_binary(out: &mut Vec<u8>, kind: u8, packet: &[u8]) {
    out.push(kind);
    // The text form counts the characters of a JavaScript string, the binary one its bytes.
    out.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
    out.push(0xff);
    out.extend_from_slice(packet);
}

/// Bytes that packets and partial reads hold, over all sessions; the bound of design 8.2.
pub(crate) struct Budget {
    used: AtomicUsize,
    cap: usize,
    /// Gives up some of what is only kept in case; false if there was nothing.
    relief: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Budget {
    /// `cap` in bytes.
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), cap, relief: OnceLock::new() })
    }

    /// Says what gives up memory when it is short.
    pub(crate) fn on_shortage(&self, relief: impl Fn() -> bool + Send + Sync + 'static) {
        drop(self.relief.set(Box::new(relief)));
    }

    /// While it is over its cap, what is only kept in case is given up. Not under a lock.
    pub(crate) fn relieve(&self) {
        while self.is_over() && self.relief.get().is_some_and(|relief| relief()) {}
    }

    pub(crate) fn add(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds `bytes` if that does not bring it over its cap; false if it does.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.cap);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    pub(crate) fn sub(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "given back more than was taken");
        if before < bytes {
            // A mistake of ours must not make every reader a slow one.
            self.used.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it would be over its cap if `bytes` of it were free.
    pub(crate) fn is_over_without(&self, bytes: usize) -> bool {
        self.used().saturating_sub(bytes) > self.cap
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.cap
    }

    /// A quarter over the cap: closing slow readers does not free memory as fast as events take it, so no event is
    /// taken until it has.
    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() > self.cap.saturating_add(self.cap / 4)
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Budget({} of {} bytes)", self.used(), self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(text: &str, attachments: &[&'static [u8]]) -> Packet {
        let mut buf = vec![0; HEADROOM];
        buf.extend_from_slice(text.as_bytes());
        let attachments = attachments.iter().map(|a| Bytes::from_static(a)).collect();
        Packet::new(buf, HEADROOM, Shape::Text, attachments, None)
    }

    fn ws(p: &Packet, wire: Wire) -> Vec<u8> {
        let (a, b) = p.ws(wire);
        [a, b].concat()
    }

    #[test]
    fn text_is_one_frame_in_every_websocket_form() {
        let p = packet("42[\"a\"]", &[]);
        for wire in [Wire::Ws4, Wire::Ws3, Wire::WsB64V4, Wire::WsB64V3, Wire::Deflate(15)] {
            assert_eq!(ws(&p, wire), b"\x81\x0742[\"a\"]", "{wire:?}");
        }
    }

    #[test]
    fn attachments_follow_their_packet_in_every_form() {
        let p = packet("451-x", &[b"\x01\x02"]);
        assert_eq!(ws(&p, Wire::Ws4), b"\x81\x05451-x\x82\x02\x01\x02");
        assert_eq!(ws(&p, Wire::Ws3), b"\x81\x05451-x\x82\x03\x04\x01\x02");
        assert_eq!(ws(&p, Wire::WsB64V4), b"\x81\x05451-x\x81\x05bAQI=");
        assert_eq!(ws(&p, Wire::WsB64V3), b"\x81\x05451-x\x81\x06b4AQI=");
        let mut body = b"2".to_vec();
        p.append_payload4(&mut body);
        assert_eq!(body, b"2\x1e451-x\x1ebAQI=");
        let mut body = Vec::new();
        p.append_payload3(false, &mut body);
        assert_eq!(body, b"5:451-x6:b4AQI=");
        let mut body = Vec::new();
        p.append_payload3(true, &mut body);
        assert_eq!(body, b"\x00\x05\xff451-x\x01\x03\xff\x04\x01\x02");
    }

    #[test]
    fn version_3_text_lengths_count_utf16_units() {
        let mut body = Vec::new();
        packet("4é😀", &[]).append_payload3(false, &mut body);
        assert_eq!(body, "4:4é😀".as_bytes());
    }

    #[test]
    fn a_packet_counts_in_the_budget_while_it_lives() {
        let budget = Budget::new(100);
        let p = Packet::text("hello", &budget);
        assert_eq!(budget.used(), p.cost());
        assert_eq!(p.cost(), 2 + 6 + SLOT_COST);
        drop(p);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn long_messages_are_deflated_once_per_window_class() {
        let text = format!("4{}", "ab".repeat(2000));
        let p = packet(&text, &[]);
        let (frame, _) = p.ws(Wire::Deflate(15));
        assert!(frame.len() < 200 && frame[0] == 0xc1, "{}", frame.len());
        assert!(std::ptr::eq(frame, p.ws(Wire::Deflate(15)).0));
    }
}
