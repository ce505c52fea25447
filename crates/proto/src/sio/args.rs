//! The arguments of a packet: raw until the application names a type.

use std::fmt;

use bytes::Bytes;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::binary::Scope;
use super::msgpack_scan::{NIL, Scanner, UNDEFINED, replace_undefined};
use super::{DecodeError, Parser, json, json_text};

/// Arguments still raw; cheap to copy, iterates over [`RawArg`].
#[derive(Clone, Copy)]
pub struct Args<'a> {
    raw: Raw<'a>,
    len: usize,
    attachments: &'a [Bytes],
}

/// One argument still raw.
#[derive(Clone, Copy)]
pub struct RawArg<'a> {
    raw: Raw<'a>,
    attachments: &'a [Bytes],
}

/// [`Args`] that outlive their message: one copy of the text, the attachments shared.
#[derive(Clone)]
pub struct OwnedArgs {
    raw: OwnedRaw,
    len: usize,
    attachments: Vec<Bytes>,
}

/// Validated, hence iterating cannot fail.
#[derive(Clone, Copy)]
enum Raw<'a> {
    Json(&'a str),
    Msgpack(&'a [u8]),
}

#[derive(Clone)]
enum OwnedRaw {
    Json(Box<str>),
    Msgpack(Box<[u8]>),
}

impl<'a> Args<'a> {
    /// `text`: the elements of a valid array with the commas between them, `len` of them.
    pub(super) fn json(text: &'a str, len: usize, attachments: &'a [Bytes]) -> Self {
        Self { raw: Raw::Json(text), len, attachments }
    }

    /// `bytes`: `len` valid values.
    pub(super) fn msgpack(bytes: &'a [u8], len: usize) -> Self {
        Self { raw: Raw::Msgpack(bytes), len, attachments: &[] }
    }

    /// Number of arguments left.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no argument is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next argument.
    #[allow(
        clippy::should_implement_trait,
        reason = "it is an iterator too, but callers need no trait in scope"
    )]
    pub fn next(&mut self) -> Option<RawArg<'a>> {
        self.len = self.len.checked_sub(1)?;
        let raw = match &mut self.raw {
            Raw::Json(text) => {
                let bytes = text.as_bytes();
                let start = json::skip_whitespace(bytes, 0);
                let end = json::skip_valid_value(bytes, start);
                let comma = json::skip_whitespace(bytes, end);
                let value = &text[start..end];
                *text = text.get(comma + 1..).unwrap_or_default();
                Raw::Json(value)
            }
            Raw::Msgpack(bytes) => {
                let mut scanner = Scanner::new(bytes);
                let value = scanner.skip_value(usize::MAX).ok()?;
                *bytes = scanner.rest();
                // notepack's `undefined` reads as nil, as the reference passes it on.
                Raw::Msgpack(if value == UNDEFINED { &[NIL] } else { value })
            }
        };
        Some(RawArg { raw, attachments: self.attachments })
    }

    /// A copy that outlives the message.
    pub fn to_owned(&self) -> OwnedArgs {
        let raw = match self.raw {
            Raw::Json(text) => OwnedRaw::Json(text.into()),
            Raw::Msgpack(bytes) => OwnedRaw::Msgpack(bytes.into()),
        };
        OwnedArgs { raw, len: self.len, attachments: self.attachments.to_vec() }
    }

    /// The parser the packet was written for.
    pub fn parser(&self) -> Parser {
        self.raw.parser()
    }

    /// The attachments of the whole packet (JSON only; msgpack has its binary data in place).
    pub fn attachments(&self) -> &'a [Bytes] {
        self.attachments
    }

    /// Deserializes all the remaining arguments as one `T`: a tuple, a tuple struct, a struct (fields in
    /// order) or a sequence; `()` takes any.
    ///
    /// As with a JavaScript listener, arguments beyond those that `T` names are ignored, and those that were
    /// not sent are `None` where `T` has an `Option`, otherwise [`DecodeError::MissingArgument`].
    pub fn deserialize_all<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let _scope = Scope::decode(self.attachments);
        if let Some(bytes) = self.raw.without_undefined() {
            let args = Args { raw: Raw::Msgpack(&bytes), len: self.len, attachments: self.attachments };
            return T::deserialize(ArgsDeserializer(args));
        }
        T::deserialize(ArgsDeserializer(*self)).or_else(|error| match self.raw.without_lone_surrogates() {
            Some(text) => {
                let args = Args { raw: Raw::Json(&text), len: self.len, attachments: self.attachments };
                T::deserialize(ArgsDeserializer(args))
            }
            None => Err(error),
        })
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = RawArg<'a>;

    fn next(&mut self) -> Option<RawArg<'a>> {
        Args::next(self)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl<'a> RawArg<'a> {
    pub(super) fn json(text: &'a str, attachments: &'a [Bytes]) -> Self {
        Self { raw: Raw::Json(text), attachments }
    }

    pub(super) fn msgpack(bytes: &'a [u8]) -> Self {
        Self { raw: Raw::Msgpack(bytes), attachments: &[] }
    }

    /// A copy that outlives the message: the arguments of which this is the only one.
    pub fn to_owned(&self) -> OwnedArgs {
        Args { raw: self.raw, len: 1, attachments: self.attachments }.to_owned()
    }

    /// Deserializes the argument. [`Binary`](super::Binary) finds its attachment wherever it stands in `T`;
    /// lone surrogates in strings become U+FFFD.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let _scope = Scope::decode(self.attachments);
        let seed = std::marker::PhantomData::<T>;
        if let Some(bytes) = self.raw.without_undefined() {
            return Raw::Msgpack(&bytes).deserialize(seed);
        }
        self.raw.deserialize(seed).or_else(|error| match self.raw.without_lone_surrogates() {
            Some(text) => Raw::Json(&text).deserialize(seed),
            None => Err(error),
        })
    }

    /// The JSON text as it was sent, without whitespace around it; `None` with msgpack.
    pub fn as_json(&self) -> Option<&'a str> {
        match self.raw {
            Raw::Json(text) => Some(text),
            Raw::Msgpack(_) => None,
        }
    }

    /// The msgpack value as it was sent; `None` with JSON.
    pub fn as_msgpack(&self) -> Option<&'a [u8]> {
        match self.raw {
            Raw::Json(_) => None,
            Raw::Msgpack(bytes) => Some(bytes),
        }
    }

    /// The parser the packet was written for.
    pub fn parser(&self) -> Parser {
        self.raw.parser()
    }

    /// The attachments of the whole packet.
    pub fn attachments(&self) -> &'a [Bytes] {
        self.attachments
    }
}

