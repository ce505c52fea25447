//! Finds the borders of msgpack values without recursion, with every length checked.

use smallvec::SmallVec;

use super::Violation;

/// Walks over msgpack; nothing is allocated or converted.
#[derive(Clone)]
pub(super) struct Scanner<'a> {
    rest: &'a [u8],
}

/// One item; the elements of a container follow as items of their own.
#[derive(Debug, PartialEq)]
pub(super) enum Item<'a> {
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    /// Not yet checked to be UTF-8.
    Str(&'a [u8]),
    /// Number of elements.
    Array(usize),
    /// Number of pairs.
    Map(usize),
    /// Nil, booleans, binary and extensions such as timestamps: nothing a packet's envelope needs.
    Other,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The bytes of the next value with all it contains.
    pub(super) fn skip_value(&mut self, max_depth: usize) -> Result<&'a [u8], Violation> {
        let start = self.rest;
        // Values still to come in each open container.
        let mut open: SmallVec<[usize; 16]> = SmallVec::new();
        loop {
            let children = match self.next_item().ok_or(Violation::BadMsgpack)? {
                Item::Array(len) => Some(len),
                Item::Map(len) => Some(len.checked_mul(2).ok_or(Violation::BadMsgpack)?),
                _ => None,
            };
            if let Some(children) = children {
                if open.len() == max_depth {
                    return Err(Violation::TooDeep);
                }
                // Each value takes a byte at least: a lie about the length ends here.
                if children > self.rest.len() {
                    return Err(Violation::BadMsgpack);
                }
                open.push(children);
            }
            loop {
                match open.last_mut() {
                    None => return Ok(&start[..start.len() - self.rest.len()]),
                    Some(0) => {
                        open.pop();
                    }
                    Some(left) => {
                        *left -= 1;
                        break;
                    }
                }
            }
        }
    }

    /// The next item, or `None` if the bytes end before it does or the marker is reserved.
    pub(super) fn next_item(&mut self) -> Option<Item<'a>> {
        let marker = *self.take(1)?.first()?;
        Some(match marker {
            0x00..=0x7f => Item::Unsigned(marker.into()),
            0x80..=0x8f => Item::Map((marker & 0x0f).into()),
            0x90..=0x9f => Item::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Item::Str(self.take((marker & 0x1f).into())?),
            0xc0 | 0xc2 | 0xc3 => Item::Other,
            0xc1 => return None,
            0xc4..=0xc6 => {
                let len = self.length(1 << (marker - 0xc4))?;
                self.other(len)?
            }
            // The type of an extension is one byte more.
            0xc7..=0xc9 => {
                let len = self.length(1 << (marker - 0xc7))?;
                self.other(len.checked_add(1)?)?
            }
            0xca => Item::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Item::Float(f64::from_be_bytes(self.array()?)),
            0xcc..=0xcf => Item::Unsigned(self.unsigned(1 << (marker - 0xcc))?),
            0xd0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.other((1 << (marker - 0xd4)) + 1)?,
            0xd9..=0xdb => {
                let len = self.length(1 << (marker - 0xd9))?;
                Item::Str(self.take(len)?)
            }
            0xdc | 0xdd => Item::Array(self.length(2 << (marker - 0xdc))?),
            0xde | 0xdf => Item::Map(self.length(2 << (marker - 0xde))?),
            0xe0..=0xff => Item::Negative(i8::from_be_bytes([marker]).into()),
        })
    }

    fn other(&mut self, len: usize) -> Option<Item<'a>> {
        self.take(len).map(|_| Item::Other)
    }

    fn length(&mut self, width: usize) -> Option<usize> {
        usize::try_from(self.unsigned(width)?).ok()
    }

    /// A big-endian integer of `width` bytes.
    fn unsigned(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

/// The same valid values with nil for each `undefined` inside, or `None` if there is none. A JavaScript object's member that
/// is `undefined` is written by notepack as an extension, which fits no type: it must be as absent as it is in JSON.
pub(super) fn replace_undefined(values: &[u8]) -> Option<Vec<u8>> {
    // A quick look, since nearly all have none; what it finds may be a part of something else.
    memchr::memmem::find(values, UNDEFINED)?;
    let mut out = Vec::with_capacity(values.len());
    let mut scanner = Scanner::new(values);
    while !scanner.rest().is_empty() {
        let start = scanner.rest();
        scanner.next_item()?;
        let item = &start[..start.len() - scanner.rest().len()];
        out.extend_from_slice(if item == UNDEFINED { &[NIL] } else { item });
    }
    Some(out)
}

/// How notepack, the JavaScript clients' encoder, writes `undefined`.
pub(super) const UNDEFINED: &[u8] = &[0xd4, 0, 0];
pub(super) const NIL: u8 = 0xc0;

fn signed<'a>(n: i64) -> Item<'a> {
    u64::try_from(n).map_or(Item::Negative(n), Item::Unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_marker_knows_its_length() {
        for marker in 0..=u8::MAX {
            let mut bytes = vec![marker];
            bytes.resize(64, 0);
            let taken = Scanner::new(&bytes).skip_value(128).map(<[u8]>::len);
            let expected = match marker {
                0xc1 => Err(Violation::BadMsgpack),
                0x80..=0x8f => Ok(1 + 2 * usize::from(marker - 0x80)),
                0x90..=0x9f => Ok(1 + usize::from(marker - 0x90)),
                0xa0..=0xbf => Ok(1 + usize::from(marker - 0xa0)),
                0xc4 | 0xcc | 0xd0 | 0xd9 => Ok(2),
                0xc5 | 0xc7 | 0xcd | 0xd1 | 0xd4 | 0xda | 0xdc | 0xde => Ok(3),
                0xc8 | 0xd5 => Ok(4),
                0xc6 | 0xca | 0xce | 0xd2 | 0xdb | 0xdd | 0xdf => Ok(5),
                0xc9 | 0xd6 => Ok(6),
                0xcb | 0xcf | 0xd3 => Ok(9),
                0xd7 => Ok(10),
                0xd8 => Ok(18),
                _ => Ok(1),
            };
            assert_eq!(taken, expected, "{marker:#x}");
            assert_eq!(
                Scanner::new(&bytes[..expected.unwrap_or(1) - 1]).skip_value(128),
                Err(Violation::BadMsgpack),
                "{marker:#x} cut"
            );
        }
    }

    #[test]
    fn claims_of_length_end_at_once() {
        for bytes in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff, 0][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff, 0],
            &[0xc6, 0xff, 0, 0, 0],
        ] {
            assert_eq!(Scanner::new(bytes).skip_value(128), Err(Violation::BadMsgpack));
        }
    }
}
