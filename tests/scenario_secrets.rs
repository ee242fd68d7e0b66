//! Values of environment variables are sent, and nothing else shows them: not messages about what a
//! target sends back, not `gander scenario check`, not errors, not `Debug`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panic")]

mod support;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use gander::commands::scenario as command;
use gander::measure::sample::Offset;
use gander::scenario::answer::Answer;
use gander::scenario::{Overlay, Scenario};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use support::{Folder, judged};

/// A value of which each encoding differs from the others.
const CANARY: &str = "ca/na+ry?\"\u{fb}\u{ff}\\x";

/// A part of the canary that is nowhere else.
const PART: &str = "na+ry";

/// Each place from which a variable can be sent.
const PLACES: [(&str, &str); 8] = [
    (
        "header by table",
        "get = \"/\"\nheaders = { k = { env = \"CANARY\", prefix = \"Bearer \" } }",
    ),
    ("header by template", "get = \"/\"\nheaders = { k = \"Bearer {{ env.CANARY }}\" }"),
    ("JSON value", "post = \"/\"\njson = { key = \"{{ env.CANARY }}\" }"),
    ("JSON text", "post = \"/\"\njson = { key = [\"key: {{ env.CANARY }}\"] }"),
    ("text body", "post = \"/\"\nbody = \"key={{ env.CANARY }}\""),
    ("path", "get = \"/{{ env.CANARY }}/x\""),
    ("query", "get = \"/?key={{ env['CANARY'] }}\""),
    ("trimmed", "post = \"/\"\nbody = \"{{ env [ \\\"CANARY\\\" ] | trim }}\""),
];

fn folder_with(step: &str, variables: &[(&str, &str)]) -> Folder {
    let mut folder = Folder::new();
    for (name, value) in variables {
        folder.set(name, value);
    }
    folder.write("keyed.toml", &format!("[[step]]\nname = \"a\"\n{step}\n"));
    folder
}

fn loaded_with(step: &str, variables: &[(&str, &str)]) -> Scenario {
    folder_with(step, variables).load("keyed").unwrap_or_else(|error| panic!("{step}: {error}"))
}

