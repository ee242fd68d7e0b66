//! What stands at several paths of one JSON text, in one reading and without a tree of the rest: an
//! event of a stream has ten fields, of which one matters, and there are many events.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json_path::{JsonPath, Part};

/// Paths, each with what it is for.
#[derive(Debug)]
pub(super) struct Paths<'p, T> {
    root: Node<'p, T>,
}

/// What stands at a path. A `null` is as good as nothing.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A string.
    Text(&'a str),
    /// Anything else.
    Other(Value),
}

/// Where paths have come to.
#[derive(Debug)]
struct Node<'p, T> {
    /// What the paths that end here are for.
    ends: Vec<T>,
    children: Vec<(&'p Part, Node<'p, T>)>,
}

impl<T> Node<'_, T> {
    fn new() -> Self {
        Node { ends: Vec::new(), children: Vec::new() }
    }

    fn key(&self, name: &str) -> Option<&Self> {
        let mut children = self.children.iter();
        children
            .find(|(part, _)| matches!(part, Part::Key(key) if key == name))
            .map(|(_, node)| node)
    }

    fn index(&self, place: usize) -> Option<&Self> {
        let mut children = self.children.iter();
        children.find(|(part, _)| **part == Part::Index(place)).map(|(_, node)| node)
    }
}

impl<'p, T: Copy> Paths<'p, T> {
    /// Looks for these.
    pub(super) fn new(wanted: impl IntoIterator<Item = (&'p JsonPath, T)>) -> Self {
        let mut root = Node::new();
        for (path, purpose) in wanted {
            let mut node = &mut root;
            for part in path.parts() {
                let known = node.children.iter().position(|(seen, _)| *seen == part);
                let place = known.unwrap_or_else(|| {
                    node.children.push((part, Node::new()));
                    node.children.len() - 1
                });
                node = &mut node.children[place].1;
            }
            node.ends.push(purpose);
        }
        Paths { root }
    }

    /// Reads `json` and gives `take` what stands at the paths, in the order of the text.
    ///
    /// # Errors
    ///
    /// It is no JSON. What was found before has been given.
    pub(super) fn read(
        &self,
        json: &str,
        mut take: impl FnMut(T, Found<'_>),
    ) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Seek { node: &self.root, take: &mut take }.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

/// Reads one value of the text.
struct Seek<'n, 'p, T, F> {
    node: &'n Node<'p, T>,
    take: &'n mut F,
}

impl<T: Copy, F: FnMut(T, Found<'_>)> Seek<'_, '_, T, F> {
    fn give(self, found: &Value) {
        for purpose in &self.node.ends {
            match found {
                Value::Null => {}
                Value::String(text) => (self.take)(*purpose, Found::Text(text)),
                other => (self.take)(*purpose, Found::Other(other.clone())),
            }
        }
        for (part, node) in &self.node.children {
            let inside = match part {
                Part::Key(key) => found.get(key),
                Part::Index(index) => found.get(index),
            };
            if let Some(inside) = inside {
                Seek { node, take: self.take }.give(inside);
            }
        }
    }
}

impl<'de, T: Copy, F: FnMut(T, Found<'_>)> DeserializeSeed<'de> for Seek<'_, '_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Copy, F: FnMut(T, Found<'_>)> Visitor<'de> for Seek<'_, '_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        for purpose in &self.node.ends {
            (self.take)(*purpose, Found::Text(text));
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.give(&value.into());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.give(&value.into());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.give(&value.into());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.give(&value.into());
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if !self.node.ends.is_empty() {
            self.give(&Value::deserialize(MapAccessDeserializer::new(map))?);
            return Ok(());
        }
        while let Some(child) = map.next_key_seed(Child(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Seek { node, take: self.take })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.node.ends.is_empty() {
            self.give(&Value::deserialize(SeqAccessDeserializer::new(seq))?);
            return Ok(());
        }
        for place in 0.. {
            let more = match self.node.index(place) {
                Some(node) => seq.next_element_seed(Seek { node, take: self.take })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Reads a key: where it leads, if any path goes on there.
struct Child<'n, 'p, T>(&'n Node<'p, T>);

impl<'de, 'n, 'p, T> DeserializeSeed<'de> for Child<'n, 'p, T> {
    type Value = Option<&'n Node<'p, T>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n, 'p, T> Visitor<'_> for Child<'n, 'p, T> {
    type Value = Option<&'n Node<'p, T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.key(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values with the keys and lengths that the paths below ask for, and others.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\u{e9}]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn one_reading_finds_what_each_path_finds_alone(value in values()) {
            let written = ["$", "a", "a.b", "a[1]", "b[0].c", "b[0]", "$[1].a", "c.c.c"];
            let paths = written.map(|path| path.parse::<JsonPath>().expect("a path"));
            let mut found: Vec<(usize, Value)> = Vec::new();
            let all = Paths::new(paths.iter().zip(0..));
            all.read(&value.to_string(), |path, at| found.push((path, match at {
                Found::Text(text) => text.into(),
                Found::Other(value) => value,
            }))).expect("JSON");
            found.sort_by_key(|(path, _)| *path);
            let alone = paths.iter().enumerate().filter_map(|(place, path)| {
                path.find(&value).ok().filter(|at| !at.is_null()).map(|at| (place, at.clone()))
            });
            prop_assert_eq!(found, alone.collect::<Vec<_>>());
        }
    }

    #[test]
    fn text_that_is_no_json_is_told() {
        let paths: Paths<'_, ()> = Paths::new([]);
        for wrong in ["", "{", "{\"a\":1,}", "1 2", "[DONE]", "{\"a\":\"\\q\"}"] {
            assert!(paths.read(wrong, |(), _| {}).is_err(), "{wrong}");
        }
    }
}
