//! Paths into a JSON body: `choices[0].message.content`, `$` for the whole body, `["a key"]` for
//! names that are not plain words.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A path into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    written: String,
    parts: Vec<Part>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl JsonPath {
    /// Its steps, from the whole body on.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The value at this path.
    ///
    /// # Errors
    ///
    /// Says which part is missing, and what is there in its place.
    pub fn find<'a>(&self, root: &'a Value) -> Result<&'a Value, String> {
        let mut value = root;
        for part in &self.parts {
            let next = match part {
                Part::Key(key) => value.get(key),
                Part::Index(index) => value.get(index),
            };
            value = next.ok_or_else(|| match (part, value) {
                (Part::Key(key), Value::Object(_)) => format!("there is no `{key}`"),
                (Part::Key(key), _) => {
                    format!("there is no `{key}`, since its parent is no object")
                }
                (Part::Index(index), Value::Array(items)) => {
                    format!("there is no [{index}] in an array of {}", items.len())
                }
                (Part::Index(index), _) => {
                    format!("there is no [{index}], since its parent is no array")
                }
            })?;
        }
        Ok(value)
    }
}

impl serde::Serialize for JsonPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<JsonPath, String> {
        let mut parts = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        if rest.is_empty() && text.is_empty() {
            return Err("a path is expected; `$` is the whole body".to_owned());
        }
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("[\"") {
                let (key, after) =
                    quoted.split_once("\"]").ok_or_else(|| "`\"]` is missing".to_owned())?;
                parts.push(Part::Key(key.to_owned()));
                rest = after;
            } else if let Some(bracket) = rest.strip_prefix('[') {
                let (index, after) =
                    bracket.split_once(']').ok_or_else(|| "`]` is missing".to_owned())?;
                let index = index.parse().map_err(|_| {
                    format!("`[{index}]`: a number, or a name in quotes, stands in brackets")
                })?;
                parts.push(Part::Index(index));
                rest = after;
            } else {
                // A dot parts names; at the very beginning there is none, unless after `$`.
                let name = match rest.strip_prefix('.') {
                    Some(name) if text.starts_with('$') || !parts.is_empty() => name,
                    None if parts.is_empty() && !text.starts_with('$') => rest,
                    _ => {
                        return Err(
                            "names are parted by dots, as in `choices[0].message`".to_owned()
                        );
                    }
                };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                if end == 0 {
                    return Err("a name is expected after the dot".to_owned());
                }
                parts.push(Part::Key(name[..end].to_owned()));
                rest = &name[end..];
            }
        }
        Ok(JsonPath { written: text.to_owned(), parts })
    }
}
