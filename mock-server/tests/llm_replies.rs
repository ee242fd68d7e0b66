//! What the llm service says: words, echoes, templates, canned lines, kinds of prompts, JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests panic to fail")]

mod common;
mod llm_support;

use std::collections::BTreeMap;

use common::Server;
use llm_support::{OPENAI, ask, ask_at, chat, chat_with, instant, saying, settings, start, text};
use mock_server::{Behaviour, Llm, Reply};
use proptest::prelude::*;
use serde_json::{Value, json};

async fn said(server: &Server, prompt: &str) -> String {
    text(&ask(server, &chat(prompt)).await).to_owned()
}

#[tokio::test]
async fn words_are_as_many_tokens_as_configured() {
    let server = start(settings("replies = { words = 33 }")).await;
    for n in 0..5 {
        let answer = ask(&server, &chat_with("x", json!({ "seed": n }))).await;
        assert_eq!(text(&answer).split(' ').count(), 33);
        assert_eq!(answer["usage"]["completion_tokens"], 33);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let server = start(settings("replies = { words = '2..6' }")).await;
    let mut counts = BTreeMap::<usize, u32>::new();
    for _ in 0..200 {
        *counts.entry(said(&server, "x").await.split(' ').count()).or_default() += 1;
    }
    // Each of five numbers 40 times; the standard deviation is 5.7.
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(counts.values().all(|count| (12..=75).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn a_limit_of_tokens_ends_a_reply_early() {
    let server = start(saying("{{ prompt }}")).await;
    let prompt = "one two elephants\n and fish";
    for (limit, expected, finish) in [
        (1, "one", "length"),
        (2, "one two", "length"),
        (3, "one two elep", "length"),
        (4, "one two elephant", "length"),
        (5, "one two elephants", "length"),
        (6, "one two elephants\n and", "length"),
        (7, prompt, "stop"),
        (8, prompt, "stop"),
    ] {
        for name in ["max_tokens", "max_completion_tokens"] {
            let answer = ask(&server, &chat_with(prompt, json!({ name: limit }))).await;
            assert_eq!(text(&answer), expected, "{limit}");
            assert_eq!(answer["choices"][0]["finish_reason"], finish, "{limit}");
            assert_eq!(answer["usage"]["completion_tokens"], limit.min(7));
        }
    }
    for (stop, expected) in [
        (json!("el"), "one two "),
        (json!(["zebra", "two", "ele"]), "one "),
        (json!(["", "zebra"]), prompt),
    ] {
        let answer = ask(&server, &chat_with(prompt, json!({ "stop": stop }))).await;
        assert_eq!(text(&answer), expected);
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn an_echo_is_the_last_message_of_the_user() {
    let server = start(settings("replies = 'echo'")).await;
    let body = json!({ "model": "m", "messages": [
        { "role": "user", "content": "first" },
        { "role": "user", "content": "second" },
        { "role": "assistant", "content": "third" },
    ] });
    assert_eq!(text(&ask(&server, &body).await), "second");
    let body = json!({ "model": "m", "messages": [{ "role": "system", "content": "alone" }] });
    assert_eq!(text(&ask(&server, &body).await), "alone");
}

#[tokio::test]
async fn a_template_sees_the_request_and_draws_from_the_seed() {
    let template = "{{ number }} {{ choice }}/{{ n }} {{ model }} {{ messages|length }} \
                    {{ messages[0].role }}: {{ messages[0].content }} | {{ prompt }}";
    let server = start(saying(template)).await;
    for number in 0..3 {
        let body = json!({ "model": "m", "n": 2, "messages": [
            { "role": "system", "content": "be brief" }, { "role": "user", "content": "go" },
        ] });
        let answer = ask(&server, &body).await;
        for choice in 0..2 {
            let expected = format!("{number} {choice}/2 m 2 system: be brief | go");
            assert_eq!(answer["choices"][choice]["message"]["content"], expected);
        }
    }
    let scored = r#"{"score": {{ random(1, 6) }}, "rationale": {{ words(4)|tojson }}}"#;
    let server = start(saying(scored)).await;
    let mut scores = BTreeMap::<i64, u32>::new();
    for seed in 0..120 {
        let body = chat_with("x", json!({ "seed": seed }));
        let reply: Value = serde_json::from_str(text(&ask(&server, &body).await)).unwrap();
        assert_eq!(reply["rationale"].as_str().unwrap().split(' ').count(), 4);
        *scores.entry(reply["score"].as_i64().unwrap()).or_default() += 1;
        let again: Value = serde_json::from_str(text(&ask(&server, &body).await)).unwrap();
        assert_eq!(again, reply, "the same seed, the same reply");
    }
    assert_eq!(scores.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let server = start(saying("{{ nothing }}")).await;
    let error = ask_at(&server, OPENAI, &chat("x"), 500).await;
    assert_eq!(error["error"]["code"], "reply_failed");
}

/// A file of canned replies that is gone after the test.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("llm-{}-{name}.jsonl", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn settings(&self, order: &str) -> Llm {
        let canned = json!({ "canned": self.0, "order": order });
        Llm { replies: serde_json::from_value::<Reply>(canned).unwrap(), ..instant() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn canned_replies_come_by_kind_and_in_order() {
    let file = File::new(
        "order",
        concat!(
            "{\"content\": \"one\"}\n\n{\"content\": \"two\"}\n",
            "{\"match\": \"(?i)weather\", \"content\": \"sunny\"}\n",
            "{\"content\": {\"score\": 3}}\n",
        ),
    );
    let server = start(file.settings("next")).await;
    for expected in ["one", "two", "{\"score\":3}", "one"] {
        assert_eq!(said(&server, "hello").await, expected);
    }
    assert_eq!(said(&server, "The WEATHER?").await, "sunny");
    // The number of the request decides, not how many were plain.
    assert_eq!(said(&server, "hello").await, "{\"score\":3}");

    let server = start(file.settings("random")).await;
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..90 {
        *counts.entry(said(&server, "hello").await).or_default() += 1;
    }
    assert_eq!(counts.len(), 3);
    assert!(counts.values().all(|count| *count >= 10), "{counts:?}");
}

#[tokio::test]
async fn what_cannot_be_read_stops_the_start() {
    let no_plain = File::new("kinds", "{\"match\": \"x\", \"content\": \"y\"}\n");
    let wrong = File::new("wrong", "{\"content\": \"a\"}\n{\"contents\": \"b\"}\n");
    let missing = File::new("missing", "");
    std::fs::remove_file(&missing.0).unwrap();
    let template = Llm { replies: Reply::Template("{{ x".to_owned()), ..instant() };
    for (llm, part) in [
        (no_plain.settings("next"), "no line is without `match`"),
        (wrong.settings("next"), "line 2"),
        (missing.settings("next"), "canned replies"),
        (template, "`template`"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = tokio_util::sync::CancellationToken::new();
        let error = mock_server::run(listener, shutdown, Behaviour::Llm(llm)).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn settings_that_make_no_sense_say_what_to_do() {
    for (toml, part) in [
        ("replies = 'parrot'", "parrot"),
        ("replies = { words = '9..3' }", "9..3"),
        ("replies = { words = 5, echo = true }", "exactly one of words, echo, template and canned"),
        ("replies = {}", "exactly one of"),
        ("replies = { words = 5, order = 'next' }", "`order` is for canned replies"),
        ("replies = { template = '{% if %}' }", "`template` cannot be read"),
        ("kinds = [{ match = '(', reply = 'echo' }]", "no regular expression"),
        ("tokens_per_chunk = 0", "zero"),
        ("reply = 'echo'", "unknown field"),
    ] {
        let error = toml::from_str::<Llm>(toml).unwrap_err().to_string();
        assert!(error.contains(part), "{toml}: {error}");
    }
}

#[test]
fn settings_read_what_they_write() {
    let llm = settings(
        "seed = 5\nmodels = ['m']\ndeployments = ['d']\nreplies = { words = '2..9' }\n\
         tokens_per_chunk = 3\nrequests_per_minute = 60\ntokens_per_minute = 9000\n\
         kinds = [{ match = 'a', reply = { template = 'b' }, latency = '20s' }, \
         { match = 'c', reply = { canned = 'f', order = 'random' } }, { match = 'e', reply = 'echo' }]",
    );
    let written = serde_json::to_value(&llm).unwrap();
    assert_eq!(serde_json::from_value::<Llm>(written).unwrap(), llm);
    let with_key = Llm { api_keys: vec!["secret".to_owned()], ..instant() };
    assert!(!serde_json::to_string(&with_key).unwrap().contains("secret"), "keys are never shown");
}

#[tokio::test]
async fn the_kind_of_a_prompt_decides_reply_and_latency() {
    let toml = r#"
        replies = "echo"
        latency = "5ms"
        kinds = [
            { match = "^As of \\d{4}", reply = { template = "snapshot" }, latency = "40ms" },
            { match = "(?i)summar", reply = { template = "summary" } },
            { match = "slow", latency = "20ms" },
        ]"#;
    let server = start(settings(toml)).await;
    // Reply, and the sum of the intended times so far.
    for (prompt, reply, intended) in [
        ("As of 2021, summarise", "snapshot", 40.0),
        ("Not As of 2021: SUMMARY", "summary", 45.0),
        ("slow one", "slow one", 65.0),
        ("plain", "plain", 70.0),
    ] {
        assert_eq!(said(&server, prompt).await, reply);
        let times = server.ledger().await.routes["POST /v1/chat/completions"].intended;
        assert!(
            (times.mean_ms * times.count as f64 - intended).abs() < 1e-6,
            "{prompt}: {times:?}"
        );
    }
    let body = json!({ "model": "m", "messages": [
        { "role": "system", "content": "As of 2020" }, { "role": "user", "content": "go" },
    ] });
    assert_eq!(text(&ask(&server, &body).await), "snapshot", "any message may show the kind");
}

#[tokio::test]
async fn a_json_object_is_one() {
    for (toml, answer) in [("replies = 'echo'", Some("as JSON")), ("replies = { words = 9 }", None)]
    {
        let server = start(settings(toml)).await;
        for _ in 0..20 {
            let body =
                chat_with("as JSON", json!({ "response_format": { "type": "json_object" } }));
            let reply: Value = serde_json::from_str(text(&ask(&server, &body).await)).unwrap();
            assert!((1..=100).contains(&reply["score"].as_i64().unwrap()), "{reply}");
            assert!((0.0..=1.0).contains(&reply["confidence"].as_f64().unwrap()), "{reply}");
            assert!(!reply["rationale"].as_str().unwrap().is_empty());
            match answer {
                Some(answer) => assert_eq!(reply["answer"], answer),
                None => assert_eq!(reply["answer"].as_str().unwrap().split(' ').count(), 9),
            }
        }
    }
    // A template is given as it is, whatever form is asked for.
    let server = start(saying(r#"{"score": 80, "rationale": "ok"}"#)).await;
    let body = chat_with("json", json!({ "response_format": { "type": "json_object" } }));
    assert_eq!(text(&ask(&server, &body).await), r#"{"score": 80, "rationale": "ok"}"#);
}

/// Asks for a reply with this schema.
async fn drawn(server: &Server, schema: &Value, seed: i64) -> Value {
    let named = json!({ "name": "thing", "strict": true, "schema": schema });
    let format = json!({ "type": "json_schema", "json_schema": named });
    let body = chat_with("x", json!({ "response_format": format, "seed": seed }));
    serde_json::from_str(text(&ask(server, &body).await)).expect("JSON")
}

#[tokio::test]
async fn a_reply_conforms_to_its_schema() {
    let server = start(instant()).await;
    let schema = json!({
        "type": "object", "additionalProperties": { "type": "null" },
        "properties": {
            "score": { "type": "integer", "minimum": 1, "maximum": 5 },
            "share": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.01 },
            "step": { "type": "number", "multipleOf": 0.5, "minimum": 1, "maximum": 2 },
            "even": { "type": "integer", "multipleOf": 2, "minimum": 3, "maximum": 9 },
            "negative": { "type": "integer", "maximum": -3 },
            "yes": { "type": "boolean" },
            "nothing": { "type": "null" },
            "level": { "enum": ["low", "high", 3, null] },
            "version": { "const": { "a": [1] } },
            "name": { "type": "string", "minLength": 30, "maxLength": 32 },
            "initial": { "type": "string", "maxLength": 1 },
            "day": { "type": "string", "format": "date" },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 4 },
            "pair": { "type": "array", "prefixItems": [{ "type": "boolean" }, { "const": 7 }], "items": false },
            "either": { "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/point" }] },
            "maybe": { "type": ["string", "null"] },
            "\"odd\" name": { "$ref": "#/$defs/point" },
        },
        "required": ["score", "unlisted"],
        "$defs": { "point": {
            "type": "object", "required": ["x"], "properties": { "x": { "type": "integer", "minimum": 0, "maximum": 1 } },
        } },
    });
    let is_point = |value: &Value| *value == json!({ "x": 0 }) || *value == json!({ "x": 1 });
    let length = |value: &Value| value.as_str().unwrap().chars().count();
    let (mut scores, mut eithers) = (BTreeMap::<i64, u32>::new(), [0, 0]);
    for seed in 0..60 {
        let value = drawn(&server, &schema, seed).await;
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names.pop(), Some("unlisted"), "what is required is there");
        assert!(value["unlisted"].is_null());
        let listed = schema["properties"].as_object().unwrap().keys().map(String::as_str);
        assert_eq!(names, listed.collect::<Vec<_>>());
        *scores.entry(value["score"].as_i64().unwrap()).or_default() += 1;
        let share = value["share"].as_f64().unwrap();
        assert!(0.0 < share && share < 0.01, "{share}");
        assert!([1.0, 1.5, 2.0].contains(&value["step"].as_f64().unwrap()));
        assert!([4, 6, 8].contains(&value["even"].as_i64().unwrap()));
        assert!(value["negative"].as_i64().unwrap() <= -3);
        assert!(value["yes"].is_boolean() && value["nothing"].is_null());
        assert!(
            schema["properties"]["level"]["enum"].as_array().unwrap().contains(&value["level"])
        );
        assert_eq!(value["version"], json!({ "a": [1] }));
        assert!((30..=32).contains(&length(&value["name"])));
        assert_eq!(length(&value["initial"]), 1);
        let day: Vec<_> = value["day"].as_str().unwrap().split('-').map(str::len).collect();
        assert_eq!(day, [4, 2, 2]);
        let tags = value["tags"].as_array().unwrap();
        assert!((2..=4).contains(&tags.len()) && tags.iter().all(Value::is_string));
        let pair = value["pair"].as_array().unwrap();
        assert!(pair.len() == 2 && pair[0].is_boolean() && pair[1] == 7, "{pair:?}");
        eithers[usize::from(is_point(&value["either"]))] += 1;
        assert!(value["either"].is_boolean() || is_point(&value["either"]));
        assert!(value["maybe"].is_string());
        assert!(is_point(&value["\"odd\" name"]));
        assert_eq!(value, drawn(&server, &schema, seed).await, "the same seed, the same value");
    }
    assert_eq!(scores.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(eithers.iter().all(|count| *count > 5), "{eithers:?}");
}

#[tokio::test]
async fn a_recursive_schema_ends() {
    let server = start(instant()).await;
    let next = json!({ "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] });
    let schema = json!({
        "$ref": "#/$defs/node",
        "$defs": { "node": { "type": "object", "required": ["value", "left", "right"], "properties": {
            "value": { "type": "integer" }, "left": next, "right": next,
        } } },
    });
    let children = json!({ "type": "object", "required": ["children"], "properties": {
        "children": { "type": "array", "items": { "$ref": "#" } },
    } });
    let optional = json!({ "type": "object", "properties": { "deeper": { "$ref": "#" } } });
    // No option is without a `$ref`, and the first is the recursive one.
    let either = json!({ "anyOf": [{ "$ref": "#/$defs/bin" }, { "$ref": "#/$defs/lit" }] });
    let union = json!({ "$ref": "#/$defs/bin", "$defs": {
        "bin": { "type": "object", "required": ["l", "r"], "properties": { "l": either, "r": either } },
        "lit": { "type": "object", "required": ["v"], "properties": { "v": { "type": "integer" } } },
    } });
    fn is_tree(value: &Value) -> bool {
        value["v"].is_i64() || (is_tree(&value["l"]) && is_tree(&value["r"]))
    }
    // A hundred ways down from everywhere: looking for the lowest must not take them all.
    let wide: serde_json::Map<_, _> =
        (0..100).map(|n| (n.to_string(), json!({ "$ref": "#" }))).collect();
    let names: Vec<_> = wide.keys().collect();
    let wide = json!({ "oneOf": [
        { "type": "object", "properties": wide, "required": names },
        { "allOf": [{ "type": ["array", "null"], "items": { "$ref": "#" } }] },
    ] });
    let wide = json!({ "$ref": "#/$defs/a", "$defs": {
        "a": { "type": "array", "minItems": 1, "maxItems": 1, "items": { "$ref": "#/$defs/b" } },
        "b": { "type": "array", "minItems": 1, "maxItems": 1, "items": { "$ref": "#/$defs/c" } },
        "c": serde_json::from_str::<Value>(&wide.to_string().replace("\"#\"", "\"#/$defs/c\"")).unwrap(),
    } });
    for seed in 0..100 {
        let value = drawn(&server, &union, seed).await;
        assert!(is_tree(&value), "{value}");
    }
    for seed in 0..20 {
        assert!(drawn(&server, &wide, seed).await[0].is_array());
        assert!(drawn(&server, &schema, seed).await["value"].is_i64());
        assert!(drawn(&server, &children, seed).await["children"].is_array());
        assert!(drawn(&server, &optional, seed).await.is_object());
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_followed_is_an_error() {
    let server = start(instant()).await;
    for (schema, part) in [
        (json!({ "type": "string", "pattern": "^a" }), "`pattern`"),
        (json!({ "type": "string", "format": "smell" }), "smell"),
        (json!({ "$ref": "#/$defs/none" }), "leads nowhere"),
        (json!({ "$ref": "#" }), "too deep"),
        (json!({ "enum": [] }), "`enum`"),
        (json!({ "anyOf": [] }), "`anyOf`"),
        (json!({ "allOf": [{}, {}] }), "`allOf`"),
        (json!({ "type": "integer", "minimum": 3, "maximum": 2 }), "bounds"),
        (json!({ "type": "number", "minimum": 3, "exclusiveMaximum": 3 }), "bounds"),
        (json!({ "type": "array", "minItems": 3, "maxItems": 2 }), "no array"),
        (json!({ "type": "array", "minItems": 100_000_000 }), "no array"),
        (
            json!({ "type": "object", "properties": { "x": { "type": "array", "minItems": 19_000,
            "items": { "type": "array", "minItems": 19_000 } } } }),
            "too large",
        ),
        (json!({ "type": "object", "required": ["x"], "properties": { "x": false } }), "no value"),
        (json!({ "type": "object", "required": ["x"], "additionalProperties": false }), "no value"),
    ] {
        refused(&server, schema, part).await;
    }
}

/// Asks for a reply with a schema that is refused, with this in the message.
async fn refused(server: &Server, schema: Value, part: &str) {
    let named = json!({ "name": "n", "schema": schema });
    let format = json!({ "type": "json_schema", "json_schema": named });
    let body = chat_with("x", json!({ "response_format": format }));
    let error = ask_at(server, OPENAI, &body, 400).await;
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("Invalid schema for response_format 'n'"), "{message}");
    assert!(message.contains(part), "{schema}: {message}");
    assert_eq!(error["error"]["param"], "response_format");
}

#[tokio::test]
async fn what_a_reply_might_not_conform_to_is_an_error() {
    let server = start(instant()).await;
    for name in ["not", "if", "then", "else", "dependentSchemas", "dependentRequired"] {
        refused(&server, json!({ "type": "integer", name: {} }), &format!("`{name}` cannot")).await;
    }
    let a =
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "null" } } });
    let mut with_options = a.clone();
    with_options["anyOf"] = json!([{ "required": ["a"] }, { "required": ["b"] }]);
    let b = json!({ "b": { "type": "boolean" } });
    let unions = json!([{ "type": "integer" }, { "type": "null" }]);
    for (schema, part) in [
        (json!({ "type": "integer", "not": { "minimum": 0 } }), "`not` cannot be followed here"),
        (json!({ "type": "object", "patternProperties": { "^a": {} } }), "`patternProperties`"),
        (json!({ "type": "array", "contains": { "const": 1 } }), "`contains`"),
        (
            json!({ "type": "array", "items": { "type": "boolean" }, "minItems": 3, "uniqueItems": true }),
            "`uniqueItems`",
        ),
        (json!({ "type": "object", "minProperties": 2 }), "`minProperties`"),
        (json!({ "type": "object", "properties": b, "maxProperties": 0 }), "`maxProperties`"),
        (with_options, "`properties` beside `anyOf`"),
        (json!({ "$ref": "#/$defs/a", "properties": b, "$defs": { "a": a } }), "beside `$ref`"),
        (
            json!({ "$ref": "#/$defs/a", "required": ["b"], "$defs": { "a": a } }),
            "`required` beside",
        ),
        (
            json!({ "$ref": "#/$defs/a", "type": "array", "$defs": { "a": a } }),
            "`type` beside `$ref`",
        ),
        (json!({ "allOf": [{ "type": "array" }], "items": {} }), "`items` beside `allOf`"),
        (json!({ "oneOf": unions, "type": "integer" }), "`type` beside `oneOf`"),
        (json!({ "oneOf": unions, "anyOf": unions }), "`oneOf` beside `anyOf`"),
        (json!({ "enum": [1, "two"], "type": "string" }), "`type` beside `enum`"),
        (json!({ "const": 1, "minimum": 2 }), "`minimum` beside `const`"),
        (json!({ "type": "string", "format": "date", "maxLength": 5 }), "length"),
    ] {
        refused(&server, schema, part).await;
    }
}

#[tokio::test]
async fn what_only_looks_hard_is_followed() {
    let server = start(instant()).await;
    let tree = json!({ "anyOf": [{ "$ref": "#" }, { "type": "object" }], "type": "object" });
    let list = json!({ "type": "array", "items": { "type": "null" }, "uniqueItems": false, "minItems": 1 });
    let one = json!({ "type": "integer", "minimum": 1, "maximum": 1 });
    let escaped = json!({ "$ref": "#/$defs/A%5Bint%5D", "$defs": { "A[int]": one } });
    let plain = json!({ "$ref": "#/$defs/5%25", "$defs": { "5%25": one } });
    let shared = json!({ "type": ["number", "null"], "description": "", "oneOf": [one, { "enum": [1, null] }] });
    let span = json!({ "type": "number", "minimum": -1.7e308, "maximum": 1.7e308 });
    for seed in 0..20 {
        assert_eq!(drawn(&server, &escaped, seed).await, 1);
        assert_eq!(drawn(&server, &plain, seed).await, 1);
        assert!(drawn(&server, &list, seed).await[0].is_null());
        assert!([json!(1), Value::Null].contains(&drawn(&server, &shared, seed).await));
        assert!(drawn(&server, &span, seed).await.as_f64().unwrap().abs() <= 1.7e308);
    }
    // Its first option is the schema itself, whose own type says enough.
    for seed in 0..20 {
        assert!(drawn(&server, &tree, seed).await.is_object());
    }
}

#[tokio::test]
async fn an_answer_is_not_longer_than_memory_allows() {
    let server = start(settings("replies = 'echo'")).await;
    let prompt = "x".repeat(1_000_000);
    let few = ask(&server, &chat_with(&prompt, json!({ "n": 3 }))).await;
    for choice in 0..3 {
        assert_eq!(few["choices"][choice]["message"]["content"], prompt.as_str());
    }
    for fields in [json!({ "n": 128 }), json!({ "n": 128, "stream": true })] {
        let error = ask_at(&server, OPENAI, &chat_with(&prompt, fields), 400).await;
        assert_eq!(error["error"]["param"], "n");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("64 MiB") && message.contains("fewer"), "{message}");
    }
    // What counts is what is said.
    let short = ask(&server, &chat_with(&prompt, json!({ "n": 128, "max_tokens": 1 }))).await;
    assert_eq!(short["choices"].as_array().unwrap().len(), 128);
}

/// Schemas of some depth.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        Just(json!({ "type": "string" })),
        (-50..50i64, 0..50i64).prop_map(|(low, span)| {
            json!({ "type": "integer", "minimum": low, "maximum": low + span })
        }),
        (-50..50i64, 0..50i64).prop_map(|(low, span)| {
            json!({ "type": "number", "minimum": low, "maximum": low + span })
        }),
        (0..20u64, 0..20u64).prop_map(|(low, span)| {
            json!({ "type": "string", "minLength": low, "maxLength": low + span })
        }),
        Just(json!({ "enum": [1, "two", null] })),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = prop::collection::btree_map("[a-e]", inner.clone(), 0..4);
        prop_oneof![
            (inner.clone(), 0..3u64).prop_map(|(items, least)| {
                json!({ "type": "array", "items": items, "minItems": least, "maxItems": least + 1 })
            }),
            prop::collection::vec(inner, 1..3).prop_map(|options| json!({ "anyOf": options })),
            members.prop_map(|members| {
                let required: Vec<_> = members.keys().cloned().collect();
                json!({ "type": "object", "properties": members, "required": required })
            }),
        ]
    })
}

/// Whether a value conforms to one of those schemas.
fn conforms(value: &Value, schema: &Value) -> bool {
    if let Some(options) = schema["anyOf"].as_array() {
        return options.iter().any(|option| conforms(value, option));
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(value);
    }
    let within = |number: f64, low: &str, high: &str| {
        schema[low].as_f64().is_none_or(|low| number >= low)
            && schema[high].as_f64().is_none_or(|high| number <= high)
    };
    match schema["type"].as_str().unwrap() {
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "string" => value
            .as_str()
            .is_some_and(|text| within(text.chars().count() as f64, "minLength", "maxLength")),
        "integer" => value.as_i64().is_some_and(|n| within(n as f64, "minimum", "maximum")),
        "number" => value.as_f64().is_some_and(|n| within(n, "minimum", "maximum")),
        "array" => value.as_array().is_some_and(|items| {
            within(items.len() as f64, "minItems", "maxItems")
                && items.iter().all(|item| conforms(item, &schema["items"]))
        }),
        _ => value.as_object().is_some_and(|members| {
            let properties = schema["properties"].as_object().unwrap();
            members.len() == properties.len()
                && members.iter().all(|(name, member)| {
                    properties.get(name).is_some_and(|schema| conforms(member, schema))
                })
        }),
    }
}

#[test]
fn every_reply_conforms_to_its_schema() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let server = runtime.block_on(start(instant()));
    proptest!(|(schema in schemas(), seed: i64)| {
        let value = runtime.block_on(drawn(&server, &schema, seed));
        prop_assert!(conforms(&value, &schema), "{value} / {schema}");
        prop_assert_eq!(&value, &runtime.block_on(drawn(&server, &schema, seed)));
    });
}

/// Tokens of a text by the stated rule, counted word by word.
fn counted(text: &str) -> u64 {
    let words = text.split(|c: char| c.is_ascii_whitespace()).map(|word| word.chars().count());
    words.map(|characters| characters.div_ceil(4) as u64).sum()
}

#[test]
fn tokens_follow_the_stated_rule() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let server = runtime.block_on(start(settings("replies = 'echo'")));
    proptest!(|(prompt in "[a-zé日 \n\t\"]{1,60}", limit in 1..20u64)| {
        let answer = runtime.block_on(ask(&server, &chat(&prompt)));
        prop_assert_eq!(&answer["usage"]["prompt_tokens"], 7 + counted(&prompt));
        prop_assert_eq!(&answer["usage"]["completion_tokens"], counted(&prompt));
        let body = chat_with(&prompt, json!({ "max_tokens": limit }));
        let cut = runtime.block_on(ask(&server, &body));
        prop_assert_eq!(&cut["usage"]["completion_tokens"], counted(&prompt).min(limit));
        prop_assert_eq!(counted(text(&cut)), counted(&prompt).min(limit));
        prop_assert!(prompt.starts_with(text(&cut)));
        let finish = if counted(&prompt) > limit { "length" } else { "stop" };
        prop_assert_eq!(&cut["choices"][0]["finish_reason"], finish);
    });
}
