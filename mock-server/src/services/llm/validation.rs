//! What a body must be, and the words and codes of OpenAI for what is wrong with it.

use std::borrow::Cow;
use std::fmt::Display;

use super::errors::{Dialect, Failure};
use super::given::{Fields, Given, Shape, TextOr};
use super::request::{Asked, Body, Format, Message, Part, ResponseFormat, StreamAsked, Written};

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
/// Most choices of one completion.
const MOST_CHOICES: i64 = 128;
/// Most stop sequences.
const MOST_STOPS: usize = 4;

/// What a valid body asks for; the first thing that is wrong with another one.
pub(super) fn valid<'a>(body: Body<'a>, dialect: Dialect) -> Result<Asked<'a>, Failure> {
    let model = value(body.model, "model")?;
    if model.is_none() && dialect == Dialect::OpenAi {
        return Err(Failure::bad_body("you must provide a model parameter"));
    }
    let messages = messages(required(body.messages, "messages")?)?;
    for (param, given, low, high) in [
        ("temperature", body.temperature, 0.0, 2.0),
        ("top_p", body.top_p, 0.0, 1.0),
        ("presence_penalty", body.presence_penalty, -2.0, 2.0),
        ("frequency_penalty", body.frequency_penalty, -2.0, 2.0),
    ] {
        within(value(given, param)?, param, low, high)?;
    }
    let n = within(value(body.n, "n")?, "n", 1, MOST_CHOICES)?.unwrap_or(1);
    let max_tokens = max_tokens(body.max_tokens, body.max_completion_tokens)?;
    let is_stream = value(body.stream, "stream")?.unwrap_or(false);
    let options = value(body.stream_options, "stream_options")?;
    if options.is_some() && !is_stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Failure::invalid("stream_options", None, message));
    }
    let include_usage = match options {
        Some(Fields(options)) => value(options.include_usage, "stream_options.include_usage")?,
        None => None,
    };
    let stream = is_stream.then_some(StreamAsked { include_usage: include_usage.unwrap_or(false) });
    let seed = value(body.seed, "seed")?;
    let stop = stop(value(body.stop, "stop")?)?;
    let format = format(value(body.response_format, "response_format")?, &messages)?;
    Ok(Asked { model, messages, n: n as u32, stream, max_tokens, stop, seed, format })
}

/// The value of a field that may be missing or null. `param` leads to it; it is only written out where
/// there is an error to name it in.
fn value<'a, T: Shape<'a>>(given: Given<T>, param: impl Display) -> Result<Option<T>, Failure> {
    match given {
        Given::Missing | Given::Null => Ok(None),
        Given::Value(value) => Ok(Some(value)),
        Given::Wrong(found) => Err(wrong_type(param, T::NAME, found)),
    }
}

fn required<'a, T: Shape<'a>>(given: Given<T>, param: impl Display) -> Result<T, Failure> {
    match given {
        Given::Value(value) => Ok(value),
        Given::Null => Err(wrong_type(param, T::NAME, "null")),
        Given::Wrong(found) => Err(wrong_type(param, T::NAME, found)),
        Given::Missing => {
            let message = format!("Missing required parameter: '{param}'.");
            Err(Failure::invalid(param.to_string(), Some("missing_required_parameter"), message))
        }
    }
}

fn wrong_type(param: impl Display, expected: &str, found: &str) -> Failure {
    let message =
        format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
    Failure::invalid(param.to_string(), Some("invalid_type"), message)
}

fn unknown_value(param: impl Display, found: &str, supported: &[&str]) -> Failure {
    let supported = supported.join("', '");
    let message = format!("Invalid value: '{found}'. Supported values are: '{supported}'.");
    Failure::invalid(param.to_string(), Some("invalid_value"), message)
}

/// A number with bounds, and the codes for what is beyond them.
trait Number: PartialOrd + Display + Copy {
    const NAME: &'static str;
    const BELOW: &'static str;
    const ABOVE: &'static str;
}

impl Number for i64 {
    const NAME: &'static str = "integer";
    const BELOW: &'static str = "integer_below_min_value";
    const ABOVE: &'static str = "integer_above_max_value";
}

impl Number for f64 {
    const NAME: &'static str = "decimal";
    const BELOW: &'static str = "decimal_below_min_value";
    const ABOVE: &'static str = "decimal_above_max_value";
}

fn within<T: Number>(
    value: Option<T>,
    param: &'static str,
    low: T,
    high: T,
) -> Result<Option<T>, Failure> {
    let Some(number) = value else { return Ok(None) };
    let (side, sign, bound, code) = if number < low {
        ("below minimum", ">=", low, T::BELOW)
    } else if number > high {
        ("above maximum", "<=", high, T::ABOVE)
    } else {
        return Ok(value);
    };
    let kind = T::NAME;
    let message = format!(
        "Invalid '{param}': {kind} {side} value. Expected a value {sign} {bound}, but got {number} \
         instead."
    );
    Err(Failure::invalid(param, Some(code), message))
}

