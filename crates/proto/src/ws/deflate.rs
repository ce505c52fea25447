//! permessage-deflate (RFC 7692) without context takeover, so that no connection keeps compressor state.
//!
//! One compressor per window size and one decompressor live in each thread and are reset for every message.

use std::array;
use std::cell::RefCell;
use std::fmt::Write;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Violation;

/// When and how hard to compress. Costs at most 2 MiB per thread, nothing per connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Bytes; shorter messages are sent plain. Default 1024, as in the reference server.
    pub threshold: usize,
    /// 1 (fast) to 9 (small); default 3, where more time stops to pay for JSON.
    pub level: u8,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self { threshold: 1024, level: 3 }
    }
}

/// What [`negotiate_deflate`] agreed to. Neither side keeps its context between messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateAgreement {
    /// The window this server compresses with, as a power of two, 9..=15: what [`deflate`] must be given.
    pub server_max_window_bits: u8,
    /// The window the client said it compresses with, 9..=15; `None` if it said nothing.
    pub client_max_window_bits: Option<u8>,
    /// A limit that was asked for must be confirmed, even 15 (RFC 7692 section 7.1.2.1).
    confirm_server_bits: bool,
}

impl DeflateAgreement {
    /// The value of `Sec-WebSocket-Extensions` in the answer (RFC 7692 section 7.1).
    pub fn response(&self) -> String {
        let mut value =
            String::from("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        if self.confirm_server_bits {
            let _ = write!(value, "; server_max_window_bits={}", self.server_max_window_bits);
        }
        if let Some(bits) = self.client_max_window_bits {
            let _ = write!(value, "; client_max_window_bits={bits}");
        }
        value
    }
}

/// Picks the first acceptable offer from all values of `Sec-WebSocket-Extensions` (RFC 7692 sections 5 and
/// 7.1).
///
/// An offer with unknown, repeated or malformed parameters, or with a window of 8 bits (which zlib cannot
/// honour), is passed over; `None` when no offer is left. Time is linear in the length of the values.
pub fn negotiate_deflate<'a>(mut offers: impl Iterator<Item = &'a str>) -> Option<DeflateAgreement> {
    offers.find_map(|value| split_unquoted(value, b',').find_map(parse_offer))
}

/// Compresses one message: raw DEFLATE, flushed, without the trailing `00 00 ff ff` (RFC 7692 section 7.2.1).
///
/// `window_bits` is clamped to 9..=15 and `level` to 1..=9.
pub fn deflate(payload: &[u8], window_bits: u8, level: u8) -> Vec<u8> {
    if payload.is_empty() {
        return vec![0]; // RFC 7692 section 7.2.3.6
    }
    let (window_bits, level) = (window_bits.clamp(9, 15), level.clamp(1, 9));
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[usize::from(window_bits - 9)];
        let compressor = match slot {
            Some((of_level, compressor)) if *of_level == level => {
                compressor.reset();
                compressor
            }
            _ => {
                let fresh =
                    Compress::new_with_window_bits(Compression::new(level.into()), false, window_bits);
                &mut slot.insert((level, fresh)).1
            }
        };

        let mut out = Vec::with_capacity(payload.len() / 2 + 64);
        let mut rest = payload;
        loop {
            let before = compressor.total_in();
            let status = compressor.compress_vec(rest, &mut out, FlushCompress::Sync);
            let consumed = usize::try_from(compressor.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(consumed..).unwrap_or_default();
            // Room left over means that the flush is complete. The error is that of a misused stream: not
            // reached.
            if status.is_err() || (rest.is_empty() && out.len() < out.capacity()) {
                break;
            }
            out.reserve(out.len().max(64));
        }
        if out.ends_with(&SYNC_TAIL) {
            out.truncate(out.len() - SYNC_TAIL.len());
        }
        out
    })
}

/// Decompresses one message and appends it to `out` (RFC 7692 section 7.2.2).
///
/// `cap` is the largest result in bytes: work and memory stop as soon as the result passes it.
///
/// # Errors
/// [`Violation::MessageTooBig`] past `cap`; [`Violation::CorruptDeflate`] for what is not DEFLATE or ends
/// inside a block. `out` then holds a part of the result.
pub fn inflate(payload: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<(), Violation> {
    if payload.is_empty() {
        return Ok(()); // Should be one zero byte (section 7.2.3.6), but nothing can only mean nothing.
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor.reset(false);
        let mut sink = Sink { start: out.len(), cap, out };
        match sink.feed(decompressor, payload)? {
            // A final block may be followed by the empty block whose tail was cut off (section 7.2.3.4).
            Fed::Ended([] | [0]) => return Ok(()),
            Fed::Ended(_) => return Err(Violation::CorruptDeflate),
            Fed::Drained => {}
        }
        match sink.feed(decompressor, &SYNC_TAIL)? {
            Fed::Ended([]) => return Ok(()),
            Fed::Ended(_) => return Err(Violation::CorruptDeflate),
            Fed::Drained => {}
        }
        // Only between blocks does a final empty block end the stream: this finds messages that were cut
        // short.
        match sink.feed(decompressor, &FINAL_BLOCK)? {
            Fed::Ended([]) => Ok(()),
            _ => Err(Violation::CorruptDeflate),
        }
    })
}

