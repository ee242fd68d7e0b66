//! What an answer says, and where it ends.

mod canned;
mod schema;
mod subset;
mod template;
mod words;
mod written;

use std::io;

use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::errors::Failure;
use super::request::{Asked, Format};
use super::settings::PromptKind;
use super::tokens;
use crate::draws::{Draws, Purpose, unit};
use crate::latency::Latency;
use canned::Canned;
use template::Template;
pub use written::{Order, Reply, Words};

/// Words of a rationale.
const RATIONALE: u32 = 12;
/// Most MiB of text in the choices of an answer together: many long ones would take all memory.
const MOST_MIB: usize = 64;

/// Everything that the service can say.
#[derive(Debug)]
pub(super) struct Replies {
    usual: Source,
    kinds: Vec<(PromptKind, Option<Source>)>,
}

/// A reply that is ready to be given.
#[derive(Debug)]
enum Source {
    Words(Words),
    Echo,
    Template(Box<Template>),
    Canned(Canned),
}

/// One choice of a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub text: String,
    /// Tokens of the text.
    pub tokens: u32,
    pub finish: Finish,
}

/// Why a choice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    Stop,
    Length,
    ContentFilter,
}

impl Source {
    fn new(reply: &Reply) -> io::Result<Source> {
        Ok(match reply {
            Reply::Words(words) => Source::Words(*words),
            Reply::Echo => Source::Echo,
            Reply::Template(text) => {
                Source::Template(Box::new(Template::new(text).map_err(io::Error::other)?))
            }
            Reply::Canned { file, order } => Source::Canned(Canned::read(file, *order)?),
        })
    }

    fn text(
        &self,
        asked: &Asked<'_>,
        place: (u64, u32),
        generator: &mut Xoshiro256PlusPlus,
    ) -> Result<String, Failure> {
        let plain = |generator: &mut Xoshiro256PlusPlus| match self {
            Source::Echo => asked.prompt().to_owned(),
            Source::Words(words) => {
                let (mut text, count) = (String::new(), words.draw(generator));
                words::append(&mut text, count, generator);
                text
            }
            Source::Template(_) | Source::Canned(_) => String::new(),
        };
        match (self, &asked.format) {
            (Source::Template(template), _) => {
                template.render(asked, place, generator).map_err(Failure::of_reply)
            }
            (Source::Canned(canned), _) => Ok(canned.reply(asked, place, generator).to_owned()),
            (_, Format::Text) => Ok(plain(generator)),
            (_, Format::JsonObject) => {
                let answer = plain(generator);
                Ok(object(&answer, generator))
            }
            (_, Format::JsonSchema { name, schema }) => {
                schema::reply(schema, generator).map_err(|error| {
                    let message = format!("Invalid schema for response_format '{name}': {error}");
                    Failure::invalid("response_format", None, message)
                })
            }
        }
    }
}

impl Replies {
    /// # Errors
    /// A template or a file of canned replies cannot be read.
    pub(super) fn new(usual: &Reply, kinds: Vec<PromptKind>) -> io::Result<Replies> {
        let ready = |kind: PromptKind| {
            let source = kind.reply.as_ref().map(Source::new).transpose()?;
            Ok((kind, source))
        };
        let kinds = kinds.into_iter().map(ready).collect::<io::Result<_>>()?;
        Ok(Replies { usual: Source::new(usual)?, kinds })
    }

    /// The choices of a request, and the latency of its kind if that has one of its own.
    ///
    /// They follow from `draws`, or, where the request has a seed, from that: the same seed gets the
    /// same words, whatever the number of the request.
    ///
    /// # Errors
    /// The error that the client gets.
    pub(super) fn choices(
        &self,
        asked: &Asked<'_>,
        draws: Draws,
        is_filtered: bool,
    ) -> Result<(Vec<Choice>, Option<&Latency>), Failure> {
        let is_of = |kind: &PromptKind| asked.messages.iter().any(|m| kind.pattern.is_in(&m.text));
        let kind = self.kinds.iter().find(|(kind, _)| is_of(kind));
        let source = kind.and_then(|(_, source)| source.as_ref()).unwrap_or(&self.usual);
        let draws_of_text = asked.seed.map_or(draws, |seed| Draws::new(seed as u64, 0));
        let mut generator = draws_of_text.generator(Purpose::Reply);
        let mut length = 0;
        let choices = (0..asked.n).map(|choice| {
            let text = source.text(asked, (draws.number(), choice), &mut generator)?;
            let choice = Choice::new(text, asked, is_filtered);
            length += choice.text.len();
            match length > MOST_MIB << 20 {
                true => Err(too_long(asked.n)),
                false => Ok(choice),
            }
        });
        let latency = kind.and_then(|(kind, _)| kind.latency.as_ref());
        Ok((choices.collect::<Result<_, Failure>>()?, latency))
    }
}

impl Choice {
    /// A text up to where it is to end: before the first stop sequence, after the last token that is
    /// allowed, or, where a content filter steps in, in its middle.
    fn new(mut text: String, asked: &Asked<'_>, is_filtered: bool) -> Choice {
        let stops = asked.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(end) = stops.filter_map(|stop| text.find(&**stop)).min() {
            text.truncate(end);
        }
        let mut finish = Finish::Stop;
        let mut tokens = tokens::count(&text);
        if let Some(limit) = asked.max_tokens.filter(|limit| *limit < tokens) {
            (finish, tokens) = (Finish::Length, limit);
        }
        if is_filtered {
            (finish, tokens) = (Finish::ContentFilter, tokens / 2);
        }
        if finish != Finish::Stop {
            text.truncate(tokens::cut(&text, tokens).len());
        }
        // What is cut off of a long text is not held until the answer is sent.
        if text.len() < text.capacity() / 2 {
            text.shrink_to_fit();
        }
        Choice { text, tokens, finish }
    }
}

fn too_long(n: u32) -> Failure {
    let message = format!(
        "The text of {n} choices would have more than {MOST_MIB} MiB: ask for fewer of them with \
         `n`, or for shorter ones with `max_completion_tokens`."
    );
    Failure::invalid("n", None, message)
}

/// The reply to a request for any JSON object.
fn object(answer: &str, generator: &mut Xoshiro256PlusPlus) -> String {
    #[derive(Serialize)]
    struct Object<'a> {
        answer: &'a str,
        score: i64,
        rationale: &'a str,
        confidence: f64,
    }
    let score = words::between(1, 100, generator);
    let confidence = (unit(generator) * 100.0).round() / 100.0;
    let mut rationale = String::new();
    words::append(&mut rationale, RATIONALE, generator);
    json(&Object { answer, score, rationale: &rationale, confidence })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("invariant: texts and numbers can be written as JSON")
}
