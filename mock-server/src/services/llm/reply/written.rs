//! Replies as they are written in settings.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize as De, Serialize};

use super::template;

/// What an answer says.
///
/// Written as `"words"` or `"echo"`, or as a table: `{ words = 50 }`, `{ words = "20..80" }`,
/// `{ template = "…" }` or `{ canned = "FILE", order = "next" }`.
///
/// Words and echoes follow the form that a request asks for: with `json_object` the text becomes the
/// `answer` of an object that also has `score` (1 to 100), `rationale` and `confidence` (0 to 1); with
/// `json_schema` the reply is drawn from the schema. Templates and canned replies are given as they
/// are: whoever writes them knows what is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "Table")]
pub enum Reply {
    /// Random words, each of one token, drawn from the seed.
    Words(Words),
    /// The prompt: the last message of a user.
    Echo,
    /// A MiniJinja template, which sees `messages` (of `role` and `content`), `prompt`, `model`, `n`,
    /// `choice` (from 0) and `number` (of the request, from 0), and may call `random(low, high)` for
    /// an integer and `words(count)`, both drawn from the seed.
    Template(String),
    /// Lines of a file.
    Canned {
        /// A file of JSON lines, `{"content": …}` or `{"match": "REGEX", "content": …}`. A line with
        /// `match` is for prompts of that kind and goes before those without, of which there is one
        /// at least. Content that is no text is given as JSON.
        file: PathBuf,
        /// Which of the lines that fit.
        order: Order,
    },
}

impl Default for Reply {
    fn default() -> Reply {
        Reply::Words(Words::default())
    }
}

/// A number of words: every one from `low` to `high` is equally likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Words {
    pub(super) low: u32,
    pub(super) high: u32,
}

/// Most words of a reply.
const MOST_WORDS: u32 = 100_000;

impl Default for Words {
    fn default() -> Words {
        Words { low: 50, high: 50 }
    }
}

impl Words {
    /// From `low` to `high` words.
    ///
    /// # Errors
    /// The range is empty, or goes beyond 100,000.
    pub fn new(low: u32, high: u32) -> Result<Words, String> {
        match low <= high && high <= MOST_WORDS {
            true => Ok(Words { low, high }),
            false => Err(format!(
                "`words` is a number up to {MOST_WORDS} or a range such as \"20..80\", not \
                 {low}..{high}"
            )),
        }
    }
}

impl From<Words> for String {
    fn from(words: Words) -> String {
        format!("{}..{}", words.low, words.high)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of words or a range such as \"20..80\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Words, E> {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                Words::new(number, number).map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Words, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                let range = text.split_once("..").and_then(|(low, high)| {
                    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
                });
                let wrong =
                    || E::custom(format!("expected a range such as \"20..80\", not {text:?}"));
                let (low, high) = range.ok_or_else(wrong)?;
                Words::new(low, high).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// Which of several lines a request gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, De)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One after another, by the number of the request and of the choice, and from the beginning
    /// after the last.
    #[default]
    Next,
    /// Drawn from the seed.
    Random,
}

/// A reply that is written as a table.
#[derive(Debug, Default, Serialize, De)]
#[serde(default, deny_unknown_fields)]
struct Table {
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Words>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    echo: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canned: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
}

impl From<Reply> for Table {
    fn from(reply: Reply) -> Table {
        match reply {
            Reply::Words(words) => Table { words: Some(words), ..Table::default() },
            Reply::Echo => Table { echo: true, ..Table::default() },
            Reply::Template(text) => Table { template: Some(text), ..Table::default() },
            Reply::Canned { file, order } => {
                Table { canned: Some(file), order: Some(order), ..Table::default() }
            }
        }
    }
}

impl TryFrom<Table> for Reply {
    type Error = String;

    fn try_from(table: Table) -> Result<Reply, String> {
        if table.order.is_some() && table.canned.is_none() {
            return Err(
                "`order` is for canned replies: name their file in `canned`, or leave it out"
                    .to_owned(),
            );
        }
        match table {
            Table { words: Some(words), echo: false, template: None, canned: None, .. } => {
                Ok(Reply::Words(words))
            }
            Table { words: None, echo: true, template: None, canned: None, .. } => Ok(Reply::Echo),
            Table { words: None, echo: false, template: Some(text), canned: None, .. } => {
                template::check(&text)?;
                Ok(Reply::Template(text))
            }
            Table {
                words: None, echo: false, template: None, canned: Some(file), order, ..
            } => Ok(Reply::Canned { file, order: order.unwrap_or_default() }),
            _ => Err("a reply has exactly one of words, echo, template and canned".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Reply;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"words\", \"echo\", or a table with words, template or canned")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Reply, E> {
                match text {
                    "words" => Ok(Reply::default()),
                    "echo" => Ok(Reply::Echo),
                    other => Err(E::unknown_variant(other, &["words", "echo"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Reply, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Reply::try_from(table).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Written)
    }
}
