//! What a client asks for: the body as it is written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::errors::{Dialect, Failure};
use super::given::{Fields, Given, TextOr};
use super::tokens;
use super::validation;

/// A chat completion that is asked for, known to be valid.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// On Azure's route it may be missing: the deployment is the model.
    pub model: Option<Cow<'a, str>>,
    pub messages: Vec<Message<'a>>,
    /// Number of choices.
    pub n: u32,
    pub stream: Option<StreamAsked>,
    /// Longest completion of a choice, tokens.
    pub max_tokens: Option<u32>,
    pub stop: Vec<Cow<'a, str>>,
    pub seed: Option<i64>,
    pub format: Format<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamAsked {
    pub include_usage: bool,
}

#[derive(Debug)]
pub(super) struct Message<'a> {
    pub role: Cow<'a, str>,
    /// The text, or the text parts with line breaks between them.
    pub text: Cow<'a, str>,
    pub images: u32,
}

/// The form of a reply.
#[derive(Debug)]
pub(super) enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema { name: Cow<'a, str>, schema: Value },
}

impl<'a> Asked<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// The error that the client gets.
    pub(super) fn read(body: &'a [u8], dialect: Dialect) -> Result<Asked<'a>, Failure> {
        let body: Body<'a> = serde_json::from_slice(body).map_err(|error| {
            Failure::bad_body(format!("We could not parse the JSON body of your request: {error}."))
        })?;
        validation::valid(body, dialect)
    }

    /// The text of the last message of a user, or else of the last message.
    pub(super) fn prompt(&self) -> &str {
        let of_user = self.messages.iter().rev().find(|message| message.role == "user");
        of_user.or(self.messages.last()).map_or("", |message| &message.text)
    }

    /// Tokens of the prompt.
    pub(super) fn tokens(&self) -> u64 {
        let of_message = |message: &Message<'_>| {
            tokens::OF_MESSAGE
                + u64::from(tokens::count(&message.text))
                + tokens::OF_IMAGE * u64::from(message.images)
        };
        tokens::OF_PROMPT + self.messages.iter().map(of_message).sum::<u64>()
    }
}

/// A body as it is written. Fields that are not named here (tools, user, metadata …) are accepted and
/// have no effect.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub model: Given<Cow<'a, str>>,
    #[serde(borrow)]
    pub messages: Given<Vec<Given<Fields<Written<'a>>>>>,
    pub temperature: Given<f64>,
    pub top_p: Given<f64>,
    pub presence_penalty: Given<f64>,
    pub frequency_penalty: Given<f64>,
    pub n: Given<i64>,
    pub stream: Given<bool>,
    pub stream_options: Given<Fields<StreamOptions>>,
    pub max_tokens: Given<i64>,
    pub max_completion_tokens: Given<i64>,
    #[serde(borrow)]
    pub stop: Given<TextOr<'a, Cow<'a, str>>>,
    pub seed: Given<i64>,
    #[serde(borrow)]
    pub response_format: Given<Fields<ResponseFormat<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Written<'a> {
    #[serde(borrow)]
    pub role: Given<Cow<'a, str>>,
    #[serde(borrow)]
    pub content: Given<TextOr<'a, Fields<Part<'a>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Given<Cow<'a, str>>,
    #[serde(borrow)]
    pub text: Given<Cow<'a, str>>,
    /// Of an assistant that refused.
    #[serde(borrow)]
    pub refusal: Given<Cow<'a, str>>,
    pub image_url: Given<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamOptions {
    pub include_usage: Given<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseFormat<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Given<Cow<'a, str>>,
    #[serde(borrow)]
    pub json_schema: Given<Fields<NamedSchema<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NamedSchema<'a> {
    #[serde(borrow)]
    pub name: Given<Cow<'a, str>>,
    pub schema: Given<Value>,
}
