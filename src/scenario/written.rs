//! Pieces from which the file types are made: values that know where they stand, values that may be
//! written in two ways, and any TOML value with the place of each part.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value and the bytes of the file in which it is written.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(At { value: spanned.into_inner(), span })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Compared by value alone: keys of a table are equal wherever they stand.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: Ord> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

/// A text, or a table that says more.
#[derive(Debug, Clone)]
pub enum TextOr<T> {
    /// The short form.
    Text(String),
    /// The long form.
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Table)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string" }, table] })
    }
}

/// Defines what is a short form, or a table that says more.
macro_rules! short_or_table {
    ($(#[$about:meta])* $name:ident, $short:ident, $visit:ident($said:ty), $expected:literal, $kind:literal) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub enum $name<T> {
            /// The short form.
            Short($short),
            /// The long form.
            Table(T),
        }

        impl<'de, T: Deserialize<'de>> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either<T>(PhantomData<T>);
                impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
                    type Value = $name<T>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn $visit<E: Error>(self, said: $said) -> Result<$name<T>, E> {
                        let short = $short::try_from(said);
                        let wrong = |_| E::custom(format!("invalid value: {said}, expected {}", $expected));
                        short.map($name::Short).map_err(wrong)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name<T>, A::Error> {
                        T::deserialize(MapAccessDeserializer::new(map)).map($name::Table)
                    }
                }
                deserializer.deserialize_any(Either(PhantomData))
            }
        }

        impl<T: JsonSchema> JsonSchema for $name<T> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                format!(concat!(stringify!($name), "{}"), T::schema_name()).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let table = generator.subschema_for::<T>();
                json_schema!({ "anyOf": [{ "type": $kind }, table] })
            }
        }
    };
}

short_or_table! {
    /// `true` or `false`, or a table that says more.
    SwitchOr, bool, visit_bool(bool), "true or a table", "boolean"
}

short_or_table! {
    /// A whole number, or a table that says more.
    CountOr, u32, visit_i64(i64), "a whole number from 0 or a table", "integer"
}

/// One name, or a list of names.
#[derive(Debug, Clone)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    List(Vec<At<String>>),
}

impl At<Names> {
    /// The names with their places.
    pub fn names(&self) -> Vec<At<String>> {
        match &self.value {
            Names::One(name) => vec![At { value: name.clone(), span: self.span.clone() }],
            Names::List(names) => names.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, name: &str) -> Result<Names, E> {
                Ok(Names::One(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names::List(names))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Names {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let many = serde_json::json!({ "type": "array", "items": { "type": "string" } });
        json_schema!({ "anyOf": [{ "type": "string" }, many] })
    }
}

/// A list of values, or a table that says where they are.
#[derive(Debug, Clone)]
pub enum ListOr<T> {
    /// The values themselves.
    List(Vec<At<Node>>),
    /// Where they are.
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ListOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = ListOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a table such as `{ file = \"data/rows.csv\" }`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ListOr<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(ListOr::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(ListOr::Table)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for ListOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ListOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "array" }, table] })
    }
}

/// Any TOML value (dates excepted), with the place of each part.
#[derive(Debug, Clone)]
pub enum Node {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// true or false.
    Bool(bool),
    /// An array.
    List(Vec<At<Node>>),
    /// A table, in the order written.
    Table(Vec<(At<String>, At<Node>)>),
}

impl Node {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Text(_) => "a string",
            Node::Integer(_) | Node::Float(_) => "a number",
            Node::Bool(_) => "true or false",
            Node::List(_) => "a list",
            Node::Table(_) => "a table",
        }
    }

    /// The same value as TOML.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Node::Text(text) => text.as_str().into(),
            Node::Integer(number) => (*number).into(),
            Node::Float(number) => (*number).into(),
            Node::Bool(truth) => (*truth).into(),
            Node::List(items) => {
                toml::Value::Array(items.iter().map(|item| item.value.to_toml()).collect())
            }
            Node::Table(entries) => toml::Value::Table(
                entries
                    .iter()
                    .map(|(key, item)| (key.value.clone(), item.value.to_toml()))
                    .collect(),
            ),
        }
    }

    /// The same value as JSON. TOML's `inf` and `nan`, which JSON lacks, become `null`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Node::Text(text) => text.as_str().into(),
            Node::Integer(number) => (*number).into(),
            Node::Float(number) => (*number).into(),
            Node::Bool(truth) => (*truth).into(),
            Node::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Node::Table(entries) => entries
                .iter()
                .map(|(key, item)| (key.value.clone(), item.value.to_json()))
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;
        impl<'de> Visitor<'de> for AnyNode {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true, false, a list or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Integer(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
                Ok(Node::Float(number))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
                Ok(Node::Bool(truth))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Table(entries))
            }
        }
        deserializer.deserialize_any(AnyNode)
    }
}

impl JsonSchema for Node {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}