/// Where inflated bytes go, and how many may.
struct Sink<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    cap: usize,
}

enum Fed<'a> {
    /// All input is used and all output written.
    Drained,
    /// A final block ended before this rest.
    Ended(&'a [u8]),
}

impl Sink<'_> {
    fn feed<'a>(&mut self, decompressor: &mut Decompress, mut input: &'a [u8]) -> Result<Fed<'a>, Violation> {
        loop {
            let produced = self.out.len() - self.start;
            if self.out.len() == self.out.capacity() {
                // One byte past the cap is enough to notice it.
                let room = self.cap.saturating_add(1).saturating_sub(produced);
                let wanted = produced.max(input.len().saturating_mul(2)).max(MIN_GROWTH);
                self.out.reserve_exact(wanted.min(room));
            }
            let (before_in, before_out) = (decompressor.total_in(), self.out.len());
            let status = decompressor
                .decompress_vec(input, self.out, FlushDecompress::Sync)
                .map_err(|_| Violation::CorruptDeflate)?;
            let consumed = usize::try_from(decompressor.total_in() - before_in).unwrap_or(usize::MAX);
            input = input.get(consumed..).unwrap_or_default();
            if self.out.len() - self.start > self.cap {
                return Err(Violation::MessageTooBig);
            }
            if status == Status::StreamEnd {
                return Ok(Fed::Ended(input));
            }
            if self.out.len() < self.out.capacity() {
                if input.is_empty() {
                    return Ok(Fed::Drained);
                }
                if consumed == 0 && self.out.len() == before_out {
                    return Err(Violation::CorruptDeflate); // no progress with room on both sides
                }
            }
        }
    }
}

/// One element of the extension list; `None` unless it is an offer that can be honoured as it stands.
fn parse_offer(offer: &str) -> Option<DeflateAgreement> {
    let mut parts = split_unquoted(offer, b';').map(trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut server_bits = None;
    let mut client_bits = None;
    let (mut server_no_takeover, mut client_no_takeover) = (false, false);
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (trim(name), Some(unquote(trim(value))?)),
            None => (part, None),
        };
        let repeated = match (name, value) {
            ("server_no_context_takeover", None) => std::mem::replace(&mut server_no_takeover, true),
            ("client_no_context_takeover", None) => std::mem::replace(&mut client_no_takeover, true),
            ("server_max_window_bits", Some(value)) => {
                server_bits.replace(parse_window_bits(value)?).is_some()
            }
            ("client_max_window_bits", Some(value)) => {
                client_bits.replace(Some(parse_window_bits(value)?)).is_some()
            }
            ("client_max_window_bits", None) => client_bits.replace(None).is_some(),
            _ => return None,
        };
        if repeated {
            return None;
        }
    }
    Some(DeflateAgreement {
        server_max_window_bits: server_bits.unwrap_or(15),
        client_max_window_bits: client_bits.flatten(),
        confirm_server_bits: server_bits.is_some(),
    })
}

/// A decimal of 9..=15 without leading zero (RFC 7692 section 7.1.2.1).
fn parse_window_bits(value: &str) -> Option<u8> {
    let [b'1'..=b'9', rest @ ..] = value.as_bytes() else { return None };
    if !matches!(rest, [] | [b'0'..=b'9']) {
        return None;
    }
    value.parse().ok().filter(|bits| (9..=15).contains(bits))
}

/// The value of a parameter, which may be a quoted string (RFC 6455 section 9.1).
fn unquote(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// Splits at an ASCII `separator` outside quoted strings; an open quote reaches to the end.
fn split_unquoted(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let current = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = current.bytes().position(|byte| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            match byte {
                b'"' => quoted = !quoted,
                b'\\' => escaped = quoted,
                byte => return byte == separator && !quoted,
            }
            false
        });
        let (front, back) = match end {
            Some(end) => (current.get(..end)?, current.get(end + 1..)),
            None => (current, None),
        };
        rest = back;
        Some(front)
    })
}

thread_local! {
    /// One per window size of 9..=15 bits, with its level.
    static COMPRESSORS: RefCell<[Option<(u8, Compress)>; 7]> = RefCell::new(array::from_fn(|_| None));
    /// The largest window reads what every smaller one wrote.
    static DECOMPRESSOR: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The end of a flushed stream, which is not sent (RFC 7692 section 7.2.1).
const SYNC_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A stored block without content, marked final (RFC 1951 section 3.2.4).
const FINAL_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// Bytes the inflated message grows by at least.
const MIN_GROWTH: usize = 256;
