//! Settings from a file, from the command line, and from both.

#![allow(clippy::unwrap_used, reason = "tests panic to fail")]

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::path::{Path, PathBuf};

use process::{Running, ended, refused, shown};
use toml::Value;

/// A file of settings in the folder of this test's build.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

fn base(table: &toml::Table, service: &str) -> String {
    table[service]["latency"]["base"].as_str().unwrap().to_owned()
}

fn faults(table: &toml::Table, service: &str) -> usize {
    table[service]["faults"].as_array().map_or(0, Vec::len)
}

/// Arguments that make each layer say something else.
fn with(path: &Path, arguments: &[&str]) -> toml::Table {
    shown(&[&["inference", "--config", path.to_str().unwrap()], arguments].concat())
}

#[test]
fn the_command_line_comes_before_the_file_and_a_key_before_a_preset() {
    let defaults = shown(&["inference"]);
    assert_eq!((base(&defaults, "inference"), faults(&defaults, "inference")), ("75ms".into(), 0));

    let path = file("preset.toml", "[inference]\npreset = \"gentle\"\n");
    let table = with(&path, &[]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("30ms..70ms".into(), 3));
    // The service's own time per text is no part of a preset.
    assert_eq!(table["inference"]["latency"]["per_item"].as_str(), Some("2.5ms"));

    let path = file("both.toml", "[inference]\npreset = \"gentle\"\nlatency = \"9ms\"\n");
    let table = with(&path, &[]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("9ms".into(), 3));
    let table = with(&path, &["--preset", "silent"]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("5ms..15ms".into(), 0));
    let table = with(&path, &["--set", "latency=3ms", "--preset", "silent"]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("3ms".into(), 0));
    let table = with(&path, &["--set", "latency=3ms", "--set", "preset=silent"]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("3ms".into(), 0));
    let table = with(&path, &["--set", "faults=[]", "--preset", "chaos"]);
    assert_eq!((base(&table, "inference"), faults(&table, "inference")), ("0..200ms".into(), 0));
}

#[test]
fn a_key_of_a_table_leaves_its_other_keys_as_they_are() {
    let latency = |table: &toml::Table| {
        ["base", "per_item"]
            .map(|key| table["inference"]["latency"][key].as_str().unwrap().to_owned())
    };
    let table = shown(&["inference", "--set", "latency.base=5ms"]);
    assert_eq!(latency(&table), ["5ms", "2.5ms"]);
    let table = shown(&["inference", "--set", "inference.latency.per_item = 1ms"]);
    assert_eq!(latency(&table), ["75ms", "1ms"]);
    let text = "[inference.latency]\nbase = \"8ms\"\nper_item = \"4ms\"\n";
    let table = with(&file("table.toml", text), &["--set", "latency.base=5ms"]);
    assert_eq!(latency(&table), ["5ms", "4ms"]);
    let text = "[inference]\nlatency = \"8ms\"\n";
    let table = with(&file("value.toml", text), &["--set", "latency.per_item=1ms"]);
    assert_eq!(latency(&table), ["8ms", "1ms"]);
    let sets = ["--set", "latency=8ms", "--set", "latency.per_item=1ms"];
    assert_eq!(latency(&shown(&[&["inference"], &sets[..]].concat())), ["8ms", "1ms"]);
    let (code, message) =
        refused(&["inference", "--set", "faults=chaos", "--set", "faults.rate=1"]);
    assert_eq!(code, 2);
    assert!(message.contains("`faults` was given as one value before"), "{message}");
}

#[test]
fn values_are_toml_or_plain_text() {
    let upstream = "upstream.endpoint=http://127.0.0.1:9";
    let table = shown(&[
        "multi-query",
        "--set",
        upstream,
        "--set",
        "upstream.api_version=2024-10-21",
        "--set",
        "upstream.keep_alive=7",
        "--set",
        "seed = 5",
        "--set",
        "faults=[{ kind = 429, every = 3 }, { kind = 'reset', rate = 0.01 }]",
    ]);
    let service = &table["multi-query"];
    assert_eq!(service["upstream"]["endpoint"].as_str(), Some("http://127.0.0.1:9"));
    assert_eq!(service["upstream"]["api_version"].as_str(), Some("2024-10-21"));
    assert_eq!(service["upstream"]["keep_alive"].as_integer(), Some(7));
    assert_eq!(service["seed"].as_integer(), Some(5));
    assert_eq!(service["faults"][1]["kind"].as_str(), Some("reset"));
    assert!(!table.contains_key("llm"), "an endpoint is given: none is started beside");
}

