//! The scenario language: what a file means, what it sends, and what it accepts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panic")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use gander::measure::sample::{Offset, StepId};
use gander::scenario::answer::Answer;
use gander::scenario::expect::Unexpected;
use gander::scenario::model::{Think, User};
use gander::scenario::random::{Purpose, stream};
use gander::scenario::slo::{Bound, Measure, Operator, Slo};
use gander::scenario::template::Rendered;
use gander::scenario::{Feeder, Overlay, Scenario};
use gander::schedule::{ClosedLoad, Stage, parse_duration, show_duration};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use support::{Folder, judged, scenario};

const BUILT_IN: [&str; 11] = [
    "chat",
    "chat-stream",
    "inference-batch",
    "inference-mix",
    "inference-single",
    "inference-stress",
    "multi-query",
    "multi-query-direct",
    "time-travel",
    "time-travel-direct",
    "time-travel-stream",
];

fn built_in(name: &str) -> Scenario {
    Folder::new().load(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The first request of each step.
fn first_requests(scenario: &Scenario) -> Vec<Rendered> {
    let requests = scenario.preview(1).unwrap_or_else(|error| panic!("{error}"));
    requests.into_iter().map(Option::unwrap).collect()
}

/// The JSON body of the first request of the first step.
fn body(scenario: &Scenario) -> Value {
    let request = first_requests(scenario).remove(0);
    serde_json::from_slice(&request.body).unwrap()
}

// What files mean.

#[test]
fn built_in_scenarios_are_right_and_fit_the_schema() {
    let schema = gander::scenario::schema();
    for name in BUILT_IN {
        let scenario = built_in(name);
        scenario.preview(1).unwrap_or_else(|error| panic!("{error}"));
        let text = std::fs::read_to_string(format!("scenarios/{name}.toml")).unwrap();
        let file: Value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
        keys_are_in_schema(&schema, &schema, &file, name);
    }
}

/// Every key of a file is a property that the schema has at that place.
fn keys_are_in_schema(root: &Value, schema: &Value, value: &Value, path: &str) {
    let mut options = vec![schema];
    let mut properties = Vec::new();
    let mut items = Vec::new();
    while let Some(option) = options.pop() {
        if let Some(reference) = option.get("$ref").and_then(Value::as_str) {
            options.push(root.pointer(reference.trim_start_matches('#')).unwrap());
        }
        options.extend(option.get("anyOf").and_then(Value::as_array).into_iter().flatten());
        properties.extend(option.get("properties"));
        items.extend(option.get("items"));
        let limits = ["$ref", "anyOf", "properties", "items", "type", "enum"];
        let anything = limits.iter().all(|limit| option.get(limit).is_none());
        if anything || option.get("additionalProperties").is_some_and(|more| more != false) {
            return;
        }
    }
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let place = format!("{path}.{key}");
                let schema = properties.iter().find_map(|p| p.get(key));
                let schema = schema.unwrap_or_else(|| panic!("{place} is not in the schema"));
                keys_are_in_schema(root, schema, value, &place);
            }
        }
        Value::Array(values) => {
            assert!(!items.is_empty(), "{path} may not be a list");
            values.iter().for_each(|value| keys_are_in_schema(root, items[0], value, path));
        }
        _ => {}
    }
}

#[test]
fn inference_mix_is_the_load_of_the_guide() {
    let mix = built_in("inference-mix");
    let forms: Vec<_> = mix
        .users
        .iter()
        .map(|user| {
            let transactions: Vec<_> =
                user.transactions.iter().map(|t| (t.name.as_str(), t.weight)).collect();
            (user.name.as_str(), user.weight, user.think, transactions)
        })
        .collect();
    let think =
        |min, max| Think { min: Duration::from_millis(min), max: Duration::from_millis(max) };
    assert_eq!(
        forms,
        [
            (
                "mixed",
                1,
                think(500, 2000),
                vec![
                    ("batch of 5", 1),
                    ("batch of 25", 2),
                    ("batch of 50", 1),
                    ("single", 3),
                    ("health", 1),
                ],
            ),
            ("high-concurrency", 1, think(100, 500), vec![("batch of 20", 1)]),
        ]
    );
    for (step, request) in mix.steps.iter().zip(first_requests(&mix)) {
        let Some(size) = step.name.strip_prefix("batch of ") else { continue };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let texts = body["texts"].as_array().unwrap();
        assert_eq!(texts.len().to_string(), size);
        assert!(texts.iter().all(Value::is_string), "{body}");
    }
}

/// 600 s of virtual time of five users of the kind `mixed`: think times and service times as in the
/// scenario, each request answered at once when sent.
#[test]
fn shares_of_the_mix_are_within_three_points_of_its_weights() {
    let mix = built_in("inference-mix");
    let user = &mix.users[0];
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for number in 0..5 {
        let mut now = Duration::ZERO;
        for iteration in 0.. {
            if now > Duration::from_secs(600) {
                break;
            }
            let transaction = user.draw(&mut stream(42, number, iteration, Purpose::Transaction));
            *counts.entry(transaction.name.as_str()).or_default() += 1;
            let think = user.think.draw(&mut stream(42, number, iteration, Purpose::Think));
            now += Duration::from_millis(120) + think;
        }
    }
    let total = f64::from(counts.values().sum::<u32>());
    for (name, weight) in [
        ("batch of 5", 1.0),
        ("batch of 25", 2.0),
        ("batch of 50", 1.0),
        ("single", 3.0),
        ("health", 1.0),
    ] {
        let share = f64::from(counts[name]) / total;
        assert!((share - weight / 8.0).abs() < 0.03, "{name}: {share} of {total}");
    }
}

