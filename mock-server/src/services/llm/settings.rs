//! How the llm service behaves, as plain data.

use std::num::NonZeroU32;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::reply::Reply;
use crate::faults::Faults;
use crate::latency::{Distribution, Latency};

/// How the llm service behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Llm {
    /// Seed of all draws.
    pub seed: u64,
    /// How long an answer takes; its items are choices, its tokens those of the longest choice.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Faults,
    /// What an answer says.
    pub replies: Reply,
    /// Prompts that get another reply, or another latency; the first kind that fits counts.
    pub kinds: Vec<PromptKind>,
    /// Tokens in each chunk of a stream after the first, which has one.
    pub tokens_per_chunk: NonZeroU32,
    /// Keys that are accepted; none: any key, and requests without one. Never shown.
    #[serde(skip_serializing)]
    pub api_keys: Vec<String>,
    /// Models of OpenAI's route; none: any name is there.
    pub models: Vec<String>,
    /// Deployments of Azure's route; none: any name is there.
    pub deployments: Vec<String>,
    /// Chat completions a minute, from a token bucket that holds one minute's worth; 0: no limit.
    pub requests_per_minute: u64,
    /// Tokens a minute, of prompts and completions as the usage states them, from such a bucket; 0:
    /// no limit.
    pub tokens_per_minute: u64,
}

impl Default for Llm {
    /// 50 random words after 50 ms, for everybody.
    fn default() -> Self {
        Llm {
            seed: 42,
            latency: Latency::of(Distribution::Fixed(Duration::from_millis(50))),
            faults: Faults::default(),
            replies: Reply::default(),
            kinds: Vec::new(),
            tokens_per_chunk: NonZeroU32::MIN,
            api_keys: Vec::new(),
            models: Vec::new(),
            deployments: Vec::new(),
            requests_per_minute: 0,
            tokens_per_minute: 0,
        }
    }
}

/// Prompts of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptKind {
    /// Which prompts: those with a message in whose text this is found.
    #[serde(rename = "match")]
    pub pattern: Pattern,
    /// What an answer says; none: what it says to other prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// How long an answer takes; none: what it takes to other prompts. Changes of the latency while
    /// the service runs do not move it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// A regular expression; two are equal if they are written alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is found anywhere in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let wrong = |error| format!("`match` is no regular expression: {error}");
        Regex::new(text).map(Pattern).map_err(wrong)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}
