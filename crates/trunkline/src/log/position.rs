//! Positions of events, and the offsets that clients keep for them.

use std::fmt;
use std::str::FromStr;

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

/// A position that is none of any log.
pub(crate) const NOWHERE: Position = Position { epoch: u32::MAX, sequence: 0 };

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