/// A scenario that uses a variable of this value.
fn keyed(value: &str) -> Scenario {
    loaded_with("post = \"/\"\nbody = \"{{ env.CANARY }}\"", &[("CANARY", value)])
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn json_string(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As encoders do that write nothing but ASCII.
fn ascii_json_string(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// A value as targets may echo it.
fn encodings(value: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut encodings = vec![
        value.to_owned(),
        value.to_ascii_uppercase(),
        percent_encoded(value),
        percent_encoded(value).to_lowercase(),
        query,
        json_string(value),
        json_string(&json_string(value)),
        json_string(value).replace('/', "\\/"),
        ascii_json_string(value),
        ascii_json_string(value).to_uppercase().replace("\\U", "\\u"),
    ];
    for alphabet in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        encodings.push(alphabet.encode(value));
        encodings.push(percent_encoded(&alphabet.encode(value)));
    }
    encodings
}

#[test]
fn every_encoding_of_a_variable_from_every_place_is_taken_out() {
    for (place, step) in PLACES {
        let scenario = loaded_with(step, &[("CANARY", CANARY)]);
        for encoded in encodings(CANARY) {
            let said = format!("invalid key <{encoded}>, see https://example.com/{encoded}#keys");
            assert_eq!(
                scenario.redactions().redact(&said),
                "invalid key <[env CANARY]>, see https://example.com/[env CANARY]#keys",
                "{place}: {encoded}"
            );
            let expect = &scenario.steps[0].expect;
            let failure = judged(expect, 422, &HeaderMap::new(), said.as_bytes()).unwrap_err();
            assert_eq!(
                failure.to_string(),
                "status 422, expected 2xx; body: invalid key <[env CANARY]>, see \
                 https://example.com/[env CANARY]#keys",
                "{place}: {encoded}"
            );
        }
    }
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    let variables = [("CANARY", CANARY), ("OTHER", "other-value"), ("EMPTY", ""), ("TINY", "abc")];
    let step = "get = \"/{{ env.EMPTY }}{{ env.TINY }}\"\nheaders = { k = { env = \"CANARY\" } }";
    let scenario = loaded_with(step, &variables);
    for text in [
        "",
        "status 422, expected 2xx",
        "ca/na+ry?",
        "100% \\ \\\" %41 %zz \\u00 \\ud83d + / \u{fb}\u{ff}",
        "abc",
        // Of a variable that the scenario does not use.
        "other-value",
    ] {
        let redacted = scenario.redactions().redact(text);
        assert!(matches!(redacted, Cow::Borrowed(same) if same == text), "{text}: {redacted}");
    }
}

#[test]
fn all_variables_of_all_steps_are_known_to_each_step() {
    let mut folder = Folder::new();
    for (name, value) in [("FIRST", "alpha-key"), ("SECOND", "alpha-key-2"), ("THIRD", "beta/key")]
    {
        folder.set(name, value);
    }
    folder.write(
        "keyed.toml",
        r#"
[headers]
common = "{% if user == 7 %}{{ env.FIRST }}{% endif %}"
[[step]]
name = "a"
get = "/"
[[step]]
name = "b"
get = "/{{ env.SECOND | default('x') }}"
headers = { common = { env = "THIRD" } }
"#,
    );
    let scenario = folder.load("keyed").unwrap();
    for step in &scenario.steps {
        let body = b"alpha-key, alpha-key-2, beta%2Fkey, alpha-key-3";
        let failure = judged(&step.expect, 500, &HeaderMap::new(), body).unwrap_err().to_string();
        assert!(failure.ends_with("body: [env FIRST], [env FIRST], [env THIRD], [env FIRST]-3"));
    }
}

#[test]
fn every_message_about_a_response_is_without_values() {
    let step = r#"
get = "/?a={{ env.NUMBER }}"
headers = { k = { env = "CANARY" } }
[step.expect]
header = { x-key = "right" }
json = { number = { max = 1 }, text = { equals = "right" }, zone = "json" }
"#;
    let scenario = loaded_with(step, &[("CANARY", "canary-value"), ("NUMBER", "1234567")]);
    let check = |header: &str, body: serde_json::Value| {
        let header = HeaderValue::from_str(header).unwrap();
        let headers = HeaderMap::from_iter([("x-key".parse().unwrap(), header)]);
        let body = body.to_string();
        judged(&scenario.steps[0].expect, 200, &headers, body.as_bytes()).unwrap_err().to_string()
    };
    let body =
        |number: i64, text: &str| json!({ "number": number, "text": text, "zone": "canary-value" });
    assert_eq!(
        check("canary-value", body(1, "right")),
        "header x-key: expected `right`, found `[env CANARY]`"
    );
    assert_eq!(
        check("right", body(1_234_567, "right")),
        "number: expected at most 1, found [env NUMBER]"
    );
    assert_eq!(
        check("right", body(1, "canary-value")),
        "text: expected \"right\", found a string \"[env CANARY]\""
    );
    let not_json = check("right", body(1, "right"));
    assert!(not_json.ends_with("found a string \"[env CANARY]\""), "{not_json}");
}

/// An excerpt is cut, and so may be a value in it.
#[test]
fn no_excerpt_shows_the_beginning_of_a_value() {
    let value = format!("begin-{}\u{e9}\"/+{}", "k".repeat(40), "e".repeat(20));
    let scenario = keyed(&value);
    for encoded in encodings(&value) {
        for before in 0..140 {
            let body = format!("{}{}{}", "-".repeat(before), encoded.repeat(9), "-".repeat(2000));
            let shown = scenario.redactions().excerpt(body.as_bytes(), 120);
            for begin in [&value[..6], &encoded[..20.min(encoded.len() - 1)]] {
                let begin = &begin[..begin.floor_char_boundary(begin.len())];
                assert!(!shown.contains(begin), "{before}: {shown}");
            }
        }
    }
}

#[test]
fn check_shows_names_of_variables_in_place_of_values() {
    for value in [CANARY, "simple-value"] {
        for (place, step) in PLACES {
            if place.starts_with("header") && value == CANARY {
                continue;
            }
            let folder = folder_with(step, &[("CANARY", value)]);
            let mut out = Vec::new();
            command::check(&folder.place, &["keyed".to_owned()], &Overlay::default(), &mut out)
                .unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains("[env CANARY]"), "{place}: {out}");
            for encoded in encodings(value) {
                assert!(!out.contains(&encoded), "{place}: {encoded}: {out}");
            }
        }
    }
}

#[test]
fn check_hides_headers_that_are_made_of_a_variable_in_other_ways() {
    let step = "get = \"/\"\nheaders = { a = \"{{ env.CANARY[:9] }}\", b = { env = \"TINY\" } }";
    let folder = folder_with(step, &[("CANARY", "canary-value"), ("TINY", "abc")]);
    let mut out = Vec::new();
    command::check(&folder.place, &["keyed".to_owned()], &Overlay::default(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.matches("(from the environment, not shown)").count(), 2, "{out}");
    assert!(!out.contains("canary-v") && !out.contains("abc"), "{out}");
}

/// Templates that cannot be filled in with the value, so that an error might quote it.
#[test]
fn no_error_quotes_a_value() {
    for step in [
        "get = \"{{ env.CANARY }}\"",
        "get = \"/ {{ env.CANARY }}\"",
        "get = \"/#{{ env.CANARY | safe }}\"",
        "get = \"/{{ env.CANARY | safe }}\"",
        "get = \"/{{ draw(env.CANARY, 1) }}\"",
        "get = \"/{{ random(env.CANARY, 1) }}\"",
        "get = \"/{{ env.CANARY | int }}\"",
        "get = \"/{{ env.CANARY + 1 }}\"",
        "post = \"/\"\njson = \"{{ env.CANARY.field }}\"",
        "get = \"/{{ env['CANARY']['field'] }}\"",
        "get = \"/{{ {'a': 1}[env.CANARY] }}\"",
        "get = \"/\"\nheaders = { k = \"{{ env.CANARY }}\\r\\n\" }",
        "post = \"/\"\nbody = \"{% include env.CANARY %}\"",
        "post = \"/\"\njson = \"{{ draw(env.CANARY, 1) }}\"",
    ] {
        let folder = folder_with(step, &[("CANARY", "canary value\u{e9}")]);
        let error = folder.load("keyed").expect_err(step);
        let shown = format!("{error}\n{error:?}");
        for encoded in encodings("canary value\u{e9}") {
            assert!(!shown.contains(&encoded), "{step}: {shown}");
        }
        let error = command::check(
            &folder.place,
            &["keyed".to_owned()],
            &Overlay::default(),
            &mut Vec::new(),
        );
        assert!(!error.unwrap_err().to_string().contains("canary"), "{step}");
    }
}

/// A value that is not known to be used could not be taken out: it is not to be had.
#[test]
fn no_template_reads_a_variable_that_is_not_written_out() {
    for expression in [
        "env['CAN' ~ 'ARY']",
        "env[row.name]",
        "env['CAN' ~ 'ARY'] | default('x')",
        "[env] | map(attribute='CANARY') | first",
        "env.other and env[row.name]",
    ] {
        let step = format!(
            "post = \"/\"\nbody = \"{{{{ {expression} }}}}\"\n[data]\nrow = [{{ name = \"CANARY\" }}]"
        );
        let error = folder_with(&step, &[("CANARY", CANARY), ("other", "x")]).load("keyed");
        let error = error.expect_err(expression).to_string();
        assert!(error.contains("written out, as in `env.CANARY`"), "{expression}: {error}");
        assert!(!error.contains(PART), "{error}");
    }
    for body in ["{{ env }}", "{% for x in env %}{{ x }}{% endfor %}"] {
        let step = format!("post = \"/\"\nbody = \"{body}\"");
        let sent = folder_with(&step, &[("CANARY", CANARY)]).load("keyed").map(|scenario| {
            String::from_utf8(scenario.preview(1).unwrap()[0].as_ref().unwrap().body.to_vec())
                .unwrap()
        });
        assert!(!format!("{sent:?}").contains(PART), "{body}: {sent:?}");
    }
}

/// A message cuts what the target says. A value that the cut would go through must not be left in part.
#[test]
fn a_cut_leaves_no_part_of_a_value() {
    let step = "post = \"/\"\nbody = \"{{ env.CANARY }}\"\nstream = true\nfor_each = \"n\"\n\
                [data]\nn = [1]";
    let scenario = loaded_with(step, &[("CANARY", "hunter2-canary")]);
    let step = &scenario.steps[0];
    let inputs = scenario.data.feeder(1).iteration(0, 0, 0);
    for before in 0..130 {
        let said = format!("{}hunter2-canary, and more", "x".repeat(before));
        let error = json!({ "error": { "message": said, "code": said } }).to_string();
        let text = json!({ "error": said }).to_string();
        for data in [error, text, json!({ "error": [said] }).to_string(), format!("{{{said}")] {
            let rules = step.stream.as_ref().unwrap();
            let streamed = rules.read([(Offset(1), data.as_str())].into_iter());
            let headers = HeaderMap::new();
            let answer = Answer::new(200, &headers, b"", Some(&streamed));
            let why = step.accept(&answer, &inputs).unwrap_err().to_string();
            assert!(!why.contains("hun"), "{why}");
        }
        let headers = HeaderMap::new();
        let answer = Answer::new(200, &headers, said.as_bytes(), None);
        let why = step.accept(&answer, &inputs).unwrap_err().to_string();
        assert!(!why.contains("hun"), "{why}");
    }
    for before in 0..60 {
        let element = format!("{}hunter2-canary, and more", "x".repeat(before));
        let step = format!(
            "get = \"/{{{{ env.CANARY }}}}\"\nfor_each = \"n\"\n[data]\nn = [ {{ name = \"{element}\" }} ]"
        );
        let scenario = loaded_with(&step, &[("CANARY", "hunter2-canary")]);
        let inputs = scenario.data.feeder(1).iteration(0, 0, 0);
        let fan_out = scenario.steps[0].fan_out.as_ref().unwrap();
        let label = inputs.fan(fan_out).unwrap()[0].label(scenario.redactions());
        assert!(!label.contains("hun"), "{label}");
    }
}

#[test]
fn debug_shows_no_value() {
    for (place, step) in PLACES {
        let scenario = loaded_with(step, &[("CANARY", "canary-value")]);
        let feeder = scenario.data.feeder(1);
        let inputs = feeder.iteration(0, 0, 0);
        let request = scenario.steps[0].template.render(&inputs).unwrap();
        let shown =
            format!("{scenario:#?} {feeder:?} {inputs:?} {request:?} {:?}", scenario.redactions());
        assert!(!shown.to_lowercase().contains("canary-value"), "{place}: {shown}");
        for encoded in encodings("canary-value") {
            assert!(!shown.contains(&encoded), "{place}: {shown}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the values and the text around them, marks included.
    #[test]
    fn no_value_is_left(
        value in "[ -~\u{e9}\u{1F600}\n\t]{0,9}|[\\[\\]env CARY]{4,6}|\\\\{4,6}|[ab]{4,5}",
        other in "[\\[\\]env AB]{4}|[ab]{4,5}",
        pieces in prop::collection::vec(("[\\[\\]env CARYab%\\\\+\u{e9}]{0,6}", 0..18_usize), 0..5),
    ) {
        let scenario = loaded_with(
            "post = \"/\"\nbody = \"{{ env.CANARY }}{{ env.AB }}\"",
            &[("CANARY", &value), ("AB", &other)],
        );
        let encodings = encodings(&value);
        let text: String = pieces
            .iter()
            .map(|(piece, encoding)| format!("{piece}{}{other}", encodings[*encoding]))
            .collect();
        let redacted = scenario.redactions().redact(&text);
        for secret in [value.trim(), other.trim()] {
            if secret.chars().count() >= 4 {
                prop_assert!(!redacted.contains(secret), "{redacted}");
            }
        }
        prop_assert_eq!(scenario.redactions().redact(&redacted), redacted.as_ref());
    }

    /// Each encoding of each value is found whole.
    #[test]
    fn every_encoding_is_found(rest in "[ -~\u{e9}\u{1F600}\n\t]{2,20}[!-~\u{e9}]") {
        // No part of a mark begins like this.
        let value = format!("~{rest}");
        let scenario = keyed(&value);
        for encoded in encodings(&value) {
            prop_assert_eq!(scenario.redactions().redact(&encoded), "[env CANARY]", "{}", encoded);
        }
    }
}
