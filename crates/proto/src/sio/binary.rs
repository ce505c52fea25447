//! Binary data at any place of a serde type, and the scope that connects it with the attachments of a packet.
//!
//! Serde gives a `Serialize` no way to reach the packet around it, so the attachments of the packet being
//! encoded or decoded are kept per thread, for the time of one call.

use std::cell::RefCell;
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
    outer: State,
}

enum State {
    /// Bytes stay in place.
    None,
    /// Bytes are replaced by placeholders and collected here.
    Encode(Vec<Bytes>),
    /// Placeholders are looked up here. Never empty: without attachments such objects are plain data.
    Decode(Vec<Bytes>),
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::None) };
}

impl Scope {
    /// Bytes stay where they are (msgpack), whatever the scope around does.
    pub(super) fn none() -> Self {
        Self::enter(State::None)
    }

    /// Bytes are collected, see [`finish`](Self::finish).
    pub(super) fn encode() -> Self {
        Self::enter(State::Encode(Vec::new()))
    }

    /// Placeholders stand for `attachments`.
    pub(super) fn decode(attachments: &[Bytes]) -> Self {
        Self::enter(if attachments.is_empty() { State::None } else { State::Decode(attachments.to_vec()) })
    }

    /// What was collected since [`encode`](Self::encode).
    pub(super) fn finish(self) -> Vec<Bytes> {
        match swap(State::None) {
            State::Encode(attachments) => attachments,
            State::None | State::Decode(_) => Vec::new(),
        }
    }

    fn enter(state: State) -> Self {
        Self { outer: swap(state) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        swap(std::mem::replace(&mut self.outer, State::None));
    }
}

fn swap(state: State) -> State {
    // During the destruction of a thread there is no scope, and none is needed.
    STATE.try_with(|cell| cell.replace(state)).unwrap_or(State::None)
}

/// The number of the placeholder that stands for `bytes` from now on, or `None` if bytes stay in place.
fn attach(bytes: &Bytes) -> Option<usize> {
    let attach = |cell: &RefCell<State>| match &mut *cell.borrow_mut() {
        State::Encode(attachments) => {
            attachments.push(bytes.clone());
            Some(attachments.len() - 1)
        }
        State::None | State::Decode(_) => None,
    };
    STATE.try_with(attach).ok().flatten()
}

/// What the placeholder with number `num` stands for: `None` where placeholders have no meaning, `Some(None)`
/// if there is no such attachment.
pub(super) fn attachment(num: Option<u64>) -> Option<Option<Bytes>> {
    let find = |cell: &RefCell<State>| match &*cell.borrow() {
        State::Decode(attachments) => {
            Some(num.and_then(|num| usize::try_from(num).ok()).and_then(|num| attachments.get(num).cloned()))
        }
        State::None | State::Encode(_) => None,
    };
    STATE.try_with(find).ok().flatten()
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