#[test]
fn the_short_form_and_the_long_form_mean_the_same() {
    let short = scenario("think = \"1s\"\n[[step]]\nname = \"a\"\nget = \"/a\"");
    let long = scenario(
        r#"
summary = "the same work, in other words"
service = "inference"
[[user]]
name = "anyone"
think = "1000ms"
[[user.transaction]]
name = "only"
[[user.transaction.step]]
name = "a"
get = "/a"
[[slo]]
rule = "a: p95 < 1s"
"#,
    );
    let direct = scenario(
        "[[user]]\nname = \"u\"\nthink = \"1s\"\n[[user.transaction]]\nname = \"a\"\nget = \"/a\"",
    );
    assert_eq!(short.digest, long.digest);
    assert_eq!(short.digest, direct.digest);
    assert_eq!(long.slos[0].step, Some(StepId(0)));
}

#[test]
fn a_stream_ends_with_the_value_that_is_written() {
    let ended = |equals: &str, done: &str| {
        let scenario = scenario(&format!(
            "[[step]]\nname = \"a\"\nget = \"/\"\n\
             stream = {{ content = \"text\", end = {{ json = \"done\", equals = {equals} }} }}"
        ));
        let rules = scenario.steps[0].stream.as_ref().expect("a stream");
        let events = [r#"{"text":"a","done":null}"#.to_owned(), format!(r#"{{"done":{done}}}"#)];
        rules.read((1..).map(Offset).zip(events.iter().map(String::as_str))).problem
    };
    for (equals, done) in [("true", "true"), ("0", "0"), ("1", "1.0"), ("\"true\"", "\"true\"")] {
        assert_eq!(ended(equals, done), None, "{equals}");
    }
    for (equals, done) in [("true", "\"true\""), ("true", "1"), ("\"0\"", "0"), ("true", "null")] {
        assert!(ended(equals, done).is_some(), "{equals} is not {done}");
    }
}

#[test]
fn every_part_of_the_work_changes_the_digest() {
    let base = r#"
think = "1s"
[data]
row = [{ a = 1 }]
[[step]]
name = "a"
post = "/a"
json = { a = "{{ row.a }}" }
"#;
    let changed = |from: &str, to: &str| {
        assert!(base.contains(from));
        scenario(&base.replace(from, to)).digest
    };
    let mut digests: HashSet<String> = [
        changed("\"1s\"", "\"2s\""),
        changed("{ a = 1 }", "{ a = 2 }"),
        changed("post", "put"),
        changed("\"/a\"", "\"/b\""),
        changed("{ a = \"{{ row.a }}\" }", "{ a = \"{{ row.a }} \" }"),
        changed("name = \"a\"", "name = \"b\""),
        changed("name = \"a\"", "name = \"a\"\ntimeout = \"1s\""),
        changed("name = \"a\"", "name = \"a\"\nexpect = { status = 201 }"),
        changed("name = \"a\"", "name = \"a\"\nheaders = { x = \"y\" }"),
    ]
    .into();
    assert!(digests.insert(scenario(base).digest));
    assert_eq!(digests.len(), 10);
    assert_eq!(
        changed("think", "summary = \"new\"\nservice = \"llm\"\nthink"),
        scenario(base).digest
    );
}

#[test]
fn a_file_of_the_same_name_overrides_and_still_finds_built_in_data() {
    let folder = Folder::new();
    let own = "summary = \"mine\"\n[data]\nreview = { file = \"data/reviews.csv\" }\n\
               [[step]]\nname = \"own\"\nget = \"/{{ review.id }}\"";
    folder.write("inference-mix.toml", own);
    let loaded = folder.load("inference-mix").unwrap();
    assert_eq!((loaded.summary.as_str(), loaded.name.as_str()), ("mine", "inference-mix"));
    assert!(loaded.data.sources()[0].len() > 100);
    let by_path = folder.path().join("inference-mix.toml");
    assert_eq!(folder.load(by_path.to_str().unwrap()).unwrap().digest, loaded.digest);
    assert!(folder.place.names().contains(&"inference-single".to_owned()));
}

#[test]
fn services_and_load_are_read() {
    let read = scenario(
        r#"
service = { name = "inference", latency = { base = "90ms", per_item = "0" }, workers = 4, engine = "threaded" }
[load]
users = 3
duration = "1m30s"
warm_up = "0"
[[step]]
name = "a"
get = "/"
"#,
    );
    let service = read.service.unwrap();
    assert_eq!(
        service.to_string(),
        "inference (engine=threaded, latency={ base = \"90ms\", per_item = \"0\" }, workers=4)"
    );
    let options: BTreeMap<String, String> = [
        ("engine", "threaded"),
        ("latency", "{ base = \"90ms\", per_item = \"0\" }"),
        ("workers", "4"),
    ]
    .map(|(k, v)| (k.into(), v.into()))
    .into();
    assert_eq!((service.name.as_str(), service.options), ("inference", options));
    assert_eq!((read.load.users, read.load.duration), (Some(3), Some(Duration::from_secs(90))));
    assert_eq!(read.steps[0].timeout, Duration::from_secs(30));
    let staged = built_in("inference-stress").load.stages.unwrap();
    assert!(staged.len() > 1 && staged.iter().all(|stage| stage.users >= 50));
}

#[test]
fn the_key_of_a_service_is_not_shown() {
    let read = scenario(
        r#"
service = { name = "multi-query", upstream = { endpoint = "http://127.0.0.1:9", api_key = "hidden" } }
[[step]]
name = "a"
get = "/"
"#,
    );
    let service = read.service.unwrap();
    assert_eq!(
        service.to_string(),
        "multi-query (upstream={ endpoint = \"http://127.0.0.1:9\", api_key = ***)"
    );
    assert!(service.options["upstream"].contains("hidden"), "the service itself gets it");
}

// What is sent.

#[test]
fn one_expression_keeps_its_type_and_text_around_it_makes_a_string() {
    let sent = body(&scenario(
        r#"
[data]
row = [{ number = 3, list = [1, "two", { three = 3.5 }], nothing = "", "is it" = true }]
[[step]]
name = "a"
post = "/"
json = { number = "{{ row.number }}", text = "{{ row.number }}!", list = "{{ row.list }}", null = "{{ none }}", truth = "{{ row['is it'] }}", sum = "{{ row.number * 2 }}", fixed = [1, 2.5, "x", { y = false }], raw = "{% raw %}{{ x }}{% endraw %}", user = "{{ user }}/{{ iteration }}" }
"#,
    ));
    assert_eq!(
        sent,
        json!({
            "number": 3, "text": "3!", "list": [1, "two", { "three": 3.5 }], "null": null,
            "truth": true, "sum": 6, "fixed": [1, 2.5, "x", { "y": false }], "raw": "{{ x }}",
            "user": "0/0",
        })
    );
}

#[test]
fn hostile_text_stays_inside_its_string() {
    for hostile in [
        r#"", "admin": true, "x": ""#,
        "quotes \" and \\ and \u{8} and \u{1f} and \n and \r\n",
        "{{ 7 * 7 }} {% for x in y %}",
        "</script> \u{2028} \u{202e} \u{0}",
        "日本語 😀 \u{fffd}",
    ] {
        let folder = Folder::new();
        folder.write("rows.json", &json!([{ "text": hostile }]).to_string());
        folder.write(
            "hostile.toml",
            r#"
[data]
row = { file = "rows.json" }
[[step]]
name = "a"
post = "/{{ row.text }}?q={{ row.text }}"
json = { native = "{{ row.text }}", quoted = "say {{ row.text }}", list = "{{ [row.text] }}" }
"#,
        );
        let loaded = folder.load("hostile").unwrap_or_else(|error| panic!("{error}"));
        let request = &first_requests(&loaded)[0];
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        let said = format!("say {hostile}");
        assert_eq!(sent, json!({ "native": hostile, "quoted": said, "list": [hostile] }));
        let path = request.path.as_str();
        assert!(
            path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?=%-._~".contains(&b)),
            "{path}"
        );
        assert_eq!(path.matches(['/', '?', '=']).count(), 3, "{path}");
    }
}

#[test]
fn a_line_break_cannot_add_a_header() {
    let folder = Folder::new();
    folder.write("rows.json", &json!([{ "text": "a\r\nx-admin: 1" }]).to_string());
    folder.write(
        "header.toml",
        "[data]\nrow = { file = \"rows.json\" }\n[[step]]\nname = \"a\"\nget = \"/\"\nheaders = { x = \"{{ row.text }}\" }",
    );
    let error = folder.load("header").unwrap_err().to_string();
    assert!(error.contains("no header may have"), "{error}");
}

#[test]
fn paths_take_values_percent_encoded_and_safe_ones_as_they_are() {
    let sent = scenario(
        r#"
[data]
row = [{ id = "a/b c&d" }]
[[step]]
name = "a"
get = "/x/{{ row.id }}/{{ 'v1/y' | safe }}?q={{ row.id | urlencode }}&n={{ 3 }}"
"#,
    );
    let path = first_requests(&sent)[0].path.to_string();
    assert_eq!(path, "/x/a%2Fb%20c%26d/v1/y?q=a%2Fb%20c%26d&n=3");
}

#[test]
fn headers_of_the_step_override_and_json_has_its_type() {
    let mut folder = Folder::new();
    folder.set("GANDER_KEY", "s3cret-value");
    folder.write(
        "headers.toml",
        r#"
[headers]
authorization = { env = "GANDER_KEY", prefix = "Bearer " }
x-common = "common"
[[step]]
name = "a"
post = "/"
json = {}
headers = { X-Common = "own", x-other = "key {{ env.GANDER_KEY }}" }
[[step]]
name = "b"
post = "/"
headers = { content-type = "application/problem+json" }
json = 1
[[step]]
name = "c"
post = "/"
body = "text"
"#,
    );
    let loaded = folder.load("headers").unwrap();
    let requests = first_requests(&loaded);
    let header = |at: usize, name: &str| requests[at].headers.get(name).cloned();
    assert_eq!(header(0, "authorization").unwrap(), "Bearer s3cret-value");
    assert_eq!(header(0, "x-common").unwrap(), "own");
    assert_eq!(header(0, "content-type").unwrap(), "application/json");
    assert_eq!(header(1, "x-common").unwrap(), "common");
    assert_eq!(header(1, "content-type").unwrap(), "application/problem+json");
    assert_eq!(header(2, "content-type"), None);
    let shown = format!("{loaded:?} {requests:?} {:?}", loaded.data.feeder(1).iteration(0, 0, 0));
    assert!(!shown.contains("s3cret"), "{shown}");
    let echoed = judged(&loaded.steps[0].expect, 401, &HeaderMap::new(), b"bad key s3cret-value!");
    assert_eq!(
        echoed.unwrap_err().to_string(),
        "status 401, expected 2xx; body: bad key [env GANDER_KEY]!"
    );
}

#[test]
fn a_step_without_holes_is_made_once() {
    let constant = scenario(
        "[[step]]\nname = \"a\"\npost = \"/a?b=c\"\njson = { text = \"x\", list = [1] }\nheaders = { y = \"z\" }",
    );
    let template = &constant.steps[0].template;
    assert!(template.is_constant());
    let feeder = constant.data.feeder(1);
    let first = template.render(&feeder.iteration(0, 0, 0)).unwrap();
    let second = template.render(&feeder.iteration(0, 1, 9)).unwrap();
    assert_eq!(first, second);
    assert_eq!(first.body.as_ptr(), second.body.as_ptr());
    assert!(!built_in("inference-single").steps[0].template.is_constant());
}

#[test]
fn a_body_file_is_sent_as_it_is() {
    let folder = Folder::new();
    folder.write("body.bin", "{{ not a template }}\n");
    folder.write("file.toml", "[[step]]\nname = \"a\"\npost = \"/\"\nbody_file = \"body.bin\"");
    let request = &first_requests(&folder.load("file").unwrap())[0];
    assert_eq!(request.body, "{{ not a template }}\n");
}

#[test]
fn text_bodies_keep_their_last_line_break() {
    let sent =
        scenario("[[step]]\nname = \"a\"\npost = \"/\"\nbody = \"\"\"\na {{ user }}\n\"\"\"");
    assert_eq!(first_requests(&sent)[0].body, "a 0\n");
}

#[test]
fn random_values_come_from_the_seed() {
    let text = r#"
[[step]]
name = "a"
post = "/"
json = { id = "{{ uuid() }}", whole = "{{ random(1, 6) }}", part = "{{ random(0.0, 1.0) }}" }
"#;
    let drawn = scenario(text);
    let sent = |seed: u64, user: u32, iteration: u64| -> Value {
        let inputs = drawn.data.feeder(seed).iteration(0, user, iteration);
        serde_json::from_slice(&drawn.steps[0].template.render(&inputs).unwrap().body).unwrap()
    };
    assert_eq!(sent(1, 2, 3), sent(1, 2, 3));
    let others = [sent(1, 2, 3), sent(2, 2, 3), sent(1, 3, 3), sent(1, 2, 4), sent(1, 3, 2)];
    let ids: HashSet<&str> = others.iter().map(|value| value["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), others.len());
    for value in &others {
        let id = value["id"].as_str().unwrap();
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
        assert!((1..=6).contains(&value["whole"].as_i64().unwrap()));
        assert!((0.0..1.0).contains(&value["part"].as_f64().unwrap()));
    }
}

// Rows.

/// A scenario whose step sends one bound row and `draw`s two more.
fn rows(count: usize, order: &str) -> Scenario {
    let folder = Folder::new();
    let lines: Vec<String> = (0..count).map(|id| format!("{{\"id\":{id}}}")).collect();
    folder.write("rows.jsonl", &lines.join("\n"));
    folder.write(
        "rows.toml",
        &format!(
            "[data]\nrow = {{ file = \"rows.jsonl\", order = \"{order}\" }}\n\
             other = [1, 2, 3]\n\
             [[step]]\nname = \"a\"\npost = \"/\"\njson = [\"{{{{ row.id }}}}\", \"{{{{ row.id }}}}\"]\n\
             [[step]]\nname = \"b\"\npost = \"/\"\njson = \"{{{{ draw('row', 2) | map(attribute='id') }}}}\"\n\
             [[step]]\nname = \"c\"\nget = \"/\"\n"
        ),
    );
    folder.load("rows").unwrap_or_else(|error| panic!("{error}"))
}

fn ids(scenario: &Scenario, step: usize, feeder: &Feeder, user: u32, iteration: u64) -> Vec<usize> {
    let request =
        scenario.steps[step].template.render(&feeder.iteration(0, user, iteration)).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn an_iteration_has_one_row_and_takes_none_that_it_does_not_use() {
    let loaded = rows(10, "next");
    let feeder = loaded.data.feeder(1);
    loaded.steps[2].template.render(&feeder.iteration(0, 0, 0)).unwrap();
    assert_eq!(ids(&loaded, 0, &feeder, 0, 1), [0, 0]);
    assert_eq!(ids(&loaded, 1, &feeder, 0, 2), [1, 2]);
    let inputs = feeder.iteration(0, 0, 3);
    for _ in 0..2 {
        let request = loaded.steps[0].template.render(&inputs).unwrap();
        assert_eq!(request.body, "[3,3]");
    }
    assert_eq!(ids(&loaded, 0, &feeder, 0, 4), [4, 4]);
}

#[test]
fn rows_begin_again_after_the_last() {
    let loaded = rows(3, "next");
    let feeder = loaded.data.feeder(1);
    let drawn: Vec<usize> = (0..4).flat_map(|i| ids(&loaded, 1, &feeder, 0, i)).collect();
    assert_eq!(drawn, [0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn shuffled_epochs_differ_and_follow_from_the_seed() {
    let loaded = rows(50, "shuffle");
    let epochs = |seed: u64| -> Vec<Vec<usize>> {
        let feeder = loaded.data.feeder(seed);
        let all: Vec<usize> = (0..75).flat_map(|i| ids(&loaded, 1, &feeder, 0, i)).collect();
        all.chunks(50).map(<[usize]>::to_vec).collect()
    };
    let first = epochs(1);
    assert_eq!(first, epochs(1));
    assert_ne!(first, epochs(2));
    assert_ne!(first[0], first[1]);
    for epoch in first {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_ne!(epoch, sorted);
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn random_rows_belong_to_the_iteration() {
    let loaded = rows(1000, "random");
    let drawn = |feeder: &Feeder| -> Vec<usize> {
        (0..20).flat_map(|i| ids(&loaded, 1, feeder, 7, i)).collect()
    };
    let feeder = loaded.data.feeder(1);
    let first = drawn(&feeder);
    assert_eq!(first, drawn(&feeder));
    assert!(first.iter().collect::<HashSet<_>>().len() > 30, "{first:?}");
}

/// Every row exactly once in each epoch, over users on several threads and draws of any size.
fn exactly_once(order: &str, count: usize, threads: u32, iterations: u64) {
    let loaded = rows(count, order);
    let feeder = loaded.data.feeder(3);
    let mut taken: Vec<usize> = std::thread::scope(|scope| {
        let users: Vec<_> = (0..threads)
            .map(|user| {
                let (loaded, feeder) = (&loaded, &feeder);
                scope.spawn(move || -> Vec<usize> {
                    (0..iterations).flat_map(|i| ids(loaded, 1, feeder, user, i)).collect()
                })
            })
            .collect();
        users.into_iter().flat_map(|user| user.join().unwrap()).collect()
    });
    // Fill the last epoch up.
    while !taken.len().is_multiple_of(count) {
        taken.push(ids(&loaded, 0, &feeder, 99, taken.len() as u64)[0]);
    }
    let epochs = taken.len() / count;
    let mut seen = vec![0; count];
    taken.into_iter().for_each(|id| seen[id] += 1);
    assert!(seen.iter().all(|times| *times == epochs), "{order}: {epochs} epochs, {seen:?}");
}

/// Enough draws at once that a counter which two threads can read before either adds to it is seen.
#[test]
fn users_on_many_threads_never_share_a_row() {
    exactly_once("next", 97, 4, 20_000);
}

// What is accepted.

#[test]
fn status_is_checked_first_and_kept_apart() {
    let loaded = scenario(
        r#"
[[step]]
name = "a"
get = "/"
expect = { status = [200, "4xx"], header = { x-id = "7", content-type = { contains = "json" } }, body_contains = "good" }
[[step]]
name = "b"
get = "/"
"#,
    );
    let expect = &loaded.steps[0].expect;
    let headers: HeaderMap = [("x-id", "7"), ("content-type", "application/json; charset=utf-8")]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    assert_eq!(judged(expect, 200, &headers, b"a good body"), Ok(()));
    assert_eq!(judged(expect, 404, &headers, b"good"), Ok(()));
    let cases = [
        (201, &headers, "good", "status 201, expected 200 or 4xx; body: good"),
        (200, &HeaderMap::new(), "good", "header content-type is missing"),
        (200, &headers, "bad\n\u{1b}[31m", "the body does not contain `good`: bad\\n\\u{1b}[31m"),
    ];
    for (status, headers, body, message) in cases {
        let error = judged(expect, status, headers, body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(matches!(error, Unexpected::Status(_)), status == 201);
    }
    assert!(expect.needs_body());
    assert!(!loaded.steps[1].expect.needs_body());
    assert_eq!(judged(&loaded.steps[1].expect, 299, &HeaderMap::new(), b""), Ok(()));
}

#[test]
fn json_checks_say_what_they_found() {
    type Change = dyn Fn(&mut Value);
    let loaded = scenario(
        r#"
[[step]]
name = "a"
get = "/"
[step.expect.json]
"$" = "object"
list = { length = 2 }
"list[1].name" = "string"
'["odd key"]' = { equals = [1, { a = "b" }] }
content = "json"
score = { min = 0, max = 1 }
"#,
    );
    let expect = &loaded.steps[0].expect;
    let right = json!({
        "list": [{}, { "name": "x" }], "odd key": [1.0, { "a": "b" }], "content": "{\"a\": 1}",
        "score": 0.5,
    });
    let check = |change: &Change| {
        let mut value = right.clone();
        change(&mut value);
        let result = judged(expect, 200, &HeaderMap::new(), value.to_string().as_bytes());
        result.map_err(|error| error.to_string())
    };
    assert_eq!(check(&|_| ()), Ok(()));
    let cases: [(&Change, &str); 8] = [
        (&|v| v["list"] = json!([1]), "list: expected 2 elements, found 1"),
        (&|v| v["list"] = json!(3), "list: expected something of length 2, found a number 3"),
        (&|v| v["list"][1]["name"] = json!(null), "list[1].name: expected a string, found null"),
        (
            &|v| v["odd key"][0] = json!(2),
            "[\"odd key\"]: expected [1,{\"a\":\"b\"}], found an array",
        ),
        (&|v| v["content"] = json!({}), "content: expected a string that is JSON, found an object"),
        (&|v| v["score"] = json!(1.5), "score: expected at most 1, found 1.5"),
        (&|v| v["score"] = json!("high"), "score: expected a number, at least 0, found a string"),
        (&|v| *v = json!([]), "$: expected an object, found an array"),
    ];
    for (change, message) in cases {
        assert_eq!(check(change), Err(message.to_owned()));
    }
    let missing = check(&|v| drop(v.as_object_mut().unwrap().remove("content"))).unwrap_err();
    assert!(missing.starts_with("content: there is no `content`; body: {"), "{missing}");
    let no_json = judged(expect, 200, &HeaderMap::new(), b"<html>").unwrap_err().to_string();
    assert!(
        no_json.starts_with("the body is not JSON (") && no_json.ends_with("<html>"),
        "{no_json}"
    );
}

#[test]
fn excerpts_are_short_and_on_one_line() {
    let loaded = scenario("[[step]]\nname = \"a\"\nget = \"/\"");
    for body in [vec![b'x'; 1_000_000], "\u{e9}\n".repeat(500).into_bytes(), vec![0xff; 1000]] {
        let error = judged(&loaded.steps[0].expect, 500, &HeaderMap::new(), &body).unwrap_err();
        let message = error.to_string();
        assert!(message.chars().count() < 300 && !message.contains('\n'), "{message}");
    }
}

#[test]
fn rules_are_read() {
    let parse = |text: &str| Slo::parse(text, &["predict", "a: b"]).unwrap();
    let slo = parse("predict: p99.9 <= 1m30s");
    assert_eq!(
        (slo.step, slo.measure, slo.operator, slo.bound),
        (
            Some(StepId(0)),
            Measure::Percentile(99.9),
            Operator::AtMost,
            Bound::Time(Duration::from_secs(90)),
        )
    );
    assert_eq!(parse("a: b: failures < 0.1%").step, Some(StepId(1)));
    assert_eq!(parse("failures < 0.1%").bound, Bound::Share(0.001));
    assert_eq!(parse("rps>30").bound, Bound::PerSecond(30.0));
    assert!(Operator::Above.holds(31.0, 30.0) && !Operator::Above.holds(30.0, 30.0));
}

// Properties.

// Fan-outs, and what later steps see.

const JOINING: &str = r#"
[data]
case = [{ name = "cs1" }, { name = "cs2" }]
[[step]]
name = "first"
get = "/"
extract = { id = { header = "x-id" }, queries = "queries" }
[[step]]
name = "query"
get = "/{{ id }}/{{ case.name }}/{{ queries }}/{{ index }}"
for_each = ["case", "queries"]
extract = { answer = "answer" }
expect = { json = { tag = { equals = "{{ case.name }}-{{ index }}" }, n = { equals = "{{ index }}" } } }
[[step]]
name = "join"
post = "/"
after = "query"
json = { all = "{{ query | map(attribute='answer') | list }}", case = "{{ query[0].case.name }}{{ query[-1].index }}" }
"#;

#[test]
fn results_of_a_fan_out_are_joined_in_its_order() {
    let joining = scenario(JOINING);
    let [first, query, join] = joining.steps.as_slice() else { panic!("three steps") };
    let inputs = joining.data.feeder(1).iteration(0, 0, 0);
    let headers = HeaderMap::from_iter([("x-id".parse().unwrap(), "7".parse().unwrap())]);
    let answer = Answer::new(200, &headers, br#"{"queries":["a","b","c"]}"#, None);
    let inputs = inputs.with(&first.accept(&answer, &inputs).unwrap());
    let requests = inputs.fan(query.fan_out.as_ref().unwrap()).unwrap();
    let paths: Vec<String> = requests
        .iter()
        .map(|inputs| query.template.render(inputs).unwrap().path.to_string())
        .collect();
    let expected = ["cs1/a/0", "cs1/b/1", "cs1/c/2", "cs2/a/3", "cs2/b/4", "cs2/c/5"]
        .map(|p| format!("/7/{p}"));
    assert_eq!(paths, expected);
    assert_eq!(requests[4].label(joining.redactions()), "cs2, b");
    let accept = |index: usize, tag: &str| {
        let body = json!({ "tag": tag, "n": index, "answer": index * 10 }).to_string();
        query.accept(&Answer::new(200, &HeaderMap::new(), body.as_bytes(), None), &requests[index])
    };
    let foreign = accept(1, "cs2-1").unwrap_err().to_string();
    assert!(foreign.contains(r#"expected "cs1-1", found a string "cs2-1""#), "{foreign}");
    let harvests = vec![accept(0, "cs1-0").unwrap(), accept(5, "cs2-5").unwrap()];
    let joined = inputs.joined("query", harvests);
    let body = join.template.render(&joined).unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body, json!({ "all": [0, 50], "case": "cs15" }));
    let missing = query.accept(
        &Answer::new(200, &HeaderMap::new(), br#"{"tag":"cs1-0","n":0,"text":1}"#, None),
        &requests[0],
    );
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("extract `answer`: answer: there is no `answer`"), "{missing}");
}

#[test]
fn an_iteration_that_is_a_row_takes_exactly_one_whether_or_not_it_is_used() {
    let text =
        "rows = \"row\"\n[data]\nrow = [0, 1, 2]\n[[step]]\nname = \"a\"\nget = \"/{{ row }}\"";
    let rows = scenario(text);
    assert_eq!(rows.row_count(), Some(3));
    let feeder = rows.data.feeder(1);
    let _unused = feeder.iteration(0, 0, 0);
    let second = feeder.iteration(0, 1, 0);
    let _third = feeder.iteration(0, 0, 1);
    for _ in 0..2 {
        assert_eq!(rows.steps[0].template.render(&second).unwrap().path, "/1");
    }
}

/// Each row in one batch, over users on several threads; the last batch has what the limit leaves.
#[test]
fn batches_hand_out_each_row_once_up_to_the_limit() {
    let text = format!(
        "rows = {{ from = \"row\", batch = 7 }}\n[data]\nrow = {:?}\n\
         [[step]]\nname = \"a\"\npost = \"/\"\njson = \"{{{{ rows }}}}\"",
        (0..1000).collect::<Vec<_>>()
    );
    let batches = scenario(&text);
    assert_eq!((batches.row_count(), batches.rows_at_once()), (Some(1000), Some(7)));
    let limited = batches.clone().with_row_limit(700 * 7 + 3);
    let feeder = limited.data.feeder(1);
    let mut sizes = Vec::new();
    let mut seen = vec![0; 1000];
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..4)
            .map(|user| {
                let (limited, feeder) = (&limited, &feeder);
                let count = if user == 0 { 176 } else { 175 };
                scope.spawn(move || -> Vec<Vec<usize>> {
                    (0..count).map(|i| ids(limited, 0, feeder, user, i)).collect()
                })
            })
            .collect();
        for batch in users.into_iter().flat_map(|user| user.join().unwrap()) {
            sizes.push(batch.len());
            batch.into_iter().for_each(|row| seen[row] += 1);
        }
    });
    sizes.sort_unstable();
    assert_eq!((sizes[0], sizes[1..] == [7; 700]), (3, true));
    // 4,903 rows are four passes, and 903 more.
    assert!(seen.iter().enumerate().all(|(row, times)| *times == 4 + usize::from(row < 903)));
    // No batch has a row twice.
    let few = scenario(
        "rows = { from = \"row\", batch = 7 }\n[data]\nrow = [0, 1, 2]\n\
         [[step]]\nname = \"a\"\npost = \"/\"\njson = \"{{ rows }}\"",
    );
    assert_eq!(ids(&few, 0, &few.data.feeder(1), 0, 0), [0, 1, 2]);
}

#[test]
fn variants_and_settings_are_laid_over_the_file() {
    let folder = Folder::new();
    folder.write(
        "laid.toml",
        "service = \"inference\"\n[load]\nusers = 1\n[[user]]\nname = \"u\"\n\
         [[user.transaction]]\nname = \"a b\"\nget = \"/\"\n[variant.slow]\nservice.engine = \"blocking\"\n\
         user.u.transaction.\"a b\".timeout = \"9s\"\nload.users = 2\n",
    );
    let with = |variant: Option<&str>, settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let overlay = Overlay::new(variant.map(str::to_owned), &settings).unwrap();
        Scenario::load_with("laid", &folder.place, &overlay)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let plain = with(None, &[]);
    assert_eq!((plain.load.users, plain.variants.as_slice()), (Some(1), &["slow".to_owned()][..]));
    let slow = with(Some("slow"), &["load.users=3", "user.u.transaction.\"a b\".retry=2"]);
    assert_eq!(slow.load.users, Some(3));
    assert_eq!(slow.steps[0].timeout, Duration::from_secs(9));
    assert_eq!(slow.steps[0].retry.as_ref().map(|retry| retry.attempts), Some(2));
    let service = slow.service.unwrap();
    assert_eq!(
        (service.name.as_str(), service.options["engine"].as_str()),
        ("inference", "blocking")
    );
    assert_ne!(slow.digest, plain.digest);
    assert_eq!(slow.variant.as_deref(), Some("slow"));
}

/// A text may stand for a table: what is laid over one key of it keeps what the text said.
#[test]
fn settings_below_a_text_keep_what_it_stands_for() {
    let folder = Folder::new();
    folder.write(
        "laid.toml",
        "service = { name = \"inference\", latency = \"90ms\" }\nrows = \"row\"\n[data]\nrow = [1, 2, 3]\n\
         [[step]]\nname = \"a\"\npost = \"/\"\njson = { rows = \"x\", n = \"{{ rows | length }}\" }\n\
         extract = { found = \"b\" }\n",
    );
    let with = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let overlay = Overlay::new(None, &settings).unwrap();
        Scenario::load_with("laid", &folder.place, &overlay)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let laid = with(&["rows.batch=2", "service.latency.per_item=1ms"]);
    assert_eq!((laid.rows.as_deref(), laid.rows_at_once()), (Some("row"), Some(2)));
    let service = laid.service.as_ref().unwrap().to_string();
    assert!(service.contains("90ms") && service.contains("1ms"), "{service}");
    // Elsewhere a text stands for no table, and gives way.
    let replaced =
        with(&["rows.batch=2", "step.a.json.rows.batch=2", "step.a.extract.found.header=\"x\""]);
    let inputs = replaced.data.feeder(1).iteration(0, 0, 0);
    let sent = replaced.steps[0].template.render(&inputs).unwrap();
    assert_eq!(&sent.body[..], br#"{"rows":{"batch":2},"n":2}"#);
}

fn user_with(weights: &[u32]) -> User {
    let mut text = "[[user]]\nname = \"u\"\n".to_owned();
    for (number, weight) in weights.iter().enumerate() {
        text.push_str(&format!(
            "[[user.transaction]]\nname = \"{number}\"\nweight = {weight}\nget = \"/\"\n"
        ));
    }
    scenario(&text).users.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_fan_out_is_the_full_cross_product_in_order(sizes in prop::collection::vec(1..5_usize, 1..4)) {
        let names: Vec<String> = (0..sizes.len()).map(|list| format!("list{list}")).collect();
        let mut text = format!("[[step]]\nname = \"a\"\nget = \"/\"\nfor_each = {names:?}\nbody = \"");
        names.iter().for_each(|name| text.push_str(&format!("{{{{ {name} }}}} ")));
        text.push_str("\"\n[data]\n");
        for (name, size) in names.iter().zip(&sizes) {
            text.push_str(&format!("{name} = {:?}\n", (0..*size).collect::<Vec<_>>()));
        }
        let loaded = scenario(&text);
        let step = &loaded.steps[0];
        let inputs = loaded.data.feeder(1).iteration(0, 0, 0);
        let made: Vec<Vec<usize>> = inputs.fan(step.fan_out.as_ref().unwrap()).unwrap().iter().map(|inputs| {
            let body = step.template.render(inputs).unwrap().body;
            String::from_utf8(body.to_vec()).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect()
        }).collect();
        let mut expected = vec![Vec::new()];
        for size in &sizes {
            expected = expected.iter().flat_map(|left| (0..*size).map(move |right| {
                let mut all: Vec<usize> = left.clone();
                all.push(right);
                all
            })).collect();
        }
        prop_assert_eq!(made, expected);
    }

    #[test]
    fn drawn_shares_approach_the_weights(weights in prop::collection::vec(1..20_u32, 1..6), seed: u64) {
        let user = user_with(&weights);
        let mut counts = vec![0_u32; weights.len()];
        for iteration in 0..20_000 {
            let drawn = user.draw(&mut stream(seed, 0, iteration, Purpose::Transaction));
            counts[drawn.name.parse::<usize>().unwrap()] += 1;
        }
        for (transaction, count) in user.transactions.iter().zip(counts) {
            // Five standard deviations of a share of 20,000 draws are at most 1.8 points.
            let drawn = f64::from(count) / 20_000.0;
            prop_assert!((drawn - user.share(transaction)).abs() < 0.018);
        }
    }

    #[test]
    fn every_row_once_an_epoch(count in 1..40_usize, threads in 1..5_u32, iterations in 1..60_u64) {
        exactly_once("next", count, threads, iterations);
        exactly_once("shuffle", count, threads, iterations);
    }
}

proptest! {
    #[test]
    fn durations_round_trip(nanoseconds: u64) {
        let duration = Duration::from_nanos(nanoseconds);
        prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
    }

    #[test]
    fn stages_round_trip(parts in prop::collection::vec((1..100_000_u32, 0..10_000_u64, 1..10_000_u64), 1..6)) {
        let stages: Vec<Stage> = parts
            .into_iter()
            .map(|(users, ramp, hold)| Stage {
                users,
                ramp: Duration::from_secs(ramp),
                hold: Duration::from_secs(hold),
            })
            .collect();
        let text: Vec<String> = stages.iter().map(ToString::to_string).collect();
        prop_assert_eq!(Stage::parse_list(&text.join(", ")), Ok(stages));
    }

    #[test]
    fn the_fewest_users_planned_are_those_of_the_curve(users in 1..500_u32, more in 1..500_u32, at in 0..60_u64) {
        let stage = |users, ramp, hold| Stage { users, ramp: Duration::from_secs(ramp), hold: Duration::from_secs(hold) };
        let load = ClosedLoad {
            stages: vec![stage(users, 0, 20), stage(users + more, 10, 30)],
            warm_up: Duration::ZERO,
            cool_down: Duration::ZERO,
            iterations: None,
            drain: Duration::ZERO,
        };
        let second = Duration::from_secs(1);
        let fewest = load.fewest_users(second * at as u32, second * (at as u32 + 1));
        let ramped = users + (more as u64 * at.saturating_sub(20).min(10) / 10) as u32;
        prop_assert_eq!(fewest, if at < 20 { users } else { ramped });
    }

    #[test]
    fn think_times_stay_in_their_range(a in 0..5000_u64, b in 0..5000_u64, seed: u64) {
        let think = Think { min: Duration::from_millis(a.min(b)), max: Duration::from_millis(a.max(b)) };
        let drawn = think.draw(&mut stream(seed, 1, 1, Purpose::Think));
        prop_assert!(think.min <= drawn && drawn <= think.max);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,60}") {
        let _ = parse_duration(&text);
        let _ = Stage::parse_list(&text);
        let _ = Slo::parse(&text, &["predict"]);
        let _ = text.parse::<gander::scenario::json_path::JsonPath>();
    }

    #[test]
    fn no_grammar_soup_makes_a_parser_panic(text in "[0-9umsph.:/,<>=%\\[\\]\"$ ]{0,30}") {
        let _ = parse_duration(&text);
        let _ = Stage::parse_list(&text);
        let _ = Slo::parse(&text, &["predict"]);
        let _ = text.parse::<gander::scenario::json_path::JsonPath>();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A scenario cut and changed anywhere is right or wrong, never a panic.
    #[test]
    fn no_scenario_makes_the_checker_panic(
        name in 0..BUILT_IN.len(),
        cut in 0.0..1.0_f64,
        removed in 0..60_usize,
        inserted in "[\\[\\]{}\"'=.,a-z0-9\n\u{e9}%#\\\\ ]{0,12}",
    ) {
        let text = std::fs::read_to_string(format!("scenarios/{}.toml", BUILT_IN[name])).unwrap();
        let at = text.floor_char_boundary((text.len() as f64 * cut) as usize);
        let end = text.ceil_char_boundary((at + removed).min(text.len()));
        let changed = format!("{}{inserted}{}", &text[..at], &text[end..]);
        let folder = Folder::new();
        folder.write("changed.toml", &changed);
        if let Err(error) = folder.load("changed") {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
