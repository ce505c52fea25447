//! The events of a namespace with their positions: what recovery replays.
//!
//! Positions are `epoch.sequence`. A sequence has no holes, and its number grows by one with each event; an epoch is one life of
//! a log. The offset that unmodified clients keep (reference/socketio.md 2.3) is a rendering of a position.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rooms::Target;
use crate::wire::Packet;

/// A place in a log: after the event of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which life of the log; below 36^6.
    pub(crate) epoch: u32,
    /// The event's number, from 1; 0 is before the first. Below 36^11.
    pub(crate) sequence: u64,
}

/// Characters of an epoch and of a sequence, in base 36 with leading zeros: all offsets are of one length, so that an encoded
/// packet can be given its own late.
const EPOCH_LEN: usize = 6;
const SEQUENCE_LEN: usize = 11;
/// How many epochs there are.
pub(crate) const EPOCHS: u32 = 36u32.pow(EPOCH_LEN as u32);
/// An offset's length in bytes.
const OFFSET_LEN: usize = EPOCH_LEN + 1 + SEQUENCE_LEN;
/// What an event is encoded with before its position is known.
pub(crate) const PLACEHOLDER: &str = "000000.00000000000";

impl Position {
    /// The offset on the wire.
    pub(crate) fn offset(self) -> Offset {
        let mut text = [b'.'; OFFSET_LEN];
        digits(&mut text[..EPOCH_LEN], u64::from(self.epoch));
        digits(&mut text[EPOCH_LEN + 1..], self.sequence);
        Offset(text)
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
    }
}

/// A text that is no offset of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoOffset;

impl FromStr for Position {
    type Err = NoOffset;

    fn from_str(text: &str) -> Result<Self, NoOffset> {
        let (epoch, sequence) = text.split_once('.').ok_or(NoOffset)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let valid = |part: &str, len: usize| part.len() == len && part.bytes().all(is_digit);
        if !valid(epoch, EPOCH_LEN) || !valid(sequence, SEQUENCE_LEN) {
            return Err(NoOffset);
        }
        Ok(Self {
            epoch: u32::from_str_radix(epoch, 36).map_err(|_| NoOffset)?,
            sequence: u64::from_str_radix(sequence, 36).map_err(|_| NoOffset)?,
        })
    }
}

/// A position as text.
pub(crate) struct Offset([u8; OFFSET_LEN]);

impl Offset {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or(PLACEHOLDER)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event, and whom it was for.
pub(crate) struct Record {
    pub(crate) sequence: u64,
    at: Instant,
    pub(crate) target: Target,
    pub(crate) packet: Arc<Packet>,
}

impl Record {
    /// Bytes that it holds, about.
    fn cost(&self) -> usize {
        let names = self.target.rooms.iter().chain(&self.target.except).map(|room| room.len());
        size_of::<Self>() + self.packet.cost() + names.sum::<usize>()
    }
}

/// What a log keeps at most; the oldest events go first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) events: usize,
    pub(crate) age: Duration,
}

/// The latest events, in memory.
pub(crate) struct MemoryLog {
    /// Their numbers follow each other.
    records: VecDeque<Record>,
    latest: u64,
    bytes: usize,
    bounds: Bounds,
}

