//! Replies that conform to a JSON Schema.
//!
//! Followed are `type` (one or several), `properties`, `required`, `items`, `prefixItems`, `enum`,
//! `const`, `anyOf`, `oneOf`, `allOf` of one schema, `$ref` within the schema, and the bounds of
//! numbers, texts and arrays; of `format` those in [`of_format`]. What else says which values conform
//! cannot be followed, and neither can `$ref` and its like beside words that narrow them down: those
//! are errors, since a reply that does not conform would be worse. Of `oneOf` one schema is followed;
//! that the value conforms to no other of them is up to who wrote it.

use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Map, Value};

use super::subset::{DEEPEST, Schemas, cannot, implied, member};
use super::words;

/// Below this depth nothing is written that a schema does not demand, so that recursion ends.
const DEEP: u32 = 6;
/// Most values in a reply.
const MOST_VALUES: u32 = 20_000;

/// A reply that conforms to `schema`, drawn from `generator`.
///
/// # Errors
/// Why there is none: the schema cannot be followed, or no value conforms to it.
pub(super) fn reply(schema: &Value, generator: &mut Xoshiro256PlusPlus) -> Result<String, String> {
    let mut writer =
        Writer { schemas: Schemas::new(schema), generator, out: String::new(), values: 0 };
    writer.value(schema, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    schemas: Schemas<'a>,
    generator: &'a mut Xoshiro256PlusPlus,
    out: String,
    values: u32,
}

impl<'a> Writer<'a> {
    fn value(&mut self, schema: &'a Value, depth: u32) -> Result<(), String> {
        self.values += 1;
        if depth > DEEPEST || self.values > MOST_VALUES {
            return Err("a value that conforms to it would be too deep or too large".to_owned());
        }
        let fields = match schema {
            Value::Object(fields) => fields,
            Value::Bool(true) => return self.text(&Map::new()),
            _ => return Err(format!("no value conforms to {schema}")),
        };
        self.schemas.check(fields)?;
        if let Some(target) = fields.get("$ref") {
            return self.value(self.schemas.resolve(target)?, depth + 1);
        }
        if let Some(value) = fields.get("const") {
            self.out += &value.to_string();
            return Ok(());
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array) {
            let value = self.pick(values).ok_or("an `enum` has at least one value")?;
            self.out += &value.to_string();
            return Ok(());
        }
        for name in ["anyOf", "oneOf"] {
            if let Some(options) = fields.get(name).and_then(Value::as_array) {
                return self.one_of(options, depth);
            }
        }
        match fields.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([only]) => return self.value(only, depth + 1),
            Some(_) => return Err("`allOf` can be followed with one schema only".to_owned()),
            None => {}
        }
        self.of_type(fields, depth)
    }

    fn of_type(&mut self, fields: &'a Map<String, Value>, depth: u32) -> Result<(), String> {
        let kind = match fields.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            Some(Value::Array(kinds)) => {
                // A value rather than null, as long as there is room for it.
                let is_null = |kind: &&Value| kind.as_str() == Some("null");
                let null = kinds.iter().find(is_null).filter(|_| depth >= DEEP);
                let kind = null.or_else(|| kinds.iter().find(|kind| !is_null(kind)));
                kind.or(kinds.first()).and_then(Value::as_str).unwrap_or_default()
            }
            _ => implied(fields),
        };
        match kind {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, depth),
            "string" => self.text(fields),
            "integer" => self.integer(fields),
            "number" => self.number(fields),
            "boolean" => {
                let value = self.between(0, 1) == 1;
                self.out += if value { "true" } else { "false" };
                Ok(())
            }
            "null" => {
                self.out += "null";
                Ok(())
            }
            other => Err(format!("{other:?} is no type")),
        }
    }

    fn one_of(&mut self, options: &'a [Value], depth: u32) -> Result<(), String> {
        let option = match depth >= DEEP {
            true => options.iter().min_by_key(|option| self.schemas.height(option)),
            false => self.pick(options),
        };
        self.value(option.ok_or("`anyOf` has at least one schema")?, depth + 1)
    }

    /// All properties that the schema names; deep down, those that it requires.
    fn object(&mut self, fields: &'a Map<String, Value>, depth: u32) -> Result<(), String> {
        let properties = fields.get("properties").and_then(Value::as_object);
        let required = fields.get("required").and_then(Value::as_array);
        let required = || required.into_iter().flatten().filter_map(Value::as_str);
        let known = properties.into_iter().flatten().map(|(name, _)| name.as_str());
        let known = known.filter(|name| depth < DEEP || required().any(|r| r == *name));
        let unknown = required().filter(|name| properties.is_none_or(|p| !p.contains_key(*name)));
        let most = count(fields, "maxProperties").unwrap_or(u64::MAX);
        self.out.push('{');
        for (number, name) in known.chain(unknown).enumerate() {
            if number as u64 >= most {
                return Err(cannot("a `maxProperties` below the number of properties"));
            }
            if number > 0 {
                self.out.push(',');
            }
            self.out += &super::json(&name);
            self.out.push(':');
            self.value(member(fields, name), depth + 1)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn array(&mut self, fields: &'a Map<String, Value>, depth: u32) -> Result<(), String> {
        static ANYTHING: Value = Value::Bool(true);
        let first = fields.get("prefixItems").and_then(Value::as_array).map_or(&[][..], |p| p);
        let (items, most) = match fields.get("items") {
            Some(Value::Bool(false)) => (&ANYTHING, first.len() as u64),
            items => (items.unwrap_or(&ANYTHING), u64::MAX),
        };
        let least = count(fields, "minItems").unwrap_or(0).max(first.len() as u64);
        let most = count(fields, "maxItems").unwrap_or(u64::MAX).min(most);
        if least > most || least > MOST_VALUES.into() {
            return Err(format!("no array has from {least} to {most} items"));
        }
        let length = match depth >= DEEP {
            true => least,
            false => {
                let low = least.max(1).min(most);
                self.between(low as i64, (low + 2).min(most) as i64) as u64
            }
        };
        self.out.push('[');
        for number in 0..length as usize {
            if number > 0 {
                self.out.push(',');
            }
            self.value(first.get(number).unwrap_or(items), depth + 1)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn text(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        if fields.contains_key("pattern") {
            return Err(cannot("`pattern`"));
        }
        let least = count(fields, "minLength").unwrap_or(0);
        let most = count(fields, "maxLength").unwrap_or(u64::MAX);
        if let Some(format) = fields.get("format").and_then(Value::as_str) {
            let text = self.of_format(format)?;
            if !(least..=most).contains(&(text.len() as u64)) {
                return Err(cannot("`format` with these bounds of its length"));
            }
            self.out += &super::json(&text);
            return Ok(());
        }
        if least > most || least > MOST_VALUES.into() {
            return Err(format!("no text has from {least} to {most} characters"));
        }
        let (mut text, mut number) = (String::new(), self.between(3, 8) as u32);
        while text.is_empty() || (text.len() as u64) < least {
            if !text.is_empty() {
                text.push(' ');
            }
            words::append(&mut text, number, self.generator);
            number = 1;
        }
        // The words are ASCII: bytes are characters.
        text.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        self.out += &super::json(&text);
        Ok(())
    }

    fn of_format(&mut self, format: &str) -> Result<String, String> {
        let mut draw = |low, high| self.between(low, high);
        let mut date = || format!("{}-{:02}-{:02}", draw(2020, 2029), draw(1, 12), draw(1, 28));
        Ok(match format {
            "date" => date(),
            "date-time" => date() + "T12:30:00Z",
            "time" => "12:30:00Z".to_owned(),
            "duration" => format!("PT{}S", draw(1, 59)),
            "email" => format!("user{}@example.com", draw(1, 999)),
            "hostname" => format!("host{}.example.com", draw(1, 999)),
            "uri" | "url" => format!("https://example.com/{}", draw(1, 999)),
            "ipv4" => format!("192.0.2.{}", draw(1, 254)),
            "ipv6" => format!("2001:db8::{:x}", draw(1, 0xffff)),
            "uuid" => format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                draw(0, 0xffff_ffff),
                draw(0, 0xffff),
                draw(0, 0xfff),
                draw(0, 0xfff),
                draw(0, 0xffff_ffff_ffff)
            ),
            other => return Err(format!("`format` {other:?} cannot be followed here")),
        })
    }

    fn integer(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        let step = number(fields, "multipleOf").unwrap_or(1.0);
        if step.fract() != 0.0 {
            return Err("`multipleOf` of an integer is an integer".to_owned());
        }
        self.multiple(fields, step.max(1.0), 100.0)
    }

    fn number(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        if let Some(step) = number(fields, "multipleOf").filter(|step| *step > 0.0) {
            return self.multiple(fields, step, 100.0 * step);
        }
        let (low, high) = bounds(fields, 1.0);
        let share = self.between(1, 99) as f64 / 100.0;
        let value = match high.0 - low.0 {
            span if span.is_finite() => low.0 + share * span,
            _ => (1.0 - share) * low.0 + share * high.0,
        };
        // Two digits where that stays within the bounds.
        let rounded = (value * 100.0).round() / 100.0;
        let is_within = |value: &f64| {
            (*value > low.0 || (low.1 && *value == low.0))
                && (*value < high.0 || (high.1 && *value == high.0))
        };
        let value =
            [rounded, value].into_iter().find(is_within).ok_or("no number is within its bounds")?;
        self.out += &super::json(&value);
        Ok(())
    }

    /// A multiple of `step` within the bounds.
    fn multiple(
        &mut self,
        fields: &Map<String, Value>,
        step: f64,
        span: f64,
    ) -> Result<(), String> {
        let (low, high) = bounds(fields, span);
        let (least, most) = ((low.0 / step).ceil(), (high.0 / step).floor());
        let least = if !low.1 && least * step == low.0 { least + 1.0 } else { least };
        let most = if !high.1 && most * step == high.0 { most - 1.0 } else { most };
        if least > most {
            return Err("no number is within its bounds".to_owned());
        }
        let times = self.between(least as i64, most as i64);
        match step.fract() == 0.0 {
            true => self.out += &times.saturating_mul(step as i64).to_string(),
            false => self.out += &super::json(&(times as f64 * step)),
        }
        Ok(())
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        words::between(low, high, self.generator)
    }

    fn pick<T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        let last = (values.len() as i64).checked_sub(1)?;
        (last >= 0).then(|| &values[self.between(0, last) as usize])
    }
}

fn number(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    fields.get(name).and_then(Value::as_f64)
}

fn count(fields: &Map<String, Value>, name: &str) -> Option<u64> {
    fields.get(name).and_then(Value::as_u64)
}

/// A bound of a number, and whether it is included.
type Bound = (f64, bool);

/// The bounds of a number; one that is missing is `span` away from the other, or from 0.
fn bounds(fields: &Map<String, Value>, span: f64) -> (Bound, Bound) {
    let tighter = |included: &str, excluded: &str, is_beyond: fn(f64, f64) -> bool| {
        let (open, closed) = (number(fields, excluded), number(fields, included));
        match (open, closed) {
            (Some(open), Some(closed)) if is_beyond(closed, open) => Some((closed, true)),
            (Some(open), _) => Some((open, false)),
            (None, closed) => closed.map(|closed| (closed, true)),
        }
    };
    let low = tighter("minimum", "exclusiveMinimum", |closed, open| closed > open);
    let high = tighter("maximum", "exclusiveMaximum", |closed, open| closed < open);
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, (low.0 + span, true)),
        (None, Some(high)) if high.0 > 0.0 => ((0.0_f64.min(high.0), true), high),
        (None, Some(high)) => ((high.0 - span, true), high),
        (None, None) => ((0.0, true), (span, true)),
    }
}
