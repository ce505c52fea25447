//! Binary data at any place of a serde type, and the scope that connects it with the attachments of a packet.
//!
//! Serde gives a `Serialize` no way to reach the packet around it, so the attachments of the packet being
//! encoded or decoded are kept per thread, for the time of one call.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Bytes that travel as bytes: an attachment with the default parser, `bin` with msgpack.
///
/// May stand anywhere in an argument, also below `#[serde(flatten)]` and in untagged enums. Outside of
/// packets it is an ordinary byte string (in JSON: an array of numbers).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Binary(pub Bytes);

/// Sets what [`Binary`] does on this thread until dropped, then restores what was before: scopes nest, and a
/// panic leaves nothing behind.
pub(super) struct Scope {
    outer: Mode,
    /// The outer scope's attachments; empty if there is none around.
    outer_attachments: Vec<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Bytes stay in place.
    None,
    /// Bytes are replaced by placeholders and collected; so many there are.
    Encode(usize),
    /// Placeholders are looked up. There is at least one: without attachments such objects are plain data.
    Decode,
}

thread_local! {
    /// Apart from the attachments, because most packets have none: this needs no destructor and so costs next to nothing.
    static MODE: Cell<Mode> = const { Cell::new(Mode::None) };
    /// Of the innermost scope; empty in `Mode::None`.
    static ATTACHMENTS: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

impl Scope {
    /// Bytes stay where they are (msgpack), whatever the scope around does.
    pub(super) fn none() -> Self {
        Self::enter(Mode::None, &[])
    }

    /// Bytes are collected, see [`finish`](Self::finish).
    pub(super) fn encode() -> Self {
        Self::enter(Mode::Encode(0), &[])
    }

    /// Placeholders stand for `attachments`.
    pub(super) fn decode(attachments: &[Bytes]) -> Self {
        Self::enter(if attachments.is_empty() { Mode::None } else { Mode::Decode }, attachments)
    }

    /// What was collected since [`encode`](Self::encode).
    pub(super) fn finish(self) -> Vec<Bytes> {
        match MODE.get() {
            Mode::None | Mode::Decode | Mode::Encode(0) => Vec::new(),
            Mode::Encode(_) => swap(Vec::new()),
        }
    }

    fn enter(mode: Mode, attachments: &[Bytes]) -> Self {
        let outer = MODE.replace(mode);
        let nothing_changes = outer == Mode::None && attachments.is_empty();
        let outer_attachments = if nothing_changes { Vec::new() } else { swap(attachments.to_vec()) };
        Self { outer, outer_attachments }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let mode = MODE.replace(self.outer);
        if !(self.outer_attachments.is_empty() && matches!(mode, Mode::None | Mode::Encode(0))) {
            swap(std::mem::take(&mut self.outer_attachments));
        }
    }
}

fn swap(attachments: Vec<Bytes>) -> Vec<Bytes> {
    // During the destruction of a thread there is no scope, and none is needed.
    ATTACHMENTS.try_with(|cell| cell.replace(attachments)).unwrap_or_default()
}

/// The number of the placeholder that stands for `bytes` from now on, or `None` if bytes stay in place.
fn attach(bytes: &Bytes) -> Option<usize> {
    let Mode::Encode(count) = MODE.get() else { return None };
    ATTACHMENTS.try_with(|cell| cell.borrow_mut().push(bytes.clone())).ok()?;
    MODE.set(Mode::Encode(count + 1));
    Some(count)
}

/// What the placeholder with number `num` stands for: `None` where placeholders have no meaning, `Some(None)`
/// if there is no such attachment.
pub(super) fn attachment(num: Option<u64>) -> Option<Option<Bytes>> {
    if MODE.get() != Mode::Decode {
        return None;
    }
    let num = num.and_then(|num| usize::try_from(num).ok());
    ATTACHMENTS.try_with(|cell| num.and_then(|num| cell.borrow().get(num).cloned())).ok()
}

/// Serializes bytes by the rules of the scope.
pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(num) = attach(bytes) else { return serializer.serialize_bytes(bytes) };
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry(PLACEHOLDER, &true)?;
    map.serialize_entry(NUM, &num)?;
    map.end()
}

/// The key that marks a placeholder; its value is `true` (socket.io-protocol v5, "Packet encoding").
pub(super) const PLACEHOLDER: &str = "_placeholder";
/// The key of the index of the attachment.
pub(super) const NUM: &str = "num";

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Formats that are no text may not describe themselves.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(BinaryVisitor)
        } else {
            deserializer.deserialize_byte_buf(BinaryVisitor)
        }
    }
}

struct BinaryVisitor;

impl<'de> Visitor<'de> for BinaryVisitor {
    type Value = Binary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary data")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
        Ok(Binary(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Binary, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Binary, A::Error> {
        // The hint comes from outside: trust it only so far.
        let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Binary, A::Error> {
        let (mut placeholder, mut num) = (false, None);
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                PLACEHOLDER => placeholder = map.next_value()?,
                NUM => num = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match attachment(num) {
            Some(Some(bytes)) if placeholder => Ok(Binary(bytes)),
            Some(None) if placeholder => Err(de::Error::custom("placeholder without attachment")),
            _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        }
    }
}

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&'static [u8]> for Binary {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Bytes::from_static(bytes))
    }
}

impl From<Binary> for Bytes {
    fn from(binary: Binary) -> Self {
        binary.0
    }
}

impl From<Binary> for Vec<u8> {
    fn from(binary: Binary) -> Self {
        binary.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_restore_the_outer_one_even_after_a_panic() {
        let outer = Scope::encode();
        assert_eq!(attach(&Bytes::from_static(b"a")), Some(0));
        let panicked = std::panic::catch_unwind(|| {
            let _inner = Scope::decode(&[Bytes::from_static(b"x")]);
            assert_eq!(attachment(Some(0)), Some(Some(Bytes::from_static(b"x"))));
            assert_eq!(attach(&Bytes::from_static(b"lost")), None);
            panic!("inside a scope");
        });
        assert!(panicked.is_err());
        {
            let _inner = Scope::none();
            assert_eq!(attach(&Bytes::from_static(b"in place")), None);
        }
        assert_eq!(attach(&Bytes::from_static(b"b")), Some(1));
        assert_eq!(outer.finish(), ["a", "b"].map(Bytes::from));
        assert_eq!(attach(&Bytes::from_static(b"c")), None);
    }
}