impl MemoryLog {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { records: VecDeque::new(), latest: 0, bytes: 0, bounds }
    }

    /// The number of the latest event; 0 if there was none.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// The number of the oldest event that is kept; of the next one if none is.
    pub(crate) fn oldest(&self) -> u64 {
        self.records.front().map_or(self.latest + 1, |record| record.sequence)
    }

    /// Adds the event that follows [`MemoryLog::latest`]. What goes for it is given back: it holds values of the application, which
    /// are not to be dropped under a lock.
    #[must_use]
    pub(crate) fn append(&mut self, target: Target, packet: Arc<Packet>, now: Instant) -> Vec<Record> {
        self.latest += 1;
        let record = Record { sequence: self.latest, at: now, target, packet };
        self.bytes += record.cost();
        self.records.push_back(record);
        self.trim(now)
    }

    /// The events after `sequence`.
    pub(crate) fn after(&self, sequence: u64) -> impl Iterator<Item = &Record> {
        let skipped = (sequence + 1).saturating_sub(self.oldest());
        self.records.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    /// Takes out what is over a bound.
    #[must_use]
    pub(crate) fn trim(&mut self, now: Instant) -> Vec<Record> {
        let mut out = Vec::new();
        while let Some(oldest) = self.records.front() {
            let is_over = self.bytes > self.bounds.bytes
                || self.records.len() > self.bounds.events
                || now.duration_since(oldest.at) > self.bounds.age;
            if !is_over {
                return out;
            }
            self.bytes -= oldest.cost();
            out.extend(self.records.pop_front());
        }
        // After the last of them: a log that was long gives its place back.
        self.records.shrink_to(64);
        out
    }

    /// Takes out the older half, at least one event.
    #[must_use]
    pub(crate) fn halve(&mut self) -> Vec<Record> {
        let count = self.records.len().div_ceil(2);
        let out: Vec<_> = self.records.drain(..count).collect();
        self.bytes -= out.iter().map(Record::cost).sum::<usize>();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Budget;

    #[test]
    fn an_offset_is_read_back_and_nothing_else_is() {
        let last = 36u64.pow(11) - 1;
        for (epoch, sequence) in [(0, 0), (1, 35), (EPOCHS - 1, last), (123_456, 1 << 40)] {
            let position = Position { epoch, sequence };
            let offset = position.offset();
            assert_eq!(offset.as_str().len(), PLACEHOLDER.len());
            assert_eq!(offset.as_str().parse(), Ok(position), "{offset}");
        }
        for text in [
            "",
            ".",
            "000000.0000000000",
            "000000.000000000000",
            "00000A.00000000000",
            "1733-0",
            "+00000.00000000000",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoOffset), "{text}");
        }
    }

    fn log(bytes: usize, events: usize, age: u64) -> MemoryLog {
        MemoryLog::new(Bounds { bytes, events, age: Duration::from_secs(age) })
    }

    fn sequences(log: &MemoryLog, after: u64) -> Vec<u64> {
        log.after(after).map(|record| record.sequence).collect()
    }

    #[test]
    fn the_oldest_go_first_at_every_bound() {
        let start = Instant::now();
        let budget = Budget::new(usize::MAX);
        let packet = |len: usize| Packet::text(&"x".repeat(len), &budget);

        let mut by_count = log(usize::MAX, 3, 1000);
        assert_eq!((by_count.oldest(), by_count.latest()), (1, 0));
        for _ in 0..5 {
            drop(by_count.append(Target::default(), packet(1), start));
        }
        assert_eq!((by_count.oldest(), by_count.latest()), (3, 5));
        assert_eq!(sequences(&by_count, 0), [3, 4, 5]);
        assert_eq!(sequences(&by_count, 3), [4, 5]);
        assert_eq!(sequences(&by_count, 5), [0; 0]);
        assert_eq!(sequences(&by_count, 9), [0; 0]);

        let mut by_bytes = log(10_000, usize::MAX, 1000);
        drop(by_bytes.append(Target::default(), packet(6_000), start));
        drop(by_bytes.append(Target::default(), packet(1_000), start));
        assert_eq!(by_bytes.oldest(), 1);
        drop(by_bytes.append(Target::default(), packet(6_000), start));
        assert_eq!((by_bytes.oldest(), by_bytes.latest()), (2, 3));
        // One that is longer than the bound is not kept at all.
        drop(by_bytes.append(Target::default(), packet(20_000), start));
        assert_eq!((by_bytes.oldest(), by_bytes.latest()), (5, 4));
        assert_eq!(by_bytes.bytes, 0);

        let mut by_age = log(usize::MAX, usize::MAX, 10);
        drop(by_age.append(Target::default(), packet(1), start));
        drop(by_age.append(Target::default(), packet(1), start + Duration::from_secs(8)));
        drop(by_age.trim(start + Duration::from_secs(12)));
        assert_eq!(sequences(&by_age, 0), [2]);
        drop(by_count.halve());
        assert_eq!((by_count.oldest(), by_count.latest()), (5, 5));
        drop((by_count, by_bytes, by_age));
        assert_eq!(budget.used(), 0);
    }
}
