//! Expressions and texts with holes, over the figures of runs: MiniJinja, with filters that write
//! figures as the rest of the report does.

use std::collections::{BTreeMap, HashSet};

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::Value as Json;

use crate::report::format;
use crate::scenario::from_json_value;

/// What an expression or a text came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Said<T> {
    /// This.
    Known(T),
    /// A figure that it needs was not measured.
    NotMeasured,
    /// It cannot be evaluated: why.
    Wrong(String),
}

/// What evaluates a study's expressions.
pub struct Words {
    environment: Environment<'static>,
}

/// Filters that write a figure, with what each writes: `shown = "x"` names one.
pub const FILTERS: [(&str, &str); 12] = [
    ("ms", "milliseconds, with unit"),
    ("s", "seconds, with unit"),
    ("ms_as_s", "milliseconds as seconds, with unit"),
    ("x", "a ratio, as 3.94x"),
    ("share", "a share from 0 to 1, in percent"),
    ("change", "a ratio, as a change in percent with its sign"),
    ("percent", "percent, with sign"),
    ("rate", "things a second, without unit"),
    ("number", "a plain number"),
    ("bytes", "bytes, in binary units"),
    ("money", "an amount of money, without its currency"),
    ("verdict", "true or false, as yes or no"),
];

impl Default for Words {
    fn default() -> Words {
        let mut environment = Environment::new();
        // A figure that is not there must not end the report: what is made of it is not measured.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_debug(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(print);
        environment.remove_global("debug");
        let mut figure = |name: &'static str, write: fn(f64) -> String| {
            environment
                .add_filter(name, move |value: Value| number(&value).map(|n| written(n, write)));
        };
        figure("ms", |ms| format!("{} ms", signed(ms, format::millis)));
        figure("s", |s| format!("{} s", signed(s, format::amount)));
        figure("ms_as_s", |ms| format!("{} s", signed(ms / 1e3, format::amount)));
        figure("x", |ratio| format!("{}x", signed(ratio, format::rate)));
        figure("share", |share| signed(share, format::share));
        figure("change", |ratio| change(ratio - 1.0));
        figure("percent", |percent| signed(percent, format::cpu));
        figure("rate", |rate| signed(rate, format::rate));
        figure("number", plain);
        figure("bytes", |bytes| match bytes < 0.0 {
            true => format::growth(bytes.round() as i64),
            false => format::bytes(bytes.round() as u64),
        });
        figure("money", |amount| signed(amount, format::money));
        environment.add_filter("verdict", |value: Value| match value.kind() {
            ValueKind::Undefined | ValueKind::None => Err(missing()),
            _ => Ok(if value.is_true() { "yes" } else { "no" }),
        });
        environment.add_function("model", model);
        Words { environment }
    }
}

/// `model(queries, latency_ms, pool)`: the time in seconds that so many calls take, where so many are
/// in flight at a time and the last ones may be fewer: `ceil(queries / pool) * latency`.
fn model(queries: f64, latency_ms: f64, pool: f64) -> Result<f64, Error> {
    match pool >= 1.0 {
        true => Ok((queries / pool).ceil() * latency_ms / 1e3),
        false => Err(Error::new(ErrorKind::BadSerialization, "a pool has at least one place")),
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::UndefinedError, "not measured")
}

fn number(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(missing()),
        _ => f64::try_from(value.clone()),
    }
}

fn written(number: f64, write: fn(f64) -> String) -> String {
    if number.is_finite() { write(number) } else { format::NO_DATA.to_owned() }
}

/// Our formats are for what is not negative.
fn signed(value: f64, write: fn(f64) -> String) -> String {
    match value < 0.0 {
        true => format!("\u{2212}{}", write(-value)),
        false => write(value),
    }
}

/// Whole numbers as such.
fn plain(value: f64) -> String {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => signed(value, |value| format::count(value as u64)),
        false => signed(value, format::amount),
    }
}