impl OwnedArgs {
    /// One argument, given as a value; for what did not come as a packet's payload.
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self { raw: OwnedRaw::Json(value.to_string().into()), len: 1, attachments: Vec::new() }
    }

    /// The arguments as they were borrowed.
    pub fn as_args(&self) -> Args<'_> {
        let raw = match &self.raw {
            OwnedRaw::Json(text) => Raw::Json(text),
            OwnedRaw::Msgpack(bytes) => Raw::Msgpack(bytes),
        };
        Args { raw, len: self.len, attachments: &self.attachments }
    }

    /// Bytes held, attachments included.
    pub fn size(&self) -> usize {
        let raw = match &self.raw {
            OwnedRaw::Json(text) => text.len(),
            OwnedRaw::Msgpack(bytes) => bytes.len(),
        };
        raw + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }
}

impl<'a> Raw<'a> {
    fn parser(self) -> Parser {
        match self {
            Self::Json(_) => Parser::Json,
            Self::Msgpack(_) => Parser::Msgpack,
        }
    }

    /// For the second attempt after an error: serde_json refuses what JavaScript sends.
    fn without_lone_surrogates(self) -> Option<String> {
        match self {
            Self::Json(text) => json_text::replace_lone_surrogates(text),
            Self::Msgpack(_) => None,
        }
    }

    fn without_undefined(self) -> Option<Vec<u8>> {
        match self {
            Self::Json(_) => None,
            Self::Msgpack(bytes) => replace_undefined(bytes),
        }
    }

    fn deserialize<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, DecodeError> {
        match self {
            Self::Json(text) => {
                // The commonest argument: there is nothing left to parse.
                if let Some(plain) = json_text::plain(text) {
                    return Ok(seed.deserialize(Text { plain, json: text })?);
                }
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let value = seed.deserialize(&mut deserializer)?;
                deserializer.end()?;
                Ok(value)
            }
            // Human-readable, so that times, addresses and the like have the form they have in JSON.
            Self::Msgpack(bytes) => {
                let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
                Ok(seed.deserialize(&mut deserializer)?)
            }
        }
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl fmt::Debug for RawArg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.raw {
            Raw::Json(text) => f.write_str(text),
            Raw::Msgpack(bytes) => write!(f, "{bytes:02x?}"),
        }
    }
}

impl fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_args().fmt(f)
    }
}

/// Presents the arguments as a sequence.
struct ArgsDeserializer<'a>(Args<'a>);

impl<'de> ArgsDeserializer<'de> {
    fn visit<V: Visitor<'de>>(self, wanted: usize, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(ArgsAccess { args: self.0, index: 0, wanted })
    }
}

impl<'de> Deserializer<'de> for ArgsDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit(0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit(fields.len(), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option seq map
        enum identifier
    }
}

struct ArgsAccess<'de> {
    args: Args<'de>,
    index: usize,
    /// How many arguments the type names, 0 if it takes any number.
    wanted: usize,
}

impl<'de> SeqAccess<'de> for ArgsAccess<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let index = self.index;
        self.index += 1;
        match self.args.next() {
            Some(arg) => arg.raw.deserialize(seed).map(Some),
            None if index < self.wanted => seed.deserialize(Missing(index)).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.args.len())
    }
}

/// A text argument, as serde_json would present it.
struct Text<'a> {
    plain: &'a str,
    /// With its quotes.
    json: &'a str,
}

/// By this name serde_json's `RawValue` asks for an argument's JSON, in programs that use its feature `raw_value`.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_borrowed_str(self.plain)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_borrowed_bytes(self.plain.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_borrowed_bytes(self.plain.as_bytes())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        if name == RAW_VALUE {
            return serde_json::Deserializer::from_str(self.json).deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.plain))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

/// Stands for an argument that was not sent.
struct Missing(usize);

impl<'de> Deserializer<'de> for Missing {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::MissingArgument(self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
