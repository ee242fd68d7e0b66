//! What templates can call besides MiniJinja's own filters and functions.

use std::borrow::Cow;
use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use rand::{Rng, RngExt};

use super::errors::suggestion;
use super::feeder::Bindings;
use super::json;

/// Ending of the names of templates that make paths.
pub(super) const PATH: &str = "path";

/// Words of the template language, which cannot name a data source.
pub(super) const KEYWORDS: [&str; 14] = [
    "and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "true", "False",
    "True",
];

/// The most rows of one `draw`; more is a slip of the finger.
const MOST_ROWS: usize = 1_000_000;

/// An environment with everything but templates: strict, with our functions and escapes.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("invariant: the usual delimiters are valid"));
    // Errors then know their place.
    environment.set_debug(true);
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
        Some((_, "json")) => AutoEscape::Json,
        Some((_, PATH)) => AutoEscape::Custom(Cow::Borrowed(PATH)),
        _ => AutoEscape::None,
    });
    environment.set_formatter(print);
    environment.add_function("draw", draw);
    environment.add_function("random", random);
    environment.add_function("uuid", uuid);
    environment.add_filter("urlencode", |text: Cow<'_, str>| {
        Value::from_safe_string(percent_encoded(&text))
    });
    // These read or print what an error or a request must not show.
    environment.remove_global("debug");
    environment
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match state.auto_escape() {
        AutoEscape::Json => json::write(out, value),
        AutoEscape::Custom(_) if !value.is_safe() => {
            out.write_str(&percent_encoded(&value.to_string())).map_err(Error::from)
        }
        AutoEscape::Custom(_) => write!(out, "{value}").map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Everything but unreserved characters (RFC 3986, section 2.3) as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// `draw('review', 25)`: that many further rows, in the source's order.
fn draw(state: &mut State<'_, '_>, name: &str, count: usize) -> Result<Vec<Value>, Error> {
    let mut found = Value::UNDEFINED;
    let bindings = bindings(state, &mut found)?;
    let Some(source) = bindings.data().index(name) else {
        let names: Vec<&str> = bindings.data().sources().iter().map(|s| s.name.as_str()).collect();
        let hint = suggestion(name, names);
        return Err(invalid(format!("there is no data source `{name}`; {hint}")));
    };
    if count > MOST_ROWS {
        return Err(invalid(format!("{count} rows are more than `draw` gives ({MOST_ROWS})")));
    }
    Ok(bindings.draw(source, count))
}

/// `random(1, 6)`: an integer from 1 to 6; `random(0.0, 1.0)`: a number from 0 up to 1.
fn random(state: &mut State<'_, '_>, from: Value, to: Value) -> Result<Value, Error> {
    let mut found = Value::UNDEFINED;
    let mut generator = bindings(state, &mut found)?.generator();
    if let (true, true, Some(from), Some(to)) =
        (from.is_integer(), to.is_integer(), from.as_i64(), to.as_i64())
    {
        if from > to {
            return Err(invalid(format!("random({from}, {to}): the first is the smaller")));
        }
        return Ok(Value::from(generator.random_range(from..=to)));
    }
    match (f64::try_from(from.clone()), f64::try_from(to.clone())) {
        (Ok(from), Ok(to)) if from < to && (to - from).is_finite() => {
            Ok(Value::from(generator.random_range(from..to)))
        }
        _ => {
            Err(invalid(format!("random({from}, {to}): two numbers are needed, the smaller first")))
        }
    }
}

/// A version 4 UUID (RFC 9562), from the iteration's random numbers.
fn uuid(state: &mut State<'_, '_>) -> Result<String, Error> {
    let mut found = Value::UNDEFINED;
    let mut bytes = [0; 16];
    bindings(state, &mut found)?.generator().fill_bytes(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let all = u128::from_be_bytes(bytes);
    let part = |shift: u32, digits: u32| (all >> shift) & ((1 << (4 * digits)) - 1);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    ))
}

fn bindings<'a>(state: &State<'_, '_>, found: &'a mut Value) -> Result<&'a Bindings, Error> {
    Bindings::of(state, found).ok_or_else(|| invalid("this works in requests of a scenario only"))
}
