//! JSON fields read leniently: a field of the wrong type is no reason to stop reading, since the
//! error that the client gets names the field.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// One field as it was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Given<T> {
    #[default]
    Missing,
    Null,
    Value(T),
    /// Something else, of this JSON type.
    Wrong(&'static str),
}

/// What a field is to hold. Each method takes one type of JSON; the default says that this is not it.
pub(super) trait Shape<'de>: Sized {
    /// The type in an error message, with its article.
    const NAME: &'static str;

    fn boolean(_: bool) -> Given<Self> {
        Given::Wrong("a boolean")
    }

    fn integer(_: i64) -> Given<Self> {
        Given::Wrong("an integer")
    }

    fn decimal(_: f64) -> Given<Self> {
        Given::Wrong("a decimal")
    }

    fn text(_: Cow<'de, str>) -> Given<Self> {
        Given::Wrong("a string")
    }

    /// # Errors
    /// The JSON itself is wrong.
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Given<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::Wrong("an array"))
    }

    /// # Errors
    /// The JSON itself is wrong.
    fn object<A: MapAccess<'de>>(mut map: A) -> Result<Given<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Wrong("an object"))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for Reader<T> {
    type Value = Given<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }

    fn visit_unit<E: Error>(self) -> Result<Given<T>, E> {
        Ok(Given::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Given<T>, E> {
        Ok(T::boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Given<T>, E> {
        Ok(T::integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Given<T>, E> {
        // Beyond every limit that a field has: the largest number is as much beyond it.
        Ok(T::integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Given<T>, E> {
        Ok(T::decimal(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Given<T>, E> {
        Ok(T::text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Given<T>, E> {
        Ok(T::text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Given<T>, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Given<T>, A::Error> {
        T::object(map)
    }
}

impl Shape<'_> for bool {
    const NAME: &'static str = "a boolean";

    fn boolean(value: bool) -> Given<bool> {
        Given::Value(value)
    }
}

impl Shape<'_> for i64 {
    const NAME: &'static str = "an integer";

    fn integer(value: i64) -> Given<i64> {
        Given::Value(value)
    }
}

impl Shape<'_> for f64 {
    const NAME: &'static str = "a decimal";

    fn integer(value: i64) -> Given<f64> {
        Given::Value(value as f64)
    }

    fn decimal(value: f64) -> Given<f64> {
        Given::Value(value)
    }
}

impl<'de: 'a, 'a> Shape<'de> for Cow<'a, str> {
    const NAME: &'static str = "a string";

    fn text(value: Cow<'de, str>) -> Given<Self> {
        Given::Value(value)
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for Vec<Given<T>> {
    const NAME: &'static str = "an array";

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Given<Self>, A::Error> {
        let mut values = Vec::with_capacity(list.size_hint().unwrap_or(4));
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Given::Value(values))
    }
}

/// A JSON object with the fields of `T`.
#[derive(Debug)]
pub(super) struct Fields<T>(pub T);

impl<'de, T: Deserialize<'de>> Shape<'de> for Fields<T> {
    const NAME: &'static str = "an object";

    fn object<A: MapAccess<'de>>(map: A) -> Result<Given<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|fields| Given::Value(Fields(fields)))
    }
}

/// Any JSON object.
impl<'de> Shape<'de> for Value {
    const NAME: &'static str = "an object";

    fn object<A: MapAccess<'de>>(map: A) -> Result<Given<Self>, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(Given::Value)
    }
}

/// One text, or a list.
#[derive(Debug)]
pub(super) enum TextOr<'a, T> {
    Text(Cow<'a, str>),
    List(Vec<Given<T>>),
}

impl<'de: 'a, 'a, T: Shape<'de>> Shape<'de> for TextOr<'a, T> {
    const NAME: &'static str = "a string or an array";

    fn text(value: Cow<'de, str>) -> Given<Self> {
        Given::Value(TextOr::Text(value))
    }

    fn list<A: SeqAccess<'de>>(list: A) -> Result<Given<Self>, A::Error> {
        Ok(match Vec::list(list)? {
            Given::Value(values) => Given::Value(TextOr::List(values)),
            Given::Wrong(name) => Given::Wrong(name),
            Given::Missing | Given::Null => Given::Null,
        })
    }
}
