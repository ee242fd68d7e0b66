//! What a study expects, held against what was measured.

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::Serialize;

use super::model::Expectation;
use super::words::{Said, Words};
use crate::analysis::Ruling;
use crate::report::format;

/// An expectation, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// What is judged.
    pub what: String,
    /// What the model expects, in words.
    pub expected: Option<String>,
    /// What is accepted, in words.
    pub accepted: String,
    /// What was measured; why not, where it was not.
    pub measured: String,
    /// The value behind it, where it is a number.
    pub value: Option<f64>,
    /// Whether it held. What was not measured is never a pass.
    pub ruling: Ruling,
    /// Whether it tests the study and gander, and not the service.
    #[serde(rename = "control")]
    pub is_control: bool,
}

impl Judged {
    /// Judges `expectation` over `scope`.
    pub fn of(expectation: &Expectation, words: &Words, scope: &Value) -> Judged {
        let said = words.evaluate(&expectation.value, scope);
        let measured = match &said {
            Said::Known(value) => shown(value, expectation.shown.as_deref(), words),
            Said::NotMeasured => format::NOT_MEASURED.to_owned(),
            Said::Wrong(why) => format!("{}: {why}", format::NOT_MEASURED),
        };
        let value = match &said {
            Said::Known(value) => f64::try_from(value.clone()).ok().filter(|n| n.is_finite()),
            _ => None,
        };
        let ruling = match &said {
            Said::Known(value) if value.kind() == ValueKind::Bool => rule(value.is_true()),
            _ => value.map_or(Ruling::Unknown, |value| {
                let holds = expectation.min.is_none_or(|min| value >= min)
                    && expectation.max.is_none_or(|max| value <= max);
                rule(holds)
            }),
        };
        Judged {
            what: expectation.what.clone(),
            expected: expectation.expected.clone(),
            accepted: accepted(expectation, words),
            measured,
            value,
            ruling,
            is_control: expectation.is_control,
        }
    }
}

fn rule(holds: bool) -> Ruling {
    if holds { Ruling::Passed } else { Ruling::Failed }
}

/// A value as the study wants it written.
fn shown(value: &Value, filter: Option<&str>, words: &Words) -> String {
    let filter = match (value.kind(), filter) {
        (ValueKind::Bool, _) => "verdict",
        (_, filter) => filter.unwrap_or("number"),
    };
    let scope = Value::from_pairs([("value", value.clone())]);
    words.fill(&format!("{{{{ value | {filter} }}}}"), &scope)
}

fn accepted(of: &Expectation, words: &Words) -> String {
    let bound = |value: f64| shown(&Value::from(value), of.shown.as_deref(), words);
    match (of.min, of.max) {
        (Some(min), Some(max)) if min == max => bound(min),
        (Some(min), Some(max)) => format!("{} to {}", bound(min), bound(max)),
        (Some(min), None) => format!("at least {}", bound(min)),
        (None, Some(max)) => format!("at most {}", bound(max)),
        (None, None) => "yes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::study::words::scope;

    fn judged(value: &str, min: Option<f64>, max: Option<f64>) -> Judged {
        let expectation = Expectation {
            what: "speed-up".to_owned(),
            value: value.to_owned(),
            min,
            max,
            shown: Some("x".to_owned()),
            expected: None,
            is_control: false,
        };
        let measured =
            json!({ "a": { "rps": 10.0 }, "b": { "rps": 39.4, "valid": true, "ttft": null } });
        Judged::of(&expectation, &Words::default(), &scope(&measured, BTreeMap::new()))
    }

    #[test]
    fn a_verdict_flips_when_its_figure_does() {
        let ruling = |min, max| judged("b.rps / a.rps", min, max).ruling;
        assert_eq!(ruling(Some(3.8), None), Ruling::Passed);
        assert_eq!(ruling(Some(3.95), None), Ruling::Failed);
        assert_eq!(ruling(None, Some(3.9)), Ruling::Failed);
        assert_eq!(ruling(Some(3.0), Some(5.0)), Ruling::Passed);
        assert_eq!(judged("b.valid", None, None).ruling, Ruling::Passed);
        assert_eq!(judged("b.rps < a.rps", None, None).ruling, Ruling::Failed);
    }

    #[test]
    fn it_says_what_was_measured_and_what_is_accepted() {
        let judged = judged("b.rps / a.rps", Some(3.0), Some(5.0));
        assert_eq!(judged.measured, "3.94x");
        assert_eq!(judged.accepted, "3.00x to 5.00x");
    }

    #[test]
    fn what_was_not_measured_is_never_a_pass() {
        for value in [
            "b.ttft.p99 / 2",
            "b.ttft",
            "b.ttft < 5",
            "b.ttft.p99 < 5 and b.rps > 1",
            "b.rps / 0 * 0",
            "c.rps",
        ] {
            let judged = judged(value, Some(0.0), None);
            assert_eq!(judged.ruling, Ruling::Unknown, "{value}: {}", judged.measured);
        }
    }
}