/// A relative change, in percent with its sign.
pub(super) fn change(change: f64) -> String {
    let sign = if change < 0.0 { "\u{2212}" } else { "+" };
    match (change * 1000.0).round() == 0.0 {
        true => "0%".to_owned(),
        false => format!("{sign}{}", format::cpu(change.abs() * 100.0)),
    }
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(missing()),
        ValueKind::Number => {
            number(value).and_then(|number| out.write_str(&plain(number)).map_err(Error::from))
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

impl Words {
    /// Why `expression` is none; nothing where it is one.
    pub fn check_expression(&self, expression: &str) -> Result<Vec<String>, Error> {
        let compiled = self.environment.compile_expression(expression)?;
        Ok(compiled.undeclared_variables(true).into_iter().collect())
    }

    /// The names that `text` uses; why it is none with holes.
    pub fn check_text(&self, text: &str) -> Result<Vec<String>, Error> {
        let compiled = self.environment.template_from_str(text)?;
        Ok(compiled.undeclared_variables(true).into_iter().collect())
    }

    /// The filters that `text`, with its holes or as an expression, names and that there are not.
    pub fn unknown_filters(&self, text: &str) -> Vec<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = text.split('|').skip(1).map(|after| {
            let after = after.trim_start();
            &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())]
        });
        let is_unknown = |name: &&str| {
            let used = format!("0 | {name}");
            let said = self.environment.compile_expression(&used).and_then(|it| it.eval(()));
            said.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
        };
        let plain = named.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
        plain.filter(is_unknown).map(str::to_owned).collect()
    }

    /// What `expression` comes to over `scope`.
    pub fn evaluate(&self, expression: &str, scope: &Value) -> Said<Value> {
        let compiled = self.environment.compile_expression(expression);
        let value =
            compiled.and_then(|it| match is_lacking(&it.undeclared_variables(true), scope) {
                true => Err(missing()),
                false => it.eval(scope),
            });
        match value {
            Ok(value) if matches!(value.kind(), ValueKind::Undefined | ValueKind::None) => {
                Said::NotMeasured
            }
            Ok(value) => Said::Known(value),
            Err(error) => unsaid(&error),
        }
    }

    /// Whether `condition` holds; what cannot be known does not.
    pub fn holds(&self, condition: Option<&str>, scope: &Value) -> bool {
        let of = |condition| self.evaluate(condition, scope);
        condition.is_none_or(|it| matches!(of(it), Said::Known(value) if value.is_true()))
    }

    /// `text` with each of its holes filled: with `not measured`, where it needs a figure that was not.
    pub fn fill(&self, text: &str, scope: &Value) -> String {
        let mut parts = text.split("{{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (hole, after) = part.split_once("}}").unwrap_or((part, ""));
            let hole = format!("{{{{{hole}}}}}");
            let compiled = self.environment.template_from_str(&hole);
            let text =
                compiled.and_then(|it| match is_lacking(&it.undeclared_variables(true), scope) {
                    true => Err(missing()),
                    false => it.render(scope),
                });
            match text {
                Ok(text) => filled += &text,
                Err(error) => filled += &Words::unsaid_in_words(&error),
            }
            filled += after;
        }
        filled
    }

    fn unsaid_in_words(error: &Error) -> String {
        match unsaid::<()>(error) {
            Said::Wrong(why) => format!("{}: {why}", format::NOT_MEASURED),
            Said::NotMeasured | Said::Known(()) => format::NOT_MEASURED.to_owned(),
        }
    }
}

/// The scope of expressions: what each run measured, by its name, and `interval(before, after, figure)`,
/// the 95% interval of a change in words, of pairs that a section compares.
pub fn scope(runs: &Json, intervals: BTreeMap<[String; 3], String>) -> Value {
    let of = move |before: String, after: String, figure: String| -> Result<String, Error> {
        intervals.get(&[before, after, figure]).cloned().ok_or_else(missing)
    };
    let runs = runs.as_object().into_iter().flatten();
    let runs = runs.map(|(name, figures)| (name.clone(), from_json_value(figures)));
    let interval = ("interval".to_owned(), Value::from_function(of));
    Value::from_pairs(runs.chain([interval]))
}

