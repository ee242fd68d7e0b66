//! Writing a template's value as JSON. MiniJinja's own writer turns what is undefined into `null`:
//! a misspelt field inside a list would load the target with nulls, unnoticed.

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Nesting that is allowed; a value deeper than this is a mistake.
const DEEPEST: usize = 100;

/// Writes `value` as compact JSON.
///
/// # Errors
///
/// For what JSON cannot say: an undefined value, a number that is not finite, an invalid value.
pub(super) fn write(out: &mut dyn Write, value: &Value) -> Result<(), Error> {
    write_nested(out, value, 0)
}

fn write_nested(out: &mut dyn Write, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::new(ErrorKind::BadSerialization, "the value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::Undefined => {
            return Err(Error::new(ErrorKind::UndefinedError, "a part of the value is undefined"));
        }
        ValueKind::None => out.write_str("null")?,
        ValueKind::Bool => out.write_str(if value.is_true() { "true" } else { "false" })?,
        ValueKind::Number if value.is_integer() => write!(out, "{value}")?,
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => write!(out, "{number:?}")?,
            _ => return Err(Error::new(ErrorKind::BadSerialization, "JSON has no such number")),
        },
        ValueKind::String => write_string(out, value.as_str().unwrap_or_default())?,
        ValueKind::Seq | ValueKind::Iterable => {
            out.write_char('[')?;
            for (index, item) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                write_nested(out, &item, depth + 1)?;
            }
            out.write_char(']')?;
        }
        // What stands for a value that only a response will have.
        ValueKind::Plain => write_string(out, &value.to_string())?,
        ValueKind::Map => {
            out.write_char('{')?;
            for (index, key) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.write_char(',')?;
                }
                match key.as_str() {
                    Some(text) => write_string(out, text)?,
                    None => write_string(out, &key.to_string())?,
                }
                out.write_char(':')?;
                write_nested(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.write_char('}')?;
        }
        // An invalid value is an error that waits to be seen; iterating over it brings it out.
        _ => {
            let mut only = Value::from(vec![value.clone()]).try_iter()?.checked();
            if let Some(Err(waiting)) = only.next() {
                return Err(waiting);
            }
            let what = format!("JSON has no {}", value.kind());
            return Err(Error::new(ErrorKind::BadSerialization, what));
        }
    }
    Ok(())
}

/// Writes a string with its quotes (RFC 8259, section 7).
pub(super) fn write_string(out: &mut dyn Write, text: &str) -> std::fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.write_str(&text[plain..at])?;
        plain = at + 1;
        match byte {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            control => write!(out, "\\u{control:04x}")?,
        }
    }
    out.write_str(&text[plain..])?;
    out.write_char('"')
}