fn max_tokens(old: Given<i64>, new: Given<i64>) -> Result<Option<u32>, Failure> {
    let old = value(old, "max_tokens")?;
    let new = value(new, "max_completion_tokens")?;
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not \
                       supported.";
        let code = Some("invalid_parameter_combination");
        return Err(Failure::invalid("max_tokens", code, message));
    }
    let high = i64::from(u32::MAX);
    let old = within(old, "max_tokens", 1, high)?;
    let new = within(new, "max_completion_tokens", 1, high)?;
    Ok(old.or(new).map(|limit| limit as u32))
}

fn messages<'a>(given: Vec<Given<Fields<Written<'a>>>>) -> Result<Vec<Message<'a>>, Failure> {
    if given.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but \
                       got an empty array instead.";
        return Err(Failure::invalid("messages", Some("empty_array"), message));
    }
    let one = |(index, given)| message(index, given);
    given.into_iter().enumerate().map(one).collect()
}

fn message<'a>(index: usize, given: Given<Fields<Written<'a>>>) -> Result<Message<'a>, Failure> {
    let Fields(written) = required(given, format_args!("messages[{index}]"))?;
    let role = required(written.role, format_args!("messages[{index}].role"))?;
    if !ROLES.contains(&&*role) {
        return Err(unknown_value(format_args!("messages[{index}].role"), &role, &ROLES));
    }
    let said_nothing = matches!(written.content, Given::Missing | Given::Null);
    if said_nothing && role == "assistant" {
        // It called tools instead.
        return Ok(Message { role, text: Cow::Borrowed(""), images: 0 });
    }
    match required(written.content, format_args!("messages[{index}].content"))? {
        TextOr::Text(text) => Ok(Message { role, text, images: 0 }),
        TextOr::List(list) => {
            let (text, images) = parts(list, index)?;
            Ok(Message { role, text, images })
        }
    }
}

/// The text of the parts of message `index`, and the number of images among them.
fn parts<'a>(
    list: Vec<Given<Fields<Part<'a>>>>,
    index: usize,
) -> Result<(Cow<'a, str>, u32), Failure> {
    let (mut texts, mut images) = (Vec::new(), 0);
    for (number, part) in list.into_iter().enumerate() {
        let param = format!("messages[{index}].content[{number}]");
        let Fields(part) = required(part, &param)?;
        let kind = required(part.kind, format_args!("{param}.type"))?;
        match &*kind {
            "text" => texts.push(required(part.text, format_args!("{param}.text"))?),
            "refusal" => texts.push(required(part.refusal, format_args!("{param}.refusal"))?),
            "image_url" => {
                required(part.image_url, format_args!("{param}.image_url"))?;
                images += 1;
            }
            other => {
                let supported = ["text", "image_url", "refusal"];
                return Err(unknown_value(format_args!("{param}.type"), other, &supported));
            }
        }
    }
    let text = match texts.len() {
        1 => texts.swap_remove(0),
        _ => Cow::Owned(texts.join("\n")),
    };
    Ok((text, images))
}

fn stop<'a>(given: Option<TextOr<'a, Cow<'a, str>>>) -> Result<Vec<Cow<'a, str>>, Failure> {
    let list = match given {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![text]),
        Some(TextOr::List(list)) => list,
    };
    if list.len() > MOST_STOPS {
        let message = format!(
            "Invalid 'stop': array too long. Expected an array with maximum length {MOST_STOPS}, but \
             got an array with length {} instead.",
            list.len()
        );
        return Err(Failure::invalid("stop", Some("array_above_max_length"), message));
    }
    let one = |(index, given)| required(given, format_args!("stop[{index}]"));
    list.into_iter().enumerate().map(one).collect()
}

fn format<'a>(
    given: Option<Fields<ResponseFormat<'a>>>,
    messages: &[Message<'_>],
) -> Result<Format<'a>, Failure> {
    let Some(Fields(format)) = given else { return Ok(Format::Text) };
    let kind = required(format.kind, "response_format.type")?;
    match &*kind {
        "text" => Ok(Format::Text),
        "json_object" if messages.iter().any(|message| says_json(&message.text)) => {
            Ok(Format::JsonObject)
        }
        "json_object" => {
            let message = "'messages' must contain the word 'json' in some form, to use \
                           'response_format' of type 'json_object'.";
            Err(Failure::invalid("messages", None, message))
        }
        "json_schema" => {
            let Fields(named) = required(format.json_schema, "response_format.json_schema")?;
            let name = required(named.name, "response_format.json_schema.name")?;
            let schema = required(named.schema, "response_format.json_schema.schema")?;
            Ok(Format::JsonSchema { name, schema })
        }
        other => {
            let supported = ["json_object", "json_schema", "text"];
            Err(unknown_value("response_format.type", other, &supported))
        }
    }
}

fn says_json(text: &str) -> bool {
    text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"))
}