/// Functions, which are no figures.
pub const FUNCTIONS: [&str; 3] = ["model", "range", "interval"];

/// Whether any of the figures that are named (`run.figure`) was not measured: a comparison with it
/// would come to something all the same.
fn is_lacking(names: &HashSet<String>, scope: &Value) -> bool {
    let is_there = |name: &&String| {
        let mut value = scope.clone();
        for part in name.split('.') {
            value = value.get_attr(part).unwrap_or_default();
        }
        !matches!(value.kind(), ValueKind::Undefined | ValueKind::None)
    };
    names.iter().filter(|name| !FUNCTIONS.contains(&name.as_str())).any(|name| !is_there(&name))
}

/// Arithmetic with what is not there fails as an operation that cannot be.
fn unsaid<T>(error: &Error) -> Said<T> {
    match error.kind() {
        ErrorKind::UndefinedError | ErrorKind::InvalidOperation => Said::NotMeasured,
        _ => Said::Wrong(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(text: &str) -> String {
        let scope = scope(
            &json!({
                "before": { "p99": 893.0, "rps": 11.1, "count": 1200, "ttft": null },
                "after": { "p99": 176.2, "rps": 41.8 },
            }),
            BTreeMap::from([(
                ["before", "after", "ok_rps"].map(str::to_owned),
                "+1% to +2%".to_owned(),
            )]),
        );
        Words::default().fill(text, &scope)
    }

    #[test]
    fn figures_are_written_as_in_the_rest_of_the_report() {
        assert_eq!(
            fill("{{ (after.rps / before.rps) | x }} of {{ before.count }}"),
            "3.77x of 1\u{202f}200"
        );
        assert_eq!(
            fill("{{ after.p99 | ms }}, {{ (after.p99 / before.p99) | change }}"),
            "176 ms, \u{2212}80.3%"
        );
        assert_eq!(
            fill("{{ 0.7 | share }} {{ 1500 | ms_as_s }} {{ (0 - 2.5) | number }}"),
            "70.0% 1.50 s \u{2212}2.50"
        );
        assert_eq!(fill("{{ model(400, 50, 4) | s }}"), "5.00 s");
        assert_eq!(fill("{{ interval('before', 'after', 'ok_rps') }}"), "+1% to +2%");
    }

    #[test]
    fn what_was_not_measured_is_said_and_never_zero() {
        for text in [
            "{{ before.ttft }}",
            "{{ before.ttft | ms }}",
            "{{ before.ttft.p99 | ms }}",
            "{{ after.count }}",
            "{{ (after.count / before.count) | x }}",
            "{{ nobody.p99 }}",
            "{{ before.ttft < 5 }}",
            "{{ interval('before', 'after', 'p99') }}",
            "{{ 'fast' if before.ttft.p99 < 5 else 'slow' }}",
        ] {
            assert_eq!(fill(text), "not measured", "{text}");
        }
        assert_eq!(
            fill("a {{ before.ttft | ms }} b {{ before.rps | rate }}"),
            "a not measured b 11.1"
        );
    }

    #[test]
    fn a_condition_that_cannot_be_judged_does_not_hold() {
        let (words, scope) =
            (Words::default(), scope(&json!({ "a": { "rps": 2.0 } }), BTreeMap::new()));
        assert!(words.holds(Some("a.rps >= 2"), &scope));
        assert!(!words.holds(Some("a.rps > 2"), &scope));
        assert!(!words.holds(Some("a.p99 > 2"), &scope));
        assert!(!words.holds(Some("a.p99 < 2"), &scope));
        assert!(!words.holds(Some("not a.p99"), &scope));
        assert!(words.holds(None, &scope));
    }

    #[test]
    fn division_by_zero_is_no_figure() {
        assert_eq!(fill("{{ (before.rps / 0) | x }}"), format::NOT_MEASURED);
    }
}