#[test]
fn what_is_shown_is_a_file_that_means_the_same() {
    let settings: &[&[&str]] = &[
        &["inference", "llm", "multi-query", "ensemble"],
        &["inference", "--preset", "chaos", "--set", "engine=blocking"],
        &[
            "multi-query",
            "--port",
            "9123",
            "--host",
            "::1",
            "--set",
            "llm.latency=[\"1ms\", \"2ms\"]",
        ],
    ];
    for (at, arguments) in settings.iter().enumerate() {
        let first = shown(arguments);
        let path = file(&format!("shown-{at}.toml"), &toml::to_string(&first).unwrap());
        let services = arguments.iter().take_while(|argument| !argument.starts_with("--"));
        let services: Vec<&str> = services.copied().collect();
        let again = shown(&[&services[..], &["--config", path.to_str().unwrap()]].concat());
        assert_eq!(again, first, "{arguments:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let (code, text, _) = ended(&[
        "multi-query",
        "--set",
        "upstream.api_key=hidden-1",
        "--set",
        "upstream.endpoint=https://user:hidden-2@example.com/base",
        "--show",
    ]);
    assert_eq!(code, 0);
    assert!(text.contains("\"https://example.com/base\""), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn all_mistakes_of_a_file_are_shown_where_they_are() {
    let text = r#"hst = "x"

[ports]
llm = 70000

[inferense]
seed = 1

[llm]
faults = [ { kind = "rest", rate = 0.1 }, { kind = 429, evry = 3 } ]
preset = "realistc"
since = 2024-10-21

[inference]
latency = "90"
engine = "blocking"
workers = 2
"#;
    let path = file("wrong.toml", text);
    let (code, message) = refused(&["llm", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 2);
    for expected in [
        "unknown key `hst`",
        "did you mean `host`?",
        ":4:7",
        "a whole number from 0 to 65535",
        "did you mean `inference`?",
        "unknown word `rest`",
        "did you mean `reset`?",
        "did you mean `every`?",
        "did you mean `realistic`?",
        ":11:10",
        "a date is not used here",
        ":15:11",
        "a number and a unit",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    assert_eq!(message.matches("error: ").count(), 9, "{message}");
}

#[test]
fn what_contradicts_itself_is_shown_where_that_came_about() {
    let path = file("blocking.toml", "[inference]\nengine = \"blocking\"\n");
    let path = path.to_str().unwrap();
    let (code, message) = refused(&["inference", "--config", path, "--set", "workers=2"]);
    assert_eq!(code, 2);
    assert!(message.contains("has no meaning with engine \"blocking\""), "{message}");
    assert!(message.contains("--set:1:1"), "{message}");
    let path = file("workers.toml", "[inference]\nengine = \"blocking\"\nworkers = 2\n");
    let (code, message) = refused(&["inference", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(message.contains("workers.toml:1:1"), "{message}");
}

#[test]
fn mistakes_of_the_command_line_are_shown_in_their_own_words() {
    let cases = [
        ("engin=blocking", "did you mean `engine`?"),
        ("engine=treaded", "did you mean `threaded`?"),
        ("presett=chaos", "did you mean `preset`?"),
        ("preset=caos", "did you mean `chaos`?"),
        ("faults=caos", "did you mean `chaos`?"),
        ("faults=[{ kind = 'hal-body' }]", "did you mean `half-body`?"),
        ("latency.bse=5ms", "did you mean `base`?"),
        ("latency=90", "wrong kind of value"),
        ("latency=1e9s", "at most one day"),
        ("latency=5ms +- 9ms", "would be negative"),
        ("workers=0", "expected"),
        ("latency={ base = '5ms'", "this is not TOML"),
        ("latency", "there is no value here"),
        ("=5ms", "this is no key"),
        ("llm.seed=1", "llm is not run here"),
    ];
    for (set, expected) in cases {
        let (code, message) = refused(&["inference", "--set", set]);
        assert_eq!(code, 2, "{set}: {message}");
        assert!(message.contains(expected), "{set}: {message}");
        assert!(message.contains(set.trim()), "it shows what was given: {message}");
    }
    let (code, message) = refused(&["inference", "llm", "--set", "seed=1"]);
    assert_eq!(code, 2);
    assert!(message.contains("`inference.seed=1`"), "{message}");
    let sets = ["inference", "--set", "sed=1", "--set", "latency=x", "--set", "faults=[1]"];
    let (_, message) = refused(&sets);
    assert_eq!(message.matches("error: ").count(), 3, "all at once: {message}");
}

#[test]
fn a_preset_that_nothing_takes_is_a_mistake() {
    let endpoint = "upstream.endpoint=http://127.0.0.1:9";
    let (code, message) = refused(&["ensemble", "--set", endpoint, "--preset", "chaos"]);
    assert_eq!(code, 2);
    assert!(message.contains("--preset chaos is for"), "{message}");
    let table = shown(&["ensemble", "--preset", "gentle"]);
    assert_eq!((base(&table, "llm"), faults(&table, "llm")), ("30ms..70ms".into(), 3));
    assert_eq!(faults(&table, "ensemble"), 0);
}

#[test]
fn host_and_ports_of_a_file_are_those_that_are_used() {
    let text = "host = \"localhost\"\n[ports]\ninference = 0\nllm = 8001\n[llm]\nseed = 3\n";
    let path = file("ports.toml", text);
    let path = path.to_str().unwrap();
    let service = Running::start(1, &["inference", "--config", path]);
    assert!(!service.address("inference").ends_with(":8000"));
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    let table = shown(&["inference", "--config", path, "--port", "7", "--host", "127.0.0.9"]);
    assert_eq!(table["host"], Value::from("127.0.0.9"));
    assert_eq!(table["ports"]["inference"], Value::from(7));
}

/// Every block of settings in the documentation is one that the services take.
#[test]
fn the_settings_in_the_documentation_are_settings() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference-services.md");
    let docs = fs::read_to_string(docs).unwrap();
    let blocks: Vec<&str> =
        docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "{}", blocks.len());
    for (number, block) in blocks.into_iter().enumerate() {
        let path = file(&format!("docs-{number}.toml"), block);
        let services = ["inference", "llm", "multi-query", "ensemble"];
        shown(&[&services[..], &["--config", path.to_str().unwrap()]].concat());
    }
}

#[test]
fn keys_and_passwords_are_concealed() {
    for (word, shown) in [
        ("upstream.api_key=hunter2", "upstream.api_key=***"),
        ("upstream={ api_key = \"hunter2\" }", "upstream={ api_key = ***"),
        ("headers.api-key=hunter2", "headers.api-key=***"),
        ("--set=headers.X-Api-Key=hunter2", "--set=headers.X-Api-Key=***"),
        (
            "chat/step.chat.headers.\"authorization\"=Bearer hunter2",
            "chat/step.chat.headers.\"authorization\"=***",
        ),
        (
            "headers={ accept = \"a\", Authorization = \"hunter2\" }",
            "headers={ accept = \"a\", Authorization = ***",
        ),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("Cookie:hunter2=1", "Cookie:***"),
        ("step.login.json.password=hunter2", "step.login.json.password=***"),
        ("client_secret=hunter2", "client_secret=***"),
        ("--access-token=hunter2", "--access-token=***"),
        ("http://u:hunter2@127.0.0.1/?api_key=hunter2", "http://127.0.0.1/?api_key=***"),
        ("step.chat.json.max_tokens=5", "step.chat.json.max_tokens=5"),
        ("latency.per_token=5ms", "latency.per_token=5ms"),
        ("http://127.0.0.1:80/secret/x", "http://127.0.0.1:80/secret/x"),
        ("cache=redis://:hunter2@127.0.0.1:6379/", "cache=redis://127.0.0.1:6379/"),
        ("http://u:hunter2@127.0.0.1:80/a@b", "http://127.0.0.1:80/a@b"),
        ("http://127.0.0.1/a@b", "http://127.0.0.1/a@b"),
        ("latency=5ms", "latency=5ms"),
    ] {
        assert_eq!(mock_server::config::concealed(word), shown);
    }
}
