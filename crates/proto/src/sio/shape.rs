//! How many arguments a value stands for, found out without serializing it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Visitor};
use serde::ser::{self, Impossible, Serialize, Serializer};

use super::json_text;

/// Marks a tuple or a sequence as the list of arguments itself: `Many((a, b))` are two arguments, `(a, b)` is
/// one that is an array. `()` is no argument; anything else is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Many<T>(pub T);

/// What the application handed over as `args`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `()`.
    None,
    /// One argument.
    One,
    /// [`Many`]: the value serializes to the array of the arguments.
    Many,
    /// One argument, which has been written.
    Written,
}

impl Shape {
    /// Asks the value for the first call it makes to a serializer. To be called outside of any attachment
    /// scope.
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        match value.serialize(Probe(None)) {
            Ok(shape) | Err(shape) => shape,
        }
    }

    /// As [`of`](Self::of); a text, the commonest argument, is appended to `out` as JSON at once.
    pub(super) fn write_text<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Self {
        match value.serialize(Probe(Some(out))) {
            Ok(shape) | Err(shape) => shape,
        }
    }
}

impl<T: Serialize> Serialize for Many<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(MARK, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    /// From the list of arguments ([`Args::deserialize_all`](super::Args::deserialize_all)).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Inner<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Inner<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of arguments")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
                T::deserialize(deserializer)
            }
        }

        deserializer.deserialize_newtype_struct(MARK, Inner(PhantomData)).map(Self)
    }
}

/// Whether `T` is [`Many`] and so wants all arguments, not the first.
pub fn is_many<T: DeserializeOwned>() -> bool {
    let mut is_many = false;
    // It always fails: the question is only what it asks for first.
    drop(T::deserialize(DeserializeProbe { is_many: &mut is_many }));
    is_many
}

struct DeserializeProbe<'a> {
    is_many: &'a mut bool,
}

impl<'de> Deserializer<'de> for DeserializeProbe<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only a probe"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.is_many = name == MARK;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The name by which a serializer recognizes [`Many`].
const MARK: &str = "$trunkline::Args";

struct Probe<'a>(Option<&'a mut Vec<u8>>);

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Shape {}

impl ser::Error for Shape {
    /// A value that fails at once fails again, with its own message, when it is serialized.
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::One
    }
}

macro_rules! one {
    ($($method:ident($value:ty))*) => {$(
        fn $method(self, _value: $value) -> Result<Shape, Shape> {
            Ok(Shape::One)
        }
    )*};
}

impl Serializer for Probe<'_> {
    type Ok = Shape;
    type Error = Shape;
    type SerializeSeq = Impossible<Shape, Shape>;
    type SerializeTuple = Impossible<Shape, Shape>;
    type SerializeTupleStruct = Impossible<Shape, Shape>;
    type SerializeTupleVariant = Impossible<Shape, Shape>;
    type SerializeMap = Impossible<Shape, Shape>;
    type SerializeStruct = Impossible<Shape, Shape>;
    type SerializeStructVariant = Impossible<Shape, Shape>;

    one! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_f32(f32)
        serialize_f64(f64)
        serialize_char(char)
        serialize_bytes(&[u8])
        serialize_unit_struct(&'static str)
    }

    fn serialize_str(self, text: &str) -> Result<Shape, Shape> {
        let Some(out) = self.0 else { return Ok(Shape::One) };
        json_text::push_string(out, text);
        Ok(Shape::Written)
    }

    fn serialize_none(self) -> Result<Shape, Shape> {
        Ok(Shape::One)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _value: &T) -> Result<Shape, Shape> {
        Ok(Shape::One)
    }

    fn serialize_unit(self) -> Result<Shape, Shape> {
        Ok(Shape::None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Shape, Shape> {
        Ok(Shape::One)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: &T,
    ) -> Result<Shape, Shape> {
        Ok(if name == MARK { Shape::Many } else { Shape::One })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Shape, Shape> {
        Ok(Shape::One)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Shape> {
        Err(Shape::One)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Shape> {
        Err(Shape::One)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Shape> {
        Err(Shape::One)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Shape> {
        Err(Shape::One)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Shape> {
        Err(Shape::One)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Shape> {
        Err(Shape::One)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Shape> {
        Err(Shape::One)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _value: &T) -> Result<Shape, Shape> {
        Ok(Shape::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sio::{Binary, Value};

    #[test]
    fn shapes() {
        assert_eq!(Shape::of(&()), Shape::None);
        assert_eq!(Shape::of(&&()), Shape::None);
        assert_eq!(Shape::of(&Many((1, 2))), Shape::Many);
        assert_eq!(Shape::of(&Box::new(Many(vec![1]))), Shape::Many);
        assert_eq!(Shape::of(&(1, 2)), Shape::One);
        assert_eq!(Shape::of(&None::<()>), Shape::One);
        assert_eq!(Shape::of("text"), Shape::One);
        assert_eq!(Shape::of(&Binary::default()), Shape::One);
        assert_eq!(Shape::of(&Value::Null), Shape::One);
        assert_eq!(Shape::of(&serde_json::json!({"a": 1})), Shape::One);
    }
}
